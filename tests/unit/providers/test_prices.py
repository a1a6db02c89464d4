"""The shipped prices: the seed table as it stands, the rest as maintained price data has it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from genai_prices import data
from genai_prices.types import ModelInfo

from muxer_grpc.providers.model_rows import ModelRow, load_rows
from muxer_grpc.providers.price_data import VENDORS, price_of

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


def maintained(adapter: str, row: ModelRow) -> ModelInfo | None:
    vendor = next(provider for provider in data.providers if provider.id == VENDORS[adapter])
    return vendor.find_model(row.vendor_model or row.name)


def agrees(row: ModelRow, model: ModelInfo | None) -> bool:
    """Tells whether a price is the maintained one, in all kinds and tiers."""
    price = row.price()
    return model is not None and price is not None and price == price_of(model.get_prices(AS_OF))


@pytest.mark.parametrize(("adapter", "row"), ROWS, ids=IDS)
def test_a_price_agrees_with_the_maintained_data_or_says_why_not(adapter: str, row: ModelRow) -> None:
    assert row.price() is not None
    assert bool(row.price_note) is not agrees(row, maintained(adapter, row))


@pytest.mark.parametrize(("adapter", "row"), ROWS, ids=IDS)
def test_a_window_is_no_larger_than_the_vendors(adapter: str, row: ModelRow) -> None:
    model = maintained(adapter, row)
    assert model is None or not model.context_window or row.context_window <= model.context_window


def test_prices_have_tiers_where_their_vendors_charge_more_for_longer_prompts() -> None:
    tiers = {row.name: [tier.above_input_tokens for tier in row.price_tiers] for _, row in ROWS if row.price_tiers}
    assert tiers["gpt-6-luna"] == [272_000]
    assert tiers["claude-haiku-5-5"] == [100_000]
    assert tiers["grok-4.5"] == [199_999]


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
