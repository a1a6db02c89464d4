"""The check of the books, on both databases: silent while they add up, and loud about whatever is bent by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Table, delete, update

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import Period
from muxer_grpc.domain.ledger import EntryOutcome, Reservation
from muxer_grpc.domain.ledger_check import Imbalance, LedgerCheck
from muxer_grpc.domain.money_leases import MoneyLease
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage import schema
from muxer_grpc.storage.budgets import BudgetTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.ledger_check import LedgerCheckTable
from muxer_grpc.storage.writer import LedgerWriter
from tests.storage.bookings import add_tenants, book, row
from tests.storage.reckoning import differences, read_books
from tests.storage.records import NOW, SECOND, SUBJECT, add_budget, budget, entry, reservation, settlement

HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
ACME = Subject("acme", "ann", "key_1")
GRACE = 10 * SECOND


class Books:
    """Books under way, their check, and a pen to bend them with."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.at_us = NOW
        self.writer = LedgerWriter(database, now=lambda: self.at_us / SECOND)

    async def check(self, tenant_id: str | None = None, grace_us: int = GRACE) -> LedgerCheck:
        return await LedgerCheckTable(self.database).check(tenant_id, self.at_us, grace_us)

    async def found(self, tenant_id: str | None = None) -> list[tuple[Imbalance, str, int, int]]:
        check = await self.check(tenant_id)
        return [(each.kind, each.resource, each.expected, each.found) for each in check.differences]

    async def bend(self, table: Table, *where: Any, **values: Any) -> None:
        async with self.database.change() as connection:
            await connection.execute(update(table).where(*where).values(**values))

    async def pay(self, amount: int, cost: int | None, **changes: Any) -> Reservation:
        """Promises, and settles where a cost is given."""
        facts: dict[str, Any] = {"created_us": self.at_us, "lease_until_us": self.at_us + 60 * SECOND, **changes}
        promise = reservation(amount=amount, **facts)
        await self.writer.reserve(promise)
        if cost is not None:
            await self.writer.settle(settlement(promise, cost))
        return promise


@pytest.fixture
async def books(database: Database) -> AsyncGenerator[Books, None]:
    await add_tenants(database, "acme")
    opened = Books(database)
    yield opened
    await opened.writer.aclose()


async def filled(books: Books) -> list[str]:
    """Fills the books of two tenants over some days, with leases, guesses and budgets that come later."""
    chance = random.Random(3)
    made = []
    for tenant in (SUBJECT, ACME):
        for period in Period:
            for user_id, zone in (("", "Europe/Berlin"), (tenant.user_id, "Asia/Kolkata")):
                name = f"{tenant.tenant_id}_{period.value}_{zone}"
                made.append(name)
                whose = {"tenant_id": tenant.tenant_id, "user_id": user_id}
                await add_budget(books.database, budget(10**12, period, id=name, time_zone=zone, **whose), NOW)
    await add_budget(books.database, budget(10**12, id="of a key", tenant_id="acme", user_id="", key_id="key_1"), NOW)
    for day in range(4):
        books.at_us = NOW + day * DAY + chance.randrange(DAY)
        for subject in (SUBJECT, ACME, replace(ACME, key_id=""), Subject("acme", "bob", "key_2")):
            name = f"lease_{subject.user_id}{subject.key_id}_{day}"
            await books.writer.open_lease(MoneyLease(name, subject, 5_000, books.at_us, books.at_us + 2 * DAY))
            for lease in ("", name):
                for number in range(4):
                    cost = None if day == 3 and number == 0 else chance.randint(0, 900)
                    await books.pay(1_000, cost, subject=subject, money_lease_id=lease)
            if day == 1:
                await books.writer.end_lease(name)
    abandoned = await books.pay(700, None)
    guess = entry(abandoned, 350, outcome=EntryOutcome.ABANDONED)
    await books.writer.settle(settlement(abandoned, entries=(guess,), answered=False))
    late = budget(10**12, Period.MONTHLY, id="late", tenant_id="acme", user_id="", key_id="key_1")
    await BudgetTable(books.database).create(replace(late, time_zone="America/Havana"), Actor("test", books.at_us))
    await books.pay(500, 20, subject=ACME)
    return made


async def test_books_that_add_up_show_no_difference_and_their_size(books: Books) -> None:
    await filled(books)
    held = read_books(books.database)
    assert differences(held) == []
    check = await books.check(grace_us=2 * DAY)
    assert check.differences == ()
    size = check.size
    assert (size.budgets, size.counters) == (len(held.budgets), len(held.counters))
    assert (size.entries, size.spent_nano_usd) == (len(held.entries), held.spent)
    assert (size.open_reservations, size.reserved_nano_usd) == (len(held.reservations), held.reserved)
    assert size.completions == len({each["completion_id"] for each in held.entries})
    still_held = [each for each in held.leases if not each["released"]]
    assert (size.open_leases, size.held_nano_usd) == (
        len(still_held),
        sum(each["amount_nano_usd"] - each["spent_nano_usd"] for each in still_held),
    )
    assert size.counters > size.budgets > 10
    assert size.open_reservations > 4


@pytest.mark.parametrize("column", ["spent_nano_usd", "reserved_nano_usd"])
async def test_each_counter_that_is_off_by_one_is_found(books: Books, column: str) -> None:
    await filled(books)
    counters = schema.budget_counters
    kind = Imbalance.COUNTER_SPENT if column == "spent_nano_usd" else Imbalance.COUNTER_RESERVED
    for each in read_books(books.database).counters:
        mine = (
            counters.c.budget_id == each["budget_id"],
            counters.c.period_start_us == each["period_start_us"],
        )
        await books.bend(counters, *mine, **{column: each[column] + 1})
        about = f"budgets/{each['budget_id']}/periods/{each['period_start_us']}"
        check = await books.check(grace_us=2 * DAY)
        assert [(d.kind, d.resource, d.expected, d.found) for d in check.differences] == [
            (kind, about, each[column], each[column] + 1)
        ]
        await books.bend(counters, *mine, **{column: each[column]})


async def test_a_counter_that_is_missing_is_found(books: Books) -> None:
    made = await add_budget(books.database, budget(period=Period.DAILY))
    await books.pay(100, 60)
    await books.pay(30, None)
    start = made.period_start(NOW)
    async with books.database.change() as connection:
        await connection.execute(delete(schema.budget_counters))
    about = f"budgets/{made.id}/periods/{start}"
    assert await books.found() == [
        (Imbalance.COUNTER_SPENT, about, 60, 0),
        (Imbalance.COUNTER_RESERVED, about, 30, 0),
    ]


async def test_a_budget_need_not_count_what_was_spent_in_periods_before_it_was_made(books: Books) -> None:
    books.at_us = NOW - 3 * DAY
    await books.pay(100, 60)
    books.at_us = NOW
    await BudgetTable(books.database).create(budget(period=Period.DAILY), Actor("test", NOW))
    assert await books.found() == []


async def test_an_entry_that_was_changed_shows_in_every_budget_that_counts_it(books: Books) -> None:
    mine, all_of_it = await add_budget(books.database, budget()), await add_budget(books.database, budget(user_id=""))
    promise = await books.pay(100, 60)
    entries = schema.ledger_entries
    await books.bend(entries, entries.c.completion_id == promise.completion_id, cost_nano_usd=61, cost_pico_usd=61_000)
    abouts = sorted(f"budgets/{each.id}/periods/0" for each in (mine, all_of_it))
    assert await books.found() == [(Imbalance.COUNTER_SPENT, about, 61, 60) for about in abouts]


async def test_a_promise_without_a_sign_of_life_is_found_after_the_grace(books: Books) -> None:
    promise = await books.pay(100, None, lease_until_us=NOW - GRACE)
    assert await books.found() == []
    books.at_us += 1
    about = f"reservations/{promise.completion_id}"
    assert await books.found() == [(Imbalance.RESERVATION_OVERDUE, about, 0, 100)]


async def test_a_lease_that_nobody_released_is_found_after_the_grace(books: Books) -> None:
    await books.writer.open_lease(MoneyLease("lease", SUBJECT, 100, NOW, NOW + HOUR))
    books.at_us = NOW + HOUR + GRACE
    assert await books.found() == []
    books.at_us += 1
    assert await books.found() == [(Imbalance.LEASE_OVERDUE, "moneyLeases/lease", 0, 100)]


async def test_a_promise_of_a_settled_completion_is_found(books: Books) -> None:
    await books.pay(100, None, name="cmp_twice")
    await book(books.database, [row("cmp_twice", NOW, 5, tenant_id="local", user_id="local")])
    assert await books.found() == [(Imbalance.RESERVATION_SETTLED, "reservations/cmp_twice", 0, 100)]


@pytest.mark.parametrize(("attempts", "highest"), [((2,), 2), ((1, 3), 3)])
async def test_attempts_with_a_gap_are_found(books: Books, attempts: tuple[int, ...], highest: int) -> None:
    await book(books.database, [row("cmp_gap", NOW, 5, attempt=number) for number in attempts])
    assert await books.found() == [(Imbalance.ATTEMPTS, "completions/cmp_gap", highest, len(attempts))]


@pytest.mark.parametrize(
    ("pico", "nano", "holds"),
    [((500,), (0,), True), ((501,), (0,), False), ((400, 400), (0, 1), True), ((400, 400), (0, 0), False)],
)
async def test_a_completion_s_cost_is_its_exact_cost_rounded_once(
    books: Books, pico: tuple[int, ...], nano: tuple[int, ...], holds: bool
) -> None:
    amounts = enumerate(zip(nano, pico, strict=True), 1)
    await book(books.database, [row("cmp_1", NOW, n, cost_pico_usd=p, attempt=a) for a, (n, p) in amounts])
    kinds = [each[0] for each in await books.found()]
    assert kinds == ([] if holds else [Imbalance.ROUNDING])


async def test_what_a_lease_says_of_itself_is_compared_with_what_was_paid_from_it(books: Books) -> None:
    await books.writer.open_lease(MoneyLease("lease", SUBJECT, 1_000, NOW, NOW + HOUR))
    await books.pay(100, 60, money_lease_id="lease")
    await books.pay(200, None, money_lease_id="lease")
    assert await books.found() == []
    await books.bend(schema.money_leases, spent_nano_usd=61, reserved_nano_usd=199)
    assert await books.found() == [
        (Imbalance.LEASE_SPENT, "moneyLeases/lease", 60, 61),
        (Imbalance.LEASE_RESERVED, "moneyLeases/lease", 200, 199),
    ]


async def test_what_was_paid_from_a_lease_that_is_not_there_is_found(books: Books) -> None:
    await book(books.database, [row("cmp_1", NOW, 5, money_lease_id="gone")])
    assert await books.found() == [(Imbalance.LEASE_UNKNOWN, "moneyLeases/gone", 0, 5)]


async def test_a_tenant_s_check_looks_at_nobody_else_s_books(books: Books) -> None:
    for tenant in ("acme", "local"):
        await add_budget(books.database, budget(id=f"of {tenant}", tenant_id=tenant, user_id=""))
        await book(books.database, [row(f"cmp_{tenant}", NOW, 5, tenant_id=tenant, attempt=2)])
        await books.writer.open_lease(MoneyLease(f"l_{tenant}", Subject(tenant, "u"), 10, NOW - HOUR, NOW - HOUR))
        await books.pay(7, None, subject=Subject(tenant, "u"), lease_until_us=NOW - HOUR)
    for tenant in ("acme", "local"):
        found = await books.found(tenant)
        assert {kind for kind, *_ in found} == {
            Imbalance.COUNTER_SPENT,
            Imbalance.ATTEMPTS,
            Imbalance.RESERVATION_OVERDUE,
            Imbalance.LEASE_OVERDUE,
        }
        assert len(found) == 4
        size = (await books.check(tenant)).size
        assert (size.budgets, size.entries, size.open_reservations, size.open_leases) == (1, 1, 1, 1)
    assert len(await books.found()) == 8


async def test_the_check_sees_one_moment_while_others_write(books: Books) -> None:
    """Each transaction moves counters and entries together: a check that saw half of one would find a difference."""
    await add_budget(books.database, budget(10**12))
    going = True

    async def spend() -> int:
        paid = 0
        while going:
            await asyncio.gather(*(books.pay(100, 60) for _ in range(5)))
            paid += 5
        return paid

    spending = asyncio.create_task(spend())
    checks = [await books.check() for _ in range(15)]
    going = False
    assert await spending > 10
    assert [each.differences for each in checks] == [()] * 15
    assert len({each.size.entries for each in checks}) > 1


async def test_budgets_of_nobody_who_spent_are_empty_and_right(books: Books) -> None:
    await add_budget(books.database, budget(tenant_id="acme", user_id="bob"))
    assert await books.found() == []
