"""Requests gather for a transaction that they share, for no longer than it helps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, repeat

import pytest

from muxer_grpc.storage.gathering import FEW, GATHER_EACH, GATHER_LOOK, GATHER_MOST, let_gather
from tests.rpc.service import Clock


class Pauses:
    """A clock that a sleep moves."""

    def __init__(self) -> None:
        self.clock = Clock(0)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.at += seconds

    def gather(self, together: int, waiting: Iterator[int]) -> list[float]:
        let_gather(together, lambda: next(waiting), self.sleep, self.clock)
        return self.slept


@pytest.mark.parametrize("together", [0, 1])
def test_after_a_lone_request_nobody_is_waited_for(together: int) -> None:
    assert Pauses().gather(together, count(1)) == []


@pytest.mark.parametrize("together", range(2, FEW))
def test_after_few_it_is_waited_so_long_for_each_and_no_longer_whoever_comes(together: int) -> None:
    assert Pauses().gather(together, count(1)) == [together * GATHER_EACH]


def test_after_many_it_is_waited_for_as_long_as_more_have_come_at_each_look() -> None:
    assert Pauses().gather(FEW, chain([0, 5, 9, 12], repeat(12))) == [GATHER_LOOK] * 4


def test_after_many_of_whom_none_comes_back_one_look_is_all() -> None:
    assert Pauses().gather(200, repeat(0)) == [GATHER_LOOK]


def test_however_many_keep_coming_nobody_waits_longer_than_the_most() -> None:
    assert sum(Pauses().gather(64, count())) == pytest.approx(GATHER_MOST, abs=GATHER_LOOK)
