"""Money is exact: integers, one rounding, half to even."""

from __future__ import annotations

from dataclasses import fields
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.money import (
    Cost,
    Price,
    PriceTier,
    Usage,
    cost_of,
    most_it_can_cost,
    most_output_within,
    round_half_even,
)

counts = st.integers(0, 10**7)
prices = st.integers(0, 10**9)


def test_a_price_in_usd_per_million_tokens_is_micro_usd_per_million_which_is_pico_usd_per_token() -> None:
    price = Price.from_usd_per_million("5.00", "15.00")
    assert (price.input, price.output) == (5_000_000, 15_000_000)


def test_unset_kinds_cost_as_much_as_the_kind_they_are_a_part_of() -> None:
    price = Price.from_usd_per_million("5", "15", cached_input="0.5")
    assert (price.cached_input, price.cache_write, price.reasoning) == (500_000, 5_000_000, 15_000_000)


@pytest.mark.parametrize("wrong", ["-1", "NaN", "Infinity", "0.0000001"])
def test_a_price_that_is_no_whole_number_of_pico_usd_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="a price must be"):
        Price.from_usd_per_million(wrong, "1")


def test_a_known_bill_comes_out_to_the_nano_dollar() -> None:
    # 1,000 fresh + 500 cached input and 200 output tokens of a model at 2.50 / 1.25 / 10.00 USD per million.
    price = Price.from_usd_per_million("2.50", "10.00", cached_input="1.25")
    cost = cost_of(Usage(input_tokens=1000, cached_input_tokens=500, output_tokens=200), price)
    assert cost.total_nano == 2_500_000 + 625_000 + 2_000_000


@given(amount=st.integers(0, 10**18), divisor=st.integers(1, 10**6))
def test_rounding_agrees_with_decimal(amount: int, divisor: int) -> None:
    exact = Decimal(amount) / Decimal(divisor)
    if exact == exact.to_integral_value() or len(str(amount)) < 15:
        assert round_half_even(amount, divisor) == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


@given(st.tuples(counts, counts, counts, counts, counts), st.tuples(prices, prices, prices, prices, prices))
def test_a_total_is_the_exact_sum_rounded_once(tokens: tuple[int, ...], unit_prices: tuple[int, ...]) -> None:
    cost = cost_of(
        Usage(*tokens), Price(unit_prices[0], unit_prices[3], unit_prices[1], unit_prices[2], unit_prices[4])
    )
    exact = sum(count * price for count, price in zip(tokens, unit_prices, strict=True))
    assert abs(cost.total_nano * 1000 - exact) <= 500


def test_a_price_of_one_hour_cache_writes_that_is_not_given_is_that_of_all_cache_writes() -> None:
    assert Price.from_usd_per_million("5", "15", cache_write="6.25").cache_write_1h == 6_250_000
    assert Price(1, 2, 3, 4, 5).cache_write_1h == 4


def test_one_hour_cache_writes_have_a_price_of_their_own() -> None:
    # 100 tokens kept for five minutes at 3.75, and 300 for an hour at 6.00 USD per million.
    price = Price.from_usd_per_million("3", "15", cache_write="3.75", cache_write_1h="6")
    cost = cost_of(Usage(cache_write_tokens=100, cache_write_1h_tokens=300), price)
    assert (cost.cache_write_pico, cost.total_nano) == (375_000_000 + 1_800_000_000, 2_175_000)


TIERED = Price.from_usd_per_million("3", "15", cached_input="0.3").with_tiers(
    [
        PriceTier(200_000, Price.from_usd_per_million("6", "22.5", cached_input="0.6")),
        PriceTier(500_000, Price.from_usd_per_million("9", "30", cached_input="0.9")),
    ]
)


@pytest.mark.parametrize(
    ("usage", "pico"),
    [
        (Usage(input_tokens=200_000, output_tokens=10), 200_000 * 3_000_000 + 10 * 15_000_000),
        (Usage(input_tokens=200_001, output_tokens=10), 200_001 * 6_000_000 + 10 * 22_500_000),
        # Cached input counts for the tier, and has its price in it.
        (
            Usage(input_tokens=1, cached_input_tokens=200_000, reasoning_tokens=10),
            6_000_000 + 200_000 * 600_000 + 10 * 22_500_000,
        ),
        (Usage(cache_write_tokens=250_000, cache_write_1h_tokens=250_001), 500_001 * 9_000_000),
    ],
)
def test_a_whole_request_is_charged_by_the_tier_that_its_input_reaches(usage: Usage, pico: int) -> None:
    cost = cost_of(usage, TIERED)
    assert cost.total_nano == pico // 1000
    assert sum(lines_of(cost)) == pico


def lines_of(cost: Cost) -> list[int]:
    return [getattr(cost, each.name) for each in fields(cost)]


@pytest.mark.parametrize("starts", [(0,), (10, 10), (20, 10)])
def test_tiers_that_do_not_rise_are_refused(starts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="price tiers rise"):
        Price(1, 1, 1, 1, 1, tiers=tuple(PriceTier(start, Price(2, 2, 2, 2, 2)) for start in starts))


def test_a_tier_has_no_tiers() -> None:
    with pytest.raises(ValueError, match="price tiers rise"):
        Price(1, 1, 1, 1, 1, tiers=(PriceTier(10, TIERED),))


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Price(1, 1, 1, -1, 1)


flat_prices = st.builds(Price, prices, prices, prices, prices, prices, prices)


@st.composite
def any_price(draw: st.DrawFn) -> Price:
    starts = sorted(draw(st.sets(st.integers(1, 2_000), max_size=3)))
    return draw(flat_prices).with_tiers(PriceTier(start, draw(flat_prices)) for start in starts)


def split(data: st.DataObject, most: int, parts: int) -> list[int]:
    """Splits at most so many tokens into kinds."""
    cuts = sorted(data.draw(st.lists(st.integers(0, most), min_size=parts, max_size=parts)))
    return [after - before for before, after in zip([0, *cuts], cuts, strict=False)]


@given(st.data(), any_price(), st.integers(0, 3_000), st.integers(0, 3_000))
def test_no_usage_within_the_bounds_costs_more_than_the_most(
    data: st.DataObject, price: Price, input_tokens: int, output_tokens: int
) -> None:
    fresh, cached, written, hour = split(data, input_tokens, 4)
    output, reasoning = split(data, output_tokens, 2)
    usage = Usage(fresh, cached, written, output, reasoning, cache_write_1h_tokens=hour)
    assert cost_of(usage, price).total_nano <= most_it_can_cost(price, input_tokens, output_tokens)


@given(any_price(), st.integers(0, 3_000), st.integers(0, 3_000))
def test_the_most_is_what_some_usage_within_the_bounds_costs(price: Price, inputs: int, outputs: int) -> None:
    ends = {inputs, *(tier.above_input_tokens for tier in price.tiers if tier.above_input_tokens < inputs)}
    usages = [
        Usage(**{kind: count, other: outputs})  # type: ignore[arg-type]
        for count in ends
        for kind in ("input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens")
        for other in ("output_tokens", "reasoning_tokens")
    ]
    dearest = max(cost_of(usage, price).total_nano for usage in usages)
    assert most_it_can_cost(price, inputs, outputs) == dearest


def test_a_tier_that_the_input_only_just_does_not_reach_does_not_count() -> None:
    assert most_it_can_cost(TIERED, 200_000, 0) == 600_000_000
    assert most_it_can_cost(TIERED, 200_001, 0) == 200_001 * 6_000


@given(any_price(), st.integers(0, 3_000), st.integers(0, 10**7), st.integers(0, 10_000))
def test_the_output_within_an_amount_costs_at_most_that_and_one_more_costs_more(
    price: Price, inputs: int, nano: int, bound: int
) -> None:
    most = most_output_within(price, inputs, nano, bound)
    assert -1 <= most <= bound
    if most >= 0:
        assert most_it_can_cost(price, inputs, most) <= nano
    if most < bound:
        # A half is rounded away at most.
        assert most_it_can_cost(price, inputs, most + 1) >= nano
