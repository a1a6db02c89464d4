"""The client package against a server that plays a script: errors of every reason, retries, strange streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from muxer.v1 import completion_pb2, errors_pb2, muxer_service_pb2, muxer_service_pb2_grpc, routing_pb2
from muxer_client import AsyncMuxerClient, MuxerClient, MuxerError, StreamTruncated, TlsOptions
from muxer_client.channel import SERVICE_CONFIG
from muxer_client.errors import BY_REASON

Event = muxer_service_pb2.StreamCompleteResponse
Context = grpc.aio.ServicerContext[Any, Any]

DECISION = Event(decision=routing_pb2.RouteDecision(decision_id="d"))
SUMMARY = Event(summary=completion_pb2.CompletionSummary(outcome=completion_pb2.OUTCOME_COMPLETE))


def text(piece: str) -> Event:
    return Event(text_delta=completion_pb2.TextDelta(text=piece))


class Scripted(muxer_service_pb2_grpc.MuxerServiceServicer):
    """A server that plays a script."""

    def __init__(self) -> None:
        self.attempts = 0
        self.request_ids: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.remaining: float | None = None
        self.events: list[Event] = [DECISION, SUMMARY]
        self.fail: Callable[[int], tuple[grpc.StatusCode, str, tuple[tuple[str, Any], ...]] | None] = lambda _n: None

    async def Complete(  # type: ignore[override]
        self, request: muxer_service_pb2.CompleteRequest, context: Context
    ) -> muxer_service_pb2.CompleteResponse:
        self.attempts += 1
        self.request_ids.append(request.spec.request_id)
        self.metadata = dict(context.invocation_metadata() or ())
        self.remaining = context.time_remaining()
        failure = self.fail(self.attempts)
        if failure is not None:
            await context.abort(failure[0], failure[1], trailing_metadata=failure[2])
        return muxer_service_pb2.CompleteResponse()

    async def StreamComplete(  # type: ignore[override]
        self, request: muxer_service_pb2.StreamCompleteRequest, context: Context
    ) -> AsyncGenerator[Event, None]:
        for event in self.events:
            yield event


@asynccontextmanager
async def scripted() -> AsyncGenerator[tuple[Scripted, str], None]:
    servicer = Scripted()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    muxer_service_pb2_grpc.add_MuxerServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield servicer, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def rich(code: grpc.StatusCode, reason: str, *more: Any) -> tuple[grpc.StatusCode, str, tuple[tuple[str, Any], ...]]:
    status = status_pb2.Status(code=code.value[0], message="told")
    details = (error_details_pb2.ErrorInfo(reason=reason, domain="muxer.v1", metadata={"k": "v"}), *more)
    for detail in details:
        status.details.add().Pack(detail)
    return code, "told", (("grpc-status-details-bin", status.SerializeToString()),)


REASONS = [name.removeprefix("ERROR_REASON_") for name, number in errors_pb2.ErrorReason.items() if number]


def test_every_reason_has_a_class_of_its_own() -> None:
    assert set(BY_REASON) == set(REASONS)
    assert len(set(BY_REASON.values())) == len(REASONS)


@pytest.mark.parametrize("reason", REASONS)
async def test_an_error_is_raised_as_the_class_of_its_reason(reason: str) -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(timedelta(seconds=1.5))
        servicer.fail = lambda _n: rich(grpc.StatusCode.INTERNAL, reason, retry)
        with pytest.raises(BY_REASON[reason]) as raised:
            await client.complete("x")
    error = raised.value
    assert (error.reason, error.message, error.metadata) == (reason, "told", {"k": "v"})
    assert error.retry_after == timedelta(seconds=1.5)


async def test_a_reason_that_is_not_known_yet_is_a_plain_error_with_its_name() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        servicer.fail = lambda _n: rich(grpc.StatusCode.INTERNAL, "FROM_THE_FUTURE")
        with pytest.raises(MuxerError) as raised:
            await client.complete("x")
    assert (type(raised.value), raised.value.reason) == (MuxerError, "FROM_THE_FUTURE")


async def test_an_error_of_grpc_itself_maps_by_its_code() -> None:
    async with AsyncMuxerClient("127.0.0.1:1", timeout=5) as client:
        with pytest.raises(MuxerError) as raised:
            await client.complete("x")
    assert raised.value.code is grpc.StatusCode.UNAVAILABLE
    assert raised.value.reason == "UNAVAILABLE"


async def test_unavailable_is_tried_again() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        servicer.fail = lambda n: (grpc.StatusCode.UNAVAILABLE, "busy", ()) if n < 3 else None
        await client.complete("x")
        assert servicer.attempts == 3


async def test_hundreds_of_calls_that_fail_at_once_are_all_tried_again() -> None:
    """As they do where one replica of a service dies."""
    calls = 300
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        servicer.fail = lambda n: (grpc.StatusCode.UNAVAILABLE, "gone", ()) if n <= calls else None
        await asyncio.gather(*(client.complete("x") for _ in range(calls)))
        assert servicer.attempts == 2 * calls


async def test_a_repeatable_call_has_one_request_id_however_often_it_is_sent() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target, repeatable=True) as client:
        servicer.fail = lambda n: (grpc.StatusCode.UNAVAILABLE, "busy", ()) if n < 3 else None
        await client.complete("x")
        await client.complete("x")
        await client.complete("x", request_id="mine")
    first, second, third, other, own = servicer.request_ids
    assert first
    assert (first, first, "mine") == (second, third, own)
    assert other not in {"", first}


async def test_a_call_has_no_request_id_unless_it_is_asked_for() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        await client.complete("x")
    assert servicer.request_ids == [""]


async def test_a_reset_without_a_word_of_the_service_is_unavailable_as_a_broken_line_is() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        servicer.fail = lambda _n: (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2", ())
        with pytest.raises(MuxerError) as raised:
            await client.complete("x")
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c.name not in ("OK", "UNAVAILABLE", "CANCELLED")])
async def test_no_other_code_is_tried_again(code: grpc.StatusCode) -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        servicer.fail = lambda _n: (code, "no", ())
        with pytest.raises(MuxerError):
            await client.complete("x")
        assert servicer.attempts == 1


async def test_a_negative_pushback_stops_retries() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        servicer.fail = lambda _n: (grpc.StatusCode.UNAVAILABLE, "no", (("grpc-retry-pushback-ms", "-1"),))
        with pytest.raises(MuxerError):
            await client.complete("x")
        assert servicer.attempts == 1


def test_no_backoff_is_under_ten_milliseconds() -> None:
    for method in SERVICE_CONFIG["methodConfig"]:  # type: ignore[attr-defined]
        assert float(method["retryPolicy"]["initialBackoff"].rstrip("s")) >= 0.01


async def test_a_default_deadline_is_sent() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        await client.complete("x")
        assert servicer.remaining is not None
        assert 50 < servicer.remaining < 61
        await client.complete("x", timeout=5)
        assert servicer.remaining < 5.5


async def test_key_and_trace_context_are_sent() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with (
        scripted() as (servicer, target),
        AsyncMuxerClient(target, api_key="secret", traceparent=lambda: trace) as client,
    ):
        await client.complete("x")
    assert servicer.metadata["authorization"] == "Bearer secret"
    assert servicer.metadata["traceparent"] == trace


def test_a_key_is_never_sent_in_the_clear_to_another_machine() -> None:
    with pytest.raises(ValueError, match="in the clear"):
        MuxerClient("muxer.example:443", api_key="secret")
    with pytest.raises(ValueError, match="in the clear"):
        MuxerClient(admin_target="muxer.example:443", api_key="secret")
    MuxerClient("muxer.example:443", api_key="secret", tls=TlsOptions()).close()
    MuxerClient("[::1]:50051", api_key="secret").close()


async def test_a_stream_without_its_summary_is_truncated_and_never_a_success() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        servicer.events = [DECISION, text("half")]
        async with client.stream("x") as stream:
            with pytest.raises(StreamTruncated):
                await stream.completion()


async def test_unknown_events_are_passed_over() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        future = Event.FromString(b"\xf2\x07\x00")  # field 126, which nobody knows yet
        servicer.events = [DECISION, text("a"), future, text("b"), SUMMARY]
        async with client.stream("x") as stream:
            assert (await stream.completion()).text == "ab"


async def test_a_switch_of_attempts_voids_what_is_not_safe() -> None:
    switch = Event(attempt_switched=completion_pb2.AttemptSwitched(attempt=2, safe_offset=2))
    call = Event(tool_call_delta=completion_pb2.ToolCallDelta(index=0, id="a", name="look"))
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        servicer.events = [DECISION, text("abcd"), call, switch, text("XY"), SUMMARY]
        async with client.stream("x") as stream:
            answer = await stream.completion()
        async with client.stream("x") as stream:
            kinds = [event.WhichOneof("event") async for event in stream]
    assert (answer.text, answer.tool_calls) == ("abXY", [])
    assert "attempt_switched" in kinds


async def test_many_calls_share_one_channel() -> None:
    async with scripted() as (servicer, target), AsyncMuxerClient(target) as client:
        await asyncio.gather(*(client.complete("x") for _ in range(20)))
        assert servicer.attempts == 20
        assert len(client._channels) == 1
