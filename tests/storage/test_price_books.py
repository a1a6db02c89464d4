"""Stored price books, and a service that takes them up, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import logging

import pytest
from sqlalchemy import select, text, update

from muxer_grpc.domain.administration import Actor, PageRequest
from muxer_grpc.domain.errors import MuxerError
from muxer_grpc.domain.money import FREE, Price, PriceTier
from muxer_grpc.domain.price_book import (
    BookKind,
    KeptBook,
    PriceBook,
    PriceLayer,
    PriceSource,
    PriceSources,
    key_of,
    merged_book,
    stored_book,
)
from muxer_grpc.domain.refusals import PreconditionFailed, ResourceExists
from muxer_grpc.pipeline.price_updates import PriceUpdates
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.price_books import PriceBookTable
from muxer_grpc.storage.schema import audit_log, price_books

ONE = Price.from_usd_per_million("1", "2")
TWO = Price.from_usd_per_million("2", "4").with_tiers([PriceTier(1_000, Price.from_usd_per_million("4", "6"))])
THREE = Price.from_usd_per_million("3", "6", cache_write_1h="9")
SHIPPED = {"a/m": ONE, "a/n": ONE, "a/set": ONE}
SECOND = 1_000_000


def kept(price: Price, effective_us: int, created_us: int = 1, note: str = "") -> KeptBook:
    return KeptBook(stored_book({"a/m": price}, effective_us), BookKind.STORED, created_us, "ann", note)


class Clock:
    """A clock that stands until a test moves it; in seconds."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at

    def actor(self) -> Actor:
        return Actor("ann", int(self.at * SECOND))


class Replica:
    """One process over the database, as far as prices go."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.told: list[PriceBook] = []
        self.told_again = asyncio.Event()
        sources = PriceSources(
            models=frozenset(SHIPPED),
            provider=PriceLayer(PriceSource.PROVIDER, SHIPPED),
            settings=PriceLayer(PriceSource.SETTINGS, {"a/set": TWO}),
        )
        self.updates = PriceUpdates(sources, self._tell, PriceBookTable(database), clock, 10)

    def _tell(self, book: PriceBook) -> None:
        self.told.append(book)
        if len(self.told) > 1:
            self.told_again.set()

    @property
    def price(self) -> Price:
        return self.updates.book.prices["a/m"]

    async def store(
        self, prices: dict[str, Price], actor: Actor, effective_us: int | None = None, *, force: bool = False
    ) -> str:
        proposal = self.updates.propose(prices, effective_us, actor, "note")
        await self.updates.store(proposal, actor, force=force)
        return proposal.kept.book.version


async def test_a_book_comes_back_as_it_was_stored(database: Database) -> None:
    table = PriceBookTable(database)
    whole = KeptBook(stored_book({"a/m": TWO, "a/n": FREE}, 5), BookKind.STORED, 4, "ann", "why")
    await table.create(whole, Actor("ann", 4))
    assert await table.get(whole.book.version) == whole
    assert await table.get("nothing") is None


async def test_the_book_that_holds_latest_is_effective_and_the_one_made_later_where_both_hold_as_long(
    database: Database,
) -> None:
    table = PriceBookTable(database)
    assert await table.effective(100) is None
    first, second, third = kept(ONE, 10, 1), kept(TWO, 10, 2), kept(THREE, 20, 0)
    for each in (third, second, first):
        await table.create(each, Actor("ann", 1))
    found = [await table.effective(at) for at in (9, 10, 19, 20, 10)]
    assert found == [None, second.book, second.book, third.book, second.book]


async def test_the_same_book_is_stored_once(database: Database) -> None:
    table = PriceBookTable(database)
    await table.create(kept(ONE, 10), Actor("ann", 1))
    with pytest.raises(ResourceExists):
        await table.create(kept(ONE, 10, created_us=7), Actor("bob", 7))
    async with database.read() as connection:
        assert len((await connection.execute(select(audit_log))).all()) == 1


async def test_storing_a_book_is_told_in_the_audit_log(database: Database) -> None:
    table = PriceBookTable(database)
    book = kept(TWO, 10, note="cheaper")
    await table.create(book, Actor("ann", 3))
    async with database.read() as connection:
        row = (await connection.execute(select(audit_log))).mappings().one()
    assert (row["principal"], row["action"], row["created_us"]) == ("ann", "CreatePriceBook", 3)
    assert (row["resource"], row["before"]) == (f"priceBooks/{book.book.version}", None)
    assert (row["after"]["note"], row["after"]["effective_us"]) == ("cheaper", 10)
    assert row["after"]["prices"]["a/m"]["price"]["tiers"][0]["above_input_tokens"] == 1_000


async def test_listings_go_on_where_they_ended_and_keep_the_kinds_apart(database: Database) -> None:
    table = PriceBookTable(database)
    books = [kept(ONE, effective, created) for effective, created in ((5, 1), (5, 2), (7, 1), (6, 9))]
    books[1] = kept(TWO, 5, 2)
    for each in books:
        await table.create(each, Actor("ann", 1))
    merged = KeptBook(merged_book([PriceLayer(PriceSource.PACKAGE, {"a/m": ONE})], {"a/m"}), BookKind.MERGED, 3)
    await table.record(merged)
    first = await table.page(BookKind.STORED, PageRequest(3))
    rest = await table.page(BookKind.STORED, PageRequest(3, key_of(first[-1])))
    order = [books[2], books[3], books[1], books[0]]
    assert [each.book.version for each in (*first, *rest)] == [each.book.version for each in order]
    assert [each.book.version for each in await table.page(BookKind.MERGED, PageRequest(3))] == [merged.book.version]
    assert first[0].book.prices == {}


async def test_what_is_in_force_is_kept_once(database: Database) -> None:
    table = PriceBookTable(database)
    merged = KeptBook(merged_book([PriceLayer(PriceSource.PACKAGE, {"a/m": ONE})], {"a/m"}), BookKind.MERGED, 3)
    await asyncio.gather(*(PriceBookTable(database).record(merged) for _ in range(4)))
    await table.record(KeptBook(merged.book, BookKind.MERGED, 99))
    assert await table.get(merged.book.version) == merged
    assert await table.effective(1_000) is None


BROKEN = {
    "nothing": "null",
    "json that is no book": "[1]",
    "other prices than its version names": '{"a/m": {"price": {"input": 1, "output": 1, "cached_input": 1,'
    ' "cache_write": 1, "cache_write_1h": 1, "reasoning": 1}, "source": "stored"}}',
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_book_is_refused_and_the_one_before_it_stays(
    database: Database, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = PriceBookTable(database)
    good, bad = kept(TWO, 10), kept(THREE, 20)
    await table.create(good, Actor("ann", 1))
    await table.create(bad, Actor("ann", 1))
    async with database.change() as connection:
        statement = text("UPDATE price_books SET prices = :prices WHERE version = :version")
        if not database.is_sqlite:
            statement = text("UPDATE price_books SET prices = CAST(:prices AS json) WHERE version = :version")
        await connection.execute(statement, {"prices": BROKEN[name], "version": bad.book.version})
    with caplog.at_level(logging.ERROR):
        assert [await table.effective(30) for _ in range(3)] == [good.book] * 3
    assert len([r for r in caplog.records if bad.book.version in r.getMessage()]) == 1
    assert await table.get(bad.book.version) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_book_that_is_no_json_is_refused_where_a_database_lets_it_in(database: Database) -> None:
    table = PriceBookTable(database)
    good, bad = kept(TWO, 10), kept(THREE, 20)
    for each in (good, bad):
        await table.create(each, Actor("ann", 1))
    async with database.change() as connection:
        statement = text("UPDATE price_books SET prices = '{' WHERE version = :version")
        await connection.execute(statement, {"version": bad.book.version})
    assert await table.effective(30) == good.book


async def test_every_replica_switches_when_a_stored_book_comes_to_hold(database: Database) -> None:
    clock = Clock()
    one, two = Replica(database, clock), Replica(database, clock)
    await one.updates.refresh()
    await two.updates.refresh()
    before = one.updates.book
    await one.store({"a/m": TWO}, clock.actor(), effective_us=1_010 * SECOND)
    clock.at = 1_009.999
    for each in (one, two):
        await each.updates.refresh()
        assert (each.price, each.updates.book.version) == (ONE, before.version)
    clock.at = 1_010.0
    for each in (one, two):
        await each.updates.refresh()
        assert each.price == TWO
        assert [book.version for book in each.told] == [before.version, each.updates.book.version]
        assert each.updates.book.effective_us == 1_010 * SECOND
    assert one.updates.book == two.updates.book


async def test_what_holds_now_is_taken_up_at_once_where_it_was_stored(database: Database) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    await replica.store({"a/m": TWO}, clock.actor())
    assert (replica.price, replica.updates.book.sources["a/m"]) == (TWO, PriceSource.STORED)


async def test_a_watch_takes_up_what_another_process_stored(database: Database) -> None:
    clock = Clock()
    one, two = Replica(database, clock), Replica(database, clock)
    watch = asyncio.create_task(two.updates.watch(0.01))
    try:
        await one.store({"a/m": TWO}, clock.actor())
        async with asyncio.timeout(30):
            await two.told_again.wait()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    assert two.updates.book == one.updates.book


async def test_a_later_book_stands_in_place_of_all_earlier_ones(database: Database) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    await replica.store({"a/m": TWO, "a/n": THREE}, clock.actor())
    clock.at += 1
    await replica.store({"a/n": TWO}, clock.actor())
    assert replica.updates.book.prices == {"a/m": ONE, "a/n": TWO, "a/set": TWO}
    clock.at += 1
    await replica.store({}, clock.actor())
    assert replica.updates.book.prices == {"a/m": ONE, "a/n": ONE, "a/set": TWO}


async def test_the_settings_overrule_what_is_stored_and_the_proposal_says_so(database: Database) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    proposal = replica.updates.propose({"a/set": THREE, "a/m": TWO}, None, clock.actor(), "")
    assert proposal.overruled == ("a/set",)
    assert [each.model for each in proposal.differences] == ["a/m"]
    await replica.updates.store(proposal, clock.actor(), force=False)
    assert replica.updates.book.prices["a/set"] == TWO


async def test_a_jump_is_refused_and_changes_nothing_unless_it_is_forced(database: Database) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    await replica.updates.refresh()
    before = replica.updates.book
    dear = Price.from_usd_per_million("10.000001", "2")
    with pytest.raises(PreconditionFailed, match="a/m: input") as raised:
        await replica.store({"a/m": dear}, clock.actor())
    assert raised.value.metadata == {"jumps": "1", "compared": before.version}
    await replica.updates.refresh()
    assert replica.updates.book == before
    assert await PriceBookTable(database).page(BookKind.STORED, PageRequest(9)) == []
    await replica.store({"a/m": dear}, clock.actor(), force=True)
    assert replica.price == dear


async def test_every_version_that_was_in_force_can_be_looked_up(database: Database) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    await replica.updates.refresh()
    await replica.store({"a/m": TWO}, clock.actor())
    table = PriceBookTable(database)
    for book in replica.told:
        found = await table.get(book.version)
        assert found is not None
        assert (found.book, found.kind) == (book, BookKind.MERGED)


async def test_a_broken_book_leaves_the_service_on_the_prices_it_had(database: Database) -> None:
    clock = Clock()
    replica = Replica(database, clock)
    await replica.store({"a/m": TWO}, clock.actor())
    clock.at += 1
    bad = await Replica(database, clock).store({"a/m": THREE}, clock.actor())
    async with database.change() as connection:
        await connection.execute(update(price_books).where(price_books.c.version == bad).values(prices={"a/m": 1}))
    in_force = replica.updates.book
    await replica.updates.refresh()
    assert replica.updates.book == in_force


async def test_without_a_database_prices_are_shown_and_never_stored() -> None:
    clock = Clock()
    sources = PriceSources(frozenset({"a/m"}), PriceLayer(PriceSource.PROVIDER, {"a/m": ONE}))
    updates = PriceUpdates(sources, lambda _book: None, None, clock)
    await updates.refresh()
    proposal = updates.propose({"a/m": TWO}, None, clock.actor(), "")
    with pytest.raises(MuxerError, match="keeps no prices"):
        await updates.store(proposal, clock.actor(), force=True)
