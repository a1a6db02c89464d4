"""The sweeper, on both databases: signs of life, promises of processes that are gone, and what is kept for a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import ceil
from pathlib import Path

import pytest

from muxer_grpc.domain.ledger import KeptContent, KeptDecision, Reservation
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.storage import schema
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.migrating import migrate
from muxer_grpc.storage.sweeper import CLOCK_SLACK, FORGOTTEN, MOST_AT_ONCE, Sweeper
from muxer_grpc.storage.writer import LedgerWriter, WriterRules
from tests.rpc.service import Clock
from tests.services import shared
from tests.services.postgres import PostgresServer
from tests.services.server import Session
from tests.storage.reckoning import differences, read_books, rows_of
from tests.storage.records import NOW, SECOND, SUBJECT, add_budget, budget, reservation, settlement

LEASE = 60.0
START = NOW / SECOND


class Replica:
    """A writer and a sweeper, as one process has them."""

    def __init__(self, database: Database, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.writer = LedgerWriter(database, WriterRules(20, 20), now=clock)
        self.sweeper = Sweeper(database, self.writer, name, LEASE, clock)

    async def promise(self, amount: int = 100, **changes: object) -> Reservation:
        at_us = int(self.clock() * SECOND)
        until = at_us + int(LEASE * SECOND)
        made = reservation(amount=amount, instance_id=self.name, created_us=at_us, lease_until_us=until, **changes)
        await self.writer.reserve(made)
        return made

    async def live(self, seconds: float) -> None:
        """Lets time pass, and takes its turns meanwhile."""
        for _ in range(ceil(3 * seconds / LEASE)):
            self.clock.at += LEASE / 3
            await self.sweeper.turn()


@asynccontextmanager
async def replicas(database: Database, clock: Clock, *names: str) -> AsyncGenerator[list[Replica], None]:
    made = [Replica(database, name, clock) for name in names]
    # They have been there for a while.
    for replica in made:
        await replica.sweeper.turn()
    try:
        yield made
    finally:
        await asyncio.gather(*(replica.writer.aclose() for replica in made))


async def test_a_promise_of_a_living_process_is_left_alone_however_long_it_takes(database: Database) -> None:
    clock = Clock(START)
    async with replicas(database, clock, "here", "there") as (here, there):
        promise = await here.promise()
        for _ in range(10):
            clock.at += LEASE / 3
            await here.sweeper.turn()
            await there.sweeper.turn()
        await here.writer.settle(settlement(promise, 40))
    assert [row["outcome"] for row in read_books(database).entries] == ["complete"]


async def test_a_promise_of_a_dead_process_is_settled_at_what_it_was_expected_to_cost(database: Database) -> None:
    clock = Clock(START)
    await add_budget(database, budget())
    async with replicas(database, clock, "dead", "here") as (dead, here):
        promise = await dead.promise(expected_nano_usd=30, request_id="r", model="m", provider="p", decision_id="dec_1")
        await here.live(LEASE)
        clock.at += CLOCK_SLACK
        await here.sweeper.turn()
        assert read_books(database).entries == [], "it may be late by as much as clocks differ"
        clock.at += 0.001
        await here.sweeper.turn()
    books = read_books(database)
    assert differences(books) == []
    [row] = books.entries
    booked = {
        "outcome": "abandoned",
        "usage_source": "estimated",
        "cost_nano_usd": 30,
        "cost_pico_usd": 30_000,
        "model": "m",
        "provider": "p",
    }
    assert {name: row[name] for name in booked} == booked
    assert (row["completion_id"], row["request_id"], row["created_us"]) == (promise.completion_id, "r", NOW)
    assert books.requests == [], "the request may be tried again"


async def test_two_sweepers_settle_each_promise_once(database: Database) -> None:
    clock = Clock(START)
    await add_budget(database, budget(1_000_000))
    async with replicas(database, clock, "dead", "one", "other") as (dead, one, other):
        await asyncio.gather(*(dead.promise() for _ in range(200)))
        await one.live(LEASE)
        await other.sweeper.turn()
        clock.at += LEASE
        await asyncio.gather(one.sweeper.turn(), other.sweeper.turn())
    books = read_books(database)
    assert (len(books.entries), books.reservations, differences(books)) == (200, [], [])


async def test_one_turn_sweeps_all_there_is(database: Database) -> None:
    clock = Clock(START)
    async with replicas(database, clock, "dead", "here") as (dead, here):
        await asyncio.gather(*(dead.promise() for _ in range(MOST_AT_ONCE + 10)))
        await here.live(2 * LEASE)
    assert read_books(database).reservations == []


async def test_a_process_that_was_only_slow_has_the_last_word(database: Database) -> None:
    clock = Clock(START)
    await add_budget(database, budget())
    async with replicas(database, clock, "slow", "here") as (slow, here):
        promise = await slow.promise(expected_nano_usd=30)
        await here.live(2 * LEASE)
        await slow.writer.settle(settlement(promise, 77))
    books = read_books(database)
    assert [(row["outcome"], row["cost_nano_usd"]) for row in books.entries] == [("complete", 77)]
    assert differences(books) == []


async def test_after_an_outage_nobody_is_taken_for_dead_before_a_lease_is_over(services: Session) -> None:
    clock = Clock(START)
    with PostgresServer(services) as server:
        database = Database(server.url)
        migrate(database)
        async with replicas(database, clock, "here", "there") as (here, there):
            promise = await there.promise()
            await asyncio.to_thread(server.stop)
            clock.at += 2 * LEASE
            with pytest.raises(StorageUnavailable):
                await here.sweeper.turn()
            await asyncio.to_thread(server.start)
            await here.sweeper.turn()
            clock.at += LEASE - 1
            await here.sweeper.turn()
            assert len(read_books(database).reservations) == 1
            await there.writer.settle(settlement(promise, 40))
            dead = await there.promise()
            await here.live(2 * LEASE)
        books = read_books(database)
        await database.aclose()
    outcomes = {row["completion_id"]: row["outcome"] for row in books.entries}
    assert outcomes == {promise.completion_id: "complete", dead.completion_id: "abandoned"}


async def test_who_starts_while_others_are_away_takes_nobody_for_dead_before_a_lease_is_over(
    services: Session,
) -> None:
    clock = Clock(START)
    with shared.empty_postgresql(services) as url:
        database = Database(url)
        migrate(database)
        async with replicas(database, clock, "here") as (here,):
            promise = await here.promise()
            clock.at += 2 * LEASE
            async with replicas(database, clock, "new") as (new,):
                await here.sweeper.turn()
                await new.live(2 * LEASE / 3)
                assert len(read_books(database).reservations) == 1
                await here.writer.settle(settlement(promise, 40))
        books = read_books(database)
        await database.aclose()
    assert [row["outcome"] for row in books.entries] == ["complete"]


async def test_a_process_that_was_halted_takes_nobody_for_dead_before_a_lease_is_over(database: Database) -> None:
    clock = Clock(START)
    async with replicas(database, clock, "here", "there") as (here, there):
        promise = await there.promise()
        # Both were, and this one goes on first.
        clock.at += 2 * LEASE
        await here.sweeper.turn()
        await there.sweeper.turn()
        await here.live(2 * LEASE / 3)
        await there.writer.settle(settlement(promise, 40))
    assert [row["outcome"] for row in read_books(database).entries] == ["complete"]


async def test_what_a_dead_process_left_in_a_file_is_settled_as_soon_as_another_starts(
    services: Session, tmp_path: Path
) -> None:
    database = Database(shared.migrated_sqlite(services, tmp_path / "muxer.db"))
    clock = Clock(START)
    async with replicas(database, clock, "dead", "here") as (dead, here):
        await dead.promise()
        clock.at += 2 * LEASE
        running = asyncio.create_task(Sweeper(database, here.writer, "new", LEASE, clock).run())
        while read_books(database).reservations:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [row["outcome"] for row in read_books(database).entries] == ["abandoned"]
    await database.aclose()


async def test_a_stray_cancellation_does_not_end_the_signs_of_life(database: Database) -> None:
    signs = 0

    class Cancelled(Sweeper):
        async def renew(self) -> None:
            nonlocal signs
            signs += 1
            raise asyncio.CancelledError

    async with replicas(database, Clock(START), "here") as (here,):
        running = asyncio.create_task(Cancelled(database, here.writer, "here", 0.01, here.clock).run())
        while signs < 3:
            await asyncio.sleep(0.01)
        running.cancel()
        assert isinstance((await asyncio.gather(running, return_exceptions=True))[0], asyncio.CancelledError)


async def test_a_sign_of_life_does_not_wait_for_what_is_swept(database: Database) -> None:
    clock = Clock(START)
    stuck, signs = asyncio.Event(), 0

    class Stuck(Sweeper):
        async def renew(self) -> None:
            nonlocal signs
            signs += 1
            await super().renew()

        async def clear(self) -> None:
            await stuck.wait()

    async with replicas(database, clock, "here") as (here,):
        running = asyncio.create_task(Stuck(database, here.writer, "here", 0.01, clock).run())
        while signs < 3:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_promise_of_its_own_is_never_taken_for_a_dead_one_s(database: Database) -> None:
    clock = Clock(START)
    async with replicas(database, clock, "here") as (here,):
        await here.promise()
        clock.at += 2 * LEASE
        await here.sweeper.sweep()
    assert len(read_books(database).reservations) == 1


async def test_a_request_that_takes_longer_than_its_id_is_kept_is_known_until_its_end(database: Database) -> None:
    clock = Clock(START)
    async with replicas(database, clock, "here") as (here,):
        promise = await here.promise(request_id="r", idempotent_until_us=NOW)
        await here.live(LEASE)
        repeated = await here.writer.reserve(reservation("again", request_id="r", created_us=int(clock() * SECOND)))
        assert repeated is not None
        assert repeated.completion_id == promise.completion_id
        await here.writer.settle(settlement(promise, 40, request_id="r", answered=True, answer=b"answer"))
        await here.sweeper.turn()
    assert read_books(database).requests == []


async def test_however_much_is_to_be_forgotten_it_is_forgotten_a_few_at_a_time(database: Database) -> None:
    clock = Clock(START)
    async with replicas(database, clock, "here") as (here,):
        kept = [KeptDecision(f"dec_{n}", SUBJECT, "cost", "chat_lite", "m", b"", b"", NOW, NOW) for n in range(1_200)]
        await asyncio.gather(*map(here.writer.keep, kept))
        clock.at += 1
        assert await here.sweeper.forget(schema.decisions) == MOST_AT_ONCE
        await here.sweeper.turn()
    assert rows_of(database, schema.decisions) == []


async def test_a_turn_that_breaks_is_not_the_last_one(database: Database) -> None:
    clock = Clock(START)
    async with replicas(database, clock, "dead", "here") as (dead, here):
        promise = await dead.promise()
        clock.at += 2 * LEASE
        turns = 0

        class Breaking(Sweeper):
            async def renew(self) -> None:
                nonlocal turns
                turns += 1
                if turns == 1:
                    msg = "broken"
                    raise RuntimeError(msg)
                await super().renew()
                # The lease that a broken turn gives to everybody will be over, and no turn comes too late.
                clock.at += 0.009

        running = asyncio.create_task(Breaking(database, here.writer, "here", 0.01, clock).run())
        while not read_books(database).entries:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert turns > 1
    assert [row["completion_id"] for row in read_books(database).entries] == [promise.completion_id]


async def test_what_is_kept_for_a_time_is_forgotten_when_it_is_over(database: Database) -> None:
    clock = Clock(START)
    later = NOW + 10 * SECOND
    async with replicas(database, clock, "here") as (here,):
        promise = await here.promise(request_id="r", idempotent_until_us=later)
        content = KeptContent(b"p" * 32, b"a" * 32, later, b"prompt", b"answer")
        decision = KeptDecision("dec_1", SUBJECT, "learned", "chat_lite", "m", b"", b"", NOW, later)
        await here.writer.settle(settlement(promise, content=content, decision=decision))
        clock.at += 10
        await here.sweeper.turn()
        assert [len(rows_of(database, table)) for table in FORGOTTEN] == [1, 1, 1]
        clock.at += 0.001
        await here.sweeper.turn()
        assert [len(rows_of(database, table)) for table in FORGOTTEN] == [0, 0, 0]
    assert len(read_books(database).entries) == 1
