"""UpdateModel: what it changes in later decisions, what it refuses, and what the catalogue then shows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import field_mask_pb2
from muxer.v1 import catalogue_service_pb2 as pb
from muxer.v1 import catalogue_service_pb2_grpc, muxer_service_pb2, routing_pb2

from muxer_grpc.settings import CatalogueSettings, ServerSettings, Settings
from tests.rpc.service import CATALOGUE, Service, running, spec, told

SMALL, LARGE = "acme/small", "acme/large"


@dataclass
class Admin:
    """A running service, seen from its admin listener."""

    service: Service

    def __post_init__(self) -> None:
        self.stub: Any = catalogue_service_pb2_grpc.CatalogueServiceStub(self.service.admin_channel)

    async def update(self, *paths: str, name: str = SMALL, **values: Any) -> pb.Model:
        request = pb.UpdateModelRequest(
            model=pb.Model(name=name, **values), update_mask=field_mask_pb2.FieldMask(paths=paths)
        )
        reply: pb.UpdateModelResponse = await self.stub.UpdateModel(request)
        return reply.model

    async def shown(self, name: str = SMALL) -> pb.Model:
        reply: pb.GetModelResponse = await self.stub.GetModel(pb.GetModelRequest(model=name))
        return reply.model

    async def decision(self, **policy: Any) -> routing_pb2.RoutingDecision:
        routing = routing_pb2.RoutingPolicy(**policy) if policy else None
        asked = spec(routing=routing) if routing else spec()
        reply = await self.service.stub.Route(muxer_service_pb2.RouteRequest(spec=asked))
        return reply.decision

    async def refused(self, *paths: str, **values: Any) -> dict[str, str]:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.update(*paths, **values)
        error = told(raised.value)
        assert error.reason == "INVALID_REQUEST"
        return error.fields


@asynccontextmanager
async def administered(file: Path | None = None, workers: int = 1) -> AsyncGenerator[Admin, None]:
    settings = Settings(catalogue=CatalogueSettings(profiles_file=file), server=ServerSettings(workers=workers))
    async with running(settings=settings) as service:
        yield Admin(service)


async def test_a_disabled_model_is_never_chosen_and_is_listed_as_disabled() -> None:
    async with administered() as admin:
        first = (await admin.decision()).selected_model
        changed = await admin.update("disabled", name=first, disabled=True)
        decision = await admin.decision()
    assert changed.disabled
    assert first not in [candidate.model for candidate in decision.candidates]
    assert {e.model: e.reason for e in decision.exclusions}[first] == routing_pb2.EXCLUSION_REASON_DISABLED


async def test_enabling_a_model_brings_it_and_the_version_back() -> None:
    async with administered() as admin:
        before = await admin.decision()
        await admin.update("disabled", name=before.selected_model, disabled=True)
        without = await admin.decision()
        await admin.update("disabled", name=before.selected_model)
        after = await admin.decision()
    assert after.selected_model == before.selected_model
    assert after.fleet_version == before.fleet_version != without.fleet_version


async def test_a_changed_quality_changes_the_choice() -> None:
    weights = routing_pb2.RoutingWeights(quality=1)
    async with administered() as admin:
        before = await admin.decision(strategy="learned", weights=weights)
        await admin.update("quality", name=SMALL, quality=1.0)
        after = await admin.decision(strategy="learned", weights=weights)
    assert (before.selected_model, after.selected_model) == (LARGE, SMALL)


async def test_the_reply_and_the_catalogue_show_the_model_as_it_is_now() -> None:
    code, logical = routing_pb2.INTENT_CODE_GEN, routing_pb2.CAPABILITY_LOGICAL
    async with administered() as admin:
        changed = await admin.update(
            "tier",
            "quality",
            "intent_qualities",
            "capability_qualities",
            tier=routing_pb2.MODEL_TIER_PREMIUM,
            quality=0.75,
            intent_qualities=[
                pb.IntentQuality(intent=code, quality=0.5),
                pb.IntentQuality(intent=routing_pb2.INTENT_CHAT_LITE, quality=0.25),
            ],
            capability_qualities=[pb.CapabilityQuality(capability=logical, quality=1.0)],
        )
        listed = {m.name: m for m in (await admin.stub.ListModels(pb.ListModelsRequest())).models}
        assert changed == listed[SMALL] == await admin.shown()
    assert (changed.tier, changed.quality, changed.quality_source) == (
        routing_pb2.MODEL_TIER_PREMIUM,
        0.75,
        "operator",
    )
    rated = [(each.intent, each.quality) for each in changed.intent_qualities]
    assert rated == sorted([(routing_pb2.INTENT_CHAT_LITE, 0.25), (code, 0.5)])
    assert [(each.capability, each.quality) for each in changed.capability_qualities] == [(logical, 1.0)]


async def test_only_what_the_mask_names_is_taken_over() -> None:
    async with administered() as admin:
        changed = await admin.update("disabled", disabled=True, quality=9.0, context_window_tokens=1)
    assert (changed.disabled, changed.quality, changed.context_window_tokens) == (True, 0.35, 100_000)


async def test_empty_qualities_that_the_mask_names_clear_those_before() -> None:
    rated = [pb.IntentQuality(intent=routing_pb2.INTENT_VISION, quality=0.5)]
    async with administered() as admin:
        await admin.update("intent_qualities", intent_qualities=rated)
        changed = await admin.update("intent_qualities")
    assert not changed.intent_qualities


async def test_a_change_survives_a_restart_through_the_file(tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    async with administered(path) as admin:
        await admin.update("quality", "disabled", quality=0.9, disabled=True)
        before = await admin.shown()
    async with administered(path) as admin:
        assert await admin.shown() == before
        assert before.disabled


async def test_without_a_file_a_change_ends_with_the_process() -> None:
    async with administered() as admin:
        await admin.update("disabled", disabled=True)
    async with administered() as admin:
        assert not (await admin.shown()).disabled


async def test_several_workers_without_a_file_refuse_and_say_what_to_set() -> None:
    async with administered(workers=2) as admin:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await admin.update("disabled", disabled=True)
        assert not (await admin.shown()).disabled
    error = told(raised.value)
    assert (error.reason, error.fields) == ("INVALID_REQUEST", {"update_mask": "NOT_SHARED"})
    assert "MUXER_CATALOGUE__PROFILES_FILE" in error.message


async def test_several_workers_with_a_file_accept(tmp_path: Path) -> None:
    async with administered(tmp_path / "profiles.json", workers=2) as admin:
        assert (await admin.update("disabled", disabled=True)).disabled


@pytest.mark.parametrize("name", ["nobody/nothing", "small"])
async def test_a_name_that_is_no_models_full_name_is_a_resource_not_found(name: str) -> None:
    async with administered() as admin:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await admin.update("disabled", name=name, disabled=True)
    assert told(raised.value).reason == "RESOURCE_NOT_FOUND"


async def test_an_empty_request_hears_of_the_name_and_of_the_mask() -> None:
    async with administered() as admin:
        assert await admin.refused(name="") == {"model.name": "REQUIRED", "update_mask": "REQUIRED"}


@pytest.mark.parametrize("path", ["price", "*", "model.quality", "intent_qualities.quality", "Quality"])
async def test_an_unknown_path_of_the_mask_is_refused_with_those_that_are_allowed(path: str) -> None:
    async with administered() as admin:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await admin.update("disabled", path, disabled=True)
        assert not (await admin.shown()).disabled
    error = told(raised.value)
    assert error.fields == {"update_mask.paths[1]": "UNKNOWN"}
    assert "disabled, tier, quality, intent_qualities, capability_qualities" in error.message


CODE = routing_pb2.INTENT_CODE_GEN
REFUSED: dict[str, tuple[str, Any, dict[str, str]]] = {
    "a quality below 0": ("quality", -0.1, {"model.quality": "RANGE"}),
    "a quality above 1": ("quality", 1.1, {"model.quality": "RANGE"}),
    "a quality that is no number": ("quality", float("nan"), {"model.quality": "RANGE"}),
    "a quality without end": ("quality", float("inf"), {"model.quality": "RANGE"}),
    "no tier": ("tier", 0, {"model.tier": "UNKNOWN"}),
    "a tier that is none": ("tier", 99, {"model.tier": "UNKNOWN"}),
    "an intent twice": (
        "intent_qualities",
        [pb.IntentQuality(intent=CODE, quality=0.1), pb.IntentQuality(intent=CODE, quality=0.2)],
        {"model.intent_qualities[1].intent": "DUPLICATE"},
    ),
    "no intent, and no quality": (
        "intent_qualities",
        [pb.IntentQuality(quality=-1)],
        {"model.intent_qualities[0].intent": "UNKNOWN", "model.intent_qualities[0].quality": "RANGE"},
    ),
    "no capability": (
        "capability_qualities",
        [pb.CapabilityQuality(quality=1)],
        {"model.capability_qualities[0].capability": "UNKNOWN"},
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_wrong_value_is_refused_and_changes_nothing(what: str) -> None:
    path, value, fields = REFUSED[what]
    async with administered() as admin:
        assert await admin.refused(path, **{path: value}) == fields
        assert (await admin.shown()).quality == CATALOGUE.models[SMALL].quality


async def test_a_change_that_cannot_be_kept_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    async with administered(path) as admin:
        path.write_text("{")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await admin.update("disabled", disabled=True)
        assert not (await admin.shown()).disabled
    assert told(raised.value).reason == "INTERNAL"


async def test_the_data_listener_does_not_change_models() -> None:
    async with administered() as admin:
        stub: Any = catalogue_service_pb2_grpc.CatalogueServiceStub(admin.service.channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.UpdateModel(pb.UpdateModelRequest())
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
