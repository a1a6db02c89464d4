"""The client package against the real service: what callers write, and what they get."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from muxer.v1 import chat_pb2, completion_pb2, routing_pb2
from muxer_client import AsyncMuxerClient, Completion, MuxerClient, MuxerError, build_spec, message
from muxer_client.errors import BY_REASON

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
from muxer_grpc.domain.money import NO_USAGE
from tests.rpc.service import ONE_ATTEMPT, Service, play, running

RICH = play(
    ReasoningDelta("hm", "proof"),
    TextDelta("Hello "),
    ToolCallDelta(0, "a", "look", '{"x":'),
    ToolCallDelta(0, arguments_json_fragment="1}"),
    ToolCallDelta(1, "b", "hear", "{}"),
    RefusalDelta("no"),
    UsageReported(NO_USAGE),
    Finished(FinishReason.TOOL_CALLS),
)


def client_of(service: Service, **options: object) -> AsyncMuxerClient:
    return AsyncMuxerClient(
        service.data.addresses[0],
        admin_target=service.admin.addresses[0],
        **options,  # type: ignore[arg-type]
    )


async def test_complete_gives_text_decision_and_money() -> None:
    async with running() as service, client_of(service) as client:
        answer = await client.complete("Tell me about climate change")
    assert answer.text == "Hello world"
    assert answer.decision.selected_model == "acme/middle"
    assert (answer.cost.nano_usd, answer.cost.usd) == (140_000, Decimal("0.000140000"))
    assert answer.usage.output_tokens == 20


async def test_the_text_of_a_stream_comes_piece_by_piece() -> None:
    async with running() as service, client_of(service) as client:
        async with client.stream("hi") as stream:
            pieces = [piece async for piece in stream.text()]
        assert pieces == ["Hello ", "world"]
        assert stream.summary is not None
        assert stream.decision is not None


async def test_a_stream_folds_into_what_the_unary_call_gives() -> None:
    async with running(RICH) as service, client_of(service) as client:
        whole = await client.complete("hi")
        async with client.stream("hi") as stream:
            folded = await stream.completion()
    assert folded.message == whole.message
    assert [(c.name, c.arguments_json) for c in folded.tool_calls] == [("look", '{"x":1}'), ("hear", "{}")]
    assert (folded.reasoning, folded.refusal) == ("hm", "no")


async def test_route_models_providers_and_metrics() -> None:
    async with running() as service, client_of(service) as client:
        decision = await client.route("What is 2+2?")
        models = await client.models()
        providers = await client.providers()
        metrics = await client.metrics()
    assert decision.selected_model == "acme/small"
    assert len(models) == 5
    assert [p.name for p in providers] == ["absent", "acme", "other"]
    assert metrics.total.requests == 0


async def test_a_refused_request_raises_its_own_class_with_all_details() -> None:
    async with running() as service, client_of(service) as client:
        with pytest.raises(BY_REASON["INVALID_REQUEST"]) as raised:
            await client.complete("", temperature=9.0)
    assert set(raised.value.violations) == {"spec.messages[0].parts", "spec.sampling.temperature"}


async def test_an_unknown_model_tells_the_nearest() -> None:
    async with running() as service, client_of(service) as client:
        with pytest.raises(BY_REASON["MODEL_NOT_FOUND"]) as raised:
            await client.route("hi", model="smal")
    assert raised.value.metadata["nearest"] == "acme/small"


async def test_excluded_models_are_told() -> None:
    policy = routing_pb2.RoutingPolicy(allowed_regions=["mars"])
    async with running() as service, client_of(service) as client:
        with pytest.raises(BY_REASON["NO_ELIGIBLE_MODEL"]) as raised:
            await client.route("hi", routing=policy)
    assert "REGION_NOT_ALLOWED" in raised.value.exclusions["acme/small"]


async def test_a_cut_stream_raises_and_keeps_the_summary() -> None:
    cut = ProviderFailure(FailureClass.PROTOCOL, "x")
    async with running(play(TextDelta("half"), cut), settings=ONE_ATTEMPT) as service, client_of(service) as client:
        async with client.stream("hi") as stream:
            with pytest.raises(BY_REASON["PROVIDER_PROTOCOL"]) as raised:
                await stream.completion()
        assert stream.summary is not None
        assert raised.value.summary == stream.summary
        assert stream.summary.outcome == completion_pb2.OUTCOME_FAILED


async def test_leaving_the_block_ends_the_call_at_the_service() -> None:
    async with running(play(TextDelta("a"), asyncio.Event())) as service, client_of(service) as client:
        async with client.stream("hi") as stream:
            async for _ in stream:
                break
        async with asyncio.timeout(5):
            while service.acme.open:
                await asyncio.sleep(0.005)


async def test_every_call_has_a_deadline() -> None:
    async with running(play(asyncio.Event())) as service, client_of(service, timeout=0.3) as client:
        with pytest.raises(BY_REASON["DEADLINE_EXCEEDED"]):
            await client.complete("hi")


async def test_the_sync_client_does_the_same() -> None:
    def use(target: str, admin_target: str) -> tuple[Completion, list[str], str, int, str]:
        with MuxerClient(target, admin_target=admin_target) as client:
            answer = client.complete([("system", "Be brief."), ("user", "hi")])
            with client.stream("hi") as stream:
                pieces = list(stream.text())
            with client.stream("hi") as stream:
                folded = stream.completion()
            assert folded.text == answer.text
            with pytest.raises(MuxerError) as raised:
                client.route("hi", model="nope")
            assert client.metrics().total.requests == 3
            assert len(client.providers()) == 3
            return answer, pieces, client.route("hi").selected_model, len(client.models()), raised.value.reason

    async with running() as service:
        answer, pieces, selected, models, reason = await asyncio.to_thread(
            use, service.data.addresses[0], service.admin.addresses[0]
        )
    assert (answer.text, pieces, selected, models, reason) == (
        "Hello world",
        ["Hello ", "world"],
        "acme/small",
        5,
        "MODEL_NOT_FOUND",
    )


def test_a_spec_is_built_from_plain_python() -> None:
    spec = build_spec(
        [("user", "hi"), message("assistant", "hello"), ("user", "more")],
        model="m",
        system="Be brief.",
        tools=[chat_pb2.Tool(name="look")],
        tool_choice=chat_pb2.ToolChoice(mode=chat_pb2.TOOL_CHOICE_MODE_REQUIRED),
        json_schema={"type": "object"},
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        seed=1,
        stop=["END"],
        max_output_tokens=9,
        reasoning_effort="low",
        labels={"team": "a"},
        vendor_options={"openai": {"user": "u"}},
    )
    assert [m.role for m in spec.messages] == [1, 2, 3, 2]
    assert spec.requested_model == "m"
    assert spec.response_format.json_schema.schema_json == '{"type": "object"}'
    assert spec.sampling.HasField("temperature")
    assert (spec.sampling.seed, spec.sampling.top_k, list(spec.stop)) == (1, 3, ["END"])
    assert spec.reasoning_effort == chat_pb2.REASONING_EFFORT_LOW
    assert spec.vendor_options["openai"]["user"] == "u"  # type: ignore[index]


def test_a_ready_spec_is_copied_and_not_changed() -> None:
    ready = build_spec("hi")
    assert build_spec(ready, model="m").requested_model == "m"
    assert ready.requested_model == ""


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown option 'temprature'"):
        build_spec("hi", temprature=1.0)  # type: ignore[call-arg]


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="'robot' is not one of"):
        message("robot", "hi")
