"""A decision of Route is taken up by its id: as it stands, for a set time, for the same spec, while its model may."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest
from google.protobuf import field_mask_pb2
from muxer.v1 import (
    catalogue_service_pb2,
    catalogue_service_pb2_grpc,
    chat_pb2,
    muxer_service_pb2,
    routing_pb2,
)

from muxer_grpc.domain.completion import ProviderRequest
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.pipeline.decisions import DEFAULT_SECONDS, MAX_DECISIONS
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.settings import RoutingSettings, Settings
from tests.rpc.service import ONE_ATTEMPT, PLAIN, Clock, Service, Told, running, spec, told

AVAILABLE = routing_pb2.RoutingPolicy(strategy="availability", denied_providers=["other"])
METHODS = ["Complete", "StreamComplete"]


async def route(service: Service, asked: chat_pb2.CompletionSpec) -> routing_pb2.RouteDecision:
    reply = await service.stub.Route(muxer_service_pb2.RouteRequest(spec=asked))
    return reply.decision


async def take_up(
    service: Service, method: str, asked: chat_pb2.CompletionSpec, decision_id: str
) -> routing_pb2.RouteDecision:
    """Asks for a completion under a decision's id, and gives the decision that it reports."""
    if method == "Complete":
        request = muxer_service_pb2.CompleteRequest(spec=asked, decision_id=decision_id)
        reply = await service.stub.Complete(request)
        answered_by, under, decision = reply.summary.selected_model, reply.summary.decision_id, reply.decision
    else:
        streamed = muxer_service_pb2.StreamCompleteRequest(spec=asked, decision_id=decision_id)
        events = [event async for event in service.stub.StreamComplete(streamed)]
        summary = events[-1].summary
        answered_by, under, decision = summary.selected_model, summary.decision_id, events[0].decision
    assert (answered_by, under) == (decision.selected_model, decision.decision_id)
    return decision


async def refusal(service: Service, method: str, asked: chat_pb2.CompletionSpec, decision_id: str) -> Told:
    """Gives the error of a completion that must fail before any provider is called."""
    called = len(service.acme.requests)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await take_up(service, method, asked, decision_id)
    assert len(service.acme.requests) == called
    return told(raised.value)


async def update(service: Service, name: str, path: str, **values: object) -> None:
    stub = catalogue_service_pb2_grpc.CatalogueServiceStub(service.admin_channel)
    change = catalogue_service_pb2.Model(name=name, **values)  # type: ignore[arg-type]
    mask = field_mask_pb2.FieldMask(paths=[path])
    await stub.UpdateModel(catalogue_service_pb2.UpdateModelRequest(model=change, update_mask=mask))  # type: ignore[misc]


class Failing:
    """A script that fails for the models that a test names, and answers for the others."""

    def __init__(self) -> None:
        self.models: set[str] = set()

    async def __call__(self, request: ProviderRequest):  # type: ignore[no-untyped-def]
        if request.model.name in self.models:
            raise ProviderFailure(FailureClass.OVERLOAD, "busy")
        for event in PLAIN:
            yield event


@pytest.mark.parametrize("method", METHODS)
async def test_a_decision_is_taken_up_whole_whatever_was_learned_since(method: str) -> None:
    clock, script = Clock(), Failing()
    asked = spec(routing=AVAILABLE)
    async with running(script, now=clock, settings=ONE_ATTEMPT) as service:
        decision = await route(service, asked)
        script.models = {decision.selected_model}
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError):
                by_name = muxer_service_pb2.CompleteRequest(spec=spec(requested_model=decision.selected_model))
                await service.stub.Complete(by_name)
        script.models = set()
        clock.at += 60
        anew = await route(service, asked)
        assert anew.selected_model != decision.selected_model
        assert anew.fleet_version != decision.fleet_version
        taken_up = await take_up(service, method, asked, decision.decision_id)
        assert service.acme.requests[-1].model.name == decision.selected_model
    assert taken_up == decision


async def test_a_decision_serves_as_many_completions_as_ask_for_it() -> None:
    async with running(now=Clock()) as service:
        decision = await route(service, spec())
        taken_up = [await take_up(service, METHODS[n % 2], spec(), decision.decision_id) for n in range(6)]
    assert taken_up == [decision] * 6


async def test_of_two_decisions_each_is_found_under_its_own_id() -> None:
    cheap, dear = (spec(routing=routing_pb2.RoutingPolicy(allowed_models=[name])) for name in ("small", "large"))
    async with running() as service:
        decisions = {asked.routing.allowed_models[0]: await route(service, asked) for asked in (cheap, dear)}
        for asked in (dear, cheap):
            decision = decisions[asked.routing.allowed_models[0]]
            assert await take_up(service, "Complete", asked, decision.decision_id) == decision
    assert {name: decision.selected_model for name, decision in decisions.items()} == {
        "small": "acme/small",
        "large": "acme/large",
    }


@pytest.mark.parametrize("method", METHODS)
async def test_taking_a_turn_up_counts_it(method: str) -> None:
    asked = spec(routing=routing_pb2.RoutingPolicy(strategy="round_robin"))
    async with running() as service:
        first = await route(service, asked)
        again = await route(service, asked)
        assert again.selected_model == first.selected_model
        await take_up(service, method, asked, first.decision_id)
        following = await route(service, asked)
    assert following.selected_model == first.candidates[1].model


@pytest.mark.parametrize("method", METHODS)
async def test_a_decision_holds_for_the_set_time_and_no_longer(method: str) -> None:
    clock = Clock()
    async with running(now=clock) as service:
        decision = await route(service, spec())
        clock.at += DEFAULT_SECONDS
        assert await take_up(service, method, spec(), decision.decision_id) == decision
        clock.at += 0.001
        error = await refusal(service, method, spec(), decision.decision_id)
        clock.at -= 1
        # What has once been told to be gone stays gone.
        assert await refusal(service, method, spec(), decision.decision_id) == error
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DECISION_EXPIRED")
    assert error.metadata == {"decision_id": decision.decision_id}


async def test_how_long_a_decision_holds_is_a_setting() -> None:
    clock = Clock()
    settings = Settings(routing=RoutingSettings(decision_seconds=5))
    async with running(now=clock, settings=settings) as service:
        decision = await route(service, spec())
        clock.at += 5
        await take_up(service, "Complete", spec(), decision.decision_id)
        clock.at += 0.001
        error = await refusal(service, "Complete", spec(), decision.decision_id)
    assert error.reason == "DECISION_EXPIRED"


async def test_where_no_decision_is_kept_none_is_taken_up() -> None:
    settings = Settings(routing=RoutingSettings(decision_seconds=0))
    async with running(now=Clock(), settings=settings) as service:
        decision = await route(service, spec())
        error = await refusal(service, "Complete", spec(), decision.decision_id)
    assert error.reason == "DECISION_EXPIRED"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "decision_id", ["dec_000000000000000000000000", "nonsense", " ", "dec_\u00e9\n", "x" * 100_000]
)
async def test_an_unknown_id_is_told_as_expired_and_a_long_one_is_cut(method: str, decision_id: str) -> None:
    async with running() as service:
        await route(service, spec())
        error = await refusal(service, method, spec(), decision_id)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DECISION_EXPIRED")
    assert error.metadata == {"decision_id": decision_id[:64]}


async def test_the_id_of_a_decision_that_complete_took_is_not_one_to_take_up() -> None:
    async with running() as service:
        reply = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
        error = await refusal(service, "Complete", spec(), reply.decision.decision_id)
    assert error.reason == "DECISION_EXPIRED"


async def test_a_decision_of_another_process_is_not_known_where_no_database_is_shared() -> None:
    async with running() as first, running() as second:
        decision = await route(first, spec())
        error = await refusal(second, "Complete", spec(), decision.decision_id)
    assert error.reason == "DECISION_EXPIRED"


async def test_the_oldest_of_too_many_decisions_is_forgotten_first() -> None:
    async with running(now=Clock()) as service:
        kept = [await route(service, spec()) for _ in range(2)]
        limit = TimeLimit(asyncio.get_running_loop().time() + 60)
        for _ in range(MAX_DECISIONS - 1):
            await service.app.muxer.route(muxer_service_pb2.RouteRequest(spec=spec()), limit)
        error = await refusal(service, "Complete", spec(), kept[0].decision_id)
        assert await take_up(service, "Complete", spec(), kept[1].decision_id) == kept[1]
    assert error.reason == "DECISION_EXPIRED"


OTHERS = {
    "another prompt": spec("Tell me about climate change."),
    "another label": spec(labels={"team": "b"}),
    "another policy": spec(routing=routing_pb2.RoutingPolicy(max_cost_nano_usd=10**12)),
    "another limit": spec(max_output_tokens=4_000),
    "a model by name": spec(requested_model="acme/small"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("what", OTHERS)
async def test_another_spec_under_the_id_is_refused_and_the_decision_stays(method: str, what: str) -> None:
    async with running() as service:
        decision = await route(service, spec())
        error = await refusal(service, method, OTHERS[what], decision.decision_id)
        assert await take_up(service, method, spec(), decision.decision_id) == decision
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert error.fields == {"decision_id": "CONTRADICTION"}


async def test_a_spec_that_breaks_the_contract_is_refused_for_that_first() -> None:
    async with running() as service:
        decision = await route(service, spec())
        error = await refusal(service, "Complete", spec(max_output_tokens=0), decision.decision_id)
    assert error.fields == {"spec.max_output_tokens": "RANGE"}


async def test_the_order_in_which_maps_are_filled_makes_no_other_spec() -> None:
    names = [f"label-{number}" for number in range(20)]
    async with running() as service:
        decision = await route(service, spec(labels=dict.fromkeys(names, "x")))
        turned = spec(labels=dict.fromkeys(reversed(names), "x"))
        assert await take_up(service, "Complete", turned, decision.decision_id) == decision


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("requested", ["", "acme/large"])
async def test_a_decision_for_a_model_that_was_disabled_since_is_stale(method: str, requested: str) -> None:
    asked = spec(requested_model=requested)
    async with running() as service:
        decision = await route(service, asked)
        await update(service, decision.selected_model, "disabled", disabled=True)
        error = await refusal(service, method, asked, decision.decision_id)
        await update(service, decision.selected_model, "disabled", disabled=False)
        assert await take_up(service, method, asked, decision.decision_id) == decision
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DECISION_STALE")
    assert error.metadata == {
        "decision_id": decision.decision_id,
        "model": decision.selected_model,
        "exclusion": "disabled",
    }


async def test_a_disabled_model_that_was_not_chosen_leaves_a_decision_as_it_is() -> None:
    async with running() as service:
        decision = await route(service, spec())
        await update(service, decision.candidates[1].model, "disabled", disabled=True)
        assert await take_up(service, "Complete", spec(), decision.decision_id) == decision


async def test_a_changed_rating_changes_new_decisions_and_leaves_one_that_was_told() -> None:
    asked = spec(routing=routing_pb2.RoutingPolicy(weights=routing_pb2.RoutingWeights(quality=1)))
    async with running() as service:
        decision = await route(service, asked)
        await update(service, decision.selected_model, "quality", quality=0.0)
        anew = await route(service, asked)
        assert anew.selected_model != decision.selected_model
        assert await take_up(service, "Complete", asked, decision.decision_id) == decision
