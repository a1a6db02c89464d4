"""PostgreSQL stopped, killed and restarted under load, its sessions ended: typed refusals, and no nano-dollar lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from muxer_grpc.storage.database import Database
from muxer_grpc.storage.migrating import migrate
from tests.fakes.provider import fake_provider
from tests.process.callers import Seen, check_calls, connected, keep_calling
from tests.process.replicas import replica, variables
from tests.services.postgres import PostgresServer
from tests.storage.reckoning import differences, read_books
from tests.storage.records import add_budget, budget

MODELS = ("plain", "tokens-200", "delay-40")
PROCESSES = 2
CALLERS = 10
SHORT = {"MUXER_STORAGE__PATIENCE_SECONDS": "0.5", "MUXER_STORAGE__SETTLE_SECONDS": "1"}

END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'muxer'"


async def until_more(count: Callable[[], int], more: int = 20) -> None:
    """Waits until there are some more of something; that they never come is for the test's time limit to tell."""
    wanted = count() + more
    while count() < wanted:
        await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_calls_are_refused_in_time_while_postgresql_is_gone_and_nothing_is_lost(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    database = Database(own_postgres.url)
    migrate(database)
    await add_budget(database, budget(10**15))
    await database.aclose()
    seen = Seen()

    async def answers_again() -> None:
        await until_more(lambda: len(seen.complete))
        for task in calling:
            assert not task.done() or task.result(), "a caller gave up"

    async with fake_provider() as provider, AsyncExitStack() as stack:
        settings = variables(own_postgres.url, f"{provider.url}/v1", *MODELS, **SHORT, MUXER_STORAGE__LEASE_SECONDS="3")
        replicas = [await stack.enter_async_context(replica(tmp_path / str(n), **settings)) for n in range(PROCESSES)]
        stubs = [await stack.enter_async_context(connected(each.target)) for each in replicas]
        calling = [
            asyncio.create_task(keep_calling(stub, MODELS, seen, random.Random(caller)))
            for caller in range(CALLERS)
            for stub in stubs
        ]
        await answers_again()
        for end in (own_postgres.stop, own_postgres.kill):
            await asyncio.to_thread(end)
            await until_more(lambda: seen.reasons["STORAGE_UNAVAILABLE"])
            await asyncio.to_thread(own_postgres.start)
            await answers_again()
        await asyncio.to_thread(own_postgres.restart)
        await answers_again()
        with psycopg.connect(own_postgres.url, autocommit=True) as operator:
            for _ in range(20):
                operator.execute(END_SESSIONS)
                await until_more(lambda: len(seen.complete), more=3)
        seen.over = True
        await asyncio.gather(*calling)
        while (await asyncio.to_thread(read_books, database)).reservations:
            await asyncio.sleep(0.05)
        assert [await each.stopped() for each in replicas] == [0] * PROCESSES
        books = read_books(database)
        assert differences(books) == []
        check_calls(books, seen, provider)
    assert seen.reasons.keys() == {"STORAGE_UNAVAILABLE"}, "typed, and before the callers' deadlines"
    assert {row["outcome"] for row in books.entries} - {"cancelled"} == {"complete"}, "nobody was taken for dead"
