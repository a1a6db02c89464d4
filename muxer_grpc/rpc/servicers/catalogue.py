"""CatalogueService: the models and providers that the service knows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from muxer.v1 import catalogue_service_pb2

from muxer_grpc.domain.catalogue import Catalogue, Model, ProviderEntry, Tier
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.profiles import ProfileChange, ProfileEditor, is_quality
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.tasks import Capability, Intent
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import CAPABILITIES, FEATURES, INTENTS, TIERS
from muxer_grpc.rpc.replies import price_message
from muxer_grpc.rpc.violations import Violations, quote

SERVICE = "muxer.v1.CatalogueService"

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000

CHANGEABLE = ("disabled", "tier", "quality", "intent_qualities", "capability_qualities")

Item = TypeVar("Item", Model, ProviderEntry)
Task = TypeVar("Task", Intent, Capability)


class CatalogueServicer:
    """Serves the admin listener."""

    def __init__(self, fleet: Fleet, editor: ProfileEditor) -> None:
        self._fleet = fleet
        self._editor = editor

    @property
    def _catalogue(self) -> Catalogue:
        return self._fleet.catalogue

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "ListModels": calls.unary(catalogue_service_pb2.ListModelsRequest, self.list_models),
            "GetModel": calls.unary(catalogue_service_pb2.GetModelRequest, self.get_model),
            "UpdateModel": calls.unary(catalogue_service_pb2.UpdateModelRequest, self.update_model),
            "ListProviders": calls.unary(catalogue_service_pb2.ListProvidersRequest, self.list_providers),
        }

    async def list_models(
        self, request: catalogue_service_pb2.ListModelsRequest, _limit: TimeLimit
    ) -> catalogue_service_pb2.ListModelsResponse:
        """Lists models by name."""
        violations = Violations()
        if request.provider and request.provider not in self._catalogue.providers:
            violations.add("provider", "unknown", f"{quote(request.provider)} is not a provider")
        kept = [m for m in self._catalogue.models.values() if request.provider in ("", m.provider)]
        page, following = _page(kept, request.page_size, request.page_token, f"models/{request.provider}", violations)
        models = [self._model_message(model) for model in page]
        return catalogue_service_pb2.ListModelsResponse(models=models, next_page_token=following)

    async def get_model(
        self, request: catalogue_service_pb2.GetModelRequest, _limit: TimeLimit
    ) -> catalogue_service_pb2.GetModelResponse:
        """Shows one model."""
        violations = Violations()
        violations.check(bool(request.model), "model", "required", "give the name of a model")
        violations.raise_if_any()
        model = self._catalogue.resolve(request.model)
        if model is None:
            raise ResourceNotFound("Model", request.model[:200])
        return catalogue_service_pb2.GetModelResponse(model=self._model_message(model))

    async def update_model(
        self, request: catalogue_service_pb2.UpdateModelRequest, _limit: TimeLimit
    ) -> catalogue_service_pb2.UpdateModelResponse:
        """Changes a model's profile; decisions from then on follow it."""
        name, change = _read_update(request, self._editor.refusal)
        model = await self._editor.change(name, change)
        return catalogue_service_pb2.UpdateModelResponse(model=self._model_message(model))

    async def list_providers(
        self, request: catalogue_service_pb2.ListProvidersRequest, _limit: TimeLimit
    ) -> catalogue_service_pb2.ListProvidersResponse:
        """Lists providers by name."""
        entries = list(self._catalogue.providers.values())
        page, following = _page(entries, request.page_size, request.page_token, "providers", Violations())
        counts = dict.fromkeys(self._catalogue.providers, 0)
        for model in self._catalogue.models.values():
            counts[model.provider] += 1
        providers = [
            catalogue_service_pb2.Provider(
                name=entry.name,
                configured=entry.configured,
                detail=entry.detail,
                model_count=counts[entry.name],
            )
            for entry in page
        ]
        return catalogue_service_pb2.ListProvidersResponse(providers=providers, next_page_token=following)

    def _model_message(self, model: Model) -> catalogue_service_pb2.Model:
        return catalogue_service_pb2.Model(
            name=model.name,
            provider=model.provider,
            vendor_model=model.vendor_model,
            tier=TIERS[model.tier],  # type: ignore[arg-type]
            context_window_tokens=model.context_window,
            max_output_tokens=model.max_output_tokens,
            features=sorted(FEATURES[feature] for feature in model.features),  # type: ignore[misc]
            regions=model.regions,
            price=None if model.price is None else price_message(model.price),
            free=model.free,
            available=self._catalogue.providers[model.provider].configured,
            simulated=model.simulated,
            retired=model.retired,
            disabled=model.disabled,
            quality=model.quality,
            intent_qualities=[
                catalogue_service_pb2.IntentQuality(intent=number, quality=quality)  # type: ignore[arg-type]
                for number, quality in sorted((INTENTS[i], quality) for i, quality in model.intent_quality.items())
            ],
            capability_qualities=[
                catalogue_service_pb2.CapabilityQuality(capability=number, quality=quality)  # type: ignore[arg-type]
                for number, quality in sorted((CAPABILITIES[c], q) for c, q in model.capability_quality.items())
            ],
            quality_source=model.quality_source,
        )


def _read_update(request: catalogue_service_pb2.UpdateModelRequest, refusal: str) -> tuple[str, ProfileChange]:
    """Reads the model's name and its change. Raises InvalidRequest with all violations."""
    violations = Violations()
    given = request.model
    violations.check(bool(given.name), "model.name", "required", "give the full name of a model")
    paths = request.update_mask.paths
    violations.check(bool(paths), "update_mask", "required", f"name the fields to change: {', '.join(CHANGEABLE)}")
    for index, path in enumerate(paths):
        if path not in CHANGEABLE:
            told = f"{quote(path)} is not one of {', '.join(CHANGEABLE)}"
            violations.add(f"update_mask.paths[{index}]", "unknown", told)
    violations.check(not refusal, "update_mask", "not_shared", refusal)
    intents = ((each.intent, each.quality) for each in given.intent_qualities)
    capabilities = ((each.capability, each.quality) for each in given.capability_qualities)
    change = ProfileChange(
        disabled=given.disabled if "disabled" in paths else None,
        tier=_read_tier(given.tier, violations) if "tier" in paths else None,
        quality=_read_quality(given.quality, "model.quality", violations) if "quality" in paths else None,
        intent_quality=_read_qualities(intents, INTENTS, "intent", violations) if "intent_qualities" in paths else None,
        capability_quality=_read_qualities(capabilities, CAPABILITIES, "capability", violations)
        if "capability_qualities" in paths
        else None,
    )
    violations.raise_if_any()
    return given.name, change


def _read_tier(number: int, violations: Violations) -> Tier | None:
    tier = next((each for each, known in TIERS.items() if known == number), None)
    violations.check(tier is not None, "model.tier", "unknown", f"{number} is not a tier")
    return tier


def _read_quality(value: float, field: str, violations: Violations) -> float | None:
    return value if violations.check(is_quality(value), field, "range", "give a number from 0 to 1") else None


def _read_qualities(
    given: Iterable[tuple[int, float]], numbers: Mapping[Task, int], kind: str, violations: Violations
) -> dict[Task, float]:
    """Reads qualities by task, each of which may come once."""
    known = {number: task for task, number in numbers.items()}
    found: dict[Task, float] = {}
    for index, (number, value) in enumerate(given):
        path = f"model.{kind}_qualities[{index}]"
        task = known.get(number)
        quality = _read_quality(value, f"{path}.quality", violations)
        if task is None:
            violations.add(f"{path}.{kind}", "unknown", f"{number} is not one of the {kind} values")
        elif violations.check(task not in found, f"{path}.{kind}", "duplicate", f"{task.value} is rated twice"):
            found[task] = 0.0 if quality is None else quality
    return found


def _page(
    items: Sequence[Item], size: int, token: str, listing: str, violations: Violations
) -> tuple[Sequence[Item], str]:
    """Cuts a page from items that are ordered by name, and makes the token of the next one.

    A token holds the listing it belongs to and the last name, so that it stays right when items come and go. Raises
    InvalidRequest on a negative size or a token of another listing.
    """
    violations.check(size >= 0, "page_size", "range", "give at least 0")
    after = ""
    if token:
        of_listing, _, after = _decoded(token).rpartition("\n")
        violations.check(of_listing == listing, "page_token", "unknown", "give a token that this listing returned")
    violations.raise_if_any()
    length = min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    rest = [item for item in items if item.name > after]
    page = rest[:length]
    more = len(rest) > length
    return page, base64.urlsafe_b64encode(f"{listing}\n{page[-1].name}".encode()).decode() if more else ""


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError):
        return ""
