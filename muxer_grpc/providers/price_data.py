"""Prices from a maintained price data package, which brings its data with it and asks nobody.

The package takes some seventy megabytes of memory once it is loaded, so it is loaded for models alone that nothing else
has a price of. Reference: https://github.com/pydantic/genai-prices
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from muxer_grpc.domain.money import Price, PriceTier
from muxer_grpc.domain.price_book import MAX_PICO_USD_PER_TOKEN, PriceLayer, PriceSource

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_log = logging.getLogger(__name__)

MICROSECONDS = 1_000_000

# Our adapters by the names that the package gives their vendors. Others' models are those of whoever serves them.
VENDORS = {"openai": "openai", "anthropic": "anthropic", "mistral": "mistral", "xai": "x-ai"}

_KINDS = {
    "input_mtok": "fresh_input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
}
# What no request of ours can ask for: sound, and searches that the vendor does itself.
_NEVER_ASKED = frozenset(
    {
        "audio_hours",
        "cache_audio_read_mtok",
        "code_executions_kcount",
        "input_audio_hours",
        "input_audio_mtok",
        "output_audio_mtok",
        "storage_searches_kcount",
        "web_searches_kcount",
    }
)


class VendorModel(NamedTuple):
    """A model by the adapter that calls it and the vendor's name of it."""

    adapter: str
    name: str


class PackagePrices:
    """Gives the package's prices of some models, given by their full names, as they are at a time.

    A model that the package does not know, or charges for what is not counted here, gets none.
    """

    def __init__(self, wanted: Mapping[str, VendorModel]) -> None:
        self._wanted = {name: model for name, model in wanted.items() if model.adapter in VENDORS}
        self._found: dict[str, ModelInfo] | None = None

    def __call__(self, at_us: int) -> PriceLayer:
        """Gives the prices at a time, which hold from the latest change of one of them on."""
        if not self._wanted:
            return PriceLayer(PriceSource.PACKAGE)
        if self._found is None:
            self._found = self._find()
        at = datetime.fromtimestamp(at_us // MICROSECONDS, UTC)
        prices = {name: price_of(model.get_prices(at)) for name, model in self._found.items()}
        known = {name: price for name, price in prices.items() if price is not None}
        effective = max((_changed_us(self._found[name], at) for name in known), default=0)
        return PriceLayer(PriceSource.PACKAGE, known, effective)

    def _find(self) -> dict[str, ModelInfo]:
        from genai_prices import data

        vendors = {vendor.id: vendor for vendor in data.providers}
        found = {}
        for full_name, (adapter, name) in self._wanted.items():
            model = vendors[VENDORS[adapter]].find_model(name)
            if model is None:
                _log.warning("prices: nobody has a price of %s", full_name)
            else:
                found[full_name] = model
        return found


def price_of(prices: ModelPrice) -> Price | None:
    """Converts a price of the package; None where it does not say all that a request of ours may cost."""
    from genai_prices.types import TieredPrices

    given = {key: value for key, value in vars(prices).items() if value is not None and not key.startswith("_")}
    if not {"input_mtok", "output_mtok"} <= given.keys() or given.keys() - _KINDS.keys() - _NEVER_ASKED:
        return None
    starts = {tier.start for key in _KINDS if isinstance(given.get(key), TieredPrices) for tier in given[key].tiers}

    def rates(input_tokens: int) -> Price:
        amounts: dict[str, Decimal] = {}
        for key, kind in _KINDS.items():
            value = given.get(key)
            if isinstance(value, TieredPrices):
                reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
                amounts[kind] = reached[-1] if reached else value.base
            elif value is not None:
                amounts[kind] = value
        fresh_input, output = amounts.pop("fresh_input"), amounts.pop("output")
        return Price.from_usd_per_million(fresh_input, output, **amounts)

    try:
        price = rates(0).with_tiers(PriceTier(start, rates(start + 1)) for start in sorted(starts))
    except ValueError as error:
        _log.warning("prices: a price of the package is refused: %s", error)
        return None
    dearest = max(amount for each in (price, *(tier.price for tier in price.tiers)) for amount in each.by_kind.values())
    return price if dearest <= MAX_PICO_USD_PER_TOKEN else None


def _changed_us(model: ModelInfo, at: datetime) -> int:
    """Gives the last day, up to a time, on which the price of a model changed; 0 where it never did."""
    from genai_prices.types import StartDateConstraint

    prices = model.prices if isinstance(model.prices, list) else []
    dates = [each.constraint.start_date for each in prices if isinstance(each.constraint, StartDateConstraint)]
    days = [datetime.combine(date, time(), UTC) for date in dates]
    return max((int(day.timestamp()) * MICROSECONDS for day in days if day <= at), default=0)
