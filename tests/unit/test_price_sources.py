"""Which source a model's price comes from, from settings and shipped files to the catalogue in force."""

from __future__ import annotations

from typing import Any

import pytest

from muxer_grpc.bootstrap import describe
from muxer_grpc.bootstrap_prices import price_sources
from muxer_grpc.bootstrap_providers import configure_all
from muxer_grpc.domain.money import FREE
from muxer_grpc.domain.price_book import PriceBook, PriceSource
from muxer_grpc.settings import Settings

NOVEMBER_2026_US = 1_795_000_000 * 1_000_000


async def book_of(providers: dict[str, Any]) -> PriceBook:
    settings = Settings(providers=providers)
    configured = await configure_all(settings)
    for each in configured:
        await each.aclose()
    return price_sources(configured, settings).book(NOVEMBER_2026_US, None)


def row(name: str, **facts: Any) -> dict[str, Any]:
    return {"name": name, **facts}


PRICED = {"input_usd_per_million": "7", "output_usd_per_million": "9"}


async def test_shipped_models_have_the_prices_of_their_files() -> None:
    book = await book_of({})
    assert (book.prices["openai/gpt-4o"].input, book.sources["openai/gpt-4o"]) == (5_000_000, PriceSource.PROVIDER)
    assert book.prices["openai/gpt-6-luna"].tiers[0].above_input_tokens == 272_000
    assert PriceSource.PACKAGE not in book.sources.values()


async def test_a_price_of_the_settings_counts_before_that_of_a_file() -> None:
    book = await book_of({"openai": {"models": [row("gpt-4o", **PRICED)]}})
    assert (book.prices["openai/gpt-4o"].input, book.sources["openai/gpt-4o"]) == (7_000_000, PriceSource.SETTINGS)


async def test_a_row_of_the_settings_without_a_price_leaves_that_of_the_file() -> None:
    book = await book_of({"openai": {"models": [row("gpt-4o", context_window=64_000)]}})
    assert (book.prices["openai/gpt-4o"].input, book.sources["openai/gpt-4o"]) == (5_000_000, PriceSource.PROVIDER)


async def test_a_model_that_only_the_package_knows_has_its_price() -> None:
    book = await book_of({"openai": {"models": [row("gpt-6-sol"), row("sol", vendor_model="gpt-6-sol")]}})
    for name in ("openai/gpt-6-sol", "openai/sol"):
        assert (book.prices[name].input, book.sources[name]) == (2_000_000, PriceSource.PACKAGE)
        assert [tier.above_input_tokens for tier in book.prices[name].tiers] == [272_000]


async def test_a_price_that_nobody_knows_stays_unknown() -> None:
    book = await book_of({"openai": {"models": [row("no-such-model")]}})
    assert "openai/no-such-model" not in book.prices


async def test_a_connection_of_another_name_has_the_prices_of_its_kind() -> None:
    book = await book_of({"openai-eu": {"adapter": "openai", "models": [row("gpt-6-sol"), row("own", free=True)]}})
    assert book.sources["openai-eu/gpt-4o"] is PriceSource.PROVIDER
    assert book.sources["openai-eu/gpt-6-sol"] is PriceSource.PACKAGE
    assert (book.prices["openai-eu/own"], book.sources["openai-eu/own"]) == (FREE, PriceSource.SETTINGS)


async def test_the_catalogue_in_force_has_the_prices_and_the_version_of_the_book() -> None:
    settings = Settings(providers={"openai": {"models": [row("gpt-6-sol")]}})
    catalogue = await describe(settings)
    price = catalogue.models["openai/gpt-6-sol"].price
    assert price is not None
    assert price.tiers
    assert catalogue.price_book_version == (await describe(settings)).price_book_version
    assert catalogue.price_book_version != (await describe(Settings())).price_book_version


@pytest.mark.parametrize("name", ["openai/gpt-4o", "anthropic/claude-3-haiku"])
async def test_equal_settings_have_equal_versions(name: str) -> None:
    one, two = await book_of({}), await book_of({})
    assert one == two
    assert name in one.prices
