"""Retries are a share of calls and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.resilience.retry_budget import RetryBudget


def drained(budget: RetryBudget) -> int:
    """Takes retries until none is allowed; gives how many were."""
    taken = 0
    while budget.allows:
        budget.take()
        taken += 1
        assert taken <= 1_000
    return taken


def test_it_begins_full() -> None:
    assert drained(RetryBudget(0.2, 20.0)) == 20


def test_four_calls_pay_for_one_retry_at_a_share_of_a_quarter() -> None:
    budget = RetryBudget(0.25, 20.0)
    drained(budget)
    for _ in range(3):
        budget.called()
        assert not budget.allows
    budget.called()
    assert drained(budget) == 1


def test_calls_never_save_up_more_than_its_bound() -> None:
    budget = RetryBudget(0.5, 3.0)
    for _ in range(100):
        budget.called()
    assert drained(budget) == 3


def test_without_a_share_no_retry_is_ever_allowed() -> None:
    budget = RetryBudget(0.0, 20.0)
    assert drained(budget) == 0
    for _ in range(100):
        budget.called()
    assert not budget.allows


def test_switched_off_and_on_again_it_has_what_it_had() -> None:
    budget = RetryBudget(0.2, 20.0)
    budget.follow(0.0)
    assert not budget.allows
    budget.follow(0.2)
    assert drained(budget) == 20


@given(st.lists(st.booleans(), max_size=300), st.floats(0.0, 1.0))
def test_retries_are_never_more_than_the_bound_and_the_share_of_calls(steps: list[bool], share: float) -> None:
    budget, calls, retries = RetryBudget(share, 5.0), 0, 0
    for call in steps:
        if call:
            budget.called()
            calls += 1
        elif budget.allows:
            budget.take()
            retries += 1
    assert retries <= 5.0 + share * calls + 1e-9
