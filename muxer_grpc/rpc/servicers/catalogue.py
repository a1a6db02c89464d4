"""CatalogueService: the models and providers that the service knows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

import grpc
from muxer.v1 import catalogue_service_pb2

from muxer_grpc.domain.catalogue import Catalogue, Model, ProviderEntry
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import FEATURES, TIERS
from muxer_grpc.rpc.replies import price_message
from muxer_grpc.rpc.violations import Violations, quote

SERVICE = "muxer.v1.CatalogueService"

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000

Item = TypeVar("Item", Model, ProviderEntry)


class CatalogueServicer:
    """Serves the admin listener."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    @property
    def _catalogue(self) -> Catalogue:
        return self._fleet.catalogue

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "ListModels": calls.unary(catalogue_service_pb2.ListModelsRequest, self.list_models),
            "GetModel": calls.unary(catalogue_service_pb2.GetModelRequest, self.get_model),
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
        )


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
