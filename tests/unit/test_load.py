"""Which calls a process takes on while it has little room, or falls behind."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.errors import Overloaded
from muxer_grpc.domain.load import LOW_RETRY_SECONDS, WANTING_SECONDS, LoadRules, Places, Priority
from muxer_grpc.pipeline.loop_lag import SAMPLES, LoopLag

LOW, NORMAL, HIGH = Priority.LOW, Priority.NORMAL, Priority.HIGH


class World:
    """Places with a lag and a clock that a test sets."""

    def __init__(self, most: int = 100, lag_bound: float = 0.0, rules: LoadRules | None = None) -> None:
        self.lag = 0.0
        self.now = 0.0
        self.places = Places(most, lambda: self.lag, lambda: self.now)
        self.places.follow(rules or LoadRules(), lag_bound)

    def take(self, count: int, tenant: str = "acme", priority: Priority = NORMAL) -> None:
        for _ in range(count):
            self.places.take(tenant, priority)

    def refused(self, tenant: str = "acme", priority: Priority = NORMAL) -> Overloaded:
        with pytest.raises(Overloaded) as raised:
            self.places.take(tenant, priority)
        return raised.value

    def most(self, tenant: str, priority: Priority = NORMAL) -> int:
        """Takes as many places as there are for a tenant, and counts them."""
        for count in range(1_000):
            try:
                self.places.take(tenant, priority)
            except Overloaded:
                return count
        raise AssertionError


def test_a_tenant_that_is_alone_may_have_all_places_but_those_kept_for_high_priority() -> None:
    world = World()
    assert world.most("acme") == 95
    error = world.refused()
    assert error.metadata == {"cause": "calls"}
    assert error.retry_after_seconds is not None
    world.take(5, priority=HIGH)
    assert world.refused(priority=HIGH).metadata == {"cause": "calls"}
    assert world.places.held == 100


@pytest.mark.parametrize("most", [1, 2, 5, 19])
def test_few_places_are_for_all_alike(most: int) -> None:
    assert World(most).most("acme") == most


def test_low_priority_is_shed_first_and_told_to_wait_longest() -> None:
    world = World()
    assert world.most("acme", LOW) == 70
    assert world.refused(priority=LOW).retry_after_seconds == LOW_RETRY_SECONDS
    world.take(1)


def test_a_place_that_is_given_back_is_free_again() -> None:
    world = World(2)
    world.take(2)
    world.refused()
    world.places.give_back("acme")
    world.take(1)
    for _ in range(2):
        world.places.give_back("acme")
    assert world.places.held == 0


def test_a_crowd_of_one_tenant_leaves_room_for_another() -> None:
    world = World()
    world.take(1, "small")
    assert world.most("flood") == 75
    assert world.refused("flood").metadata == {"cause": "share"}
    assert world.most("small") > 0


def test_a_tenant_that_comes_when_all_places_are_taken_gets_one_as_soon_as_any_is_free() -> None:
    world = World()
    world.take(95, "flood")
    world.refused("late")
    # It is known to want a place now, so that the other one gets none back beyond its share.
    world.places.give_back("flood")
    assert world.refused("flood").metadata == {"cause": "share"}
    world.take(1, "late")


def test_who_wanted_a_place_and_stays_away_is_forgotten() -> None:
    world = World()
    world.take(95, "flood")
    world.refused("late")
    world.places.give_back("flood")
    world.refused("flood")
    world.now += WANTING_SECONDS
    world.take(1, "flood")


def test_below_the_crowded_share_nobody_is_asked_who_they_are() -> None:
    world = World()
    world.take(1, "small")
    world.take(69, "flood")
    assert world.places.held == 70


def test_a_crowded_share_of_1_leaves_out_shares_and_low_priority() -> None:
    world = World(rules=LoadRules(crowded_share=1.0))
    world.take(1, "small")
    assert world.most("flood", LOW) == 94


@given(st.lists(st.sampled_from("abcd"), max_size=300), st.integers(1, 40), st.floats(1, 3))
def test_no_tenant_ever_holds_more_than_its_share_once_it_is_crowded(asked: str, most: int, factor: float) -> None:
    rules = LoadRules(tenant_factor=factor)
    world = World(most, rules=rules)
    held: Counter[str] = Counter()
    for tenant in asked:
        crowded = sum(held.values()) >= max(1, round(rules.crowded_share * most))
        active = len({*held, tenant})
        try:
            world.places.take(tenant, HIGH)
        except Overloaded:
            continue
        held[tenant] += 1
        if crowded:
            assert held[tenant] <= max(1.0, factor * max(1.0, most / active)) + 1
        assert sum(held.values()) <= most


@pytest.mark.parametrize(("priority", "lag"), [(LOW, 0.5), (NORMAL, 1.0), (HIGH, 2.0)])
def test_a_late_loop_sheds_by_priority(priority: Priority, lag: float) -> None:
    world = World(lag_bound=1.0)
    world.lag = lag
    world.take(1, priority=priority)
    world.lag = lag + 0.01
    error = world.refused(priority=priority)
    assert error.metadata == {"cause": "lag"}
    assert error.retry_after_seconds is not None
    assert error.retry_after_seconds >= world.lag


def test_a_bound_of_0_sheds_nothing_however_late_the_loop_is() -> None:
    world = World(lag_bound=0.0)
    world.lag = 60.0
    world.take(1, priority=LOW)


def test_a_single_pause_is_no_lag_and_one_that_stays_is_until_the_loop_is_in_time_again() -> None:
    lag = LoopLag()
    lag.note(5.0)
    assert lag.seconds == 0.0
    for late in (3.0, 4.0, 5.0, 6.0)[:SAMPLES]:
        lag.note(late)
    assert lag.seconds == 3.0
    lag.note(0.0)
    assert lag.seconds == 0.0


async def test_a_blocked_loop_is_measured() -> None:
    lag = LoopLag()
    ticks = iter([0.0, 1.1, 2.0, 3.2, 4.0, 5.3, 6.0, 7.4])
    with pytest.raises(StopIteration):
        # A clock that ends ends the watch: four samples, each late by 1 s and more, less what was slept.
        try:
            await lag.watch(lambda: next(ticks))
        except RuntimeError as error:
            raise StopIteration from error
    assert lag.seconds == pytest.approx(1.0)
