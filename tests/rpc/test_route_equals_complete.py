"""Route is a dry run of Complete and StreamComplete: of the same spec and snapshot, all three tell one decision."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from muxer.v1 import chat_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.bootstrap import App, assemble
from muxer_grpc.domain.catalogue import Catalogue, Feature, ProviderEntry, Tier
from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest
from muxer_grpc.domain.errors import CompletionFailed, FailureClass, NoEligibleModel, ProviderFailure
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.settings import Settings
from muxer_grpc.settings_resilience import BreakerSettings, ResilienceSettings
from tests.rpc.mixed_specs import STRATEGIES, Fleet, mixed_specs
from tests.rpc.service import PLAIN, Clock, PlayedProvider, Service, model, running, spec, told

# Of each strategy; each is asked of Route twice, of Complete once and of StreamComplete once.
SPECS = 400
SPECS_OVER_THE_WIRE = 6
# After so many specs the figures change and the clock moves on.
SPECS_OF_A_SNAPSHOT = 6

PLAIN_TEXT = frozenset({Feature.JSON})
MODELS = (
    model("acme/small", Tier.ECONOMY, "0.1", "0.2", regions=("eu",)),
    model("acme/coder", Tier.ECONOMY, "0.3", "0.9", intent_quality={Intent.CODE_GEN: 0.8}),
    model("acme/middle", Tier.BALANCED, "1", "2", regions=("eu", "us")),
    model("acme/large", Tier.PREMIUM, "10", "20", regions=("us",)),
    model("acme/twin", Tier.PREMIUM, "10", "20", regions=("us",)),
    model("acme/old", Tier.PREMIUM, "9", "9", retired=True),
    model("acme/off", Tier.ECONOMY, "0.1", "0.1", disabled=True),
    model("acme/unpriced", Tier.BALANCED, price=None),
    model("other/tiny", Tier.ECONOMY, "0.2", "0.4", features=frozenset(), context_window=1_000),
    model("other/plain", Tier.BALANCED, "0.5", "1.5", features=PLAIN_TEXT, quality=0.7),
    model("other/practice", Tier.ECONOMY, "0.1", "0.1", simulated=True),
)
CATALOGUE = Catalogue.of(
    MODELS,
    [ProviderEntry("acme", configured=True), ProviderEntry("other", configured=True)],
    version="fleet-mixed",
    price_book_version="prices-mixed",
)
FLEET = Fleet([m.name for m in MODELS], ["acme", "other"])


# What is kept of failures changes decisions, and here only the test itself may.
ONE_ATTEMPT = Settings(resilience=ResilienceSettings(max_attempts=1, breaker=BreakerSettings(enabled=False)))


class Busy:
    """A script that answers, or fails while it is told to."""

    def __init__(self) -> None:
        self.fails = False

    async def __call__(self, _request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        if self.fails:
            raise ProviderFailure(FailureClass.OVERLOAD, "busy")
        for event in PLAIN:
            yield event


class InProcess:
    """The service without its listener: what a call passes through between the wire and the wire."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.busy = Busy()
        providers = {name: PlayedProvider(self.busy) for name in FLEET.providers}
        self.app: App = assemble(CATALOGUE, providers, ONE_ATTEMPT, now=self.clock)

    async def route(self, asked: chat_pb2.CompletionSpec) -> object:
        request = muxer_service_pb2.RouteRequest(spec=asked)

        async def call(limit: TimeLimit) -> routing_pb2.RouteDecision:
            written = await self.app.muxer.route(request, limit)
            return muxer_service_pb2.RouteResponse.FromString(written.SerializeToString()).decision

        return await outcome(call)

    async def complete(self, asked: chat_pb2.CompletionSpec) -> object:
        request = muxer_service_pb2.CompleteRequest(spec=asked)

        async def call(limit: TimeLimit) -> routing_pb2.RouteDecision:
            written = await self.app.muxer.complete(request, limit)
            return muxer_service_pb2.CompleteResponse.FromString(written.SerializeToString()).decision

        return await outcome(call)

    async def stream(self, asked: chat_pb2.CompletionSpec) -> object:
        request = muxer_service_pb2.StreamCompleteRequest(spec=asked)

        async def call(limit: TimeLimit) -> routing_pb2.RouteDecision:
            async with aclosing(self.app.muxer.stream_complete(request, limit)) as replies:
                written = [reply.SerializeToString() async for reply in replies]
            first = muxer_service_pb2.StreamCompleteResponse.FromString(written[0])
            assert first.WhichOneof("event") == "decision"
            return first.decision

        return await outcome(call)

    async def change_figures(self, chance: random.Random) -> None:
        """Has one model answer or fail, and lets the snapshot grow old."""
        self.busy.fails = chance.random() < 0.4
        name = chance.choice(["acme/small", "acme/coder", "acme/middle", "acme/large", "other/tiny"])
        limit = TimeLimit(asyncio.get_running_loop().time() + 60)
        request = muxer_service_pb2.CompleteRequest(spec=spec("hi", requested_model=name))
        try:
            await self.app.muxer.complete(request, limit)
        except CompletionFailed:
            assert self.busy.fails
        finally:
            limit.close()
            self.busy.fails = False
        self.clock.at += 1.0


async def outcome(call: Callable[[TimeLimit], Awaitable[routing_pb2.RouteDecision]]) -> object:
    """Gives the facts of the decision, or those of the refusal to take one."""
    limit = TimeLimit(asyncio.get_running_loop().time() + 60)
    try:
        return facts(await call(limit))
    except NoEligibleModel as error:
        return (error.reason, error.message, error.metadata, error.exclusions)
    finally:
        limit.close()


def facts(decision: routing_pb2.RouteDecision) -> bytes:
    """Writes a decision without its id and its time."""
    kept = routing_pb2.RouteDecision()
    kept.CopyFrom(decision)
    assert kept.decision_id.startswith("dec_")
    kept.ClearField("decision_id")
    kept.ClearField("create_time")
    return kept.SerializeToString(deterministic=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_route_tells_what_complete_and_a_stream_then_decide(strategy: str) -> None:
    service = InProcess()
    chance = random.Random(strategy)
    versions: set[str] = set()
    selected: Counter[str] = Counter()
    reasons: set[int] = set()
    refused = 0
    for number, asked in enumerate(mixed_specs(strategy, SPECS, FLEET)):
        if number % SPECS_OF_A_SNAPSHOT == 0:
            await service.change_figures(chance)
        first = await service.route(asked)
        assert await service.complete(asked) == first, asked
        second = await service.route(asked)
        assert await service.stream(asked) == second, asked
        if not isinstance(first, bytes):
            refused += 1
            assert second == first
            continue
        decision = routing_pb2.RouteDecision.FromString(first)
        takes_turns = known_strategies()[decision.strategy].takes_turns
        assert takes_turns or second == first
        versions.add(decision.fleet_version)
        selected[decision.selected_model] += 1
        reasons.update(exclusion.reason for exclusion in decision.exclusions)
        assert decision.strategy in (strategy, "learned")
    # What was asked was mixed enough to say something.
    assert refused < SPECS * 0.3
    assert len(selected) >= 4
    assert len(reasons) >= 10
    assert len(versions) > SPECS / SPECS_OF_A_SNAPSHOT * 0.5


async def over_the_wire(service: Service, asked: chat_pb2.CompletionSpec) -> list[object]:
    """Asks Route, Complete and StreamComplete, in this order, and gives what each decides."""
    stub = service.stub

    async def stream() -> routing_pb2.RouteDecision:
        call = stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=asked))
        events = [event async for event in call]
        return events[0].decision

    async def unary(method: Callable[[], Awaitable[object]]) -> routing_pb2.RouteDecision:
        return (await method()).decision  # type: ignore[attr-defined, no-any-return]

    calls: list[Callable[[], Awaitable[routing_pb2.RouteDecision]]] = [
        lambda: unary(lambda: stub.Route(muxer_service_pb2.RouteRequest(spec=asked))),
        lambda: unary(lambda: stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked))),
        lambda: unary(lambda: stub.Route(muxer_service_pb2.RouteRequest(spec=asked))),
        stream,
    ]
    found: list[object] = []
    for call in calls:
        try:
            found.append(facts(await call()))
        except grpc.aio.AioRpcError as error:
            refusal = told(error)
            found.append((refusal.code, refusal.reason, refusal.metadata, refusal.message))
    return found


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_over_the_wire_too_route_tells_what_complete_and_a_stream_then_decide(strategy: str) -> None:
    clock = Clock()
    decided = 0
    async with running(catalogue=CATALOGUE, now=clock) as service:
        for asked in mixed_specs(strategy, SPECS_OVER_THE_WIRE, FLEET):
            first, complete, second, stream = await over_the_wire(service, asked)
            assert (complete, stream) == (first, second)
            decided += isinstance(first, bytes)
            clock.at += 1.0
    assert decided > SPECS_OVER_THE_WIRE / 2


async def test_within_a_second_a_service_at_rest_tells_one_decision_to_all_three() -> None:
    """The first completion changes the figures; what follows at once still rests on the snapshot of before."""
    async with running(now=Clock()) as service:
        found = await over_the_wire(service, spec())
    assert len(set(found)) == 1


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if known_strategies()[name].takes_turns])
async def test_where_models_take_turns_a_completion_takes_one_and_route_takes_none(strategy: str) -> None:
    asked = spec(routing=routing_pb2.RoutingPolicy(strategy=strategy))
    chosen = []
    async with running(now=Clock()) as service:
        for _ in range(8):
            first, complete, second, stream = await over_the_wire(service, asked)
            assert (complete, stream) == (first, second)
            chosen += [routing_pb2.RouteDecision.FromString(each) for each in (complete, stream)]  # type: ignore[arg-type]
    turns = Counter(decision.selected_model for decision in chosen)
    assert set(turns) == {candidate.model for candidate in chosen[0].candidates}
    assert len(turns) == 4
    if strategy == "round_robin":
        assert set(turns.values()) == {4}


def with_policy(**fields: Any) -> chat_pb2.CompletionSpec:
    return spec(routing=routing_pb2.RoutingPolicy(**fields))


def picture() -> chat_pb2.CompletionSpec:
    asked = spec()
    asked.messages[0].parts.append(chat_pb2.ContentPart(image=chat_pb2.Image(url="https://pictures.example/one.png")))
    return asked


# One prompt, and of each thing that a choice may rest on, one variation.
NEIGHBOURS = [
    spec(),
    spec("Tell me about climate change and why"),
    # Of one task and of two lengths, of one length and of two tasks, of one task with and without a form.
    spec("hello"),
    spec("hello hello"),
    spec("debug it"),
    spec("Extract name and age as JSON: Bob is 5"),
    spec(
        "Extract name and age as JSON: Bob is 5",
        response_format=chat_pb2.ResponseFormat(json=chat_pb2.JsonFormat()),
    ),
    spec(requested_model="acme/large"),
    spec(requested_model="acme/small"),
    spec(max_output_tokens=10),
    spec(tools=[chat_pb2.Tool(name="t")]),
    spec(response_format=chat_pb2.ResponseFormat(json=chat_pb2.JsonFormat())),
    picture(),
    *(with_policy(strategy=name) for name in STRATEGIES),
    with_policy(allowed_models=["acme/large"]),
    with_policy(denied_models=["acme/large"]),
    with_policy(allowed_providers=["other"]),
    with_policy(denied_providers=["other"]),
    with_policy(allowed_regions=["eu"]),
    with_policy(required_features=[routing_pb2.MODEL_FEATURE_VISION]),
    with_policy(max_cost_nano_usd=200_000),
    with_policy(max_latency=Duration(seconds=3)),
    with_policy(weights=routing_pb2.RoutingWeights(cost=1)),
    with_policy(weights=routing_pb2.RoutingWeights(quality=1)),
    with_policy(quality_target=0.0),
    with_policy(quality_target=0.9),
    with_policy(strategy="weighted", model_weights={"acme/small": 1}),
    with_policy(strategy="weighted", model_weights={"acme/large": 1}),
    spec(requested_model="acme/large", routing=routing_pb2.RoutingPolicy(fall_back=True)),
]


async def test_what_a_service_keeps_of_other_decisions_changes_none() -> None:
    alone = [await InProcess().route(asked) for asked in NEIGHBOURS]
    assert len(set(alone)) > len(NEIGHBOURS) * 0.7
    service = InProcess()
    for _ in range(2):
        assert [await service.route(asked) for asked in NEIGHBOURS] == alone
    turned = InProcess()
    assert [await turned.route(asked) for asked in NEIGHBOURS[::-1]] == alone[::-1]
