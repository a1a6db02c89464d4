"""Steering the choice of a model from the client, and taking up what Route decided: async and sync alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from muxer.v1 import chat_pb2, routing_pb2
from muxer_client import AsyncMuxerClient, Completion, MuxerClient, build_spec
from muxer_client.errors import BY_REASON

from tests.rpc.service import Service, running

HARD = "Analyze the time complexity of merge sort"


def sync_calls(client: MuxerClient) -> SimpleNamespace:
    """Gives the methods of a sync client as async functions, so that one test serves both clients."""

    async def stream_completion(prompt: Any, **options: Any) -> Completion:
        def read() -> Completion:
            with client.stream(prompt, **options) as stream:
                return stream.completion()

        return await asyncio.to_thread(read)

    async def complete(*args: Any, **options: Any) -> Completion:
        return await asyncio.to_thread(client.complete, *args, **options)

    async def route(*args: Any, **options: Any) -> routing_pb2.RouteDecision:
        return await asyncio.to_thread(client.route, *args, **options)

    return SimpleNamespace(complete=complete, route=route, stream=stream_completion)


def async_calls(client: AsyncMuxerClient) -> SimpleNamespace:
    async def stream_completion(prompt: Any, **options: Any) -> Completion:
        async with client.stream(prompt, **options) as stream:
            return await stream.completion()

    return SimpleNamespace(complete=client.complete, route=client.route, stream=stream_completion)


@asynccontextmanager
async def calls_of(kind: str, service: Service) -> AsyncGenerator[SimpleNamespace, None]:
    target = service.data.addresses[0]
    if kind == "async":
        async with AsyncMuxerClient(target) as client:
            yield async_calls(client)
    else:
        with MuxerClient(target) as client:
            yield sync_calls(client)


both = pytest.mark.parametrize("kind", ["async", "sync"])


@both
@pytest.mark.parametrize("rpc", ["complete", "stream"])
@pytest.mark.parametrize("by", ["the decision", "its id"])
async def test_a_decision_of_route_is_taken_up(kind: str, rpc: str, by: str) -> None:
    async with running() as service, calls_of(kind, service) as calls:
        decision = await calls.route(HARD, strategy="round_robin")
        await calls.complete("hi", strategy="round_robin")
        given = decision if by == "the decision" else decision.decision_id
        answer = await getattr(calls, rpc)(HARD, strategy="round_robin", decision=given)
    assert answer.decision == decision
    assert answer.summary.decision_id == decision.decision_id
    assert answer.summary.selected_model == decision.selected_model


@both
async def test_without_a_decision_each_call_decides_anew(kind: str) -> None:
    async with running() as service, calls_of(kind, service) as calls:
        decision = await calls.route(HARD)
        answers = [await calls.complete(HARD), await calls.stream(HARD, decision=None)]
    assert len({decision.decision_id, *(answer.decision.decision_id for answer in answers)}) == 3


@both
async def test_a_decision_about_another_prompt_or_other_options_is_refused(kind: str) -> None:
    async with running() as service, calls_of(kind, service) as calls:
        decision = await calls.route(HARD, quality_target=0.5)
        for prompt, options in (("hi", {"quality_target": 0.5}), (HARD, {}), (HARD, {"quality_target": 0.6})):
            with pytest.raises(BY_REASON["INVALID_REQUEST"]) as raised:
                await calls.complete(prompt, decision=decision, **options)
            assert set(raised.value.violations) == {"decision_id"}


@both
@pytest.mark.parametrize("rpc", ["complete", "stream"])
async def test_an_unknown_decision_is_told_as_expired(kind: str, rpc: str) -> None:
    async with running() as service, calls_of(kind, service) as calls:
        with pytest.raises(BY_REASON["DECISION_EXPIRED"]) as raised:
            await getattr(calls, rpc)("hi", decision="dec_unknown")
    assert raised.value.metadata["decision_id"] == "dec_unknown"


@both
@pytest.mark.parametrize("rpc", ["complete", "stream"])
@pytest.mark.parametrize("decision", ["", routing_pb2.RouteDecision(selected_model="acme/small")])
async def test_a_decision_without_an_id_is_refused_before_the_call(kind: str, rpc: str, decision: Any) -> None:
    async with running() as service, calls_of(kind, service) as calls:
        with pytest.raises(ValueError, match="has no id"):
            await getattr(calls, rpc)("hi", decision=decision)
        assert service.acme.requests == []


STEERED = {
    "a strategy": ({"strategy": "cost"}, "acme/small"),
    "weights": ({"strategy": "learned", "weights": {"quality": 1}}, "acme/large"),
    "a quality target": ({"quality_target": 0.0}, "acme/small"),
    "a model by name": ({"model": "acme/middle"}, "acme/middle"),
    "a forced provider": ({"allowed_providers": ["other"]}, "other/tiny"),
    "allowed models": ({"allowed_models": ["acme/large"]}, "acme/large"),
    "denied models": ({"strategy": "cost", "denied_models": ["acme/small", "tiny"]}, "acme/middle"),
    "a denied provider": ({"denied_providers": ["acme"]}, "other/tiny"),
    "a price ceiling": ({"weights": {"quality": 1}, "max_cost_nano_usd": 60_000}, "acme/small"),
    "a latency ceiling": ({"weights": {"quality": 1}, "max_latency": 3.0}, "acme/middle"),
    "shares of traffic": ({"strategy": "weighted", "model_weights": {"acme/middle": 1}}, "acme/middle"),
    "a feature": ({"allowed_models": ["tiny", "middle"], "required_features": ["tools"]}, "acme/middle"),
    "one name instead of a list": ({"allowed_providers": "other"}, "other/tiny"),
}


@pytest.mark.parametrize("what", STEERED)
async def test_the_choice_is_steered_by(what: str) -> None:
    options, expected = STEERED[what]
    async with running() as service, calls_of("async", service) as calls:
        decision = await calls.route("hello", **options)
        answer = await calls.complete("hello", **options)
    assert decision.selected_model == expected, decision.explanation
    assert (answer.decision.selected_model, answer.summary.selected_model) == (expected, expected)


async def test_with_fall_back_the_other_models_stay_behind_the_requested_one() -> None:
    async with running() as service, calls_of("async", service) as calls:
        decision = await calls.route("hello", model="acme/large", fall_back=True)
    names = [candidate.model for candidate in decision.candidates]
    assert (decision.selected_model, names[0]) == ("acme/large", "acme/large")
    assert set(names) == {"acme/large", "acme/small", "acme/middle", "other/tiny"}


async def test_values_that_break_the_contract_are_refused_by_the_service_with_their_fields() -> None:
    async with running() as service, calls_of("async", service) as calls:
        with pytest.raises(BY_REASON["INVALID_REQUEST"]) as raised:
            await calls.route(
                "hello",
                strategy="gossip",
                weights={"cost": -1},
                quality_target=2,
                max_latency=-1,
                max_cost_nano_usd=-1,
                model_weights={"acme/small": float("nan")},
                allowed_models=["nobody"],
            )
    assert {field.removeprefix("spec.routing.") for field in raised.value.violations} >= {
        "strategy",
        "weights.cost",
        "quality_target",
        "max_latency",
        "max_cost_nano_usd",
        "allowed_models[0]",
    }


def test_every_field_of_a_routing_policy_has_an_option_of_its_name() -> None:
    spec = build_spec(
        "hi",
        strategy="weighted",
        allowed_models=("a", "b"),
        denied_models=["c"],
        allowed_providers=iter(["d"]),
        denied_providers=["e"],
        allowed_regions=["eu"],
        required_features=["vision", "json_schema"],
        max_cost_nano_usd=0,
        max_latency=1.5,
        weights={"quality": 0.5, "cost": 1},
        quality_target=0.0,
        model_weights={"a": 2},
        fall_back=True,
        hedge=True,
    )
    assert {field.name for field, _ in spec.routing.ListFields()} == {
        field.name for field in routing_pb2.RoutingPolicy.DESCRIPTOR.fields
    }
    assert spec.routing.required_features == [
        routing_pb2.MODEL_FEATURE_VISION,
        routing_pb2.MODEL_FEATURE_JSON_SCHEMA,
    ]
    assert spec.routing.max_latency.ToTimedelta() == timedelta(seconds=1.5)
    assert (spec.routing.weights.quality, spec.routing.weights.cost, spec.routing.weights.performance) == (0.5, 1, 0)
    assert spec.routing.HasField("quality_target")


def test_options_are_added_to_a_whole_policy_in_whatever_order_they_are_given() -> None:
    policy = routing_pb2.RoutingPolicy(strategy="cost", allowed_models=["a"], model_weights={"a": 1})
    spec = build_spec("hi", allowed_models=["b"], strategy="hybrid", model_weights={"b": 2}, routing=policy)
    assert (spec.routing.strategy, spec.routing.allowed_models) == ("hybrid", ["b"])
    assert dict(spec.routing.model_weights) == {"b": 2}
    assert build_spec(spec, quality_target=0.5).routing.strategy == "hybrid"
    assert policy.strategy == "cost"


def test_ready_weights_and_durations_are_taken_as_they_are() -> None:
    weights = routing_pb2.RoutingWeights(cost=1)
    spec = build_spec("hi", weights=weights, max_latency=timedelta(minutes=1))
    assert (spec.routing.weights, spec.routing.max_latency.seconds) == (weights, 60)


def test_a_spec_without_rules_has_no_policy() -> None:
    assert not build_spec("hi", strategy=None, weights=None).HasField("routing")  # type: ignore[arg-type]
    assert isinstance(build_spec("hi", model="m"), chat_pb2.CompletionSpec)


REFUSED = {
    "an unknown factor": ({"weights": {"speed": 1}}, "'speed' is not a factor; known are quality, cost"),
    "an unknown recovery": ({"stream_recovery": "pray"}, "'pray' is not a way to recover a stream; known are fail"),
    "an unknown feature": ({"required_features": ["telepathy"]}, "'telepathy' is not a feature; known are vision"),
    "a latency without end": ({"max_latency": float("inf")}, "max_latency: inf is no number of seconds"),
    "a latency that is no number": ({"max_latency": float("nan")}, "max_latency: nan is no number of seconds"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_spec_can_hold_is_refused_before_the_call(what: str) -> None:
    options, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        build_spec("hi", **options)


@pytest.mark.parametrize("name", ["fail", "restart", "continue"])
def test_how_a_cut_stream_is_recovered_is_an_option(name: str) -> None:
    spec = build_spec("hi", stream_recovery=name)
    assert chat_pb2.StreamRecovery.Name(spec.stream_recovery) == f"STREAM_RECOVERY_{name.upper()}"


def test_one_stop_string_is_one_stop_and_not_its_letters() -> None:
    assert build_spec("hi", stop="END").stop == ["END"]
