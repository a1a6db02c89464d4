"""Route, Complete and StreamComplete over the wire: one decision, one order, one account."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest
from muxer.v1 import billing_pb2, completion_pb2, metrics_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.rpc.calls import CallLimits
from tests.rpc.service import ONE_ATTEMPT, play, running, spec, told

Request = muxer_service_pb2.StreamCompleteRequest


async def kinds_of(call: grpc.aio.UnaryStreamCall[Request, muxer_service_pb2.StreamCompleteResponse]) -> list[str]:
    return [str(event.WhichOneof("event")) async for event in call]


async def test_route_explains_all_candidates_and_exclusions() -> None:
    async with running() as service:
        decision = (await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec("What is 2+2?")))).decision
    assert decision.selected_model == "acme/small"
    assert decision.selected_provider == "acme"
    assert {c.model for c in decision.candidates} == {"acme/small", "acme/middle", "acme/large", "other/tiny"}
    assert [c.score for c in decision.candidates] == sorted((c.score for c in decision.candidates), reverse=True)
    assert decision.classification.intent == routing_pb2.INTENT_CHAT_LITE
    assert (decision.policy_version, decision.price_book_version) == ("default-3", service.app.prices.book.version)
    assert decision.fleet_version == "fleet-test"
    assert "is the best balance" in decision.explanation
    best = decision.candidates[0]
    assert 0 < best.expected_quality <= 1
    assert best.estimated_latency.ToTimedelta().total_seconds() > 0
    assert (best.estimated_input_tokens, best.estimated_output_tokens) == (decision.estimated_input_tokens, 160)


async def test_route_calls_no_provider() -> None:
    async with running() as service:
        await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()))
        assert service.acme.requests == []


async def test_complete_answers_with_decision_message_and_account() -> None:
    async with running() as service:
        reply = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
    assert "".join(part.text for part in reply.message.parts) == "Hello world"
    assert reply.decision.selected_model == reply.summary.selected_model == "acme/middle"
    assert reply.summary.reported_model == "vendor-model-1"
    assert reply.summary.outcome == completion_pb2.OUTCOME_COMPLETE
    assert reply.summary.finish_reason == completion_pb2.FINISH_REASON_STOP
    # 100 tokens at 1 USD and 20 at 2 USD per million.
    assert reply.summary.cost.total_nano_usd == 100_000 + 40_000
    assert reply.summary.usage.source == billing_pb2.USAGE_SOURCE_PROVIDER


async def test_a_stream_is_one_decision_then_deltas_then_one_summary() -> None:
    async with running() as service:
        kinds = await kinds_of(service.stub.StreamComplete(Request(spec=spec())))
    assert kinds == ["decision", "text_delta", "text_delta", "summary"]


async def test_unary_and_stream_give_the_same_answer_usage_cost_and_decision() -> None:
    async with running() as service:
        whole = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
        events = [event async for event in service.stub.StreamComplete(Request(spec=spec()))]
    text = "".join(event.text_delta.text for event in events)
    decision, summary = events[0].decision, events[-1].summary
    assert text == "".join(part.text for part in whole.message.parts)
    assert (summary.usage, summary.cost) == (whole.summary.usage, whole.summary.cost)
    # The first completion is a live figure of the second.
    for varying in ("decision_id", "create_time", "fleet_version"):
        decision.ClearField(varying)  # type: ignore[arg-type]
        whole.decision.ClearField(varying)  # type: ignore[arg-type]
    assert decision == whole.decision


async def test_every_kind_of_delta_reaches_the_caller() -> None:
    script = play(
        ReasoningDelta("hm", "proof"),
        TextDelta("a"),
        RefusalDelta("no"),
        ToolCallDelta(0, "id", "look", "{}"),
        UsageReported(Usage(1, source=UsageSource.PROVIDER)),
        Finished(FinishReason.TOOL_CALLS),
    )
    async with running(script) as service:
        kinds = await kinds_of(service.stub.StreamComplete(Request(spec=spec())))
        whole = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
    assert kinds == ["decision", "reasoning_delta", "text_delta", "refusal_delta", "tool_call_delta", "summary"]
    assert [p.WhichOneof("part") for p in whole.message.parts] == ["reasoning", "text", "refusal", "tool_call"]


EXPECTED = [
    (FailureClass.CREDENTIAL, grpc.StatusCode.INTERNAL, "PROVIDER_CREDENTIALS"),
    (FailureClass.QUOTA, grpc.StatusCode.FAILED_PRECONDITION, "PROVIDER_QUOTA"),
    (FailureClass.RATE_LIMIT, grpc.StatusCode.UNAVAILABLE, "NO_PROVIDER_AVAILABLE"),
    (FailureClass.OVERLOAD, grpc.StatusCode.UNAVAILABLE, "NO_PROVIDER_AVAILABLE"),
    (FailureClass.CALLER_FAULT, grpc.StatusCode.INVALID_ARGUMENT, "PROVIDER_REJECTED"),
    (FailureClass.CONTEXT_LENGTH, grpc.StatusCode.INVALID_ARGUMENT, "CONTEXT_TOO_LONG"),
    (FailureClass.CONTENT_FILTER, grpc.StatusCode.INVALID_ARGUMENT, "CONTENT_POLICY"),
    (FailureClass.TRANSIENT, grpc.StatusCode.UNAVAILABLE, "NO_PROVIDER_AVAILABLE"),
    (FailureClass.TIMEOUT, grpc.StatusCode.UNAVAILABLE, "PROVIDER_TIMEOUT"),
    (FailureClass.PROTOCOL, grpc.StatusCode.INTERNAL, "PROVIDER_PROTOCOL"),
    (FailureClass.MODEL_GONE, grpc.StatusCode.FAILED_PRECONDITION, "PROVIDER_MODEL_GONE"),
]


@pytest.mark.parametrize(("failure_class", "code", "reason"), EXPECTED, ids=lambda value: getattr(value, "name", value))
async def test_a_provider_failure_is_told_alike_by_unary_and_stream(
    failure_class: FailureClass, code: grpc.StatusCode, reason: str
) -> None:
    failure = ProviderFailure(failure_class, "secret words of the vendor", http_status=499, vendor_code="v1")
    async with running(play(failure), settings=ONE_ATTEMPT) as service:
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
        kinds: list[str] = []
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            async for event in service.stub.StreamComplete(Request(spec=spec())):
                kinds.append(str(event.WhichOneof("event")))
    assert kinds == ["decision", "summary"]
    for raised in (unary, stream):
        error = told(raised.value)
        assert (error.code, error.reason) == (code, reason)
        assert "secret" not in str(raised.value)
        failed = error.details["CompletionFailure"]
        assert isinstance(failed, completion_pb2.CompletionFailure)
        attempt = failed.summary.attempts[0]
        assert (attempt.http_status, attempt.vendor_code) == (499, "v1")
        assert failed.summary.outcome == completion_pb2.OUTCOME_FAILED


async def test_a_cut_answer_ends_with_a_summary_that_says_so_and_what_it_cost() -> None:
    cut = ProviderFailure(FailureClass.TRANSIENT, "reset")
    async with running(play(TextDelta("x" * 400), cut), settings=ONE_ATTEMPT) as service:
        call = service.stub.StreamComplete(Request(spec=spec()))
        events = []
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for event in call:
                events.append(event)
    summary = events[-1].summary
    assert told(raised.value).reason == "STREAM_INTERRUPTED"
    assert told(raised.value).trailers["grpc-retry-pushback-ms"] == "-1"
    assert summary.outcome == completion_pb2.OUTCOME_FAILED
    assert summary.usage.source == billing_pb2.USAGE_SOURCE_ESTIMATED
    assert summary.usage.output_tokens == 100
    assert summary.cost.total_nano_usd > 0


async def test_an_adapter_that_ends_without_an_end_is_a_failure_and_never_a_success() -> None:
    async with running(play(TextDelta("half")), settings=ONE_ATTEMPT) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
    assert told(raised.value).reason == "PROVIDER_PROTOCOL"


async def test_a_rate_limit_hands_on_how_long_to_wait() -> None:
    failure = ProviderFailure(FailureClass.RATE_LIMIT, "slow down", retry_after_seconds=2.0)
    async with running(play(failure), settings=ONE_ATTEMPT) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
    error = told(raised.value)
    assert error.details["RetryInfo"].retry_delay.seconds == 2  # type: ignore[attr-defined]
    assert 2000 <= int(str(error.trailers["grpc-retry-pushback-ms"])) <= 2500


async def test_a_defect_shows_an_incident_and_none_of_its_text() -> None:
    async with running(play(KeyError("password=hunter2"))) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
    error = told(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert error.metadata["incident_id"] in error.message
    assert "hunter2" not in str(raised.value)


async def test_a_stray_cancellation_inside_becomes_a_status_at_once() -> None:
    async def script(_request: object):  # type: ignore[no-untyped-def]
        raise asyncio.CancelledError
        yield

    async with running(script) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()), timeout=30)
    assert told(raised.value).reason == "INTERNAL"


@pytest.mark.usefixtures("much_to_spare")
async def test_the_deadline_ends_the_call_typed_and_closes_the_provider() -> None:
    never = asyncio.Event()
    async with running(play(TextDelta("a"), never), settings=ONE_ATTEMPT) as service:
        events = []
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for event in service.stub.StreamComplete(Request(spec=spec()), timeout=5):
                events.append(event)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert told(raised.value).reason == "DEADLINE_EXCEEDED"
        assert events[-1].summary.outcome == completion_pb2.OUTCOME_CANCELLED
        assert service.acme.open == 0


async def test_a_call_without_a_deadline_is_bounded_by_the_service() -> None:
    limits = CallLimits(default_deadline_seconds=0.2)
    async with running(play(asyncio.Event()), limits=limits, settings=ONE_ATTEMPT) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
    assert told(raised.value).reason == "DEADLINE_EXCEEDED"


async def test_a_cancelled_stream_closes_the_provider_and_is_counted_once() -> None:
    never = asyncio.Event()
    async with running(play(TextDelta("a"), never)) as service:
        call = service.stub.StreamComplete(Request(spec=spec()))
        await call.read()
        call.cancel()
        metrics = muxer_service_pb2.GetMetricsRequest()
        async with asyncio.timeout(5):
            while (reply := await service.stub.GetMetrics(metrics)).process.completions_in_flight:
                await asyncio.sleep(0.01)
        assert service.acme.open == 0
        assert (reply.total.requests, reply.total.cancelled) == (1, 1)


async def test_get_metrics_counts_requests_failures_tokens_and_money_by_group() -> None:
    async with running(settings=ONE_ATTEMPT) as service:
        for text in ("What is 2+2?", "Tell me about climate change"):
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec(text)))
        service.acme.script = play(ProviderFailure(FailureClass.OVERLOAD, "busy"))
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
        by_model = await service.stub.GetMetrics(muxer_service_pb2.GetMetricsRequest())
        by_intent = await service.stub.GetMetrics(
            muxer_service_pb2.GetMetricsRequest(
                models=["small"],
                group_by=[metrics_pb2.METRICS_DIMENSION_INTENT, metrics_pb2.METRICS_DIMENSION_STRATEGY],
            )
        )
    rows = {row.model: row for row in by_model.rows}
    assert set(rows) == {"acme/middle", "acme/small"}
    middle = rows["acme/middle"]
    assert (middle.requests, middle.successes, middle.consecutive_failures) == (2, 1, 1)
    assert [(f.failure_class, f.count) for f in middle.failures] == [(4, 1)]
    assert middle.cost_nano_usd == 140_000
    assert middle.latency.samples == 1
    assert by_model.total.requests == 3
    assert [(row.intent, row.strategy, row.model) for row in by_intent.rows] == [
        (routing_pb2.INTENT_CHAT_LITE, "learned", "")
    ]
