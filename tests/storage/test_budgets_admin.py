"""Budgets that are made, changed and deleted while the ledger goes on: counters are the ledger's sums throughout."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest
from sqlalchemy import insert

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.directory import ApiKey, Tenant, User
from muxer_grpc.domain.ledger import EntryOutcome, Reservation
from muxer_grpc.domain.refusals import BudgetExceeded, ResourceExists
from muxer_grpc.domain.tenancy import Role, Subject
from muxer_grpc.storage.budgets import BudgetTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.keys import KeyTable
from muxer_grpc.storage.schema import money_leases
from muxer_grpc.storage.tenants import TenantTable
from muxer_grpc.storage.users import DefaultBudgets, UserTable
from muxer_grpc.storage.writer import LedgerWriter
from tests.storage.reckoning import differences, read_books
from tests.storage.records import NOW, SECOND, entry, reservation, settlement

DAY = 86_400 * SECOND
MIDNIGHT = NOW - NOW % DAY + DAY
ANN, BOB, KEY = Subject("acme", "ann"), Subject("acme", "bob"), Subject("acme", "ann", "k1")
LARGE = 10**15


@dataclass
class Bank:
    """A ledger's writer with a clock that stands, and those who make budgets."""

    database: Database
    writer: LedgerWriter
    budgets: BudgetTable
    at_us: int = NOW

    async def hold(self, subject: Subject = ANN, amount: int = 100, **changes: Any) -> Reservation:
        promise = reservation(subject=subject, amount=amount, created_us=self.at_us, **changes)
        await self.writer.reserve(promise)
        return promise

    async def pay(self, promise: Reservation, cost: int = 60, **changes: Any) -> None:
        await self.writer.settle(settlement(promise, cost, **changes))

    async def spend(self, subject: Subject = ANN, cost: int = 60) -> None:
        await self.pay(await self.hold(subject, cost), cost)

    async def add(self, name: str, period: Period = Period.TOTAL, limit: int = LARGE, **changes: Any) -> Any:
        budget = Budget(name, "acme", period, limit, **changes)
        return await self.budgets.create(budget, Actor("test", self.at_us))

    async def counted(self, name: str) -> tuple[int, int]:
        record = await self.budgets.get(None, name, self.at_us)
        return record.spent_nano_usd, record.reserved_nano_usd

    def differences(self) -> list[str]:
        """Says where counters differ from sums; those of periods before any budget was there are nobody's."""
        books = read_books(self.database)
        there = {(row["budget_id"], row["period_start_us"]) for row in books.counters}
        told = differences(books)
        return [line for line in told if any(f"of {name} from {start} " in line for name, start in there)]


@pytest.fixture
async def bank(database: Database) -> AsyncGenerator[Bank, None]:
    actor = Actor("test", NOW)
    await TenantTable(database).create(Tenant("acme"), actor)
    for user_id in ("ann", "bob"):
        await UserTable(database, DefaultBudgets(), str).create(User("acme", user_id, Role.CALLER), actor)
    key = ApiKey("k1", "acme", "ann", Role.CALLER, "mux_k1", bytes(32))
    await KeyTable(database, str).create(key, actor)
    made: list[Bank] = []
    writer = LedgerWriter(database, now=lambda: made[0].at_us / SECOND if made else NOW / SECOND)
    made.append(Bank(database, writer, BudgetTable(database)))
    yield made[0]
    await writer.aclose()


async def test_a_new_budget_counts_what_its_subject_alone_has_spent_and_reserved(bank: Bank) -> None:
    for subject, cost in ((ANN, 1), (BOB, 20), (KEY, 300)):
        await bank.spend(subject, cost)
        await bank.hold(subject, cost * 10)
    for name, changes, spent in (
        ("tenant", {}, 321),
        ("ann", {"user_id": "ann"}, 301),
        ("bob", {"user_id": "bob"}, 20),
        ("key", {"key_id": "k1"}, 300),
        ("ann's key", {"user_id": "ann", "key_id": "k1"}, 300),
    ):
        made = await bank.add(name, **changes)
        assert (made.spent_nano_usd, made.reserved_nano_usd) == (spent, spent * 10) == await bank.counted(name)


async def test_what_is_under_way_when_a_budget_is_made_is_settled_on_it(bank: Bank) -> None:
    promise = await bank.hold(amount=100)
    await bank.add("late")
    await bank.pay(promise, 60)
    assert await bank.counted("late") == (60, 0)
    assert bank.differences() == []


async def test_what_is_under_way_since_yesterday_is_settled_in_yesterday_s_period(bank: Bank) -> None:
    bank.at_us = MIDNIGHT - SECOND
    await bank.spend(cost=5)
    promise = await bank.hold(amount=100)
    bank.at_us = MIDNIGHT + 2 * DAY
    await bank.add("daily", Period.DAILY)
    assert await bank.counted("daily") == (0, 0)
    await bank.pay(promise, 60)
    counters = {row["period_start_us"]: row for row in read_books(bank.database).counters}
    yesterday = counters[MIDNIGHT - DAY]
    assert (yesterday["spent_nano_usd"], yesterday["reserved_nano_usd"]) == (65, 0)
    assert bank.differences() == []


async def test_a_promise_that_was_made_before_midnight_and_is_written_after_finds_yesterday_counted(bank: Bank) -> None:
    bank.at_us = MIDNIGHT - SECOND
    await bank.spend(cost=5)
    late = reservation(subject=ANN, amount=100, created_us=bank.at_us)
    bank.at_us = MIDNIGHT + SECOND
    await bank.add("daily", Period.DAILY)
    await bank.writer.reserve(late)
    assert bank.differences() == []


async def test_what_a_sweeper_has_guessed_is_put_right_on_a_budget_that_came_later(bank: Bank) -> None:
    promise = await bank.hold(amount=100)
    guess = settlement(promise, entries=(entry(promise, 50, outcome=EntryOutcome.ABANDONED),), answered=False)
    assert guess.provisional
    await bank.writer.settle(guess)
    bank.at_us += 3 * DAY
    await bank.add("daily", Period.DAILY)
    await bank.pay(promise, 10)
    assert read_books(bank.database).spent == 10
    assert bank.differences() == []


async def test_a_lease_of_money_counts_whole_for_whom_and_when_it_was_made(bank: Bank) -> None:
    lease = {
        "id": "lease",
        "tenant_id": "acme",
        "user_id": "ann",
        "amount_nano_usd": 1_000,
        "created_us": NOW,
        "expires_us": NOW + 9 * DAY,
    }
    async with bank.database.change() as connection:
        await connection.execute(insert(money_leases).values(**lease))
    bank.at_us += DAY
    await bank.pay(await bank.hold(KEY, 100, money_lease_id="lease"), 40)
    under_way = await bank.hold(ANN, 100, money_lease_id="lease")
    await bank.add("whole")
    await bank.add("daily", Period.DAILY)
    await bank.add("of the key", key_id="k1")
    assert await bank.counted("whole") == (40, 960)
    assert await bank.counted("daily") == (0, 0)
    assert await bank.counted("of the key") == (0, 0)
    await bank.pay(under_way, 50)
    assert await bank.counted("whole") == (90, 910)
    assert bank.differences() == []


async def test_a_limit_that_is_changed_holds_for_the_next_promise(bank: Bank) -> None:
    await bank.add("small", limit=100)
    await bank.hold(amount=100)
    with pytest.raises(BudgetExceeded):
        await bank.hold(amount=1)
    actor = Actor("test", bank.at_us)
    await bank.budgets.change(None, "small", 1, lambda b: replace(b, limit_nano_usd=101), actor)
    await bank.hold(amount=1)
    await bank.budgets.change(None, "small", 2, lambda b: replace(b, hard=False), actor)
    await bank.hold(amount=1)
    await bank.budgets.delete(None, "small", 3, actor)
    await bank.hold(amount=1)


async def test_a_change_leaves_what_the_counters_rest_on(bank: Bank) -> None:
    made = await bank.add("daily", Period.DAILY)

    def change(budget: Budget) -> Budget:
        return replace(budget, period=Period.TOTAL, time_zone="Asia/Tokyo", user_id="ann", limit_nano_usd=1)

    record = await bank.budgets.change(None, "daily", 0, change, Actor("test", bank.at_us))
    assert record.budget == replace(made.budget, limit_nano_usd=1)


async def test_only_one_of_many_budgets_of_the_same_subject_and_period_is_made(bank: Bank) -> None:
    results = await asyncio.gather(*(bank.add(f"b{n}") for n in range(8)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(refused) == 7
    assert all(isinstance(result, ResourceExists) for result in refused)


async def test_budgets_that_come_and_go_under_load_count_every_nano_dollar(bank: Bank) -> None:
    """Callers reserve and settle while budgets of all of them are made and deleted: no difference, no refusal."""
    whose: list[dict[str, Any]] = [{}, {"user_id": "ann"}, {"user_id": "bob"}, {"key_id": "k1"}]
    kinds = list(product(whose, Period))
    random.Random(7).shuffle(kinds)
    subjects = (ANN, BOB, KEY)
    paid = asyncio.Semaphore(0)
    going = True

    async def caller(seed: int) -> None:
        own = random.Random(seed)
        while going:
            promise = await bank.hold(own.choice(subjects), own.randint(1, 1_000))
            await bank.pay(promise, own.randint(0, promise.amount_nano_usd))
            paid.release()

    callers = [asyncio.create_task(caller(seed)) for seed in range(12)]
    for turn, (changes, period) in enumerate(kinds):
        await bank.add(f"turn{turn}", period, **changes)
        if turn % 3:
            await bank.budgets.delete(None, f"turn{turn}", 0, Actor("test", bank.at_us))
        for _ in range(20):
            await paid.acquire()
    going = False
    await asyncio.gather(*callers)
    books = read_books(bank.database)
    assert len({row["budget_id"] for row in books.counters}) == 4
    assert len(books.entries) >= 20 * len(kinds)
    assert bank.differences() == []
    assert {row["reserved_nano_usd"] for row in books.counters} == {0}
