"""Price books, read from the wire and written to it."""

from __future__ import annotations

from collections.abc import Sequence

from muxer.v1 import price_service_pb2

from muxer_grpc.domain.money import FREE, Price, PriceTier
from muxer_grpc.domain.price_book import (
    MAX_INPUT_TOKENS,
    MAX_PICO_USD_PER_TOKEN,
    MAX_TIERS,
    KeptBook,
    PriceDifference,
)
from muxer_grpc.rpc.admin_fields import time_message
from muxer_grpc.rpc.enums import PRICE_BOOK_KINDS, PRICE_SOURCES
from muxer_grpc.rpc.replies import price_message
from muxer_grpc.rpc.violations import Violations

_SUFFIX = "_pico_usd_per_token"
# Each kind, and the one whose price it has where it has none of its own.
_DEFAULTS = {
    "input": "",
    "output": "",
    "cached_input": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "reasoning": "output",
}


def book_message(kept: KeptBook) -> price_service_pb2.PriceBook:
    """Writes a book."""
    book = kept.book
    return price_service_pb2.PriceBook(
        version=book.version,
        kind=PRICE_BOOK_KINDS[kept.kind],  # type: ignore[arg-type]
        effective_time=time_message(book.effective_us),
        create_time=time_message(kept.created_us),
        created_by=kept.created_by,
        note=kept.note,
        prices=[
            price_service_pb2.ModelPrice(
                model=model,
                price=price_message(price),
                free=price == FREE,
                source=PRICE_SOURCES[book.sources[model]],  # type: ignore[arg-type]
            )
            for model, price in book.prices.items()
        ],
    )


def change_message(difference: PriceDifference) -> price_service_pb2.PriceChange:
    """Writes how a price changes."""
    before, after = difference.before, difference.after
    return price_service_pb2.PriceChange(
        model=difference.model,
        before=None if before is None else price_message(before),
        after=None if after is None else price_message(after),
        jumps=difference.jumps,
    )


def read_price(given: price_service_pb2.GivenPrice, path: str, violations: Violations) -> Price | None:
    """Reads the price of a model; None where it breaks a rule, which is noted."""
    priced = given.HasField("prices")
    if given.free:
        alone = not priced and not given.tiers
        violations.check(
            alone, f"{path}.free", "contradiction", "a model that is free has no prices; keep one of the two"
        )
        return FREE if alone else None
    if not violations.check(priced, f"{path}.prices", "required", "give prices, or say that the model is free"):
        return None
    price = _read_prices(given.prices, f"{path}.prices", violations)
    tiers = _read_tiers(given.tiers, f"{path}.tiers", violations)
    if price is None or tiers is None:
        return None
    price = price.with_tiers(tiers)
    told = "prices of 0 alone do not say that a model is free; set free"
    return price if violations.check(price != FREE, f"{path}.prices", "zero", told) else None


def _read_prices(given: price_service_pb2.TokenPrices, path: str, violations: Violations) -> Price | None:
    amounts: dict[str, int] = {}
    for kind, like in _DEFAULTS.items():
        field = f"{kind}{_SUFFIX}"
        if given.HasField(field):
            amount = getattr(given, field)
            told = f"give 0 to {MAX_PICO_USD_PER_TOKEN:,} pico-USD per token"
            if violations.check(0 <= amount <= MAX_PICO_USD_PER_TOKEN, f"{path}.{field}", "range", told):
                amounts[kind] = amount
        elif not like:
            violations.add(f"{path}.{field}", "required", "give the prices of input and output")
        elif like in amounts:
            amounts[kind] = amounts[like]
    return Price(**amounts) if amounts.keys() == _DEFAULTS.keys() else None  # type: ignore[arg-type]


def _read_tiers(
    given: Sequence[price_service_pb2.TokenPricesTier], path: str, violations: Violations
) -> list[PriceTier] | None:
    if not violations.check(len(given) <= MAX_TIERS, path, "length", f"give at most {MAX_TIERS} tiers"):
        return None
    tiers: list[PriceTier] = []
    above = 0
    for index, tier in enumerate(given):
        where = f"{path}[{index}]"
        start = tier.above_input_tokens
        told = f"give a number that rises from tier to tier, from 1 to {MAX_INPUT_TOKENS:,}"
        rises = violations.check(above < start <= MAX_INPUT_TOKENS, f"{where}.above_input_tokens", "range", told)
        price = _read_prices(tier.prices, f"{where}.prices", violations)
        if rises and price is not None:
            tiers.append(PriceTier(start, price))
        above = max(above, start)
    return tiers if len(tiers) == len(given) else None
