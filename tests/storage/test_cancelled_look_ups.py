"""Look-ups whose callers leave, at any moment and more than once, leave no task and no thread behind."""

from __future__ import annotations

import asyncio
import gc
import random

from muxer_grpc.storage.alerts import AlertTable
from muxer_grpc.storage.database import Database

TIMES = 60


async def test_what_is_cancelled_twice_ends_and_leaves_no_task(database: Database) -> None:
    """One that stayed would keep the event loop, and with it the process, from ever ending."""
    alerts, chance = AlertTable(database), random.Random(4)

    async def look() -> None:
        while True:
            await alerts.last()

    before = asyncio.all_tasks()
    async with asyncio.timeout(60):
        for _ in range(TIMES):
            task = asyncio.create_task(look())
            await asyncio.sleep(chance.random() * 0.02)
            task.cancel()
            await asyncio.sleep(chance.random() * 0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert await alerts.last() == 0
        await database.aclose()
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left)


async def test_a_database_that_is_closed_during_look_ups_leaves_no_connection_open(database_url: str) -> None:
    chance = random.Random(7)
    for _ in range(TIMES // 3):
        database = Database(database_url)
        looking = [asyncio.create_task(AlertTable(database).last()) for _ in range(3)]
        # Some are being connected then, some look, some are done.
        await asyncio.sleep(chance.random() * 0.03)
        await database.aclose()
        assert await asyncio.gather(*looking) == [0, 0, 0]
        del looking
    # One that is left open says so when it is found, which fails the test.
    gc.collect()
