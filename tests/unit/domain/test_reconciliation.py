"""The ledger beside an invoice: exact, by model and day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.reconciliation import Line, Tolerance, booked, compare, read_amount

DAY, NEXT = date(2026, 11, 1), date(2026, 11, 2)
NONE = Tolerance()


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12.34", "12.34"),
        (" $0.10 ", "0.1"),
        ("1.2e-05", "0.000012"),
        ("-3", "-3"),
        ("+7", "7"),
        ("999999999999999." + "9" * 30, "999999999999999." + "9" * 30),
    ],
)
def test_amounts_are_read_exactly(text: str, amount: str) -> None:
    assert read_amount(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "x", "1,000.00", "1.2.3", "nan", "inf", "1e999", "1" * 16, "0x10", "1_0", "٣"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        read_amount(text)


@given(st.integers(0, 10**18), st.integers(0, 10**18))
def test_differences_are_exact_to_the_nano_dollar(invoiced: int, in_ledger: int) -> None:
    line = Line(DAY, "a/m", Decimal(f"{invoiced // 10**9}.{invoiced % 10**9:09d}"))
    [found] = compare([line], [booked(DAY, "a/m", in_ledger, 0)], NONE)
    assert Fraction(found.difference_usd) == Fraction(invoiced - in_ledger, 10**9)
    assert found.within == (invoiced == in_ledger)


@pytest.mark.parametrize(
    ("usd", "percent", "within"),
    [("0.10", "0", True), ("0.09", "0", False), ("0", "1", True), ("0", "0.9", False), ("0.05", "1", True)],
)
def test_a_difference_is_tolerated_up_to_an_amount_or_a_share_of_the_invoice(
    usd: str, percent: str, within: bool
) -> None:
    tolerance = Tolerance(Decimal(usd), Decimal(percent))
    [found] = compare([Line(DAY, "a/m", Decimal(10))], [booked(DAY, "a/m", 9_900_000_000, 0)], tolerance)
    assert (found.difference_usd, found.within) == (Decimal("0.1"), within)


def test_what_only_one_side_knows_of_is_compared_with_nothing() -> None:
    found = compare([Line(DAY, "a/new", Decimal(1))], [booked(NEXT, "a/old", 2 * 10**9, 5)], NONE)
    assert [(each.day, each.model, each.difference_usd, each.within) for each in found] == [
        (DAY, "a/new", Decimal(1), False),
        (NEXT, "a/old", Decimal(-2), False),
    ]
    assert (found[0].booked, found[1].invoiced) == (None, None)


def test_lines_of_one_model_and_day_are_summed() -> None:
    """As of an invoice with a line for each project, and for input and output."""
    lines = [Line(DAY, "a/m", Decimal("0.1"), 10), Line(DAY, "a/m", Decimal("0.2"), 5)]
    [found] = compare(lines, [booked(DAY, "a/m", 3 * 10**8, 15)], NONE)
    assert found.within
    assert found.invoiced == Line(DAY, "a/m", Decimal("0.3"), 15)


def test_tokens_that_one_line_leaves_out_are_not_known_of_the_sum() -> None:
    lines = [Line(DAY, "a/m", Decimal(1), 10), Line(DAY, "a/m", Decimal(1))]
    [found] = compare(lines, [], NONE)
    assert found.invoiced is not None
    assert found.invoiced.tokens is None


@pytest.mark.parametrize(
    ("theirs", "provider", "names", "ours"),
    [
        ("a/m", "", {}, "a/m"),
        ("m", "", {}, "a/m"),
        ("twin", "", {}, "twin"),
        ("twin", "b", {}, "b/twin"),
        ("m", "b", {}, "b/m"),
        ("other", "", {}, "other"),
        ("other", "a", {}, "a/other"),
        ("m-2026", "", {"m-2026": "a/m"}, "a/m"),
        ("m-2026", "", {"m-2026": "m"}, "a/m"),
    ],
)
def test_an_invoice_s_model_is_found_by_its_full_its_bare_or_its_given_name(
    theirs: str, provider: str, names: dict[str, str], ours: str
) -> None:
    ledger = [booked(DAY, model, 10**9, 0) for model in ("a/m", "a/twin", "b/twin")]
    found = compare([Line(DAY, theirs, Decimal(1))], ledger, NONE, provider=provider, names=names)
    assert [each.model for each in found if each.invoiced is not None] == [ours]
