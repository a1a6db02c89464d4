"""THE error map: from a MuxerError to a google.rpc.Status with the details that a program can act on.

Details and their meaning: google/rpc/error_details.proto and AIP-193. Pushback: gRFC A6.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from muxer.v1 import completion_pb2

from muxer_grpc.domain.decision import Exclusion
from muxer_grpc.domain.errors import (
    CompletionFailed,
    InvalidRequest,
    ModelNotFound,
    MuxerError,
    NoEligibleModel,
    Reason,
    ResourceNotFound,
)
from muxer_grpc.domain.refusals import BudgetExceeded, MoneyLeaseExceeded, RateLimited, ResourceExists
from muxer_grpc.rpc.replies import duration_message, summary_message

DOMAIN = "muxer.v1"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

# A pushback of 0 makes gRPC clients hang past their deadline (grpc/grpc#41036).
MIN_PUSHBACK_MS = 10
# gRPC clients wait for a pushback without a word to their caller, be it past the deadline. So one is sent only where
# the wait is no longer than this many seconds, and leaves as much time for the call as it takes.
LONGEST_PUSHBACK_SECONDS = 60.0
PUSHBACK_SHARE = 0.5
MAX_EXCLUSIONS = 20

CODES = {
    Reason.INVALID_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.MODEL_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.NO_ELIGIBLE_MODEL: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.CONTEXT_TOO_LONG: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.CONTENT_POLICY: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.PROVIDER_REJECTED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NO_PROVIDER_AVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.PROVIDER_TIMEOUT: grpc.StatusCode.UNAVAILABLE,
    Reason.PROVIDER_CREDENTIALS: grpc.StatusCode.INTERNAL,
    Reason.PROVIDER_PROTOCOL: grpc.StatusCode.INTERNAL,
    Reason.PROVIDER_QUOTA: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.PROVIDER_MODEL_GONE: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.STREAM_INTERRUPTED: grpc.StatusCode.UNAVAILABLE,
    Reason.OVERLOADED: grpc.StatusCode.UNAVAILABLE,
    Reason.DRAINING: grpc.StatusCode.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.CANCELLED: grpc.StatusCode.CANCELLED,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
    Reason.METHOD_NOT_FOUND: grpc.StatusCode.UNIMPLEMENTED,
    Reason.RESOURCE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.DECISION_EXPIRED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.DECISION_STALE: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Reason.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.BUDGET_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.MONEY_LEASE_EXCEEDED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.MONEY_LEASE_ENDED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.STORAGE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Reason.REQUEST_CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    Reason.ANSWER_NOT_KEPT: grpc.StatusCode.ALREADY_EXISTS,
    Reason.SAFETY_BLOCKED: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.RESOURCE_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Reason.REVISION_CONFLICT: grpc.StatusCode.ABORTED,
    Reason.PRECONDITION_FAILED: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.DEADLINE_TOO_SHORT: grpc.StatusCode.FAILED_PRECONDITION,
}

# What a client retries by itself when it is told how long to wait: RATE_LIMITED only where it lists the code as such.
_RETRIED_LATER = frozenset({Reason.RATE_LIMITED})
# A retry of these costs money again, or is vain: a budget begins anew in hours, a lease of money never. So gRPC must
# not do it by itself, for clients that list the code either.
_NO_AUTOMATIC_RETRY = frozenset(
    {
        Reason.PROVIDER_TIMEOUT,
        Reason.STREAM_INTERRUPTED,
        Reason.BUDGET_EXCEEDED,
        Reason.MONEY_LEASE_EXCEEDED,
    }
)


def status_of(error: MuxerError) -> status_pb2.Status:
    """Builds the status: the code, a message without foreign text, ErrorInfo, and at most one of each other detail."""
    status = status_pb2.Status(code=CODES[error.reason].value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=error.metadata)
    for detail in (info, *_details_of(error)):
        status.details.add().Pack(detail)
    return status


def trailers_of(
    error: MuxerError, status: status_pb2.Status, seconds_left: float | None = None
) -> tuple[tuple[str, str | bytes], ...]:
    """Builds the trailing metadata. It must be a tuple: grpc.aio answers a list with UNKNOWN."""
    details = (DETAILS_KEY, status.SerializeToString())
    pushback = pushback_ms_of(error, seconds_left)
    return (details,) if pushback is None else (details, (PUSHBACK_KEY, str(pushback)))


def pushback_ms_of(error: MuxerError, seconds_left: float | None = None) -> int | None:
    """Chooses the pushback: a jittered delay where waiting helps, -1 where a retry costs money or is vain, or none.

    `seconds_left` is the time until the caller's deadline; None where it has none.
    """
    if error.reason in _NO_AUTOMATIC_RETRY or (error.reason in _RETRIED_LATER and error.retry_after_seconds is None):
        return -1
    waiting_helps = CODES[error.reason] is grpc.StatusCode.UNAVAILABLE or error.reason in _RETRIED_LATER
    if error.retry_after_seconds is None or not waiting_helps:
        return None
    longest = LONGEST_PUSHBACK_SECONDS
    if seconds_left is not None:
        longest = min(longest, PUSHBACK_SHARE * seconds_left)
    if error.retry_after_seconds > longest:
        return -1
    # Jitter spreads the callers; it decides nothing else, so the plain generator will do.
    delay = error.retry_after_seconds * 1000 * random.uniform(1.0, 1.25)  # noqa: S311
    return max(MIN_PUSHBACK_MS, round(delay))


def _details_of(error: MuxerError) -> Iterator[Message]:
    if isinstance(error, InvalidRequest):
        yield error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(
                    field=violation.field, description=violation.description, reason=violation.rule.upper()
                )
                for violation in error.violations
            ]
        )
    elif isinstance(error, ModelNotFound):
        yield error_details_pb2.ResourceInfo(
            resource_type="muxer.v1.Model", resource_name=error.model, description=error.message
        )
        yield error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(
                    field="spec.requested_model", description=error.message, reason="UNKNOWN"
                )
            ]
        )
    elif isinstance(error, BudgetExceeded):
        yield _budget_failure(error)
    elif isinstance(error, RateLimited):
        yield _quota_failure(
            subject=error.subject,
            description=error.message,
            metric=f"muxer.v1/{error.kind.value}_per_minute",
            quota=f"{error.kind.value}_per_minute",
            value=error.limit,
        )
    elif isinstance(error, MoneyLeaseExceeded):
        yield _quota_failure(
            subject=f"moneyLeases/{error.lease_id}",
            description=error.message,
            metric="muxer.v1/nano_usd",
            quota=error.lease_id,
            value=error.left,
        )
    elif isinstance(error, ResourceNotFound | ResourceExists):
        yield error_details_pb2.ResourceInfo(
            resource_type=f"muxer.v1.{error.kind}", resource_name=error.name, description=error.message
        )
    elif isinstance(error, NoEligibleModel):
        yield _precondition_failure(error.exclusions)
    elif isinstance(error, CompletionFailed):
        yield completion_pb2.CompletionFailure(summary=summary_message(error.summary))
    if error.retry_after_seconds is not None:
        yield error_details_pb2.RetryInfo(retry_delay=duration_message(max(0.0, error.retry_after_seconds)))


def _budget_failure(error: BudgetExceeded) -> error_details_pb2.QuotaFailure:
    budget = error.refusal.budget
    subject = f"tenants/{budget.tenant_id}"
    if budget.user_id:
        subject += f"/users/{budget.user_id}"
    if budget.key_id:
        subject += f"/keys/{budget.key_id}"
    return _quota_failure(
        subject=subject,
        description=error.message,
        metric="muxer.v1/nano_usd",
        quota=budget.id,
        value=budget.limit_nano_usd,
        dimensions={"period": budget.period.value, **error.metadata},
    )


def _quota_failure(
    *, subject: str, description: str, metric: str, quota: str, value: int, dimensions: Mapping[str, str] | None = None
) -> error_details_pb2.QuotaFailure:
    return error_details_pb2.QuotaFailure(
        violations=[
            error_details_pb2.QuotaFailure.Violation(
                subject=subject,
                description=description,
                api_service=DOMAIN,
                quota_metric=metric,
                quota_id=quota,
                quota_dimensions=dimensions,
                quota_value=value,
            )
        ]
    )


def _precondition_failure(exclusions: tuple[Exclusion, ...]) -> error_details_pb2.PreconditionFailure:
    return error_details_pb2.PreconditionFailure(
        violations=[
            error_details_pb2.PreconditionFailure.Violation(
                type=exclusion.reason.name, subject=exclusion.model.name, description=exclusion.detail
            )
            for exclusion in exclusions[:MAX_EXCLUSIONS]
        ]
    )
