"""A breaker opens when its target keeps failing, lets single probes through, and closes when one succeeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.resilience.breaker import Breaker, BreakerRules, BreakerState

RULES = BreakerRules(
    consecutive_failures=3,
    failure_share=0.5,
    least_calls=10,
    window_seconds=30.0,
    open_seconds=5.0,
    most_open_seconds=20.0,
)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(3):
        breaker.failed(at)
    return breaker


def test_a_fresh_breaker_lets_everything_pass() -> None:
    breaker = Breaker(RULES)
    assert breaker.state(0.0) is BreakerState.CLOSED
    assert all(breaker.admit(0.0) for _ in range(5))


def test_it_opens_after_the_set_number_of_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(RULES)
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED
    breaker.failed(0.0)
    assert breaker.state(0.0) is BreakerState.OPEN
    assert not breaker.admit(4.9)
    assert breaker.retry_at() == 5.0


def test_a_success_between_failures_begins_the_count_anew() -> None:
    breaker = Breaker(RULES)
    for succeeds in (False, False, True, False, False):
        (breaker.succeeded if succeeds else breaker.failed)(0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED
    assert breaker.consecutive_failures == 2


def test_it_opens_when_half_of_enough_calls_in_the_window_failed() -> None:
    breaker = Breaker(RULES)
    for _ in range(4):
        breaker.failed(0.0)
        breaker.succeeded(0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED
    breaker.succeeded(0.0)
    breaker.failed(0.0)
    assert breaker.state(0.0) is BreakerState.OPEN


def test_what_failed_before_the_window_counts_no_more_towards_the_share() -> None:
    breaker = Breaker(RULES)
    for _ in range(4):
        breaker.failed(0.0)
        breaker.succeeded(0.0)
    for _ in range(2):
        breaker.failed(31.0)
    assert breaker.state(31.0) is BreakerState.CLOSED
    breaker.failed(31.0)
    assert breaker.state(31.0) is BreakerState.OPEN


def test_half_open_it_lets_one_probe_pass_and_no_other_until_its_end_is_told() -> None:
    breaker = opened()
    assert breaker.state(5.0) is BreakerState.HALF_OPEN
    assert breaker.admit(5.0)
    assert [breaker.admit(5.0) for _ in range(3)] == [False] * 3
    breaker.left()
    assert breaker.admit(5.0)


def test_asking_whether_a_call_would_pass_takes_no_probe() -> None:
    breaker = opened()
    assert not breaker.would_admit(4.0)
    assert breaker.would_admit(5.0)
    assert breaker.would_admit(5.0)
    assert breaker.admit(5.0)
    assert not breaker.would_admit(5.0)


def test_a_probe_that_succeeds_closes_it_and_all_is_forgotten() -> None:
    breaker = opened()
    assert breaker.admit(5.0)
    breaker.succeeded(5.5)
    assert breaker.state(5.5) is BreakerState.CLOSED
    breaker.failed(6.0)
    breaker.failed(6.0)
    assert breaker.state(6.0) is BreakerState.CLOSED
    breaker.failed(6.0)
    assert breaker.retry_at() == 11.0


def test_each_probe_that_fails_doubles_the_time_up_to_its_bound() -> None:
    breaker = opened()
    now, waits = 0.0, []
    for _ in range(4):
        now = breaker.retry_at()
        assert breaker.admit(now)
        breaker.failed(now)
        waits.append(breaker.retry_at() - now)
    assert waits == [10.0, 20.0, 20.0, 20.0]


def test_failures_of_calls_from_before_it_opened_do_not_open_it_for_longer() -> None:
    breaker = opened()
    for _ in range(50):
        breaker.failed(1.0)
    assert breaker.retry_at() == 5.0


def test_a_success_of_a_call_from_before_it_opened_does_not_close_it() -> None:
    breaker = Breaker(RULES)
    breaker.rest(0.0, 8.0)
    breaker.succeeded(1.0)
    assert breaker.state(7.9) is BreakerState.OPEN
    assert breaker.state(8.0) is BreakerState.HALF_OPEN


@pytest.mark.parametrize("end", ["succeeded", "failed", "left"])
def test_however_a_call_from_before_it_opened_ends_the_probe_that_is_out_stays_the_only_one(end: str) -> None:
    breaker = opened(1.0)
    assert breaker.admit(6.0)
    if end == "left":
        breaker.left(0.5)
    else:
        (breaker.succeeded if end == "succeeded" else breaker.failed)(6.5, 0.5)
    assert breaker.state(6.5) is BreakerState.HALF_OPEN
    assert not breaker.admit(6.5)
    breaker.succeeded(7.0, 6.0)
    assert breaker.state(7.0) is BreakerState.CLOSED


def test_what_was_let_pass_and_not_made_is_void_once_it_opens_or_is_opened_by_hand() -> None:
    breaker = Breaker(RULES)
    assert breaker.holds(0.5)
    breaker.rest(1.0, 2.0)
    assert not breaker.holds(0.5)
    assert breaker.holds(1.0)
    breaker.disable(disabled=True)
    assert not breaker.holds(1.0)


def test_a_rest_lets_nothing_pass_for_the_time_that_was_asked() -> None:
    breaker = Breaker(RULES)
    breaker.rest(10.0, 2.0)
    assert breaker.state(11.9) is BreakerState.OPEN
    assert breaker.admit(12.0)
    assert not breaker.admit(12.0)


def test_a_shorter_rest_does_not_shorten_a_longer_one() -> None:
    breaker = Breaker(RULES)
    breaker.rest(0.0, 60.0)
    breaker.rest(1.0, 2.0)
    assert breaker.retry_at() == 60.0


def test_a_probe_may_be_promised_for_the_time_from_which_it_may_pass() -> None:
    breaker = Breaker(RULES)
    breaker.rest(0.0, 2.0)
    assert not breaker.admit(1.9)
    assert breaker.admit(2.0)
    assert not breaker.admit(2.0)


def test_opened_by_hand_it_stays_so_until_it_is_closed_by_hand() -> None:
    breaker = opened()
    breaker.disable(disabled=True)
    assert breaker.state(1_000.0) is BreakerState.DISABLED
    assert not breaker.admit(1_000.0)
    breaker.succeeded(1_000.0)
    assert breaker.state(1_000.0) is BreakerState.DISABLED
    breaker.disable(disabled=False)
    assert breaker.state(1_000.0) is BreakerState.CLOSED
    assert breaker.consecutive_failures == 0


def test_every_change_is_counted() -> None:
    breaker = Breaker(RULES)
    seen = [breaker.changes]
    steps: list[Callable[[], None]] = [
        lambda: breaker.rest(0.0, 5.0),
        lambda: breaker.succeeded(5.0),
        lambda: breaker.rest(6.0, 1.0),
        lambda: breaker.disable(disabled=True),
        lambda: breaker.disable(disabled=False),
    ]
    for step in steps:
        step()
        seen.append(breaker.changes)
    assert seen == sorted(set(seen))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admit", "failed", "succeeded", "left", "rest"]),
        st.floats(0.0, 30.0, allow_nan=False),
    ),
    max_size=80,
)


@given(STEPS)
def test_whatever_happens_one_probe_at_most_is_out_and_in_the_end_one_passes(steps: list[tuple[str, float]]) -> None:
    breaker, now = Breaker(RULES), 0.0
    for step, seconds in steps:
        now += seconds
        if step == "admit":
            before = breaker.state(now)
            passed = breaker.admit(now)
            assert passed is (before is BreakerState.CLOSED) or before is BreakerState.HALF_OPEN
            if before is BreakerState.HALF_OPEN:
                assert not breaker.admit(now)
        elif step == "rest":
            breaker.rest(now, seconds)
        elif step == "left":
            breaker.left()
        else:
            (breaker.failed if step == "failed" else breaker.succeeded)(now)
        assert breaker.retry_at() <= now + max(30.0, RULES.most_open_seconds)
    breaker.left()
    assert breaker.admit(max(now, breaker.retry_at()))


@pytest.mark.parametrize("failures", [1, 2, 7])
def test_how_many_failures_open_it_is_a_rule(failures: int) -> None:
    breaker = Breaker(BreakerRules(consecutive_failures=failures, least_calls=1_000))
    for _ in range(failures):
        assert breaker.state(0.0) is BreakerState.CLOSED
        breaker.failed(0.0)
    assert breaker.state(0.0) is BreakerState.OPEN
