"""The price book: what each model costs from when on, where each price comes from, and what may change about it.

Prices come from four sources, of which a later one counts before an earlier one: a maintained price data package, the
shipped files of models, what operators stored, and the settings. What comes of all of them at a time is one book with a
version: a hash of its contents and of the time from which it holds. Times are microseconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from muxer_grpc.domain.administration import Actor, PageRequest
from muxer_grpc.domain.catalogue import Catalogue, version_of
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.money import Price, PriceTier

# A dollar per token: no vendor comes near it, and no sum of such prices leaves 64 bits.
MAX_PICO_USD_PER_TOKEN = 10**12
MAX_TIERS = 8
MAX_INPUT_TOKENS = 10**12

KINDS = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "reasoning")


class PriceSource(Named):
    """Names where a price comes from, the weakest first."""

    PACKAGE = "package"
    PROVIDER = "provider"
    STORED = "stored"
    SETTINGS = "settings"


class BookKind(Named):
    """Names what a kept book is: what an operator stored, or what was in force, merged from all sources."""

    STORED = "stored"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class PriceLayer:
    """Prices of one source by the models' full names, and from when on they hold."""

    source: PriceSource
    prices: Mapping[str, Price] = field(default_factory=dict)
    effective_us: int = 0


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices by the models' full names, each with its source; a model that is not in here has no known price."""

    version: str
    effective_us: int
    prices: Mapping[str, Price]
    sources: Mapping[str, PriceSource]

    def applied_to(self, catalogue: Catalogue) -> Catalogue:
        """Gives a catalogue with these prices in place of its own."""
        return catalogue.with_prices(self.prices, self.version)


@dataclass(frozen=True, slots=True)
class KeptBook:
    """A book as it is kept: of which kind, made when and by whom, and why."""

    book: PriceBook
    kind: BookKind
    created_us: int
    created_by: str = ""
    note: str = ""


class PriceBooks(Protocol):
    """Keeps price books; a broken one is as if it were not there. Each method raises StorageUnavailable."""

    async def effective(self, at_us: int) -> PriceBook | None:
        """Gives what an operator stored for a time: of the books that hold by then, the one that holds latest."""
        ...

    async def get(self, version: str) -> KeptBook | None:
        """Looks up a book of either kind."""
        ...

    async def page(self, kind: BookKind, asked: PageRequest) -> Sequence[KeptBook]:
        """Lists the books of a kind, those that hold latest first, without prices; `key_of` gives their keys."""
        ...

    async def create(self, kept: KeptBook, actor: Actor) -> None:
        """Stores a book, and says so in the audit log. Raises ResourceExists."""
        ...

    async def record(self, kept: KeptBook) -> None:
        """Keeps a book that comes in force, so that its version can be looked up for ever; once is enough."""
        ...


def key_of(kept: KeptBook) -> tuple[str, str, str]:
    """Gives the key by which listings of books go on."""
    return str(kept.book.effective_us), str(kept.created_us), kept.book.version


def stored_book(prices: Mapping[str, Price], effective_us: int) -> PriceBook:
    """Makes the book of what an operator stores, which holds in place of all that were stored before."""
    return _book("stored", prices, dict.fromkeys(prices, PriceSource.STORED), effective_us)


def merged_book(layers: Iterable[PriceLayer], models: Collection[str]) -> PriceBook:
    """Makes the book of all sources for the given models; where several have a price, the last layer's counts."""
    prices: dict[str, Price] = {}
    sources: dict[str, PriceSource] = {}
    effective_us = 0
    for layer in layers:
        effective_us = max(effective_us, layer.effective_us)
        for model, price in layer.prices.items():
            if model in models:
                prices[model], sources[model] = price, layer.source
    return _book("prices", prices, sources, effective_us)


def _book(kind: str, prices: Mapping[str, Price], sources: Mapping[str, PriceSource], effective_us: int) -> PriceBook:
    ordered = dict(sorted(prices.items()))
    written = json.dumps({model: price_document(price) for model, price in ordered.items()}, sort_keys=True)
    version = version_of(kind, effective_us, written)
    return PriceBook(version, effective_us, MappingProxyType(ordered), MappingProxyType(dict(sorted(sources.items()))))


@dataclass(frozen=True, slots=True)
class PriceSources:
    """All that prices of a service's models come from, but for what operators stored.

    `package` gives the prices of the package as they are at a time.
    """

    models: frozenset[str]
    provider: PriceLayer
    settings: PriceLayer = PriceLayer(PriceSource.SETTINGS)
    package: Callable[[int], PriceLayer] = lambda _at_us: PriceLayer(PriceSource.PACKAGE)

    @classmethod
    def of(cls, catalogue: Catalogue) -> PriceSources:
        """Takes the prices of a catalogue for those that it ships with."""
        prices = {model.name: model.price for model in catalogue.models.values() if model.price is not None}
        return cls(frozenset(catalogue.models), PriceLayer(PriceSource.PROVIDER, prices))

    def book(self, at_us: int, stored: PriceBook | None) -> PriceBook:
        """Gives the book that holds at a time, with what an operator stored for it."""
        layers = [self.package(at_us), self.provider]
        if stored is not None:
            layers.append(PriceLayer(PriceSource.STORED, stored.prices, stored.effective_us))
        return merged_book([*layers, self.settings], self.models)


@dataclass(frozen=True, slots=True)
class PriceDifference:
    """How the price of a model would change; None: no known price. `jumps` names the kinds that change too much."""

    model: str
    before: Price | None
    after: Price | None
    jumps: tuple[str, ...] = ()


def differences(before: PriceBook, after: PriceBook, most_factor: float) -> list[PriceDifference]:
    """Lists the models whose price differs between two books, by name; see `jumps`."""
    changed = []
    for model in sorted({*before.prices, *after.prices}):
        old, new = before.prices.get(model), after.prices.get(model)
        if old != new:
            changed.append(PriceDifference(model, old, new, jumps(old, new, most_factor)))
    return changed


def jumps(before: Price | None, after: Price | None, most_factor: float) -> tuple[str, ...]:
    """Names the kinds whose price rises or falls by more than a factor, tier by tier; from or to 0 is always too much.

    Where there was no price, or is none any more, nothing can be compared.
    """
    if before is None or after is None:
        return ()
    found = []
    for start in sorted({0, *(tier.above_input_tokens for tier in (*before.tiers, *after.tiers))}):
        old, new = before.at(start + 1).by_kind, after.at(start + 1).by_kind
        above = f" above {start} input tokens" if start else ""
        found += [f"{kind}{above}" for kind in KINDS if _jumps(old[kind], new[kind], most_factor)]
    return tuple(found)


def _jumps(before: int, after: int, most_factor: float) -> bool:
    low, high = sorted((before, after))
    return low != high and (low == 0 or high > low * most_factor)


def price_document(price: Price) -> dict[str, Any]:
    """Describes a price as plain values, for storage and for versions."""
    document: dict[str, Any] = price.by_kind
    if price.tiers:
        document["tiers"] = [
            {"above_input_tokens": tier.above_input_tokens, **tier.price.by_kind} for tier in price.tiers
        ]
    return document


def price_from(document: object) -> Price:
    """Reads what `price_document` wrote. Raises ValueError on anything else: it never guesses a price."""
    if not isinstance(document, dict) or document.keys() - {"tiers"} != set(KINDS):
        msg = "a price has a number for each kind of token, and nothing else"
        raise ValueError(msg)
    tiers = document.get("tiers", [])
    if not isinstance(tiers, list) or len(tiers) > MAX_TIERS:
        msg = f"a price has at most {MAX_TIERS} tiers"
        raise ValueError(msg)
    return _flat_price(document).with_tiers(_tier_from(tier) for tier in tiers)


def _tier_from(document: object) -> PriceTier:
    if not isinstance(document, dict) or document.keys() != {"above_input_tokens", *KINDS}:
        msg = "a price tier has a number for each kind of token, and where it begins"
        raise ValueError(msg)
    return PriceTier(_number(document["above_input_tokens"], MAX_INPUT_TOKENS), _flat_price(document))


def _flat_price(document: Mapping[str, object]) -> Price:
    values: dict[str, Any] = {kind: _number(document[kind], MAX_PICO_USD_PER_TOKEN) for kind in KINDS}
    return Price(**values)


def _number(value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        msg = f"{value!r:.40} is not a whole number from 0 to {most}"
        raise ValueError(msg)
    return value


def book_document(book: PriceBook) -> dict[str, Any]:
    """Describes the prices of a book, with their sources, as plain values."""
    return {
        model: {"price": price_document(price), "source": book.sources[model].value}
        for model, price in book.prices.items()
    }


def book_from(version: str, effective_us: int, document: object) -> PriceBook:
    """Reads what `book_document` wrote. Raises ValueError on anything else."""
    if not isinstance(document, dict):
        msg = "a price book has a price for each model"
        raise ValueError(msg)
    prices: dict[str, Price] = {}
    sources: dict[str, PriceSource] = {}
    for model, entry in document.items():
        if not isinstance(entry, dict) or entry.keys() != {"price", "source"}:
            msg = f"{model!r:.80} has something else than a price and its source"
            raise ValueError(msg)
        prices[model] = price_from(entry["price"])
        sources[model] = PriceSource(entry["source"])
    book = _book(version.partition("-")[0], prices, sources, effective_us)
    if book.version != version:
        msg = "its prices are not those that its version names"
        raise ValueError(msg)
    return book
