"""From a vendor's error to a failure class: the HTTP status first, then the vendor's code, the text last.

Vendors agree on little more than the status. The texts below are those that OpenAI, Anthropic, Mistral, xAI, LiteLLM
and Ollama use for what they have no code for.
"""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from muxer_grpc.domain.errors import FailureClass, ProviderFailure

MAX_RETRY_AFTER_SECONDS = 3600.0
# What vendors use as codes: words, or a number. What else stands there is not shown to anybody: it may be anything that
# the vendor was told, a key included, and keys have digits among their letters.
_CODE = re.compile(r"(?=.{1,64}$)[A-Za-z]+([_. -][A-Za-z]+)*|[0-9]{1,6}")
MAX_DETAIL_CHARACTERS = 300

_BY_CODE = {
    "authentication_error": FailureClass.CREDENTIAL,
    "invalid_api_key": FailureClass.CREDENTIAL,
    "permission_error": FailureClass.CREDENTIAL,
    "insufficient_quota": FailureClass.QUOTA,
    "billing_error": FailureClass.QUOTA,
    "billing_not_active": FailureClass.QUOTA,
    "billing_hard_limit_reached": FailureClass.QUOTA,
    "budget_exceeded": FailureClass.QUOTA,
    "rate_limit_error": FailureClass.RATE_LIMIT,
    "rate_limit_exceeded": FailureClass.RATE_LIMIT,
    "rate_limited": FailureClass.RATE_LIMIT,
    "overloaded_error": FailureClass.OVERLOAD,
    "server_overloaded": FailureClass.OVERLOAD,
    "context_length_exceeded": FailureClass.CONTEXT_LENGTH,
    "string_above_max_length": FailureClass.CONTEXT_LENGTH,
    "request_too_large": FailureClass.CONTEXT_LENGTH,
    "content_filter": FailureClass.CONTENT_FILTER,
    "content_policy_violation": FailureClass.CONTENT_FILTER,
    "moderation_blocked": FailureClass.CONTENT_FILTER,
    "model_not_found": FailureClass.MODEL_GONE,
    "not_found_error": FailureClass.MODEL_GONE,
    "invalid_model": FailureClass.MODEL_GONE,
    "api_error": FailureClass.TRANSIENT,
    "server_error": FailureClass.TRANSIENT,
    "internal_server_error": FailureClass.TRANSIENT,
    "timeout_error": FailureClass.TRANSIENT,
}

_BY_STATUS = {
    401: FailureClass.CREDENTIAL,
    402: FailureClass.QUOTA,
    403: FailureClass.CREDENTIAL,
    404: FailureClass.MODEL_GONE,
    408: FailureClass.TIMEOUT,
    409: FailureClass.TRANSIENT,
    410: FailureClass.MODEL_GONE,
    413: FailureClass.CONTEXT_LENGTH,
    425: FailureClass.TRANSIENT,
    429: FailureClass.RATE_LIMIT,
    503: FailureClass.OVERLOAD,
    504: FailureClass.TIMEOUT,
    529: FailureClass.OVERLOAD,
}

# Which codes may refine which status: a body never turns a server's fault into the caller's, nor the other way round.
_REFINES = {
    400: frozenset(FailureClass) - {FailureClass.TRANSIENT, FailureClass.OVERLOAD, FailureClass.RATE_LIMIT},
    403: frozenset({FailureClass.CONTENT_FILTER, FailureClass.QUOTA, FailureClass.CREDENTIAL, FailureClass.MODEL_GONE}),
    413: frozenset({FailureClass.CONTEXT_LENGTH}),
    422: frozenset({FailureClass.CONTEXT_LENGTH, FailureClass.CONTENT_FILTER, FailureClass.MODEL_GONE}),
    429: frozenset({FailureClass.QUOTA, FailureClass.RATE_LIMIT, FailureClass.OVERLOAD}),
    500: frozenset({FailureClass.OVERLOAD, FailureClass.TRANSIENT}),
}

# For vendors that have no code for it. Lower case; all words of a row must occur.
_BY_TEXT: tuple[tuple[tuple[str, ...], FailureClass], ...] = (
    (("context length",), FailureClass.CONTEXT_LENGTH),
    (("context window",), FailureClass.CONTEXT_LENGTH),
    (("maximum context",), FailureClass.CONTEXT_LENGTH),
    (("context limit",), FailureClass.CONTEXT_LENGTH),
    (("context size",), FailureClass.CONTEXT_LENGTH),
    (("maximum prompt length",), FailureClass.CONTEXT_LENGTH),
    (("prompt is too long",), FailureClass.CONTEXT_LENGTH),
    (("prompt contains", "tokens", "larger than"), FailureClass.CONTEXT_LENGTH),
    (("too large for model",), FailureClass.CONTEXT_LENGTH),
    (("credit balance is too low",), FailureClass.QUOTA),
    (("exceeded your current quota",), FailureClass.QUOTA),
    (("run out of credits",), FailureClass.QUOTA),
    (("incorrect api key",), FailureClass.CREDENTIAL),
    (("content", "policy"), FailureClass.CONTENT_FILTER),
    (("content", "filter"), FailureClass.CONTENT_FILTER),
    (("usage guidelines",), FailureClass.CONTENT_FILTER),
    (("model", "not found"), FailureClass.MODEL_GONE),
    (("model", "does not exist"), FailureClass.MODEL_GONE),
    (("invalid model",), FailureClass.MODEL_GONE),
)


@dataclass(frozen=True, slots=True)
class VendorError:
    """What an error body says: its codes in the order of their weight, and its text."""

    codes: tuple[str, ...] = ()
    text: str = ""


def failure_of(status: int, body: bytes, headers: Mapping[str, str], now: float) -> ProviderFailure:
    """Classifies a reply that is no success; `now` (seconds since the epoch) is for Retry-After dates."""
    error = read_error(body)
    refined = _refined(error, _REFINES.get(status, frozenset()))
    return ProviderFailure(
        refined or _by_status(status),
        f"HTTP {status}: {error.text[:MAX_DETAIL_CHARACTERS]}",
        http_status=status,
        vendor_code=_shown(error),
        retry_after_seconds=retry_after_seconds(headers, now),
    )


def failure_in_stream(error: Any, status: int = 200) -> ProviderFailure:
    """Classifies an error that came inside a reply that began as a success."""
    vendor_error = _read_error_value(error)
    inner_status = next((int(code) for code in vendor_error.codes if code.isdecimal() and len(code) == 3), 0)
    refined = _refined(vendor_error, frozenset(FailureClass))
    return ProviderFailure(
        refined or (_by_status(inner_status) if inner_status else FailureClass.TRANSIENT),
        f"an error inside the answer: {vendor_error.text[:MAX_DETAIL_CHARACTERS]}",
        http_status=inner_status or status,
        vendor_code=_shown(vendor_error),
    )


def read_error(body: bytes) -> VendorError:
    """Reads an error body of any vendor; a body that is no JSON is all text."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return VendorError(text=body.decode("utf-8", "replace"))
    return _read_error_value(value.get("error", value) if isinstance(value, dict) else value)


def _read_error_value(error: Any) -> VendorError:
    if isinstance(error, str):
        return VendorError(text=error)
    if not isinstance(error, dict):
        return VendorError()
    codes = [str(error[key]) for key in ("code", "type") if error.get(key) not in (None, "")]
    text = next((str(error[key]) for key in ("message", "detail", "error") if error.get(key)), "")
    return VendorError(tuple(codes), text)


def _shown(error: VendorError) -> str:
    """Gives the weightiest code, where it has the form of one."""
    code = error.codes[0] if error.codes else ""
    return code if _CODE.fullmatch(code) else ""


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Reads how long the vendor asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
            except ValueError:
                continue
        if math.isfinite(seconds):
            return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)
    return None


def _by_status(status: int) -> FailureClass:
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if 400 <= status < 500:
        return FailureClass.CALLER_FAULT
    return FailureClass.TRANSIENT if status >= 500 else FailureClass.PROTOCOL


def _refined(error: VendorError, allowed: frozenset[FailureClass]) -> FailureClass | None:
    for code in error.codes:
        found = _BY_CODE.get(code.lower())
        if found in allowed:
            return found
    text = error.text.lower()
    for words, failure_class in _BY_TEXT:
        if failure_class in allowed and all(word in text for word in words):
            return failure_class
    return None
