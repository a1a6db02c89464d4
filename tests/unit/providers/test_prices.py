"""The shipped prices: the seed table as it stands, the rest as maintained price data has it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import data
from genai_prices.types import ModelInfo, TieredPrices

from muxer_grpc.providers.model_rows import ModelRow, load_rows

# Our adapters by the names that the price data gives their vendors.
VENDORS = {"openai": "openai", "anthropic": "anthropic", "mistral": "mistral", "xai": "x-ai"}
# The day on which the rows were last checked. Prices change by date; a test must not change with the day it runs.
AS_OF = datetime(2026, 11, 21, tzinfo=UTC)

# USD per million tokens, input and output: fixed by the product's specification.
SEED = {
    ("openai", "gpt-4o"): ("5.00", "15.00"),
    ("openai", "gpt-3.5-turbo"): ("0.50", "1.50"),
    ("anthropic", "claude-3-sonnet"): ("3.00", "15.00"),
    ("anthropic", "claude-3-haiku"): ("0.25", "1.25"),
    ("mistral", "mistral-small"): ("0.20", "0.60"),
}

ROWS = [(adapter, row) for adapter in VENDORS for row in load_rows(adapter)]
IDS = [f"{adapter}/{row.name}" for adapter, row in ROWS]

Maintained = Decimal | TieredPrices | None


def maintained(adapter: str, row: ModelRow) -> ModelInfo | None:
    vendor = next(provider for provider in data.providers if provider.id == VENDORS[adapter])
    return vendor.find_model(row.vendor_model or row.name)


def pairs(row: ModelRow, model: ModelInfo) -> list[tuple[str | None, Maintained]]:
    """Pairs our prices with the maintained ones, kind by kind."""
    prices = model.get_prices(AS_OF)
    return [
        (row.input_usd_per_million, prices.input_mtok),
        (row.output_usd_per_million, prices.output_mtok),
        (row.cached_input_usd_per_million, prices.cache_read_mtok),
        (row.cache_write_usd_per_million, prices.cache_write_mtok),
    ]


def base(price: Maintained) -> Decimal | None:
    return price.base if isinstance(price, TieredPrices) else price


def agrees(row: ModelRow, model: ModelInfo) -> bool:
    return all((None if ours is None else Decimal(ours)) == base(theirs) for ours, theirs in pairs(row, model))


def dearer_from(model: ModelInfo) -> int | None:
    """Tells from how many tokens of a prompt on the vendor charges more."""
    prices = vars(model.get_prices(AS_OF)).values()
    return min(
        (tier.start for price in prices if isinstance(price, TieredPrices) for tier in price.tiers), default=None
    )


@pytest.mark.parametrize(("adapter", "row"), ROWS, ids=IDS)
def test_a_price_agrees_with_the_maintained_data_or_says_why_not(adapter: str, row: ModelRow) -> None:
    model = maintained(adapter, row)
    assert row.price() is not None
    assert row.price_note or (model is not None and agrees(row, model))


@pytest.mark.parametrize(("adapter", "row"), ROWS, ids=IDS)
def test_a_note_stands_only_where_something_differs(adapter: str, row: ModelRow) -> None:
    model = maintained(adapter, row)
    differs = model is None or not agrees(row, model) or dearer_from(model) is not None
    assert bool(row.price_note) is differs


@pytest.mark.parametrize(("adapter", "row"), ROWS, ids=IDS)
def test_a_window_ends_where_the_vendor_would_charge_more(adapter: str, row: ModelRow) -> None:
    model = maintained(adapter, row)
    dearer = None if model is None else dearer_from(model)
    if dearer is not None:
        # The window holds the answer too, so the prompt alone stays below it.
        assert row.context_window <= dearer
        assert model is not None
        assert agrees(row, model)
    assert model is None or not model.context_window or row.context_window <= model.context_window


@pytest.mark.parametrize(("adapter", "name"), SEED)
def test_the_seed_table_stands_as_specified(adapter: str, name: str) -> None:
    row = next(row for row in load_rows(adapter) if row.name == name)
    assert (row.input_usd_per_million, row.output_usd_per_million) == SEED[adapter, name]


def test_the_seed_table_holds_grok_3_mini() -> None:
    row = next(row for row in load_rows("xai") if row.name == "grok-3-mini")
    assert row.price() is not None


def test_local_models_are_free() -> None:
    rows = load_rows("ollama")
    assert rows
    assert all(row.free for row in rows)


def test_a_proxys_models_are_its_operators_to_price() -> None:
    assert load_rows("litellm") == ()


@pytest.mark.parametrize("adapter", VENDORS)
def test_each_vendor_has_a_cheap_model_and_a_strong_one(adapter: str) -> None:
    tiers = {row.tier.value for row in load_rows(adapter)}
    assert {"economy", "premium"} <= tiers


# Shut down by their vendors; those of the seed table stay, since the specification names them.
RETIRED = {
    "grok-4-1-fast-reasoning",
    "grok-4-1-fast-non-reasoning",
    "grok-4-fast-reasoning",
    "grok-4-0709",
    "grok-3",
    "grok-code-fast-1",
    "o4-mini",
    "o1",
    "o3-mini",
    "gpt-4",
    "gpt-4.1-nano",
    "claude-3-opus",
    "claude-3-5-haiku",
    "claude-sonnet-4-0",
    "claude-opus-4-0",
    "claude-opus-4-1",
}


def test_no_row_names_a_model_that_its_vendor_shut_down() -> None:
    assert {row.name for _, row in ROWS} & RETIRED == set()
