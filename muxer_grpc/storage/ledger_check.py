"""Reads, at one moment, all that the books must agree in, and says where they do not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import BudgetRecord
from muxer_grpc.domain.budgeting import CounterKey
from muxer_grpc.domain.ledger_check import (
    Booked,
    Cut,
    Difference,
    Imbalance,
    Kept,
    LedgerCheck,
    LedgerSize,
    check_counters,
    overruns_of,
)
from muxer_grpc.domain.money import PICO_PER_NANO
from muxer_grpc.domain.refusals import time_text
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage.budgets import HELD
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.entry_rows import bucket
from muxer_grpc.storage.records import budget_of
from muxer_grpc.storage.schema import budget_counters, budgets, ledger_entries, money_leases, reservations
from muxer_grpc.storage.snapshots import snapshot

# A check reads every entry: it may take long.
CHECK_SECONDS = 600

entries, promises, leases = ledger_entries.c, reservations.c, money_leases.c


class LedgerCheckTable:
    """Implements the port LedgerChecks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self, tenant_id: str | None, at_us: int, grace_us: int) -> LedgerCheck:
        """Checks the books of a tenant, or all of them."""
        async with snapshot(self._database, CHECK_SECONDS) as connection:
            books = _Books(connection, tenant_id)
            records, counters = await books.budgets(), await books.counters()
            booked = {cut: [row async for row in books.booked(cut)] for cut in {Cut.of(r.budget) for r in records}}
            differences = [
                *check_counters(records, booked, counters),
                *await books.completions(),
                *await books.still_open(),
                *await books.leases(),
                *await books.overdue(at_us, grace_us),
            ]
            size = await books.size(len(records), len(counters))
            return LedgerCheck(at_us, size, tuple(differences), tuple(overruns_of(records, counters)))


class _Books:
    """The books of one tenant, or of all, as one transaction sees them."""

    def __init__(self, connection: AsyncConnection, tenant_id: str | None) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def budgets(self) -> list[BudgetRecord]:
        rows = await self._rows(select(budgets).where(*self._of(budgets)))
        return [BudgetRecord(budget_of(row), created_us=row["created_us"]) for row in rows]

    async def counters(self) -> dict[CounterKey, Kept]:
        own = select(budgets.c.id).where(*self._of(budgets))
        rows = await self._rows(select(budget_counters).where(budget_counters.c.budget_id.in_(own)))
        return {
            (row["budget_id"], row["period_start_us"]): Kept(row["spent_nano_usd"], row["reserved_nano_usd"])
            for row in rows
        }

    async def booked(self, cut: Cut) -> AsyncGenerator[Booked, None]:
        """Sums by subject and bucket; what is paid from a lease counts for whom, and when, the lease was made."""
        by_lease = ledger_entries.outerjoin(money_leases, leases.id == entries.money_lease_id)
        spent = (
            func.coalesce(leases.user_id, entries.user_id),
            func.coalesce(leases.key_id, entries.key_id),
            func.coalesce(leases.created_us, entries.created_us),
        )
        async for each in self._sums(cut, ledger_entries, spent, entries.cost_nano_usd, source=by_lease):
            yield Booked(each[0], each[1], each[2], 0)
        promised = (promises.user_id, promises.key_id, promises.created_us)
        own = promises.money_lease_id == ""
        async for each in self._sums(cut, reservations, promised, promises.amount_nano_usd, own):
            yield Booked(each[0], each[1], 0, each[2])
        async for each in self._sums(cut, money_leases, (leases.user_id, leases.key_id, leases.created_us), HELD):
            yield Booked(each[0], each[1], 0, each[2])

    async def _sums(
        self,
        cut: Cut,
        table: Table,
        whose: tuple[ColumnElement[str], ColumnElement[str], ColumnElement[int]],
        amount: ColumnElement[int],
        *where: ColumnElement[bool],
        source: Any = None,
    ) -> AsyncGenerator[tuple[Subject, int, int], None]:
        user, key, at = whose
        origin = table if source is None else source
        conditions = (*self._of(table), *where)
        span = select(func.min(at), func.max(at)).select_from(origin).where(*conditions)
        first, last = (await self._connection.execute(span)).one()
        if first is None:
            return
        named = literal(0) if cut.buckets is None else bucket(cut.buckets, at, first, last)
        rows = (
            select(table.c.tenant_id, user.label("user_id"), key.label("key_id"), named.label("bucket"), amount)
            .select_from(origin)
            .where(*conditions)
            .subquery()
        )
        columns = list(rows.c)
        query = select(*columns[:-1], func.sum(columns[-1])).group_by(*columns[:-1])
        for row in await self._connection.execute(query):
            yield Subject(row[0], row[1], row[2]), row[3], int(row[4])

    async def completions(self) -> list[Difference]:
        """Finds completions whose attempts are not numbered from 1 on, and sums that were not rounded once."""
        number, highest, lowest = func.count(), func.max(entries.attempt), func.min(entries.attempt)
        nano, pico = func.sum(entries.cost_nano_usd), func.sum(entries.cost_pico_usd)
        off = func.abs(nano * PICO_PER_NANO - pico) * 2 > PICO_PER_NANO
        query = (
            select(entries.completion_id, number.label("attempts"), highest.label("highest"))
            .add_columns(lowest.label("lowest"), nano.label("nano"), pico.label("pico"))
            .where(*self._of(ledger_entries))
            .group_by(entries.completion_id)
            .having(or_(number != highest, lowest != 1, off))
        )
        return [each for row in await self._rows(query) for each in _of_completion(row)]

    async def still_open(self) -> list[Difference]:
        """Finds promises of completions that are settled."""
        settled = select(entries.completion_id).where(entries.completion_id == promises.completion_id).exists()
        query = select(reservations).where(*self._of(reservations), settled)
        return [
            Difference(
                Imbalance.RESERVATION_SETTLED,
                f"reservations/{row['completion_id']}",
                0,
                row["amount_nano_usd"],
                "the completion is settled, and what it reserved is still held",
            )
            for row in await self._rows(query)
        ]

    async def leases(self) -> list[Difference]:
        """Compares leases with what was paid, and is promised, from them."""
        paid = await self._by_lease(entries.money_lease_id, entries.cost_nano_usd, ledger_entries)
        promised = await self._by_lease(promises.money_lease_id, promises.amount_nano_usd, reservations)
        columns = select(leases.id, leases.spent_nano_usd, leases.reserved_nano_usd).where(*self._of(money_leases))
        known = {row["id"]: row for row in await self._rows(columns)}
        found = []
        for name, row in known.items():
            for kind, word, is_now, must_be in (
                (Imbalance.LEASE_SPENT, "spent", row["spent_nano_usd"], paid.get(name, 0)),
                (Imbalance.LEASE_RESERVED, "reserved", row["reserved_nano_usd"], promised.get(name, 0)),
            ):
                if is_now != must_be:
                    told = f"{word} is {is_now} nano-USD, and the ledger says {must_be}"
                    found.append(Difference(kind, f"moneyLeases/{name}", must_be, is_now, told))
        for name in sorted({*paid, *promised} - set(known)):
            amount = paid.get(name, 0) + promised.get(name, 0)
            told = f"{amount} nano-USD are booked on a lease that is not there"
            found.append(Difference(Imbalance.LEASE_UNKNOWN, f"moneyLeases/{name}", 0, amount, told))
        return found

    async def overdue(self, at_us: int, grace_us: int) -> list[Difference]:
        """Finds promises without a sign of life, and leases that nobody released."""
        late = at_us - grace_us
        left_behind = select(reservations).where(*self._of(reservations), promises.lease_until_us < late)
        expired = select(leases.id, leases.expires_us, HELD.label("held")).where(
            *self._of(money_leases), leases.released.is_(False), leases.expires_us < late
        )
        return [
            *(
                Difference(
                    Imbalance.RESERVATION_OVERDUE,
                    f"reservations/{row['completion_id']}",
                    0,
                    row["amount_nano_usd"],
                    f"no sign of life since its lease ended at {time_text(row['lease_until_us'])}: "
                    "a running service settles it",
                )
                for row in await self._rows(left_behind)
            ),
            *(
                Difference(
                    Imbalance.LEASE_OVERDUE,
                    f"moneyLeases/{row['id']}",
                    0,
                    row["held"],
                    f"it expired at {time_text(row['expires_us'])} and is still held: a running service releases it",
                )
                for row in await self._rows(expired)
            ),
        ]

    async def size(self, budget_count: int, counter_count: int) -> LedgerSize:
        """Tells how much was looked through."""
        booked = select(
            func.count(),
            func.count(entries.completion_id.distinct()),
            func.coalesce(func.sum(entries.cost_nano_usd), 0),
        ).where(*self._of(ledger_entries))
        promised = select(func.count(), func.coalesce(func.sum(promises.amount_nano_usd), 0)).where(
            *self._of(reservations)
        )
        held = select(func.count(), func.coalesce(func.sum(HELD), 0)).where(
            *self._of(money_leases), leases.released.is_(False)
        )
        connection = self._connection
        entry_count, completion_count, spent = (await connection.execute(booked)).one()
        reservation_count, reserved = (await connection.execute(promised)).one()
        lease_count, lease_held = (await connection.execute(held)).one()
        return LedgerSize(
            budgets=budget_count,
            counters=counter_count,
            entries=entry_count,
            completions=completion_count,
            spent_nano_usd=int(spent),
            open_reservations=reservation_count,
            reserved_nano_usd=int(reserved),
            open_leases=lease_count,
            held_nano_usd=int(lease_held),
        )

    async def _by_lease(self, lease: ColumnElement[str], amount: ColumnElement[int], table: Table) -> dict[str, int]:
        query = select(lease, func.sum(amount)).where(*self._of(table), lease != "").group_by(lease)
        return {name: int(total) for name, total in await self._connection.execute(query)}

    def _of(self, table: Table) -> list[ColumnElement[bool]]:
        return [] if self._tenant_id is None else [table.c.tenant_id == self._tenant_id]

    async def _rows(self, query: Select[Any]) -> Sequence[Any]:
        rows: Sequence[Any] = (await self._connection.execute(query)).mappings().all()
        return rows


def _of_completion(row: Mapping[str, Any]) -> Iterator[Difference]:
    about = f"completions/{row['completion_id']}"
    number, highest = row["attempts"], row["highest"]
    if number != highest or row["lowest"] != 1:
        told = f"it has {number} attempts, and they are numbered from {row['lowest']} to {highest}"
        yield Difference(Imbalance.ATTEMPTS, about, highest, number, told)
    nano, pico = int(row["nano"]), int(row["pico"])
    if 2 * abs(nano * PICO_PER_NANO - pico) > PICO_PER_NANO:
        told = f"{pico} pico-USD are booked as {nano} nano-USD"
        yield Difference(Imbalance.ROUNDING, about, pico // PICO_PER_NANO, nano, told)
