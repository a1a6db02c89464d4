"""Spreads: percentiles of counted durations are as near to the exact ones as they say, whatever is counted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.spreads import (
    ERROR,
    LAST_BUCKET,
    LEAST,
    MOST,
    bucket_of,
    spread_of,
    spread_of_counts,
    value_of,
)

# What floating point adds to the error.
ROUNDING = 1e-9
durations = st.floats(LEAST, MOST) | st.floats(1e-3, 2.0) | st.sampled_from([0.001, 0.01, 0.5, 1.0, 60.0])


@given(st.lists(durations, min_size=1, max_size=300))
def test_percentiles_of_counted_durations_are_within_the_error_of_the_exact_ones(given_: list[float]) -> None:
    counted, exact = spread_of_counts(Counter(map(bucket_of, given_))), spread_of(given_)
    assert counted is not None
    assert exact is not None
    assert counted.samples == exact.samples == len(given_)
    for near, true in zip(counted[1:], exact[1:], strict=True):
        assert abs(near - true) <= (ERROR + ROUNDING) * true


@given(st.lists(durations, min_size=1, max_size=300))
def test_an_exact_percentile_is_the_least_value_that_so_many_do_not_exceed(given_: list[float]) -> None:
    spread = spread_of(given_)
    assert spread is not None
    for per_mille, value in zip((500, 900, 950, 990), spread[1:], strict=True):
        assert value in given_
        assert sum(each <= value for each in given_) * 1_000 >= per_mille * len(given_)
        assert sum(each < value for each in given_) * 1_000 < per_mille * len(given_)


@given(st.lists(durations, max_size=50), st.lists(durations, max_size=50))
def test_counts_that_are_joined_tell_what_all_together_do(one: list[float], other: list[float]) -> None:
    joined = Counter(map(bucket_of, one)) + Counter(map(bucket_of, other))
    assert spread_of_counts(joined) == spread_of_counts(Counter(map(bucket_of, one + other)))


@pytest.mark.parametrize("seconds", [0.0, -1.0, LEAST / 10, LEAST])
def test_what_is_shorter_than_the_least_counts_as_that(seconds: float) -> None:
    assert value_of(bucket_of(seconds)) == LEAST


def test_what_is_longer_than_the_most_counts_as_that() -> None:
    assert bucket_of(100 * MOST) == bucket_of(MOST) == LAST_BUCKET
    assert value_of(LAST_BUCKET) == pytest.approx(MOST, rel=ERROR + 0.05)


def test_of_nothing_there_is_no_spread() -> None:
    assert spread_of([]) is None
    assert spread_of_counts({}) is None
