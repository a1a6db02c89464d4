"""What a real receiver of OTLP gets of calls: exact trees of spans, their attributes, and the points of metrics."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from muxer.v1 import chat_pb2, muxer_service_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from muxer_grpc.pipeline.pipeline import Pipeline
from tests.rpc.service import spec
from tests.rpc.test_judge import DOUBTFUL
from tests.telemetry.receiver import Traced, attributes, traced

COMPLETE = "muxer.v1.MuxerService/Complete"
STREAM = "muxer.v1.MuxerService/StreamComplete"
ROUTE = "muxer.v1.MuxerService/Route"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# What differs from one run to the next; that it is there is what a test can say of it.
VARYING = {
    "muxer.decide.duration",
    "muxer.reserve.duration",
    "muxer.settle.duration",
    "muxer.decision.id",
    "muxer.completion.id",
    "muxer.price_book.version",
    "muxer.complexity",
    "muxer.exclusions",
    "gen_ai.response.id",
    "gen_ai.response.time_to_first_chunk",
    "server.port",
}


def told(span: Span) -> dict[str, Any]:
    """Gives the attributes that are the same in every run, and in place of the others that they are there."""
    return {name: ... if name in VARYING else value for name, value in attributes(span.attributes).items()}


def tree_of(spans: list[Span], trace_id: bytes) -> list[tuple[str, str, str]]:
    """Lists the spans of a trace: the name of each, its parent's, and its status, in the order of their beginnings."""
    mine = sorted((span for span in spans if span.trace_id == trace_id), key=lambda span: span.start_time_unix_nano)
    names = {span.span_id: span.name for span in mine}
    return [(span.name, names.get(span.parent_span_id, ""), Status.StatusCode.Name(span.status.code)) for span in mine]


async def server_span(service: Traced, name: str) -> Span:
    """Waits for the server span of a call: it is the last of its trace to end."""
    await service.receiver.until(lambda: bool(service.receiver.named(name)))
    return service.receiver.named(name)[-1]


def child(service: Traced, parent: Span, name: str) -> Span:
    (found,) = [each for each in service.receiver.named(name) if each.parent_span_id == parent.span_id]
    return found


OK, ERROR = "STATUS_CODE_UNSET", "STATUS_CODE_ERROR"
DECIDED = {
    "muxer.decide.duration": ...,
    "muxer.decision.id": ...,
    "muxer.price_book.version": ...,
    "muxer.complexity": ...,
    "muxer.exclusions": ...,
    "muxer.strategy": "learned",
    "muxer.intent": "chat_lite",
}


async def test_a_call_that_failed_over_is_one_tree_with_a_span_for_each_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, "down-60", "plain") as service:
        asked = spec("hello", max_output_tokens=50, sampling=chat_pb2.Sampling(temperature=0.5))
        reply = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked), timeout=20)
        server = await server_span(service, COMPLETE)
        assert tree_of(service.receiver.spans, server.trace_id) == [
            (COMPLETE, "", OK),
            ("chat down-60", COMPLETE, OK),
            ("POST", "chat down-60", ERROR),
            ("POST", "chat down-60", OK),
        ]
        chat = child(service, server, "chat down-60")
        first, second = sorted(service.receiver.named("POST"), key=lambda span: span.start_time_unix_nano)
    assert (server.kind, chat.kind, first.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_CLIENT)
    assert told(server) == {
        **DECIDED,
        "rpc.system.name": "grpc",
        "rpc.method": COMPLETE,
        "rpc.response.status_code": "OK",
        "muxer.tenant.id": "local",
        "muxer.requested_model": "",
        "muxer.selected_model": "fake/down-60",
        "muxer.candidate.count": 2,
        "muxer.fallbacks": ["fake/plain"],
        "muxer.reserve.duration": ...,
        "muxer.settle.duration": ...,
    }
    cost = reply.summary.cost.total_nano_usd
    assert told(chat) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.request.model": "down-60",
        "gen_ai.request.stream": False,
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": "plain-001",
        "gen_ai.response.id": ...,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.reasoning.output_tokens": 8,
        "gen_ai.usage.cost": cost / 1e9,
        "muxer.cost_nano_usd": cost,
        "muxer.usage.source": "provider",
        "muxer.model": "fake/down-60",
        "muxer.completion.id": ...,
        "muxer.decision.id": ...,
        "muxer.price_book.version": ...,
        "muxer.outcome": "complete",
        "muxer.attempt.count": 2,
        "server.address": "127.0.0.1",
        "server.port": ...,
    }
    assert attributes(chat.attributes)["muxer.completion.id"] == reply.summary.completion_id
    called = {
        "http.request.method": "POST",
        "gen_ai.provider.name": "fake",
        "server.address": "127.0.0.1",
        "server.port": ...,
    }
    assert told(first) == {
        **called,
        "muxer.model": "fake/down-60",
        "muxer.attempt.number": 1,
        "muxer.outcome": "failed",
        "http.response.status_code": 503,
        "muxer.failure_class": "overload",
        "muxer.vendor.error_code": "server_error",
        "error.type": "503",
    }
    assert told(second) == {
        **called,
        "muxer.model": "fake/plain",
        "muxer.attempt.number": 2,
        "http.request.resend_count": 1,
        "muxer.outcome": "complete",
        "http.response.status_code": 200,
    }
    assert first.end_time_unix_nano <= second.start_time_unix_nano <= chat.end_time_unix_nano


async def test_a_stream_that_is_cancelled_in_its_middle_is_no_error_and_what_was_guessed_has_our_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, "stall-20") as service:
        asked = muxer_service_pb2.StreamCompleteRequest(spec=spec("hello", requested_model="fake/stall-20"))
        call = service.stub.StreamComplete(asked, timeout=20)
        while not (await call.read()).HasField("text_delta"):
            pass
        call.cancel()
        server = await server_span(service, STREAM)
        assert tree_of(service.receiver.spans, server.trace_id) == [
            (STREAM, "", OK),
            ("chat stall-20", STREAM, OK),
            ("POST", "chat stall-20", OK),
        ]
        chat = child(service, server, "chat stall-20")
    assert attributes(server.attributes)["rpc.response.status_code"] == "CANCELLED"
    found = told(chat)
    assert found["muxer.outcome"] == "cancelled"
    assert found["muxer.usage.source"] == "estimated"
    assert found["muxer.usage.output_tokens"] > 0
    assert found["gen_ai.response.time_to_first_chunk"] is ...
    assert not [name for name in found if name.startswith("gen_ai.usage.") and name != "gen_ai.usage.cost"]


async def test_a_refusal_is_one_span_without_an_error_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, "plain") as service:
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(), timeout=20)
        server = await server_span(service, COMPLETE)
        assert tree_of(service.receiver.spans, server.trace_id) == [(COMPLETE, "", OK)]
    assert told(server) == {
        "rpc.system.name": "grpc",
        "rpc.method": COMPLETE,
        "rpc.response.status_code": "INVALID_ARGUMENT",
        "error.type": "INVALID_REQUEST",
        "muxer.tenant.id": "local",
    }


async def test_a_defect_is_an_error_that_tells_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the secret of the defect")

    monkeypatch.setattr(Pipeline, "route", broken)
    async with traced(tmp_path, monkeypatch, "plain") as service:
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec("hello")), timeout=20)
        server = await server_span(service, ROUTE)
    assert told(server) == {
        "rpc.system.name": "grpc",
        "rpc.method": ROUTE,
        "rpc.response.status_code": "INTERNAL",
        "error.type": "INTERNAL",
        "muxer.tenant.id": "local",
    }
    assert server.status.code == Status.STATUS_CODE_ERROR
    assert "secret" not in str(server)
    assert "incident" in caplog.text


@pytest.mark.usefixtures("much_to_spare")
async def test_a_deadline_that_passes_is_an_error_of_the_call_and_of_its_completion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, "delay-5000") as service:
        asked = muxer_service_pb2.CompleteRequest(spec=spec("hello", requested_model="fake/delay-5000"))
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.Complete(asked, timeout=10)
        server = await server_span(service, COMPLETE)
        chat = child(service, server, "chat delay-5000")
    for span in (server, chat):
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes(span.attributes)["error.type"] == "DEADLINE_EXCEEDED"
    assert attributes(server.attributes)["rpc.response.status_code"] == "DEADLINE_EXCEEDED"


async def test_a_caller_s_trace_goes_on_here_and_on_to_a_provider_that_may_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"MUXER_PROVIDERS__FAKE__PROPAGATE_TRACE": "true"}
    async with traced(tmp_path, monkeypatch, "plain", **own) as service:
        asked = muxer_service_pb2.CompleteRequest(spec=spec("hello", requested_model="fake/plain"))
        metadata = (("traceparent", PARENT), ("tracestate", "a=b"), ("baggage", "user=ann"))
        await service.stub.Complete(asked, timeout=20, metadata=metadata)
        server = await server_span(service, COMPLETE)
        attempt = service.receiver.named("POST")[-1]
        headers = service.provider.last.headers
    assert server.trace_id.hex() == PARENT.split("-")[1]
    assert server.parent_span_id.hex() == PARENT.split("-")[2]
    assert headers["traceparent"] == f"00-{server.trace_id.hex()}-{attempt.span_id.hex()}-01"
    assert headers["tracestate"] == "a=b"
    assert "baggage" not in headers


async def test_no_provider_learns_of_a_trace_unless_its_entry_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, "plain") as service:
        asked = muxer_service_pb2.CompleteRequest(spec=spec("hello", requested_model="fake/plain"))
        await service.stub.Complete(asked, timeout=20, metadata=(("traceparent", PARENT),))
        assert "traceparent" not in service.provider.last.headers


async def test_what_a_caller_s_trace_does_not_sample_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, "plain") as service:
        asked = muxer_service_pb2.CompleteRequest(spec=spec("hello", requested_model="fake/plain"))
        await service.stub.Complete(asked, timeout=20, metadata=(("traceparent", f"{PARENT[:-2]}00"),))
        await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec("hello")), timeout=20)
        await server_span(service, ROUTE)
        assert service.receiver.named(COMPLETE) == []


@pytest.mark.parametrize(("switch", "captured"), [("SPAN_ONLY", True), ("NO_CONTENT", False), ("", False)])
async def test_content_is_in_spans_only_where_the_standard_switch_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str, captured: bool
) -> None:
    standard = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": switch}
    async with traced(tmp_path, monkeypatch, "plain", **standard) as service:
        asked = muxer_service_pb2.CompleteRequest(spec=spec("my own words", requested_model="fake/plain"))
        await service.stub.Complete(asked, timeout=20)
        server = await server_span(service, COMPLETE)
        found = attributes(child(service, server, "chat plain").attributes)
    if captured:
        assert found["gen_ai.input.messages"] == (
            '[{"role": "user", "parts": [{"type": "text", "content": "my own words"}]}]'
        )
        assert '"finish_reason": "stop"' in found["gen_ai.output.messages"]
    else:
        assert not [name for name in found if "messages" in name]
        assert "my own words" not in str(service.receiver.spans)


async def test_metrics_hold_one_point_for_each_kind_of_call_and_none_of_a_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, "down-60", "plain") as service:
        asked = muxer_service_pb2.CompleteRequest(spec=spec("hello"))
        reply = await service.stub.Complete(asked, timeout=20)
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(), timeout=20)
        found = service.receiver
        # Metrics and spans are sent apart, so that either may come first.
        await found.until(
            lambda: len(found.points("rpc.server.call.duration")) == 2 and len(found.named(COMPLETE)) == 2
        )
        chat = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "fake", "gen_ai.request.model": "plain"}
        ((labels, point),) = found.points("gen_ai.client.operation.duration")
        assert (labels, point.count) == (chat, 1)
        assert list(point.explicit_bounds) == [0.01 * 2**n for n in range(14)]
        assert {labels["gen_ai.token.type"]: p.sum for labels, p in found.points("gen_ai.client.token.usage")} == {
            "input": 100,
            "output": 20,
        }
        calls = [
            (labels["rpc.response.status_code"], p.count) for labels, p in found.points("rpc.server.call.duration")
        ]
        assert calls == [("OK", 1), ("INVALID_ARGUMENT", 1)]
        assert [(labels, p.as_int) for labels, p in found.points("muxer.refusals") if p.as_int] == [
            ({"muxer.reason": "INVALID_REQUEST"}, 1)
        ]
        attempts = {labels.get("muxer.failure_class", ""): p.as_int for labels, p in found.points("muxer.attempts")}
        assert attempts == {"": 1, "overload": 1}
        ((_, cost),) = found.points("muxer.cost")
        assert cost.as_int == reply.summary.cost.total_nano_usd
        exemplars = [e for _, p in found.points("gen_ai.client.operation.duration") for e in p.exemplars]
        assert exemplars[0].trace_id == found.named("chat down-60")[0].trace_id
        names = {name for metric in found.metrics for labels, _ in found.points(metric) for name in labels}
    assert not [name for name in names if "tenant" in name or "user" in name or "key" in name]


@pytest.mark.parametrize("how", ["refusing", "hanging", "gone"])
async def test_a_receiver_that_takes_nothing_costs_callers_nothing_and_what_is_lost_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    standard = {
        "OTEL_BSP_MAX_QUEUE_SIZE": "16",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    if how == "gone":
        standard["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    async with traced(tmp_path, monkeypatch, "plain", **standard) as service:
        service.receiver.status = 400 if how == "refusing" else 200
        service.receiver.hangs = how == "hanging"
        asked = muxer_service_pb2.CompleteRequest(spec=spec("hello", requested_model="fake/plain"))
        for _ in range(40):
            reply = await service.stub.Complete(asked, timeout=5)
            assert reply.message.parts
        instruments = service.server.telemetry.instruments
        assert instruments is not None
        (spans,) = [each for each in instruments.observed if each.metric.name == "muxer.telemetry.spans"]

        def lost() -> float:
            return sum(count for (kind,), count in spans.look() if kind in ("failed", "dropped"))

        async with asyncio.timeout(20):
            while not lost():
                await asyncio.sleep(0.02)
        assert lost() <= 40 * 3


async def test_a_judge_that_is_asked_has_a_span_of_its_own_with_what_it_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"MUXER_CLASSIFIER__JUDGE__MODEL": "fake/plain", "MUXER_MODE": "basic"}
    async with traced(tmp_path, monkeypatch, "plain", "tokens-5", **own) as service:
        asked = muxer_service_pb2.RouteRequest(spec=spec(DOUBTFUL))
        await service.stub.Route(asked, timeout=20)
        server = await server_span(service, ROUTE)
        assert tree_of(service.receiver.spans, server.trace_id) == [(ROUTE, "", OK), ("chat plain", ROUTE, OK)]
        found = attributes(child(service, server, "chat plain").attributes)
    assert (found["muxer.role"], found["gen_ai.usage.input_tokens"]) == ("judge", 100)
    assert found["muxer.cost_nano_usd"] > 0
