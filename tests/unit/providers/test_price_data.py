"""Prices of the maintained package: which are taken over, from when on, and which are better left unknown."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices.types import ModelPrice, Tier, TieredPrices

from muxer_grpc.domain.money import Price, PriceTier
from muxer_grpc.domain.price_book import PriceSource
from muxer_grpc.providers.price_data import PackagePrices, VendorModel, price_of


def us(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


def mtok(**prices: str | TieredPrices) -> ModelPrice:
    return ModelPrice(**{key: Decimal(p) if isinstance(p, str) else p for key, p in prices.items()})


def tiered(base: str, **tiers: str) -> TieredPrices:
    return TieredPrices(Decimal(base), [Tier(int(start[1:]), Decimal(price)) for start, price in tiers.items()])


def test_each_kind_has_its_price_and_the_kinds_without_one_cost_as_what_they_are_a_part_of() -> None:
    assert price_of(mtok(input_mtok="3", output_mtok="15")) == Price.from_usd_per_million("3", "15")
    whole = mtok(
        input_mtok="3",
        output_mtok="15",
        cache_read_mtok="0.3",
        cache_write_mtok="3.75",
        cache_write_1h_mtok="6",
        output_reasoning_mtok="20",
        web_searches_kcount="10",
    )
    assert price_of(whole) == Price.from_usd_per_million(
        "3", "15", cached_input="0.3", cache_write="3.75", cache_write_1h="6", reasoning="20"
    )


def test_tiers_of_different_kinds_are_put_together() -> None:
    prices = mtok(input_mtok=tiered("1", _100="2", _300="4"), output_mtok=tiered("10", _200="15"), cache_read_mtok="1")
    assert price_of(prices) == Price.from_usd_per_million("1", "10", cached_input="1").with_tiers(
        [
            PriceTier(100, Price.from_usd_per_million("2", "10", cached_input="1")),
            PriceTier(200, Price.from_usd_per_million("2", "15", cached_input="1")),
            PriceTier(300, Price.from_usd_per_million("4", "15", cached_input="1")),
        ]
    )


@pytest.mark.parametrize(
    "prices",
    [
        mtok(input_mtok="1"),
        mtok(output_mtok="1"),
        mtok(input_mtok="1", output_mtok="1", requests_kcount="5"),
        mtok(input_mtok="1", output_mtok="1", input_image_mtok="8"),
        mtok(input_mtok="-1", output_mtok="1"),
        mtok(input_mtok="0.00000001", output_mtok="1"),
        mtok(input_mtok="1000001", output_mtok="1"),
    ],
    ids=["no output", "no input", "per request", "pictures apart", "negative", "too fine", "too high"],
)
def test_a_price_that_does_not_say_all_or_makes_no_sense_is_none(prices: ModelPrice) -> None:
    assert price_of(prices) is None


def test_prices_are_those_of_the_time_and_hold_from_their_last_change_on() -> None:
    package = PackagePrices({"mistral/large": VendorModel("mistral", "mistral-large-4")})
    before, after = package(us("2026-10-28")), package(us("2026-10-29"))
    assert before.prices["mistral/large"].input == 1_360_000
    assert after.prices["mistral/large"].input == 700_000
    assert (before.effective_us, after.effective_us) == (us("2026-10-20"), us("2026-10-29"))
    assert before.source is PriceSource.PACKAGE


def test_models_of_vendors_or_names_that_the_package_does_not_know_have_no_price() -> None:
    package = PackagePrices(
        {
            "ollama/llama": VendorModel("ollama", "gpt-4o"),
            "openai/none": VendorModel("openai", "no-such-model"),
            "openai/known": VendorModel("openai", "gpt-6-luna"),
        }
    )
    assert set(package(us("2026-11-21")).prices) == {"openai/known"}
