"""A call's time limit strikes its waits and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from muxer_grpc.domain.errors import DeadlineExceeded, Draining
from muxer_grpc.pipeline.time_limit import TimeLimit


def limit_of(seconds: float) -> TimeLimit:
    return TimeLimit(asyncio.get_running_loop().time() + seconds)


async def never() -> None:
    await asyncio.Event().wait()


async def test_a_wait_ends_at_the_deadline() -> None:
    with pytest.raises(DeadlineExceeded):
        await limit_of(0.02).wait(never)
    await asyncio.sleep(0)  # nothing is left to strike


async def test_a_wait_that_ends_in_time_gives_its_result() -> None:
    limit = limit_of(10)

    async def soon() -> int:
        await asyncio.sleep(0)
        return 7

    assert await limit.wait(soon) == 7
    limit.close()


async def test_between_waits_nothing_is_struck() -> None:
    limit = limit_of(0.01)
    await limit.wait(lambda: asyncio.sleep(0))
    await asyncio.sleep(0.03)
    with pytest.raises(DeadlineExceeded):
        await limit.wait(never)


async def test_ending_a_call_strikes_its_wait_with_the_given_error() -> None:
    limit = limit_of(10)
    asyncio.get_running_loop().call_later(0.01, limit.end, Draining("stop"))
    with pytest.raises(Draining):
        await limit.wait(never)


async def test_ending_a_call_between_waits_strikes_the_next() -> None:
    limit = limit_of(10)
    await limit.wait(lambda: asyncio.sleep(0))
    limit.end(Draining("stop"))
    with pytest.raises(Draining):
        await limit.wait(never)


async def test_a_real_cancellation_passes() -> None:
    limit = limit_of(10)
    task = asyncio.create_task(limit.wait(never))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    limit.close()


async def test_a_real_cancellation_in_the_same_turn_as_the_deadline_passes() -> None:
    limit = limit_of(10)
    task = asyncio.create_task(limit.wait(never))
    await asyncio.sleep(0)
    limit.end(Draining("stop"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1


async def test_after_a_strike_the_task_can_wait_again() -> None:
    limit = limit_of(0.01)
    with pytest.raises(DeadlineExceeded):
        await limit.wait(never)
    await asyncio.sleep(0.01)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


# Patience: a bound of its own on silence, that moves on with each piece.


class Silent(Exception):
    """What is raised when patience is lost."""


async def test_patience_bounds_a_wait_and_the_call_goes_on() -> None:
    limit = limit_of(60)
    limit.have_patience(0.01, Silent())
    with pytest.raises(Silent):
        await limit.wait(never)
    limit.have_patience(None, Silent())
    await limit.wait(lambda: asyncio.sleep(0))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    limit.close()


async def test_patience_that_was_taken_away_strikes_nothing() -> None:
    limit = limit_of(60)
    limit.have_patience(0.01, Silent())
    limit.have_patience(None, Silent())
    await limit.wait(lambda: asyncio.sleep(0.03))
    limit.close()


async def test_patience_moves_on_with_each_piece() -> None:
    limit = limit_of(60)
    for _ in range(12):
        limit.have_patience(1.0, Silent())
        await limit.wait(lambda: asyncio.sleep(0.1))
    limit.close()


async def test_a_shorter_patience_counts_at_once() -> None:
    limit = limit_of(60)
    limit.have_patience(600, Silent())
    limit.have_patience(0.01, Silent())
    with pytest.raises(Silent):
        await limit.wait(never)
    limit.close()


async def test_patience_strikes_no_one_who_is_not_waiting() -> None:
    limit = limit_of(60)
    await limit.wait(lambda: asyncio.sleep(0))
    limit.have_patience(0.01, Silent())
    await asyncio.sleep(0.03)
    limit.have_patience(60, Silent())
    await limit.wait(lambda: asyncio.sleep(0.06))
    limit.close()


async def test_the_deadline_comes_before_patience_where_both_are_up() -> None:
    limit = limit_of(0.01)
    limit.have_patience(0.01, Silent())
    await asyncio.sleep(0.03)
    with pytest.raises(DeadlineExceeded):
        await limit.wait(never)
    limit.close()


async def test_an_end_from_outside_comes_before_patience() -> None:
    limit = limit_of(60)
    limit.have_patience(600, Silent())
    waiting = asyncio.create_task(limit.wait(never))
    await asyncio.sleep(0)
    limit.end(Draining("stop"))
    with pytest.raises(Draining):
        await waiting
    limit.close()


async def test_a_real_cancellation_in_the_same_turn_as_lost_patience_passes() -> None:
    limit = limit_of(60)
    limit.have_patience(600, Silent())
    task = asyncio.create_task(limit.wait(never))
    await asyncio.sleep(0)
    limit.have_patience(0, Silent())
    limit._lose_patience()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    limit.close()


async def test_what_is_waited_for_may_take_the_strike_as_its_own() -> None:
    async def stubborn() -> int:
        try:
            await never()
        except asyncio.CancelledError:
            return 7
        return 0

    limit = limit_of(60)
    limit.have_patience(0.01, Silent())
    assert await limit.wait(stubborn) == 7
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    limit.close()
