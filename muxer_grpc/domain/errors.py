"""What can go wrong, in the words of callers (reasons) and in ours (failure classes).

MuxerError
├── InvalidRequest            violations of the contract, all at once
├── ModelNotFound             a requested model that the catalogue does not hold
├── ResourceNotFound          a named resource of an admin service
├── NoEligibleModel           policy and needs exclude every model
│   └── ContextTooLong        ... and the only obstacle is the length of the input
├── DecisionExpired           a decision that is not known, or no longer
├── DecisionStale             a decision whose model may no longer answer
├── Unauthenticated, PermissionDenied, BudgetExceeded, MoneyLeaseExceeded, MoneyLeaseEnded, RateLimited,
│   StorageUnavailable, RequestConflict, AnswerNotKept, SafetyBlocked, ResourceExists, RevisionConflict,
│   PreconditionFailed, NoProviderAvailable, DeadlineTooShort    of identity, money and storage: see refusals.py
├── CompletionFailed          providers were called; carries what was tried
├── Overloaded, Draining      refused before any work
├── DeadlineExceeded, Cancelled
├── MethodNotFound
└── InternalError             a defect; carries an incident id and nothing else
ProviderFailure               an attempt failed (inside only; never reaches a caller as it is)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from muxer_grpc.domain.enumeration import Named

if TYPE_CHECKING:
    from muxer_grpc.domain.completion import Summary
    from muxer_grpc.domain.decision import Exclusion


class Reason(Named):
    """Names why a call failed, for callers: the names of ErrorReason in the contract."""

    INVALID_REQUEST = "INVALID_REQUEST"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    NO_ELIGIBLE_MODEL = "NO_ELIGIBLE_MODEL"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    CONTENT_POLICY = "CONTENT_POLICY"
    PROVIDER_REJECTED = "PROVIDER_REJECTED"
    NO_PROVIDER_AVAILABLE = "NO_PROVIDER_AVAILABLE"
    PROVIDER_TIMEOUT = "PROVIDER_TIMEOUT"
    PROVIDER_CREDENTIALS = "PROVIDER_CREDENTIALS"
    PROVIDER_PROTOCOL = "PROVIDER_PROTOCOL"
    PROVIDER_QUOTA = "PROVIDER_QUOTA"
    PROVIDER_MODEL_GONE = "PROVIDER_MODEL_GONE"
    STREAM_INTERRUPTED = "STREAM_INTERRUPTED"
    OVERLOADED = "OVERLOADED"
    DRAINING = "DRAINING"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"
    METHOD_NOT_FOUND = "METHOD_NOT_FOUND"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    DECISION_EXPIRED = "DECISION_EXPIRED"
    DECISION_STALE = "DECISION_STALE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    MONEY_LEASE_EXCEEDED = "MONEY_LEASE_EXCEEDED"
    MONEY_LEASE_ENDED = "MONEY_LEASE_ENDED"
    RATE_LIMITED = "RATE_LIMITED"
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    REQUEST_CONFLICT = "REQUEST_CONFLICT"
    ANSWER_NOT_KEPT = "ANSWER_NOT_KEPT"
    SAFETY_BLOCKED = "SAFETY_BLOCKED"
    RESOURCE_EXISTS = "RESOURCE_EXISTS"
    REVISION_CONFLICT = "REVISION_CONFLICT"
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    DEADLINE_TOO_SHORT = "DEADLINE_TOO_SHORT"


class FailureClass(Named):
    """Names how an attempt failed, for us: decides about retry, fallback, breaker and cool-down."""

    CREDENTIAL = "credential"
    QUOTA = "quota"
    RATE_LIMIT = "rate_limit"
    OVERLOAD = "overload"
    CALLER_FAULT = "caller_fault"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    TRANSIENT = "transient"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    MODEL_GONE = "model_gone"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the path of the field, a short stable rule name, and what to do instead."""

    field: str
    rule: str
    description: str


class MuxerError(Exception):
    """An error that may reach a caller.

    `message` holds no secret and no foreign text; `metadata` repeats its variables.
    """

    reason: Reason

    def __init__(
        self, message: str, *, metadata: Mapping[str, str] | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds


class InvalidRequest(MuxerError):
    """The request breaks rules of the contract; `violations` lists all of them."""

    reason = Reason.INVALID_REQUEST

    def __init__(self, violations: Sequence[Violation]) -> None:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{first.field}: {first.description}{more}")
        self.violations = tuple(violations)


class ModelNotFound(MuxerError):
    """The requested model is not in the catalogue."""

    reason = Reason.MODEL_NOT_FOUND

    def __init__(self, model: str, nearest: str) -> None:
        hint = f"; did you mean {nearest}?" if nearest else ""
        super().__init__(
            f"model {model!r} is not in the catalogue{hint}", metadata={"model": model, "nearest": nearest}
        )
        self.model = model


class ResourceNotFound(MuxerError):
    """A named resource of an admin service does not exist."""

    reason = Reason.RESOURCE_NOT_FOUND

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} does not exist", metadata={"resource": name})
        self.kind = kind
        self.name = name


class NoEligibleModel(MuxerError):
    """Policy and needs exclude every model; `exclusions` says why, model by model."""

    reason = Reason.NO_ELIGIBLE_MODEL

    def __init__(
        self, message: str, exclusions: Sequence[Exclusion], metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, metadata={"excluded": str(len(exclusions)), **(metadata or {})})
        self.exclusions = tuple(exclusions)


class ContextTooLong(NoEligibleModel):
    """The input fits into no model that could otherwise answer."""

    reason = Reason.CONTEXT_TOO_LONG


class DecisionExpired(MuxerError):
    """The decision that a caller names is not known here, or no longer."""

    reason = Reason.DECISION_EXPIRED

    def __init__(self, decision_id: str) -> None:
        super().__init__(
            "the decision is not known here, or no longer: call Route again, or leave it out",
            metadata={"decision_id": decision_id},
        )


class DecisionStale(MuxerError):
    """The model of the decision that a caller names may no longer answer; `exclusion` says why."""

    reason = Reason.DECISION_STALE

    def __init__(self, decision_id: str, exclusion: Exclusion) -> None:
        name = exclusion.model.name
        super().__init__(
            f"{name} may no longer answer ({exclusion.detail}): call Route again, or leave the decision out",
            metadata={"decision_id": decision_id, "model": name, "exclusion": exclusion.reason.value},
        )
        self.exclusion = exclusion


class CompletionFailed(MuxerError):
    """Providers were called and no answer came of it; `summary` says what was tried and what it cost."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        summary: Summary,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, metadata=metadata, retry_after_seconds=retry_after_seconds)
        self.reason = reason
        self.summary = summary


class Overloaded(MuxerError):
    """The service sheds load."""

    reason = Reason.OVERLOADED


class Draining(MuxerError):
    """The process is shutting down."""

    reason = Reason.DRAINING


class DeadlineExceeded(MuxerError):
    """The caller's deadline passed."""

    reason = Reason.DEADLINE_EXCEEDED


class Cancelled(MuxerError):
    """The caller cancelled."""

    reason = Reason.CANCELLED


class MethodNotFound(MuxerError):
    """The service has no such method."""

    reason = Reason.METHOD_NOT_FOUND


class InternalError(MuxerError):
    """A defect of the service; the incident id finds it in the log."""

    reason = Reason.INTERNAL

    def __init__(self, incident_id: str) -> None:
        super().__init__(f"internal error, incident {incident_id}", metadata={"incident_id": incident_id})


class ProviderFailure(Exception):
    """An attempt at a provider failed.

    `detail` is for logs and may quote the vendor; it never reaches a caller.
    """

    def __init__(
        self,
        failure_class: FailureClass,
        detail: str,
        *,
        http_status: int = 0,
        vendor_code: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.failure_class = failure_class
        self.detail = detail
        self.http_status = http_status
        self.vendor_code = vendor_code
        self.retry_after_seconds = retry_after_seconds
