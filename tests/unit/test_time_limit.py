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
