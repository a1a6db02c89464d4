"""The ledger's writer, on both databases: grouped, durable, patient for so long, and sure in doubt."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from muxer_grpc.domain.budgeting import BudgetAlert
from muxer_grpc.domain.ledger import KeptDecision, RequestState
from muxer_grpc.domain.refusals import BudgetExceeded, StorageUnavailable
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage import schema
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.migrating import migrate
from muxer_grpc.storage.writer import LedgerWriter, WriterRules
from tests.services import shared
from tests.services.line import Line
from tests.services.postgres import PostgresServer
from tests.services.server import Session
from tests.storage.reckoning import Books, differences, read_books, rows_of
from tests.storage.records import NOW, SECOND, add_budget, budget, reservation, settlement

SHORT = WriterRules(patience_seconds=1, settle_seconds=1)
LONG = WriterRules(patience_seconds=20, settle_seconds=20)

END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def writing(database: Database, rules: WriterRules = LONG) -> AsyncGenerator[LedgerWriter, None]:
    writer = LedgerWriter(database, rules, now=lambda: NOW / SECOND)
    try:
        yield writer
    finally:
        await writer.aclose()


async def until_written(writer: LedgerWriter) -> None:
    """Waits until nothing waits to be posted; that it never is, is for the test's time limit to tell."""
    while writer.backlog:
        await asyncio.sleep(0.01)


async def consistent(database: Database) -> Books:
    books = await asyncio.to_thread(read_books, database)
    assert differences(books) == []
    return books


async def test_a_promise_is_in_the_database_when_it_is_made_and_its_entry_when_it_is_settled(
    database: Database,
) -> None:
    async with writing(database) as writer:
        promise = reservation(amount=100)
        assert await writer.reserve(promise) is None
        assert read_books(database).reserved == 100
        await writer.settle(settlement(promise, 40))
        books = read_books(database)
        assert (books.spent, books.reserved) == (40, 0)


async def test_what_comes_together_is_written_in_few_transactions(database: Database) -> None:
    promises = [reservation() for _ in range(500)]
    async with writing(database) as writer:
        await asyncio.gather(*map(writer.reserve, promises))
        await asyncio.gather(*(writer.settle(settlement(promise)) for promise in promises))
        assert writer.figures.posted == 1_000
        assert writer.figures.transactions < 50
    books = await consistent(database)
    assert len(books.entries) == 500


async def test_two_writers_admit_what_fits_and_not_a_nano_dollar_more(database: Database) -> None:
    await add_budget(database, budget(100 * 70))
    async with writing(database) as one, writing(database) as other:
        told = await asyncio.gather(
            *(writer.reserve(reservation(amount=70)) for _ in range(100) for writer in (one, other)),
            return_exceptions=True,
        )
    assert sum(each is None for each in told) == 100
    assert sum(isinstance(each, BudgetExceeded) for each in told) == 100
    assert (await consistent(database)).reserved == 7_000


async def test_one_posting_that_cannot_be_made_fails_alone(database: Database) -> None:
    stranger = reservation(subject=Subject("nobody", "knows"))
    good = [reservation() for _ in range(20)]
    async with writing(database) as writer:
        told = await asyncio.gather(*map(writer.reserve, [*good[:10], stranger, *good[10:]]), return_exceptions=True)
        assert [isinstance(each, Exception) for each in told] == [False] * 10 + [True] + [False] * 10
        await asyncio.gather(*(writer.settle(settlement(promise)) for promise in good))
    assert len((await consistent(database)).entries) == 20


async def test_a_settlement_with_something_that_cannot_be_kept_is_booked_without_it(database: Database) -> None:
    foreign = KeptDecision("dec_1", Subject("nobody"), "learned", "chat_lite", "m", b"", b"", NOW, NOW)
    promise = reservation(request_id="r")
    async with writing(database) as writer:
        await writer.reserve(promise)
        await writer.settle(replace(settlement(promise, 40), decision=foreign))
        known = await writer.known("local", "r")
    assert known is not None
    assert (known.state, known.answer) == (RequestState.DONE, None)
    assert (await consistent(database)).spent == 40


async def test_a_promise_of_a_caller_who_has_left_is_taken_back(database: Database) -> None:
    promise = reservation(request_id="r")
    async with writing(database) as writer:
        asked = asyncio.ensure_future(writer.reserve(promise))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await until_written(writer)
        # What is taken back comes after what was made.
        await writer.reserve(reservation())
    books = await consistent(database)
    assert [row["completion_id"] for row in books.reservations] != [promise.completion_id]
    assert (len(books.reservations), books.requests, books.entries) == (1, [], [])


async def test_a_request_id_that_nobody_used_is_not_known(database: Database) -> None:
    async with writing(database) as writer:
        assert await writer.known("local", "r") is None
        promise = reservation(request_id="r")
        await writer.reserve(promise)
        known = await writer.known("local", "r")
    assert known is not None
    assert (known.completion_id, known.state, known.fingerprint) == (
        promise.completion_id,
        RequestState.RUNNING,
        b"same",
    )


async def test_each_share_of_a_budget_is_told_once(database: Database) -> None:
    await add_budget(database, budget(1_000, hard=False))
    told: list[BudgetAlert] = []
    writer = LedgerWriter(database, now=lambda: NOW / SECOND, alerted=told.extend)
    promises = [reservation(amount=100) for _ in range(30)]
    await asyncio.gather(*map(writer.reserve, promises))
    await asyncio.gather(*(writer.settle(settlement(promise, 100)) for promise in promises))
    await writer.aclose()
    assert [alert.share for alert in told] == [50, 80, 100]
    assert len(rows_of(database, schema.alerts)) == 3


async def test_closing_writes_what_is_left_and_then_nothing_more(database: Database) -> None:
    writer = LedgerWriter(database, LONG, now=lambda: NOW / SECOND)
    promises = [reservation() for _ in range(300)]
    await asyncio.gather(*map(writer.reserve, promises))
    last = [writer.settle(settlement(promise)) for promise in promises]
    await writer.aclose()
    await asyncio.gather(*last)
    assert len((await consistent(database)).entries) == 300
    with pytest.raises(StorageUnavailable):
        await writer.reserve(reservation())
    with pytest.raises(StorageUnavailable):
        await writer.settle(settlement(promises[0]))


async def test_closing_waits_for_a_database_that_comes_back(services: Session) -> None:
    with PostgresServer(services) as server:
        database = Database(server.url)
        migrate(database)
        writer = LedgerWriter(database, LONG, now=lambda: NOW / SECOND)
        promise = reservation()
        await writer.reserve(promise)
        await asyncio.to_thread(server.stop)
        last = writer.settle(settlement(promise, 40))
        closing = asyncio.create_task(writer.aclose())
        # Longer than the longest pause between two attempts.
        await asyncio.wait({closing}, timeout=2.5)
        assert not closing.done()
        await asyncio.to_thread(server.start)
        await closing
        await last
        assert (await consistent(database)).spent == 40


async def test_a_promise_that_comes_through_as_the_writer_closes_is_taken_back_when_its_caller_was_refused(
    postgresql_url: str,
) -> None:
    rules = WriterRules(patience_seconds=0.5, settle_seconds=20)
    async with Line(postgresql_url) as line:
        writer = LedgerWriter(Database(line.url), rules, now=lambda: NOW / SECOND)
        await writer.reserve(reservation("first"))
        line.freeze()
        with pytest.raises(StorageUnavailable):
            await writer.reserve(reservation("refused"))
        closing = asyncio.create_task(writer.aclose())
        await asyncio.sleep(0.1)
        line.thaw()
        await closing
    books = await consistent(Database(postgresql_url))
    assert [row["completion_id"] for row in books.reservations] == ["first"]


async def test_while_another_process_holds_the_file_promises_are_refused_in_time_and_none_stays(
    services: Session, tmp_path: Path
) -> None:
    database = Database(shared.migrated_sqlite(services, tmp_path / "muxer.db"))
    promise, refused = reservation(), [reservation(request_id=f"r{number}") for number in range(10)]
    holder = sqlite3.connect(tmp_path / "muxer.db", isolation_level=None)
    async with writing(database, SHORT) as writer:
        await writer.reserve(promise)
        holder.execute("BEGIN IMMEDIATE")
        told = await asyncio.gather(*map(writer.reserve, refused), return_exceptions=True)
        assert {type(each) for each in told} == {StorageUnavailable}
        with pytest.raises(StorageUnavailable):
            await writer.settle(settlement(promise))
        holder.execute("ROLLBACK")
        await until_written(writer)
        assert await writer.reserve(reservation()) is None
        await until_written(writer)
        await writer.settle(settlement(refused[0]))
    holder.close()
    books = await consistent(database)
    assert [row["completion_id"] for row in books.entries] == [promise.completion_id]
    assert (len(books.reservations), books.requests) == (1, [])


async def test_a_commit_whose_answer_is_lost_is_made_once(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    await add_budget(database, budget(10_000))
    promises = [reservation(request_id=f"r{number}") for number in range(20)]
    async with Line(postgresql_url) as line, writing(Database(line.url)) as writer:
        line.lose_answers_to_commits(3)
        assert await asyncio.gather(*map(writer.reserve, promises)) == [None] * 20
        line.lose_answers_to_commits(3)
        await asyncio.gather(*(writer.settle(settlement(promise, 50)) for promise in promises))
        assert line.lost_commits >= 2
        assert writer.figures.failures == line.lost_commits
    books = await consistent(database)
    assert (books.spent, len(books.entries), books.reservations) == (1_000, 20, [])
    await database.aclose()


async def test_a_promise_that_may_have_come_through_is_taken_back_when_its_caller_is_refused(
    services: Session,
) -> None:
    with PostgresServer(services) as server:
        migrate(Database(server.url))
        async with Line(server.url) as line, writing(Database(line.url), SHORT) as writer:
            await writer.reserve(reservation("first"))
            lost = reservation("lost", request_id="r")
            line.lose_answers_to_commits(1)
            asked = asyncio.ensure_future(writer.reserve(lost))
            while not line.lost_commits:
                await asyncio.sleep(0.001)
            line.freeze()
            with pytest.raises(StorageUnavailable):
                await asked
            line.thaw()
            await until_written(writer)
        books = await consistent(Database(server.url))
    assert [row["completion_id"] for row in books.reservations] == ["first"]
    assert books.requests == []


async def test_a_database_that_hangs_keeps_nobody_longer_than_the_patience(postgresql_url: str) -> None:
    async with Line(postgresql_url) as line, writing(Database(line.url), SHORT) as writer:
        promise = reservation("promise")
        await writer.reserve(promise)
        line.freeze()
        with pytest.raises(StorageUnavailable):
            await writer.reserve(reservation("hung"))
        with pytest.raises(StorageUnavailable):
            await writer.settle(settlement(promise, 40))
        line.thaw()
        await until_written(writer)
        await writer.reserve(reservation("after"))
        await until_written(writer)
    books = await consistent(Database(postgresql_url))
    assert (books.spent, [row["completion_id"] for row in books.reservations]) == (40, ["after"])


@pytest.mark.parametrize("stroke", ["stop", "kill"])
async def test_the_writer_goes_on_where_it_was_when_postgresql_is_back(services: Session, stroke: str) -> None:
    with PostgresServer(services) as server:
        database = Database(server.url)
        migrate(database)
        open_ones, refused = [reservation() for _ in range(20)], [reservation() for _ in range(20)]
        async with writing(database, SHORT) as writer:
            await asyncio.gather(*map(writer.reserve, open_ones))
            await asyncio.to_thread(getattr(server, stroke))
            settled = [writer.settle(settlement(promise)) for promise in open_ones]
            told = await asyncio.gather(*map(writer.reserve, refused), *settled, return_exceptions=True)
            assert {type(each) for each in told} == {StorageUnavailable}
            await asyncio.to_thread(server.start)
            await until_written(writer)
            await writer.reserve(reservation("after"))
        books = await consistent(database)
        assert {row["completion_id"] for row in books.entries} == {promise.completion_id for promise in open_ones}
        assert [row["completion_id"] for row in books.reservations] == ["after"]


async def test_sessions_that_an_operator_ends_cost_nothing_but_another_try(postgresql_url: str) -> None:
    done, ended, enough = 0, 0, 10

    async def work(writer: LedgerWriter) -> None:
        nonlocal done
        while ended < enough:
            promise = reservation()
            await writer.reserve(promise)
            await writer.settle(settlement(promise))
            done += 1

    async with writing(Database(postgresql_url)) as writer:
        working = [asyncio.create_task(work(writer)) for _ in range(20)]
        with psycopg.connect(postgresql_url, autocommit=True) as operator:
            while ended < enough:
                # Each comes after some progress, somewhere in the next transactions.
                before = writer.figures.transactions
                while writer.figures.transactions < before + 2:
                    await asyncio.sleep(0.001)
                ended += len(operator.execute(END_SESSIONS).fetchall())
        await asyncio.gather(*working)
    assert writer.figures.failures
    books = await consistent(Database(postgresql_url))
    assert (len(books.entries), books.reservations) == (done, [])
