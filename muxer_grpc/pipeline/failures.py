"""From how attempts failed to what the caller is told: a plain table."""

from __future__ import annotations

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.completion import Summary
from muxer_grpc.domain.errors import CompletionFailed, FailureClass, ProviderFailure, Reason

_REASONS = {
    FailureClass.CREDENTIAL: Reason.PROVIDER_CREDENTIALS,
    FailureClass.QUOTA: Reason.PROVIDER_QUOTA,
    FailureClass.RATE_LIMIT: Reason.NO_PROVIDER_AVAILABLE,
    FailureClass.OVERLOAD: Reason.NO_PROVIDER_AVAILABLE,
    FailureClass.CALLER_FAULT: Reason.PROVIDER_REJECTED,
    FailureClass.CONTEXT_LENGTH: Reason.CONTEXT_TOO_LONG,
    FailureClass.CONTENT_FILTER: Reason.CONTENT_POLICY,
    FailureClass.TRANSIENT: Reason.NO_PROVIDER_AVAILABLE,
    FailureClass.TIMEOUT: Reason.PROVIDER_TIMEOUT,
    FailureClass.PROTOCOL: Reason.PROVIDER_PROTOCOL,
    FailureClass.MODEL_GONE: Reason.PROVIDER_MODEL_GONE,
}

_MESSAGES = {
    Reason.PROVIDER_CREDENTIALS: "{provider} refused the service's credentials; an operator must renew them",
    Reason.PROVIDER_QUOTA: "the service's account at {provider} is out of credit; an operator must act",
    Reason.NO_PROVIDER_AVAILABLE: "{provider} cannot answer now ({failure_class})",
    Reason.PROVIDER_REJECTED: "{provider} refused the request as malformed for {model}",
    Reason.CONTEXT_TOO_LONG: "the input is longer than {model} takes",
    Reason.CONTENT_POLICY: "the content policy of {provider} blocked the request",
    Reason.PROVIDER_TIMEOUT: "{provider} stayed silent too long",
    Reason.PROVIDER_PROTOCOL: "the answer of {provider} could not be understood",
    Reason.PROVIDER_MODEL_GONE: "{provider} does not offer {model}; an operator must correct the catalogue",
    Reason.STREAM_INTERRUPTED: "the answer of {model} was cut before its end",
}

# Faults of the line: once an answer had begun, the caller is told that it was cut.
_CUTS = frozenset({FailureClass.TRANSIENT, FailureClass.TIMEOUT, FailureClass.OVERLOAD, FailureClass.RATE_LIMIT})


def is_cut(failure_class: FailureClass) -> bool:
    """Tells whether a failure amid an answer is told as a cut."""
    return failure_class in _CUTS


def reason_of(failure_class: FailureClass, *, started: bool) -> Reason:
    """Chooses the reason for callers; `started` tells whether a piece of the answer came before."""
    if started and is_cut(failure_class):
        return Reason.STREAM_INTERRUPTED
    return _REASONS[failure_class]


def error_of(failure: ProviderFailure, model: Model, summary: Summary, *, started: bool) -> CompletionFailed:
    """Builds the error for the caller: none of the vendor's own words."""
    reason = reason_of(failure.failure_class, started=started)
    metadata = {"model": model.name, "provider": model.provider}
    message = _MESSAGES[reason].format(failure_class=failure.failure_class.value, **metadata)
    if reason is Reason.NO_PROVIDER_AVAILABLE:
        metadata["failure_class"] = failure.failure_class.value
    if reason is Reason.CONTEXT_TOO_LONG:
        metadata = {"model": model.name, "input_tokens": str(summary.decision.estimated_input_tokens)}
    return CompletionFailed(
        reason, message, summary, metadata=metadata, retry_after_seconds=failure.retry_after_seconds
    )
