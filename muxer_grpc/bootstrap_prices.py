"""Puts together what models cost: shipped prices, a package of them, what operators stored, and the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from muxer_grpc.bootstrap_providers import ConfiguredProvider
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.price_book import PriceLayer, PriceSource, PriceSources
from muxer_grpc.pipeline.price_updates import PriceUpdates
from muxer_grpc.providers.model_rows import ModelRow, load_rows
from muxer_grpc.providers.price_data import PackagePrices, VendorModel
from muxer_grpc.settings import ProviderSettings, Settings


def price_sources(configured: Iterable[ConfiguredProvider], settings: Settings) -> PriceSources:
    """Tells the sources of prices apart. The package is asked for what no other source has a price of."""
    shipped: dict[str, Price] = {}
    set_here: dict[str, Price] = {}
    wanted: dict[str, VendorModel] = {}
    names = set()
    for each in configured:
        provider = each.entry.name
        chosen = settings.providers.get(provider) or ProviderSettings()
        given = _prices(provider, chosen.models)
        of_files = _prices(provider, load_rows(each.adapter.name))
        for model in each.models:
            names.add(model.name)
            # Models that were found are described after those of the files, under names of their own.
            price = of_files.get(model.name, None if model.name in given else model.price)
            if price is not None:
                shipped[model.name] = price
            elif model.name not in given:
                wanted[model.name] = VendorModel(each.adapter.name, model.vendor_model)
        set_here.update(given)
    return PriceSources(
        models=frozenset(names),
        provider=PriceLayer(PriceSource.PROVIDER, shipped),
        settings=PriceLayer(PriceSource.SETTINGS, set_here),
        package=PackagePrices(wanted),
    )


def _prices(provider: str, rows: Iterable[ModelRow]) -> dict[str, Price]:
    found = {f"{provider}/{row.name}": row.price() for row in rows}
    return {name: price for name, price in found.items() if price is not None}


@asynccontextmanager
async def kept_current(prices: PriceUpdates, seconds: float) -> AsyncGenerator[None, None]:
    """Takes up what was stored, and goes on to, looking every so many seconds. Raises StorageUnavailable."""
    await prices.refresh()
    watch = asyncio.create_task(prices.watch(seconds))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
