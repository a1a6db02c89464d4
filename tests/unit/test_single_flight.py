"""The same work asked for by many at once is done once; a storm of cancellations leaves nobody behind."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from muxer_grpc.domain.errors import DeadlineExceeded
from muxer_grpc.pipeline.single_flight import Landed, SingleFlight, Turn
from muxer_grpc.pipeline.time_limit import TimeLimit

LONG = 60.0


def limit_of(seconds: float = LONG) -> TimeLimit:
    return TimeLimit(asyncio.get_running_loop().time() + seconds)


class Crowd:
    """Callers of one kind of work; each notes what became of it, and the work counts how often it is done."""

    def __init__(self) -> None:
        self.flights: SingleFlight[str] = SingleFlight()
        self.begun = 0
        self.at_once = self.most_at_once = 0
        self.go_on = asyncio.Event()

    async def work(self, key: str = "k", *, fails: bool = False, limit: TimeLimit | None = None) -> str:
        """Asks for the work as the pipeline does."""
        turn = await self.flights.join(key, limit or limit_of(), LONG)
        if isinstance(turn, Landed):
            return f"shared {turn.result}"
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go_on.wait()
            if fails:
                return "failed"
            if turn is not None:
                turn.give("answer")
            return "own answer"
        finally:
            self.at_once -= 1
            if turn is not None:
                turn.close()

    async def gathered(self) -> None:
        """Lets all tasks get as far as they can."""
        for _ in range(5):
            await asyncio.sleep(0)


async def test_one_works_and_all_get_what_it_brings() -> None:
    crowd = Crowd()
    tasks = [asyncio.create_task(crowd.work()) for _ in range(100)]
    await crowd.gathered()
    crowd.go_on.set()
    assert Counter(await asyncio.gather(*tasks)) == {"own answer": 1, "shared answer": 99}
    assert (crowd.begun, crowd.flights.under_way) == (1, 0)


async def test_work_of_different_kinds_goes_on_at_once() -> None:
    crowd = Crowd()
    tasks = [asyncio.create_task(crowd.work(key)) for key in "ababab"]
    await crowd.gathered()
    assert crowd.begun == 2
    crowd.go_on.set()
    assert Counter(await asyncio.gather(*tasks)) == {"own answer": 2, "shared answer": 4}


async def test_when_the_first_fails_exactly_one_goes_on_and_the_others_wait_for_it() -> None:
    crowd = Crowd()
    first = asyncio.create_task(crowd.work(fails=True))
    await crowd.gathered()
    others = [asyncio.create_task(crowd.work()) for _ in range(50)]
    await crowd.gathered()
    crowd.go_on.set()
    assert await first == "failed"
    assert Counter(await asyncio.gather(*others)) == {"own answer": 1, "shared answer": 49}
    assert (crowd.begun, crowd.most_at_once) == (2, 1)


async def test_when_the_firsts_caller_leaves_whoever_waits_longest_takes_over() -> None:
    crowd = Crowd()
    first, second, third = (asyncio.create_task(crowd.work()) for _ in range(3))
    await crowd.gathered()
    first.cancel()
    await crowd.gathered()
    assert first.cancelled()
    assert crowd.begun == 2
    crowd.go_on.set()
    assert await asyncio.gather(second, third) == ["own answer", "shared answer"]


async def test_a_turn_that_comes_to_a_caller_who_leaves_in_that_moment_goes_on_to_the_next() -> None:
    crowd = Crowd()
    first, second, third = (asyncio.create_task(crowd.work()) for _ in range(3))
    await crowd.gathered()
    turn = await holder_of(crowd)
    # The second is told that the turn is its own, and is cancelled before it can run.
    turn.close()
    second.cancel()
    await crowd.gathered()
    assert second.cancelled()
    assert crowd.begun == 2, "the third works"
    crowd.go_on.set()
    assert await third == "own answer"
    assert await first == "own answer"
    assert crowd.flights.under_way == 0


async def holder_of(crowd: Crowd) -> Turn[str]:
    """Gives the turn that a first caller holds, to be closed in its name."""
    flight = crowd.flights._flights["k"]
    return Turn(crowd.flights, "k", flight)


async def test_what_is_not_for_others_lets_all_go_on_at_once() -> None:
    crowd = Crowd()
    flights = crowd.flights
    turn = await flights.join("k", limit_of(), LONG)
    assert isinstance(turn, Turn)
    waiting = [asyncio.create_task(flights.join("k", limit_of(), LONG)) for _ in range(10)]
    await crowd.gathered()
    turn.let_all_go()
    assert await asyncio.gather(*waiting) == [None] * 10
    turn.close()
    assert isinstance(await flights.join("k", limit_of(), LONG), Turn), "whoever comes next begins anew"


async def test_whoever_comes_before_the_turn_is_closed_gets_what_it_brought() -> None:
    flights: SingleFlight[str] = SingleFlight()
    turn = await flights.join("k", limit_of(), LONG)
    assert isinstance(turn, Turn)
    turn.give("answer")
    assert await flights.join("k", limit_of(), LONG) == Landed("answer")
    turn.close()
    turn.close()
    assert isinstance(await flights.join("k", limit_of(), LONG), Turn)


async def test_each_waits_no_longer_than_its_own_limit_and_its_patience() -> None:
    flights: SingleFlight[str] = SingleFlight()
    turn = await flights.join("k", limit_of(), LONG)
    assert isinstance(turn, Turn)
    with pytest.raises(DeadlineExceeded):
        await flights.join("k", limit_of(0.01), LONG)
    assert await flights.join("k", limit_of(), 0.01) is None
    waiting = asyncio.create_task(flights.join("k", limit_of(), LONG))
    await asyncio.sleep(0)
    # Those who left are not handed the turn.
    turn.close()
    assert isinstance(await waiting, Turn)


async def test_a_storm_of_cancellations_leaves_nobody_waiting_and_never_two_at_work() -> None:
    """Whoever works is cancelled again and again, and waiters at random, until one is let through."""
    chance = random.Random(7)
    crowd = Crowd()
    tasks = [asyncio.create_task(crowd.work()) for _ in range(300)]
    await crowd.gathered()
    while sum(not task.done() for task in tasks) > 20:
        open_ones = [task for task in tasks if not task.done()]
        for task in [open_ones[0], *chance.sample(open_ones, 5)]:
            task.cancel()
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
    await crowd.gathered()
    crowd.go_on.set()
    said = await asyncio.gather(*tasks, return_exceptions=True)
    words = Counter("cancelled" if isinstance(one, asyncio.CancelledError) else one for one in said)
    assert words["own answer"] == 1
    assert words["own answer"] + words["shared answer"] + words["cancelled"] == 300
    assert words["shared answer"] >= 10
    assert (crowd.most_at_once, crowd.at_once, crowd.flights.under_way) == (1, 0, 0)


async def test_when_everybody_leaves_nothing_is_left_under_way() -> None:
    crowd = Crowd()
    tasks = [asyncio.create_task(crowd.work()) for _ in range(100)]
    await crowd.gathered()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    assert (crowd.flights.under_way, crowd.at_once) == (0, 0)
