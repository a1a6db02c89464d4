"""Alerts, on both databases: once for each share and period, and heard by all who watch, in order, without a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.budgeting import BudgetAlert, Period
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.domain.reporting import AlertFilter, AlertRecord
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.pipeline.alert_feed import AlertFeed, AlertTold
from muxer_grpc.storage.alerts import AlertTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.writer import LedgerWriter
from tests.storage.bookings import add_tenants
from tests.storage.records import NOW, SECOND, add_budget, budget, reservation, settlement

DAY = 86_400 * SECOND
NEVER = 3_600.0


class Replica:
    """One process over the database, as far as alerts go. Its feed looks by itself only where it is told to."""

    def __init__(self, database: Database, poll_seconds: float = NEVER) -> None:
        self.at_us = NOW
        self.told: list[BudgetAlert] = []
        self.table = AlertTable(database)
        self.feed = AlertFeed(self.table, poll_seconds)
        tell = AlertTold(self.feed, self.told.append)
        self.writer = LedgerWriter(database, now=lambda: self.at_us / SECOND, alerted=tell)

    async def spend(self, cost: int) -> None:
        promise = reservation(amount=cost, created_us=self.at_us)
        await self.writer.reserve(promise)
        await self.writer.settle(settlement(promise, cost))

    async def kept(self) -> list[tuple[str, int, int]]:
        """Lists the alerts that are kept, the earliest first: of what, the share, and what was spent."""
        found = await self.table.page(AlertFilter(), PageRequest(1_000))
        return [(each.budget_id, each.share, each.spent_nano_usd) for each in reversed(found)]


@pytest.fixture
async def replica(database: Database) -> AsyncGenerator[Replica, None]:
    opened = Replica(database)
    yield opened
    await opened.writer.aclose()


def later(seconds: float = 30.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_each_share_is_told_once_when_it_is_reached(database: Database, replica: Replica) -> None:
    made = await add_budget(database, budget(1_000, alert_shares=(50, 80, 100)))
    for cost in (499, 1, 200, 100, 100, 100):
        await replica.spend(cost)
    assert await replica.kept() == [(made.id, 50, 500), (made.id, 80, 800), (made.id, 100, 1_000)]
    assert [(each.share, each.spent_nano_usd) for each in replica.told] == [(50, 500), (80, 800), (100, 1_000)]


async def test_one_cost_may_reach_several_shares(database: Database, replica: Replica) -> None:
    made = await add_budget(database, budget(1_000))
    await replica.spend(900)
    assert await replica.kept() == [(made.id, 50, 900), (made.id, 80, 900)]


async def test_a_new_period_tells_anew(database: Database, replica: Replica) -> None:
    made = await add_budget(database, budget(1_000, Period.DAILY, alert_shares=(50,)))
    await replica.spend(600)
    replica.at_us += DAY
    await replica.spend(600)
    await replica.spend(100)
    found = await replica.table.page(AlertFilter(), PageRequest(10))
    assert [each.period_start_us for each in found] == [made.period_start(NOW + DAY), made.period_start(NOW)]


async def test_many_calls_on_two_replicas_tell_each_share_once(database: Database, replica: Replica) -> None:
    made = await add_budget(database, budget(10_000))
    other = Replica(database)
    await asyncio.gather(*(each.spend(100) for _ in range(50) for each in (replica, other)))
    await other.writer.aclose()
    assert [share for _, share, _ in await replica.kept()] == [50, 80, 100]
    assert sorted(each.share for each in replica.told + other.told) == [50, 80, 100]
    assert {each.budget for each in replica.told + other.told} == {made}


async def test_an_alert_is_logged_as_a_warning(
    database: Database, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    made = await add_budget(database, budget(1_000, alert_shares=(50,)))
    with caplog.at_level(logging.WARNING):
        await replica.spend(600)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", f"alert: 50 percent of budget {made.id} of tenant local is spent, 600 of 1000 nano-USD")
    ]


async def test_who_watches_hears_of_own_alerts_without_waiting_for_the_next_look(
    database: Database, replica: Replica
) -> None:
    await add_budget(database, budget(1_000))
    async with aclosing(replica.feed.watch(0, None, later())) as alerts:
        hearing = asyncio.create_task(anext(alerts))
        await replica.spend(500)
        assert (await hearing).share == 50
        await replica.spend(500)
        assert [(await anext(alerts)).share for _ in range(2)] == [80, 100]


async def test_who_watches_hears_of_another_replica_s_alerts(database: Database, replica: Replica) -> None:
    await add_budget(database, budget(1_000))
    watching = Replica(database, poll_seconds=0.02)
    async with aclosing(watching.feed.watch(0, None, later())) as alerts:
        hearing = asyncio.create_task(anext(alerts))
        await replica.spend(500)
        assert (await hearing).share == 50
    await watching.writer.aclose()


async def test_a_stream_that_is_opened_again_from_a_number_misses_and_repeats_nothing(
    database: Database, replica: Replica
) -> None:
    await add_budget(database, budget(1_000))
    await replica.spend(500)
    async with aclosing(replica.feed.watch(0, None, later())) as alerts:
        first = await anext(alerts)
    await replica.spend(300)
    async with aclosing(replica.feed.watch(first.sequence, None, later())) as alerts:
        second = await anext(alerts)
        await replica.spend(200)
        third = await anext(alerts)
    assert [each.share for each in (first, second, third)] == [50, 80, 100]


async def test_who_watches_one_tenant_hears_of_no_other(database: Database, replica: Replica) -> None:
    await add_tenants(database, "acme")
    await add_budget(database, budget(1_000, alert_shares=(50,)))
    await replica.spend(500)
    heard = [each async for each in replica.feed.watch(0, "acme", later(0))]
    assert heard == []


async def test_watching_ends_when_the_feed_is_closed(database: Database, replica: Replica) -> None:
    await add_budget(database, budget(1_000, alert_shares=(50,)))
    await replica.spend(500)
    heard: list[AlertRecord] = []
    hears = asyncio.Event()

    async def watch() -> None:
        async for each in replica.feed.watch(0, None, later()):
            heard.append(each)
            hears.set()

    watching = asyncio.create_task(watch())
    await hears.wait()
    replica.feed.close()
    await watching
    assert len(heard) == 1
    # Who comes later is told what there is, and no more.
    assert len([each async for each in replica.feed.watch(0, None, later())]) == 1


async def test_watching_ends_at_its_time(database: Database, replica: Replica) -> None:
    assert [each async for each in replica.feed.watch(0, None, later(0.01))] == []


class Broken(AlertTable):
    """A table that cannot be read from some moment on."""

    broken = False

    async def last(self) -> int:
        if self.broken:
            raise StorageUnavailable
        return await super().last()

    async def after(self, sequence: int, tenant_id: str | None, length: int) -> list[AlertRecord]:  # type: ignore[override]
        if self.broken:
            raise StorageUnavailable
        return list(await super().after(sequence, tenant_id, length))


async def test_who_watches_is_told_when_alerts_cannot_be_looked_for_any_more(database: Database) -> None:
    table = Broken(database)
    feed = AlertFeed(table, 0.01)
    watching = asyncio.create_task(anext(feed.watch(0, None, later())))
    while not feed._watchers:
        await asyncio.sleep(0)
    table.broken = True
    with pytest.raises(StorageUnavailable):
        await watching


async def test_nobody_looks_for_alerts_while_nobody_watches(database: Database, replica: Replica) -> None:
    async with aclosing(replica.feed.watch(0, None, later(0.01))) as alerts:
        assert [each async for each in alerts] == []
    async with asyncio.timeout(30):
        while replica.feed._poller is not None:
            await asyncio.sleep(0.01)


async def test_what_is_raised_before_the_feed_is_closed_is_told_whatever_is_told_at_the_time(
    database: Database, replica: Replica
) -> None:
    await add_budget(database, budget(1_000, alert_shares=(50, 80)))
    await replica.spend(500)
    async with aclosing(replica.feed.watch(0, None, later())) as alerts:
        shares = [(await anext(alerts)).share]
        await replica.spend(300)
        replica.feed.close()
        shares += [each.share async for each in alerts]
    assert shares == [50, 80]


async def test_numbers_rise_in_the_order_of_commits(database: Database) -> None:
    """A writer whose transaction numbers an alert keeps others from numbering theirs until it is committed.

    Otherwise who follows the numbers would pass one that is committed later. SQLite has one writer at a time anyway.
    """
    writers = [Replica(database) for _ in range(4)]
    for n in range(len(writers)):
        await add_tenants(database, f"t{n}")
        shares = tuple(range(1, 101))
        await add_budget(database, budget(10_000, tenant_id=f"t{n}", user_id="ann", alert_shares=shares))
    watching = Replica(database, poll_seconds=0.001)
    heard: list[int] = []

    async def watch() -> None:
        async for each in watching.feed.watch(0, None, later()):
            heard.append(each.sequence)
            if len(heard) == 400:
                return

    following = asyncio.create_task(watch())

    async def spend(replica: Replica, tenant: str) -> None:
        for _ in range(100):
            promise = reservation(amount=100, subject=Subject(tenant, "ann"))
            await replica.writer.reserve(promise)
            await replica.writer.settle(settlement(promise, 100))

    await asyncio.gather(*(spend(each, f"t{n}") for n, each in enumerate(writers)))
    await following
    assert len(set(heard)) == 400
    for each in (*writers, watching):
        await each.writer.aclose()
