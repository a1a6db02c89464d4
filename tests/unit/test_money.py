"""Money is exact: integers, one rounding, half to even."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.money import Price, Usage, cost_of, round_half_even

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
