"""Slots of time: a window holds each request that ended in it once, and none from long before; memory is bounded."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muxer_grpc.domain.figure_counts import Counts
from muxer_grpc.domain.figure_slots import LEVELS, MOST_GROUPS, FiguresWindow, Slots

OTHERS = "others"
LENGTHS = {FiguresWindow.MINUTE: 60, FiguresWindow.FIVE_MINUTES: 300, FiguresWindow.HOUR: 3_600}
SHORTEST, LONGEST = (LEVELS[window].seconds for window in (FiguresWindow.MINUTE, FiguresWindow.HOUR))
START = 1_800_000_000.0

gaps = st.floats(0, 5) | st.floats(0, 400) | st.floats(0, 5_000) | st.sampled_from([0.0, 10.0, 60.0, 120.0, 300.0])
steps = st.lists(st.tuples(gaps, st.sampled_from("abc")), min_size=1, max_size=120)


def counted(slots: Slots[str], window: FiguresWindow, now: float) -> tuple[float, dict[str, int]]:
    """Sums the requests of a window by group, and gives its beginning."""
    since, found = slots.since(window, now)
    sums: dict[str, int] = {}
    for key, counts in found:
        sums[key] = sums.get(key, 0) + counts.requests
    return since, sums


def held(slots: Slots[str]) -> list[dict[str, Counts]]:
    return [slot.counts for ring in slots._rings for slot in ring]


@given(steps, gaps)
@example([(float(gap), "a") for gap in [9.5] * 119], 0.0)
@example([(float(gap), "a") for gap in [61.0] * 119], 0.0)
@example([(float(gap), "a") for gap in [29.0] * 119], 31.0)
def test_a_window_holds_what_ended_in_it_once_and_nothing_from_before_its_first_slot(
    moves: list[tuple[float, str]], wait: float
) -> None:
    times = [START + sum_ for sum_ in accumulate(gap for gap, _ in moves)]
    ends = [(at, key) for at, (_, key) in zip(times, moves, strict=True)]
    slots = Slots(OTHERS)
    for at, key in ends:
        slots.of(key, at).requests += 1
    now = ends[-1][0] + wait
    for window, length in LENGTHS.items():
        since, sums = counted(slots, window, now)
        assert window.seconds == length
        assert now - length - LEVELS[window].seconds < since <= now - length
        expected: dict[str, int] = {}
        for at, key in ends:
            if at >= since:
                expected[key] = expected.get(key, 0) + 1
        assert sums == expected


@given(steps)
def test_every_request_of_the_last_hour_is_in_one_slot_alone(moves: list[tuple[float, str]]) -> None:
    slots, now, ends = Slots(OTHERS), START, []
    for gap, key in moves:
        now += gap
        slots.of(key, now).requests += 1
        ends.append(now)
        within = sum(at >= slots.since(FiguresWindow.HOUR, now)[0] for at in ends)
        assert sum(counts.requests for slot in held(slots) for counts in slot.values()) == within


def test_what_is_held_is_bounded_however_long_and_of_whatever_many_groups() -> None:
    slots = Slots(OTHERS)
    # A day, in which every slot sees other groups than the one before; for once, more than are told apart.
    for turn in range(86_400 // SHORTEST):
        groups = MOST_GROUPS + 50 if turn % 700 == 0 else 3
        for number in range(groups):
            slots.of(f"{turn}-{number}", START + turn * SHORTEST).requests += 1
        assert len(slots._filling.counts) <= MOST_GROUPS + 1
        assert all(len(ring) <= level.slots + 1 for ring, level in zip(slots._rings, LEVELS.values(), strict=True))
    assert max(map(len, held(slots))) <= MOST_GROUPS + 1


def test_groups_beyond_the_bound_are_counted_as_one_and_none_is_lost() -> None:
    slots = Slots(OTHERS)
    for number in range(MOST_GROUPS + 50):
        slots.of(f"{number}", START).requests += 1
    # They stay together when they move into a longer slot, and when others come to it.
    for number in range(MOST_GROUPS + 50):
        slots.of(f"more-{number}", START + SHORTEST).requests += 1
    later = START + 600
    slots.of("x", later).requests += 1
    assert [len(ring) for ring in slots._rings] == [1, 0, 1]
    _, sums = counted(slots, FiguresWindow.HOUR, later)
    assert sum(sums.values()) == 2 * (MOST_GROUPS + 50) + 1
    assert sums[OTHERS] == 50 + 50 + MOST_GROUPS


@pytest.mark.parametrize("back", [1.0, 45.0, 500.0, 10_000.0])
def test_a_clock_that_is_set_back_counts_nothing_twice_and_lets_time_go_on(back: float) -> None:
    slots = Slots(OTHERS)
    slots.of("a", START).requests += 1
    now = START - back
    slots.of("b", now).requests += 1
    since, sums = counted(slots, FiguresWindow.MINUTE, now)
    assert sums == {"a": 1, "b": 1}
    assert now - 70 < since <= now - 60
    # Two minutes on by the clock that is, all of it is out of the window.
    assert counted(slots, FiguresWindow.MINUTE, now + 120)[1] == {}
    assert counted(slots, FiguresWindow.FIVE_MINUTES, now + 120)[1] == {"a": 1, "b": 1}


def test_a_clock_that_is_set_back_before_a_question_hides_nothing() -> None:
    slots = Slots(OTHERS)
    slots.of("a", START).requests += 1
    assert counted(slots, FiguresWindow.MINUTE, START - 500)[1] == {"a": 1}


def test_before_anything_ended_there_is_nothing() -> None:
    since, sums = counted(Slots(OTHERS), FiguresWindow.HOUR, START)
    assert sums == {}
    assert START - 3_600 - LONGEST < since <= START - 3_600
