"""Lookups that are remembered for moments: for how long, how many, and for whom."""

from __future__ import annotations

import asyncio

import pytest

from muxer_grpc.identity.recent import RecentLookups


class Shelf:
    """What is looked up; `gate` holds lookups back until a test lets them go."""

    def __init__(self, **things: str) -> None:
        self.things = dict(things)
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def look_up(self, key: str) -> str | None:
        self.asked.append(key)
        found = self.things.get(key)
        await self.gate.wait()
        if self.broken:
            raise OSError
        return found


async def test_what_was_found_counts_for_two_seconds_from_the_question_on() -> None:
    shelf = Shelf(a="old")
    recent = RecentLookups(shelf.look_up)
    assert await recent.get("a", 100.0) == "old"
    shelf.things["a"] = "new"
    assert await recent.get("a", 101.99) == "old"
    assert await recent.get("a", 102.0) == "new"


async def test_what_was_not_found_counts_for_half_a_second() -> None:
    shelf = Shelf()
    recent = RecentLookups(shelf.look_up)
    assert await recent.get("a", 100.0) is None
    shelf.things["a"] = "new"
    assert await recent.get("a", 100.49) is None
    assert await recent.get("a", 100.5) == "new"
    assert shelf.asked == ["a", "a"]


async def test_what_is_gone_is_forgotten_though_it_was_found_before() -> None:
    shelf = Shelf(a="there")
    recent = RecentLookups(shelf.look_up)
    await recent.get("a", 100.0)
    del shelf.things["a"]
    assert await recent.get("a", 102.0) is None
    assert await recent.get("a", 102.4) is None
    assert shelf.asked == ["a", "a"]


async def test_a_clock_that_is_set_back_lets_no_answer_last() -> None:
    shelf = Shelf(a="old")
    recent = RecentLookups(shelf.look_up)
    await recent.get("a", 100.0)
    shelf.things["a"] = "new"
    assert await recent.get("a", 50.0) == "new"


async def test_those_who_ask_for_the_same_at_once_share_one_lookup() -> None:
    shelf = Shelf(a="there")
    shelf.gate.clear()
    recent = RecentLookups(shelf.look_up)
    asking = [asyncio.create_task(recent.get("a", 100.0)) for _ in range(50)]
    await asyncio.sleep(0)
    shelf.gate.set()
    assert await asyncio.gather(*asking) == ["there"] * 50
    assert shelf.asked == ["a"]


async def test_one_who_goes_away_does_not_take_the_answer_from_the_others() -> None:
    shelf = Shelf(a="there")
    shelf.gate.clear()
    recent = RecentLookups(shelf.look_up)
    first, second = (asyncio.create_task(recent.get("a", 100.0)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    shelf.gate.set()
    assert await second == "there"
    assert shelf.asked == ["a"]


async def test_an_error_reaches_everybody_who_waits_and_is_not_remembered() -> None:
    shelf = Shelf(a="there")
    shelf.broken = True
    shelf.gate.clear()
    recent = RecentLookups(shelf.look_up)
    asking = [asyncio.create_task(recent.get("a", 100.0)) for _ in range(3)]
    await asyncio.sleep(0)
    shelf.gate.set()
    assert [type(answer) for answer in await asyncio.gather(*asking, return_exceptions=True)] == [OSError] * 3
    shelf.broken = False
    assert await recent.get("a", 100.0) == "there"


async def test_an_error_that_nobody_waits_for_any_more_is_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    shelf.broken = True
    shelf.gate.clear()
    asking = asyncio.create_task(RecentLookups(shelf.look_up).get("a", 100.0))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    shelf.gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert shelf.asked == ["a"]
    assert not caplog.records


async def test_no_more_than_the_bound_is_remembered_and_the_oldest_goes_first() -> None:
    shelf = Shelf(**{name: name for name in "abcd"})
    recent = RecentLookups(shelf.look_up, most=3)
    for name in "abcd":
        await recent.get(name, 100.0)
    for name in "bcda":
        await recent.get(name, 100.0)
    assert shelf.asked == [*"abcd", "a"]
    assert len(recent) == 3


async def test_a_flood_of_what_is_not_there_pushes_out_nothing_that_is() -> None:
    shelf = Shelf(a="there")
    recent = RecentLookups(shelf.look_up, most=10)
    await recent.get("a", 100.0)
    for number in range(1_000):
        await recent.get(f"none-{number}", 100.0)
    await recent.get("a", 100.0)
    assert shelf.asked.count("a") == 1
    assert len(recent) == 11
