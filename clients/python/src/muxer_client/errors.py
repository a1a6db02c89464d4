"""Typed errors: one class per ErrorReason, made from the google.rpc.Status of a failed call.

An error of gRPC itself (no connection, a message over the limit) has no such status; it maps by its code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from muxer.v1 import completion_pb2, errors_pb2

DOMAIN = "muxer.v1"


class MuxerError(Exception):
    """A call failed.

    `reason` names why (an ErrorReason without its prefix, or the gRPC code where the service gave none), `code` is the
    gRPC status code, `metadata` holds the variables of the message.
    """

    def __init__(self, reason: str, code: grpc.StatusCode, message: str, details: dict[str, Message]) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.code = code
        self.message = message
        self._details = details

    @property
    def metadata(self) -> dict[str, str]:
        """Gives the variables of the message by name."""
        info = self._details.get("ErrorInfo")
        return dict(info.metadata) if isinstance(info, error_details_pb2.ErrorInfo) else {}

    @property
    def retry_after(self) -> timedelta | None:
        """Says how long to wait before a retry; None where the service did not say."""
        info = self._details.get("RetryInfo")
        return info.retry_delay.ToTimedelta() if isinstance(info, error_details_pb2.RetryInfo) else None

    @property
    def violations(self) -> dict[str, str]:
        """Maps the fields that break a rule to what to do instead."""
        bad = self._details.get("BadRequest")
        if not isinstance(bad, error_details_pb2.BadRequest):
            return {}
        return {violation.field: violation.description for violation in bad.field_violations}

    @property
    def exclusions(self) -> dict[str, str]:
        """Maps models that could not answer to the reason."""
        failure = self._details.get("PreconditionFailure")
        if not isinstance(failure, error_details_pb2.PreconditionFailure):
            return {}
        return {v.subject: f"{v.type}: {v.description}" for v in failure.violations}

    @property
    def quota(self) -> error_details_pb2.QuotaFailure | None:
        """Says which limit was met; None where none was."""
        failure = self._details.get("QuotaFailure")
        return failure if isinstance(failure, error_details_pb2.QuotaFailure) else None

    @property
    def summary(self) -> completion_pb2.CompletionSummary | None:
        """Says what was tried and what it cost; None where no provider was called."""
        failure = self._details.get("CompletionFailure")
        return failure.summary if isinstance(failure, completion_pb2.CompletionFailure) else None


class StreamTruncated(MuxerError):
    """A stream ended without its summary: it was cut on its way, and the answer may not be whole."""

    def __init__(self) -> None:
        super().__init__("STREAM_TRUNCATED", grpc.StatusCode.UNKNOWN, "the stream ended without a summary", {})


def _class_for(reason: str) -> type[MuxerError]:
    name = "".join(word.capitalize() for word in reason.split("_"))
    text = f"The call failed with the reason {reason}; see errors.proto for what it means and whether to retry."
    return type(name, (MuxerError,), {"__doc__": text, "__module__": __name__})


# One class per reason of the contract this package was built with: BY_REASON["NO_ELIGIBLE_MODEL"] is NoEligibleModel.
BY_REASON: dict[str, type[MuxerError]] = {
    name.removeprefix("ERROR_REASON_"): _class_for(name.removeprefix("ERROR_REASON_"))
    for name, _ in errors_pb2.ErrorReason.items()
    if name != "ERROR_REASON_UNSPECIFIED"
}
globals().update({kind.__name__: kind for kind in BY_REASON.values()})


_REASON_OF_CODE = {
    grpc.StatusCode.CANCELLED: "CANCELLED",
    grpc.StatusCode.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    grpc.StatusCode.UNIMPLEMENTED: "METHOD_NOT_FOUND",
}

_DETAIL_KINDS: dict[str, type[Message]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        error_details_pb2.ErrorInfo,
        error_details_pb2.RetryInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.QuotaFailure,
        error_details_pb2.ResourceInfo,
        completion_pb2.CompletionFailure,
    )
}


def error_of(error: grpc.RpcError) -> MuxerError:
    """Makes the typed error of a gRPC error."""
    code: grpc.StatusCode = error.code()
    details: dict[str, Message] = {}
    message = error.details() or ""
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
    except ValueError:
        # A middle man changed the code or the message: the details no longer speak of this status.
        status = None
    for packed in () if status is None else status.details:
        kind = _DETAIL_KINDS.get(packed.TypeName())
        if kind is not None:
            detail = kind()
            packed.Unpack(detail)
            details[kind.__name__] = detail
    info = details.get("ErrorInfo")
    known = isinstance(info, error_details_pb2.ErrorInfo) and info.domain == DOMAIN
    if not known and code is grpc.StatusCode.INTERNAL and "RST_STREAM" in message:
        # A proxy had to cut a call whose replica was gone. Without a proxy, gRPC tells the same as UNAVAILABLE.
        code = grpc.StatusCode.UNAVAILABLE
    reason = info.reason if known and isinstance(info, error_details_pb2.ErrorInfo) else _REASON_OF_CODE.get(code)
    return BY_REASON.get(reason or "", MuxerError)(reason or code.name, code, message, details)


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turns gRPC errors into typed ones: around unary calls and around the iteration of streams alike."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_of(error) from error
