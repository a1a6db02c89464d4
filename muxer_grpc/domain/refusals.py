"""Errors of identity, money and storage, for callers. See errors.py for what all errors share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from muxer_grpc.domain.budgeting import MICROSECONDS, BudgetRefusal
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.errors import MuxerError, Reason
from muxer_grpc.domain.tenancy import Scope


class Unauthenticated(MuxerError):
    """The call did not prove who makes it. The message never says which part of a credential was wrong."""

    reason = Reason.UNAUTHENTICATED


class PermissionDenied(MuxerError):
    """Whoever calls may not do this. Said before it is said whether what was named exists."""

    reason = Reason.PERMISSION_DENIED

    def __init__(self, message: str, scope: Scope | None = None) -> None:
        super().__init__(message, metadata={} if scope is None else {"scope": scope.value})


class BudgetExceeded(MuxerError):
    """What a completion may cost does not fit into a hard budget; `refusal` says which, and what is gone of it."""

    reason = Reason.BUDGET_EXCEEDED

    def __init__(self, refusal: BudgetRefusal) -> None:
        budget = refusal.budget
        whose = f"key {budget.key_id}" if budget.key_id else f"user {budget.user_id}" if budget.user_id else "tenant"
        reset = "" if refusal.reset_at_us is None else time_text(refusal.reset_at_us)
        super().__init__(
            f"the {budget.period.value} budget of {whose} has no room for {refusal.asked_nano_usd} nano-USD"
            + (f"; it begins anew at {reset}" if reset else ""),
            metadata={
                "budget": budget.id,
                "limit_nano_usd": str(budget.limit_nano_usd),
                "spent_nano_usd": str(refusal.spent_nano_usd),
                "reserved_nano_usd": str(refusal.reserved_nano_usd),
                "asked_nano_usd": str(refusal.asked_nano_usd),
                "reset_time": reset,
            },
        )
        self.refusal = refusal


class MoneyLeaseExceeded(MuxerError):
    """What a completion may cost does not fit into what is left of the named lease of money."""

    reason = Reason.MONEY_LEASE_EXCEEDED

    def __init__(self, lease_id: str, *, asked: int, left: int) -> None:
        super().__init__(
            f"the lease of money has {left} nano-USD left, and {asked} were asked",
            metadata={"money_lease": lease_id, "left_nano_usd": str(left), "asked_nano_usd": str(asked)},
        )
        self.lease_id = lease_id
        self.asked = asked
        self.left = left


class MoneyLeaseEnded(MuxerError):
    """The named lease of money is not known, was released, or has expired."""

    reason = Reason.MONEY_LEASE_ENDED

    def __init__(self, lease_id: str) -> None:
        super().__init__(
            "the lease of money is not known, was released, or has expired", metadata={"money_lease": lease_id}
        )


class RateKind(Named):
    """Names what a rate limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"


class RateLimited(MuxerError):
    """A key or a tenant asked for more in a minute than it may; `retry_after_seconds` says when there is room again.

    It is None where there never is: what was `asked` for is more than the limit of a whole minute.
    """

    reason = Reason.RATE_LIMITED

    def __init__(
        self, kind: RateKind, limit: int, subject: str, retry_after_seconds: float | None, *, asked: int = 1
    ) -> None:
        never = f", and this request may take {asked}: it can never be let in" if retry_after_seconds is None else ""
        super().__init__(
            f"{subject} may use {limit} {kind.value} a minute{never}",
            metadata={"limit": str(limit), "kind": kind.value, "subject": subject, "asked": str(asked)},
            retry_after_seconds=retry_after_seconds,
        )
        self.kind = kind
        self.limit = limit
        self.subject = subject
        self.asked = asked


class StorageUnavailable(MuxerError):
    """The accounts cannot be written now; nothing was called, or the answer could not be accounted for in time."""

    reason = Reason.STORAGE_UNAVAILABLE

    def __init__(self, message: str = "the accounts cannot be written now", retry_after_seconds: float = 1.0) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class RequestConflict(MuxerError):
    """A request id that was used for another request."""

    reason = Reason.REQUEST_CONFLICT

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "the request id was used for another request; send a fresh one", metadata={"request_id": request_id}
        )


class AnswerNotKept(MuxerError):
    """A request id whose completion was paid for, and whose answer is no longer there."""

    reason = Reason.ANSWER_NOT_KEPT

    def __init__(self, request_id: str, completion_id: str) -> None:
        super().__init__(
            "the request was answered and paid for, and its answer is no longer kept; send a fresh request id",
            metadata={"request_id": request_id, "completion_id": completion_id},
        )


class NoProviderAvailable(MuxerError):
    """Every model that may answer rests at present; `retry_after_seconds` says when the first may be tried again."""

    reason = Reason.NO_PROVIDER_AVAILABLE

    def __init__(self, model: str, provider: str, retry_after_seconds: float, detail: str = "") -> None:
        super().__init__(
            f"every model that may answer rests at present{f' ({model}: {detail})' if detail else ''}",
            metadata={"model": model, "provider": provider, "failure_class": "overload"},
            retry_after_seconds=retry_after_seconds,
        )


class DeadlineTooShort(MuxerError):
    """The caller's deadline is too near for any model that may answer."""

    reason = Reason.DEADLINE_TOO_SHORT

    def __init__(self, seconds_left: float) -> None:
        super().__init__(
            f"no model that may answer is expected to within {seconds_left:.2f} s",
            metadata={"seconds_left": f"{seconds_left:.2f}"},
        )


class SafetyBlocked(MuxerError):
    """The tenant's policy blocks what is classified as a safety risk."""

    reason = Reason.SAFETY_BLOCKED

    def __init__(self, confidence: float) -> None:
        super().__init__(
            "the tenant's policy blocks requests that are classified as a safety risk",
            metadata={"confidence": f"{confidence:.2f}"},
        )


class ResourceExists(MuxerError):
    """A resource of an admin service that is to be made and is there already."""

    reason = Reason.RESOURCE_EXISTS

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} exists already", metadata={"resource": name})
        self.kind = kind
        self.name = name


class RevisionConflict(MuxerError):
    """A resource of an admin service that somebody else changed in between."""

    reason = Reason.REVISION_CONFLICT

    def __init__(self, kind: str, name: str, revision: int) -> None:
        super().__init__(
            f"{kind} {name!r} was changed in between and is at revision {revision}: read it again",
            metadata={"resource": name, "revision": str(revision)},
        )


class PreconditionFailed(MuxerError):
    """What an admin service is asked to do does not fit the state of things; the message says why."""

    reason = Reason.PRECONDITION_FAILED

    def __init__(self, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message, metadata=metadata)


def time_text(at_us: int) -> str:
    """Writes a time as RFC 3339, in UTC and whole seconds."""
    return datetime.fromtimestamp(at_us // MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
