"""Leases of money, on both databases: held like a promise, spent by many, given back once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.budgeting import Period
from muxer_grpc.domain.ledger import EntryOutcome, Reservation, Settlement
from muxer_grpc.domain.money_leases import LeaseEnding, LeaseFilter, MoneyLease
from muxer_grpc.domain.refusals import BudgetExceeded, MoneyLeaseEnded, MoneyLeaseExceeded
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage.connection import WriterConnection
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.money_leases import MoneyLeaseTable
from muxer_grpc.storage.posting import Posted, Postings
from muxer_grpc.storage.sweeper import CLOCK_SLACK, Sweeper
from muxer_grpc.storage.writer import LedgerWriter, Operation, sorted_out
from tests.storage.bookings import add_tenants
from tests.storage.reckoning import differences, read_books
from tests.storage.records import NOW, SECOND, SUBJECT, add_budget, budget, entry, reservation, settlement

DAY = 86_400 * SECOND
MIDNIGHT = NOW - NOW % DAY + DAY


def lease(name: str = "lease", amount: int = 1_000, **changes: Any) -> MoneyLease:
    return MoneyLease(name, SUBJECT, amount, NOW, NOW + 3_600 * SECOND, **changes)


class Bank:
    """A writer over a database, whose clock a test moves."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.at_us = NOW
        self.writer = LedgerWriter(database, now=lambda: self.at_us / SECOND)
        self.leases = MoneyLeaseTable(database)

    async def lease(self, name: str = "lease") -> MoneyLease:
        found = await self.leases.get(name)
        assert found is not None
        return found

    async def budget(self, limit: int = 5_000, **changes: Any) -> None:
        await add_budget(self.database, budget(limit, **changes), NOW)

    def counters(self) -> list[tuple[int, int]]:
        """Gives what is spent and reserved of each counter, once the books are found to add up."""
        books = read_books(self.database)
        assert differences(books) == []
        return [(row["spent_nano_usd"], row["reserved_nano_usd"]) for row in books.counters]


@pytest.fixture
async def bank(database: Database) -> AsyncGenerator[Bank, None]:
    opened = Bank(database)
    yield opened
    await opened.writer.aclose()


async def test_a_lease_is_held_on_every_budget_of_its_subject_and_released_whole(bank: Bank) -> None:
    await bank.budget(5_000)
    await bank.budget(5_000, user_id="")
    await bank.budget(5_000, period=Period.DAILY)
    await bank.writer.open_lease(lease(labels={"run": "7"}))
    assert bank.counters() == [(0, 1_000)] * 3
    assert await bank.lease() == lease(labels={"run": "7"})
    released = await bank.writer.end_lease("lease")
    assert released == replace(lease(labels={"run": "7"}), released=True) == await bank.lease()
    assert bank.counters() == [(0, 0)] * 3


async def test_a_lease_that_does_not_fit_is_refused_by_the_budget_and_leaves_nothing_behind(bank: Bank) -> None:
    await bank.budget(5_000)
    await bank.budget(999, user_id="")
    with pytest.raises(BudgetExceeded) as raised:
        await bank.writer.open_lease(lease())
    assert raised.value.metadata["asked_nano_usd"] == "1000"
    assert raised.value.metadata["limit_nano_usd"] == "999"
    assert await bank.leases.get("lease") is None
    assert bank.counters() == [(0, 0)] * 2


async def test_what_a_call_costs_is_spent_of_the_budget_and_the_rest_stays_held(bank: Bank) -> None:
    await bank.budget()
    await bank.writer.open_lease(lease())
    promise = reservation(amount=400, money_lease_id="lease")
    assert await bank.writer.reserve(promise) is None
    assert bank.counters() == [(0, 1_000)]
    assert (await bank.lease()).left_nano_usd == 600
    await bank.writer.settle(settlement(promise, 150))
    assert bank.counters() == [(150, 850)]
    assert (await bank.lease()).left_nano_usd == 850
    await bank.writer.end_lease("lease")
    assert bank.counters() == [(150, 0)]


async def test_two_calls_at_once_cannot_promise_more_than_the_lease_holds(bank: Bank) -> None:
    await bank.budget()
    await bank.writer.open_lease(lease())
    other = LedgerWriter(bank.database, now=lambda: NOW / SECOND)
    told = await asyncio.gather(
        bank.writer.reserve(reservation(amount=600, money_lease_id="lease")),
        other.reserve(reservation(amount=600, money_lease_id="lease")),
        return_exceptions=True,
    )
    await other.aclose()
    [refusal] = [each for each in told if each is not None]
    assert isinstance(refusal, MoneyLeaseExceeded)
    assert refusal.metadata == {"money_lease": "lease", "left_nano_usd": "400", "asked_nano_usd": "600"}
    assert bank.counters() == [(0, 1_000)]


async def test_a_call_needs_no_room_in_the_budget_beside_its_lease(bank: Bank) -> None:
    await bank.budget(1_000)
    await bank.writer.open_lease(lease(amount=1_000))
    assert await bank.writer.reserve(reservation(amount=1_000, money_lease_id="lease")) is None
    with pytest.raises(BudgetExceeded):
        await bank.writer.reserve(reservation(amount=1))


async def test_a_call_under_way_stays_held_when_its_lease_is_released(bank: Bank) -> None:
    """Otherwise the budget would have room for others, and be overspent when the call is settled."""
    await bank.budget(1_000)
    await bank.writer.open_lease(lease(amount=1_000))
    promise = reservation(amount=700, money_lease_id="lease")
    await bank.writer.reserve(promise)
    await bank.writer.end_lease("lease")
    assert bank.counters() == [(0, 700)]
    with pytest.raises(BudgetExceeded):
        await bank.writer.reserve(reservation(amount=301))
    await bank.writer.settle(settlement(promise, 200))
    assert bank.counters() == [(200, 0)]


async def test_a_call_that_costs_more_than_it_promised_is_booked_whole(bank: Bank) -> None:
    await bank.budget()
    await bank.writer.open_lease(lease(amount=1_000))
    first, second = (reservation(amount=500, money_lease_id="lease") for _ in range(2))
    await bank.writer.reserve(first)
    await bank.writer.reserve(second)
    await bank.writer.settle(settlement(first, 900))
    assert bank.counters() == [(900, 500)]
    assert (await bank.lease()).left_nano_usd == -400
    await bank.writer.settle(settlement(second, 500))
    assert bank.counters() == [(1_400, 0)]
    await bank.writer.end_lease("lease")
    assert bank.counters() == [(1_400, 0)]


@pytest.mark.parametrize("how", ["unknown", "released", "expired", "of another user", "of another tenant"])
async def test_nobody_spends_from_a_lease_that_is_not_theirs_or_has_ended(bank: Bank, how: str) -> None:
    await add_tenants(bank.database, "acme")
    await bank.writer.open_lease(lease())
    changes: dict[str, Any] = {"money_lease_id": "lease"}
    if how == "unknown":
        changes["money_lease_id"] = "none"
    elif how == "released":
        await bank.writer.end_lease("lease")
    elif how == "expired":
        bank.at_us = NOW + 3_600 * SECOND
    elif how == "of another user":
        changes["subject"] = Subject(SUBJECT.tenant_id, "somebody")
    else:
        changes["subject"] = Subject("acme", SUBJECT.user_id)
    with pytest.raises(MoneyLeaseEnded):
        await bank.writer.reserve(reservation(**changes))
    assert read_books(bank.database).reserved == 0


async def test_releasing_twice_gives_back_once(bank: Bank) -> None:
    await bank.budget()
    await bank.writer.open_lease(lease())
    told = await asyncio.gather(*(bank.writer.end_lease("lease") for _ in range(5)))
    assert {each.released for each in told if each is not None} == {True}
    assert bank.counters() == [(0, 0)]


async def test_there_is_nothing_to_release_where_there_is_no_lease(bank: Bank) -> None:
    assert await bank.writer.end_lease("none") is None


async def test_a_lease_counts_in_the_period_in_which_it_was_made(bank: Bank) -> None:
    await bank.budget(period=Period.DAILY)
    await bank.writer.open_lease(replace(lease(), expires_us=MIDNIGHT + DAY))
    bank.at_us = MIDNIGHT + SECOND
    promise = reservation(amount=300, money_lease_id="lease", created_us=bank.at_us)
    await bank.writer.reserve(promise)
    await bank.writer.settle(settlement(promise, 100))
    assert bank.counters() == [(100, 900)]
    await bank.writer.end_lease("lease")
    assert bank.counters() == [(100, 0)]


async def test_a_sweeper_releases_a_lease_when_its_time_is_over_and_not_before(bank: Bank) -> None:
    await bank.budget()
    await bank.writer.open_lease(lease())
    await bank.writer.open_lease(replace(lease("later"), expires_us=NOW + 7_200 * SECOND))
    sweeper = Sweeper(bank.database, bank.writer, "here", 60.0, lambda: bank.at_us / SECOND)
    bank.at_us = NOW + 3_600 * SECOND + int(CLOCK_SLACK * SECOND)
    assert await sweeper.end_leases() == 0
    bank.at_us += 1
    assert await sweeper.end_leases() == 1
    assert ((await bank.lease()).released, (await bank.lease("later")).released) == (True, False)
    assert bank.counters() == [(0, 1_000)]


async def test_leases_are_listed_by_whose_they_are_and_whether_they_can_be_used(bank: Bank) -> None:
    await add_tenants(bank.database, "acme")
    acme = Subject("acme", "ann")
    made = [
        lease("first"),
        replace(lease("second"), created_us=NOW + 1),
        replace(lease("third"), subject=acme, created_us=NOW + 2),
        replace(lease("ended"), created_us=NOW + 3),
        replace(lease("expired"), created_us=NOW + 4, expires_us=NOW + 5),
    ]
    for each in made:
        await bank.writer.open_lease(each)
    await bank.writer.end_lease("ended")

    async def listed(*wanted: Any, length: int = 100, after: tuple[str, ...] = ()) -> list[str]:
        return [each.id for each in await bank.leases.page(LeaseFilter(*wanted), PageRequest(length, after))]

    assert await listed() == ["expired", "ended", "third", "second", "first"]
    assert await listed("acme") == ["third"]
    assert await listed("local", "local", NOW + 10) == ["second", "first"]
    assert await listed(length=2, after=(str(NOW + 3), "ended")) == ["third", "second"]


async def test_a_posting_that_may_have_come_through_opens_a_lease_once(database: Database) -> None:
    """As after a connection that broke during a commit: the writer asks first what is there."""
    connection, postings = WriterConnection(database), Postings()
    await add_budget(database, budget(5_000))

    def post(*operations: Operation, sure: bool) -> Posted:
        with connection.transaction() as cursor:
            left = connection.unposted(cursor, operations, sure=sure)
            return postings.post(cursor, sorted_out(left), NOW)

    post(lease(), sure=True)
    promise = reservation(amount=10)
    post(lease(), promise, sure=False)
    books = read_books(database)
    assert (differences(books), len(books.leases), len(books.reservations)) == ([], 1, 1)
    connection.close()


class Walk:
    """A random walk over what can be done with leases: opened, spent from, guessed about, put right, released."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.leases: list[MoneyLease] = []
        self.promised: list[Reservation] = []
        self.guessed: list[Reservation] = []
        self.made = 0

    def step(self, at_us: int) -> Operation | None:
        act = self.chance.choice(["open", "promise", "promise", "promise", "settle", "settle", "guess", "right", "end"])
        if act == "open":
            self.made += 1
            return MoneyLease(f"l{self.made}", SUBJECT, self.chance.randint(1, 9_000), at_us, at_us + DAY)
        if act == "promise":
            name = self.chance.choice([*(each.id for each in self.leases), ""])
            return reservation(amount=self.chance.randint(1, 3_000), money_lease_id=name, created_us=at_us)
        if act == "end":
            return LeaseEnding(self._take(self.leases).id) if len(self.leases) > 3 else None
        if act == "right":
            return self._settled(self.guessed) if self.guessed else None
        if not self.promised:
            return None
        if act == "settle":
            return self._settled(self.promised)
        promise = self._take(self.promised)
        self.guessed.append(promise)
        guess = entry(promise, promise.expected_nano_usd, outcome=EntryOutcome.ABANDONED)
        return settlement(promise, entries=(guess,), answered=False)

    def _settled(self, among: list[Reservation]) -> Settlement:
        """Settles one, now and then for more than it promised."""
        promise = self._take(among)
        return settlement(promise, self.chance.randint(0, promise.amount_nano_usd + self.chance.choice([0, 0, 2_000])))

    def _take(self, among: list[Any]) -> Any:
        return among.pop(self.chance.randrange(len(among)))

    def learn(self, operations: list[Operation], refused: set[str]) -> None:
        self.leases += [o for o in operations if isinstance(o, MoneyLease) and o.id not in refused]
        self.promised += [o for o in operations if isinstance(o, Reservation) and o.completion_id not in refused]


async def test_books_add_up_after_any_order_of_what_can_be_done_with_leases(database: Database) -> None:
    connection, postings = WriterConnection(database), Postings()
    for period in Period:
        await add_budget(database, budget(60_000, period))
    walk, refused = Walk(11), 0
    for turn in range(400):
        at_us = NOW + turn * 900 * SECOND
        steps = [walk.step(at_us) for _ in range(walk.chance.randint(1, 4))]
        operations = [each for each in steps if each is not None]
        with connection.transaction() as cursor:
            posted = postings.post(cursor, sorted_out(operations), at_us)
        walk.learn(operations, set(posted.refused))
        refused += len(posted.refused)
        if turn % 20 == 0:
            assert differences(read_books(database)) == []
    connection.close()
    books = read_books(database)
    assert differences(books) == []
    assert refused > 20
    assert {bool(row["released"]) for row in books.leases} == {False, True}
    assert any(row["spent_nano_usd"] > row["amount_nano_usd"] for row in books.leases)
