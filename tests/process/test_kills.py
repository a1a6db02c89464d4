"""kill -9 at random points under load: every answer that a caller saw is booked once, and nothing stays promised."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from muxer_grpc.domain.budgeting import Period
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.ledger_check import LedgerCheckTable
from muxer_grpc.storage.sweeper import CLOCK_SLACK
from tests.fakes.provider import fake_provider
from tests.process.callers import Seen, check_calls, connected, keep_calling, names_at
from tests.process.replicas import LONG, replica, variables
from tests.storage.reckoning import differences, read_books
from tests.storage.records import SECOND, add_budget, budget

MODELS = ("plain", "tokens-200", "delay-40")
AT_ONCE = 4
CALLERS = 6
KILLS = 400 if LONG else 12


async def live_and_die(folder: Path, settings: dict[str, str], seen: Seen, chance: random.Random) -> None:
    """Is the life of one replica under load, to its sudden end: mostly at work, at times as it starts."""
    starting = asyncio.timeout(chance.random() * 0.5 if chance.random() < 0.15 else None)
    try:
        async with starting, replica(folder, **settings) as running, connected(running.target) as stub:
            starting.reschedule(None)
            calling = [asyncio.create_task(keep_calling(stub, MODELS, seen, chance)) for _ in range(CALLERS)]
            await asyncio.sleep(chance.random() * 0.8)
            running.kill()
            await running.ended.wait()
            await asyncio.gather(*calling)
    except TimeoutError:
        assert starting.expired()


async def contradictions(database: Database) -> list[object]:
    """Lists what does not add up, in the eyes of this test and of `muxer ledger check`; promises may be open yet."""
    found = await LedgerCheckTable(database).check(None, int(time.time() * SECOND), grace_us=600 * SECOND)
    return [*differences(await asyncio.to_thread(read_books, database)), *found.differences]


@pytest.mark.slow
@pytest.mark.timeout(3_600 if LONG else 300)
async def test_whoever_is_killed_at_whatever_moment_the_books_are_right(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    for period in (Period.DAILY, Period.TOTAL):
        await add_budget(database, budget(10**15, period))
    seen, chance = Seen(), random.Random(9)
    async with fake_provider() as provider:
        settings = variables(database_url, f"{provider.url}/v1", *MODELS)
        for _ in range(-(-KILLS // AT_ONCE)):
            lives = (live_and_die(tmp_path / str(number), settings, seen, chance) for number in range(AT_ONCE))
            await asyncio.gather(*lives)
            assert await contradictions(database) == []
        async with replica(tmp_path / "last", **settings) as last:
            while (await asyncio.to_thread(read_books, database)).reservations:
                await asyncio.sleep(0.1)
            assert await last.stopped() == 0
        books = read_books(database)
        assert await contradictions(database) == []
        check_calls(books, seen, provider)
        abandoned = [row for row in books.entries if row["outcome"] == "abandoned"]
        answered = names_at(provider).keys()
        # The moments were random: some were killed after their provider was asked; before, there is hardly time.
        assert any(row["request_id"] in answered for row in abandoned)
        assert len(seen.complete) > len(abandoned)
        # A promise dates from when it was posted, which may be later than what its lease is counted from.
        least = int(CLOCK_SLACK / 2 * SECOND)
        early = [row for row in abandoned if row["settled_us"] - row["created_us"] < least]
        assert early == [], "taken for dead before its lease was over"
