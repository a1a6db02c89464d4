"""Takes up models of providers that list their own, found while the service runs: they may start after it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from muxer_grpc.bootstrap_prices import price_sources
from muxer_grpc.bootstrap_providers import ConfiguredProvider, catalogue_of, with_models_found
from muxer_grpc.domain.ports import ProbeResult, Provider
from muxer_grpc.domain.profiles import ProfileEditor
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.pipeline.price_updates import PriceUpdates
from muxer_grpc.settings import Settings

_log = logging.getLogger(__name__)


class Discovery:
    """Swaps the catalogue when a probe finds other models than are known; changed profiles and prices stay.

    `providers` is what calls are made through: it is given those that have begun to answer.
    """

    def __init__(
        self,
        configured: Iterable[ConfiguredProvider],
        settings: Settings,
        providers: dict[str, Provider],
        editor: ProfileEditor,
        prices: PriceUpdates,
    ) -> None:
        self._configured = {each.entry.name: each for each in configured}
        self._settings = settings
        self._providers = providers
        self._editor = editor
        self._prices = prices
        self._turn = asyncio.Lock()

    @property
    def targets(self) -> Mapping[str, Provider]:
        """Gives what can be probed: what is configured, and what is looked for."""
        known = {name: each.provider or each.looked_for for name, each in self._configured.items()}
        return {name: provider for name, provider in known.items() if provider is not None}

    async def found(self, name: str, result: ProbeResult) -> None:
        """Takes up the models that a probe of a provider found."""
        async with self._turn:
            before = self._configured[name]
            if not before.adapter.discovers_models:
                return
            after = with_models_found(before, result.models, self._settings)
            if (after.entry, after.models) == (before.entry, before.models):
                return
            configured = {**self._configured, name: after}
            catalogue = catalogue_of(configured.values())

            def swap() -> None:
                self._configured = configured
                if after.provider is not None:
                    self._providers[name] = after.provider
                self._editor.rebase(catalogue)

            try:
                await self._prices.follow(price_sources(configured.values(), self._settings), swap)
            except StorageUnavailable as error:
                _log.warning("models of provider=%s were found and not taken up yet: %s", name, error.message)
                return
            _log.info("models of provider=%s: %d found, %d before", name, len(after.models), len(before.models))
