"""Fleets at the edges: no model at all, none that can be called, and models that run in certain regions."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
import grpc.aio
import pytest
from muxer.v1 import muxer_service_pb2, routing_pb2

from muxer_grpc.bootstrap import describe
from muxer_grpc.domain.catalogue import Catalogue, ProviderEntry, Tier
from muxer_grpc.settings_loading import load_settings
from tests.rpc.service import Service, Told, model, running, spec, told

EMPTY = Catalogue.of([], [], version="fleet-none", price_book_version="prices-none")
REGIONS = Catalogue.of(
    [
        model("acme/europe", Tier.ECONOMY, regions=("eu",)),
        model("acme/both", Tier.BALANCED, regions=("eu", "us")),
        model("acme/america", Tier.PREMIUM, regions=("us",)),
        model("acme/somewhere", Tier.ECONOMY, "0.001", "0.001"),
    ],
    [ProviderEntry("acme", configured=True)],
    version="fleet-regions",
    price_book_version="prices-regions",
)


async def refused(service: Service, rpc: str, **changes: object) -> Told:
    """Calls a method that must fail, and gives what it tells."""
    kind = getattr(muxer_service_pb2, f"{rpc}Request")
    call = getattr(service.stub, rpc)(kind(spec=spec(**changes)))  # type: ignore[arg-type]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await (call.read() if rpc == "StreamComplete" else call)
    return told(raised.value)


@pytest.mark.parametrize("rpc", ["Route", "Complete", "StreamComplete"])
async def test_without_any_model_no_model_is_eligible_and_the_message_says_what_to_do(rpc: str) -> None:
    async with running(catalogue=EMPTY) as service:
        error = await refused(service, rpc)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_ELIGIBLE_MODEL")
    assert error.message == "no model is configured: set a provider's key, or ask for a sandbox model"
    assert error.metadata["excluded"] == "0"


@pytest.mark.parametrize("rpc", ["Route", "Complete", "StreamComplete"])
async def test_without_any_model_a_model_by_name_is_not_found_and_no_other_is_near(rpc: str) -> None:
    async with running(catalogue=EMPTY) as service:
        error = await refused(service, rpc, requested_model="acme/small")
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert (error.metadata["model"], error.metadata["nearest"]) == ("acme/small", "")


@pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])
async def test_an_unknown_model_is_not_found_before_any_provider_is_called(rpc: str) -> None:
    async with running() as service:
        error = await refused(service, rpc, requested_model="acme/smal")
        assert service.acme.requests == []
    assert (error.reason, error.metadata["nearest"]) == ("MODEL_NOT_FOUND", "acme/small")


async def test_when_no_provider_is_configured_no_model_is_eligible() -> None:
    catalogue = Catalogue.of(
        [model("absent/model", Tier.ECONOMY)],
        [ProviderEntry("absent", configured=False, detail="set ABSENT_API_KEY")],
        version="f",
        price_book_version="p",
    )
    async with running(catalogue=catalogue) as service:
        assert (await refused(service, "Route")).reason == "NO_ELIGIBLE_MODEL"
        by_name = await refused(service, "Route", requested_model="absent/model")
    assert "set ABSENT_API_KEY" in by_name.message


REGION_CASES: Mapping[str, tuple[list[str], set[str]]] = {
    "one region": (["eu"], {"acme/europe", "acme/both"}),
    "several regions": (["eu", "us"], {"acme/europe", "acme/both", "acme/america"}),
    "no region": ([], {"acme/europe", "acme/both", "acme/america", "acme/somewhere"}),
}


@pytest.mark.parametrize("what", REGION_CASES)
async def test_only_models_that_run_in_an_allowed_region_are_candidates(what: str) -> None:
    regions, expected = REGION_CASES[what]
    async with running(catalogue=REGIONS) as service:
        request = muxer_service_pb2.RouteRequest(spec=spec(routing={"allowed_regions": regions}))
        decision = (await service.stub.Route(request)).decision
    assert {candidate.model for candidate in decision.candidates} == expected
    excluded = {each.model: each for each in decision.exclusions}
    assert excluded.keys() == REGIONS.models.keys() - expected
    assert {each.reason for each in decision.exclusions} <= {routing_pb2.EXCLUSION_REASON_REGION_NOT_ALLOWED}
    if "acme/somewhere" in excluded:
        assert excluded["acme/somewhere"].detail == "it runs in a region that is not known"


async def test_a_model_by_name_in_another_region_is_refused_with_the_region() -> None:
    async with running(catalogue=REGIONS) as service:
        error = await refused(service, "Complete", requested_model="acme/america", routing={"allowed_regions": ["eu"]})
    assert error.reason == "NO_ELIGIBLE_MODEL"
    assert "acme/america: it runs in us" in error.message


async def test_the_regions_of_a_provider_are_those_of_its_models_unless_a_model_has_its_own() -> None:
    rows = '[{"name": "mine", "free": true, "regions": ["mars"]}]'
    variables = {
        "MUXER_PROVIDERS__OPENAI__REGIONS": "eu,us",
        "MUXER_PROVIDERS__OPENAI__MODELS": rows,
        "MUXER_PROVIDERS__OLLAMA__ENABLED": "false",
    }
    catalogue = await describe(load_settings(None, None, variables))
    assert catalogue.models["openai/gpt-5"].regions == ("eu", "us")
    assert catalogue.models["openai/mine"].regions == ("mars",)
