"""Budgets: made, changed, deleted; and counters that are, from their first moment on, exactly the ledger's sums."""

from __future__ import annotations

from collections import Counter as Totals
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    RowMapping,
    Table,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import Actor, BudgetFilter, BudgetRecord, PageRequest
from muxer_grpc.domain.budgeting import MICROSECONDS, Budget, Counter
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.ledger import EntryOutcome
from muxer_grpc.domain.refusals import ResourceExists
from muxer_grpc.storage import audit
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.locking import check_revision, hold, hold_tenant, tell_budgets_changed
from muxer_grpc.storage.records import budget_of, budget_row, told_of
from muxer_grpc.storage.schema import (
    api_keys,
    budget_counters,
    budgets,
    ledger_entries,
    money_leases,
    reservations,
    users,
)

KIND = "Budget"
QUARTER_HOUR_US = 900 * MICROSECONDS
# So far may the clocks of replicas, and the time from asking to writing, put a promise from now.
SLACK_US = 300 * MICROSECONDS
ORDER = (budgets.c.tenant_id, budgets.c.user_id, budgets.c.key_id, budgets.c.id)

_Parts = Sequence[tuple[Table, ColumnElement[int], ColumnElement[bool]]]

# What counts, and where: a lease of money is held as a whole, and what is spent of it is spent in its own period.
_UNSPENT = case((money_leases.c.released, 0), else_=money_leases.c.amount_nano_usd - money_leases.c.spent_nano_usd)
# As MoneyLease.held_nano_usd has it.
HELD = case((money_leases.c.reserved_nano_usd < _UNSPENT, _UNSPENT), else_=money_leases.c.reserved_nano_usd)
_SPENT: _Parts = (
    (ledger_entries, ledger_entries.c.cost_nano_usd, ledger_entries.c.money_lease_id == ""),
    (money_leases, money_leases.c.spent_nano_usd, true()),
)
_RESERVED: _Parts = (
    (reservations, reservations.c.amount_nano_usd, reservations.c.money_lease_id == ""),
    (money_leases, HELD, true()),
)


class BudgetTable:
    """Implements the port Budgets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, budget: Budget, actor: Actor) -> BudgetRecord:
        """Makes one, counting what its period holds already."""
        async with self._database.change() as connection:
            await hold_tenant(connection, budget.tenant_id)
            await _check_subject(connection, budget)
            return await add_budget(connection, budget, actor)

    async def get(self, tenant_id: str | None, budget_id: str, at_us: int) -> BudgetRecord:
        """Reads one, as it stands in the period of a time."""
        async with self._database.read() as connection:
            query = select(budgets).where(*_named(tenant_id, budget_id))
            row = (await connection.execute(query)).mappings().first()
            if row is None:
                raise ResourceNotFound(KIND, budget_id)
            return (await _with_counters(connection, [row], at_us))[0]

    async def page(self, wanted: BudgetFilter, asked: PageRequest, at_us: int) -> Sequence[BudgetRecord]:
        """Lists them by tenant, user, key and id, as they stand in the period of a time."""
        query = select(budgets).where(*_conditions(wanted)).order_by(*ORDER).limit(asked.length)
        if asked.after:
            query = query.where(tuple_(*ORDER) > tuple_(*asked.after))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
            return await _with_counters(connection, rows, at_us)

    async def change(
        self, tenant_id: str | None, budget_id: str, revision: int, change: Callable[[Budget], Budget], actor: Actor
    ) -> BudgetRecord:
        """Changes limit, hardness or alerts of one. What else a budget is stays: its counters rest on it."""
        async with self._database.change() as connection:
            row = await _hold_budget(connection, tenant_id, budget_id)
            check_revision(KIND, budget_id, revision, row["revision"])
            before = budget_of(row)
            changed = change(before)
            after = replace(
                before, limit_nano_usd=changed.limit_nano_usd, hard=changed.hard, alert_shares=changed.alert_shares
            )
            if after != before:
                values = {**budget_row(after), "revision": row["revision"] + 1, "updated_us": actor.at_us}
                await connection.execute(update(budgets).where(budgets.c.id == budget_id).values(**values))
                await tell_budgets_changed(connection, before.tenant_id)
                await audit.append(
                    connection,
                    actor,
                    "UpdateBudget",
                    resource_of(before),
                    tenant_id=before.tenant_id,
                    before=told_of(row),
                    after=told_of({**row, **values}),
                )
            fresh = (await connection.execute(select(budgets).where(budgets.c.id == budget_id))).mappings().one()
            return (await _with_counters(connection, [fresh], actor.at_us))[0]

    async def delete(self, tenant_id: str | None, budget_id: str, revision: int, actor: Actor) -> None:
        """Deletes one with its counters."""
        async with self._database.change() as connection:
            row = await _hold_budget(connection, tenant_id, budget_id)
            check_revision(KIND, budget_id, revision, row["revision"])
            await delete_budgets(connection, [row], actor)


def resource_of(budget: Budget) -> str:
    """Names a budget in the audit log."""
    return f"tenants/{budget.tenant_id}/budgets/{budget.id}"


async def add_budget(connection: AsyncConnection, budget: Budget, actor: Actor) -> BudgetRecord:
    """Makes a budget of a tenant that the transaction holds. Raises ResourceExists."""
    same = select(budgets.c.id).where(
        budgets.c.tenant_id == budget.tenant_id,
        budgets.c.user_id == budget.user_id,
        budgets.c.key_id == budget.key_id,
        budgets.c.period == budget.period.value,
    )
    there = (await connection.execute(same)).scalars().first()
    if there is not None:
        raise ResourceExists(KIND, there)
    row = {**budget_row(budget), "revision": 1, "created_us": actor.at_us, "updated_us": actor.at_us}
    await connection.execute(insert(budgets).values(**row))
    counters = await counted(connection, budget, actor.at_us)
    await connection.execute(
        insert(budget_counters),
        [
            {
                "budget_id": budget.id,
                "period_start_us": start,
                "spent_nano_usd": counter.spent_nano_usd,
                "reserved_nano_usd": counter.reserved_nano_usd,
                "alerted_share": 0,
            }
            for start, counter in counters.items()
        ],
    )
    await tell_budgets_changed(connection, budget.tenant_id)
    await audit.append(
        connection, actor, "CreateBudget", resource_of(budget), tenant_id=budget.tenant_id, after=told_of(row)
    )
    now = counters[budget.period_start(actor.at_us)]
    return BudgetRecord(
        budget, now.spent_nano_usd, now.reserved_nano_usd, 1, created_us=actor.at_us, updated_us=actor.at_us
    )


async def delete_budgets(connection: AsyncConnection, rows: Iterable[RowMapping], actor: Actor) -> None:
    """Deletes budgets of tenants that the transaction holds; their counters go with them."""
    for row in rows:
        budget = budget_of(row)
        await connection.execute(delete(budgets).where(budgets.c.id == budget.id))
        await tell_budgets_changed(connection, budget.tenant_id)
        await audit.append(
            connection, actor, "DeleteBudget", resource_of(budget), tenant_id=budget.tenant_id, before=told_of(row)
        )


async def counted(connection: AsyncConnection, budget: Budget, at_us: int) -> dict[int, Counter]:
    """Sums what counts in a budget, by the beginning of the period, while nothing can be booked for its tenant.

    That is for the period of now, and for all from the earliest on in which anything may yet change: a writer, which
    takes a counter that is not there for one without anything in it, is right then.
    """
    since = budget.period_start(await _earliest(connection, budget, at_us))
    spent = await _sums(connection, budget, _SPENT, since)
    reserved = await _sums(connection, budget, _RESERVED, since)
    return {start: Counter(spent[start], reserved[start]) for start in {budget.period_start(at_us), *spent, *reserved}}


async def _earliest(connection: AsyncConnection, budget: Budget, at_us: int) -> int:
    """Gives the time of the earliest thing that may yet change, but for what replicas' clocks and queues make of now.

    A promise will be settled, and what a sweeper booked for a process that it took for dead may be put right by it.
    """
    promises, leases, entries = reservations.c, money_leases.c, ledger_entries.c
    open_leases = (leases.released.is_(False)) | (leases.reserved_nano_usd > 0)
    found = [at_us - SLACK_US]
    for table, where in (
        (reservations, promises.money_lease_id == ""),
        (money_leases, open_leases),
        (ledger_entries, entries.outcome == EntryOutcome.ABANDONED.value),
    ):
        query = select(func.min(table.c.created_us)).where(*_of(budget, table), where)
        earliest = (await connection.execute(query)).scalar_one()
        if earliest is not None:
            found.append(earliest)
    return min(found)


async def _sums(connection: AsyncConnection, budget: Budget, parts: _Parts, since: int) -> Totals[int]:
    """Sums amounts by period, from the period that begins at a time on."""
    totals: Totals[int] = Totals()
    for table, amount, where in parts:
        # By quarter hours, at whole ones of which periods begin in every zone.
        quarter_hour = literal_column(f"created_us / {QUARTER_HOUR_US}", BigInteger)
        query = select(quarter_hour, func.sum(amount)).where(*_of(budget, table), where, table.c.created_us >= since)
        for quarter, total in await connection.execute(query.group_by(quarter_hour)):
            # PostgreSQL sums 64-bit integers as numerics.
            totals[budget.period_start(quarter * QUARTER_HOUR_US)] += int(total)
    return totals


def _of(budget: Budget, table: Table) -> list[ColumnElement[bool]]:
    """Says which rows of a table are a budget's; as Budget.holds_for does."""
    conditions: list[ColumnElement[bool]] = [table.c.tenant_id == budget.tenant_id]
    if budget.user_id:
        conditions.append(table.c.user_id == budget.user_id)
    if budget.key_id:
        conditions.append(table.c.key_id == budget.key_id)
    return conditions


async def _check_subject(connection: AsyncConnection, budget: Budget) -> None:
    """Raises ResourceNotFound where the tenant has no such user, or no such key of that user's."""
    if budget.user_id:
        query = select(users.c.id).where(users.c.tenant_id == budget.tenant_id, users.c.id == budget.user_id)
        if (await connection.execute(query)).first() is None:
            raise ResourceNotFound("User", budget.user_id)
    if budget.key_id:
        own = [api_keys.c.tenant_id == budget.tenant_id, api_keys.c.id == budget.key_id]
        if budget.user_id:
            own.append(api_keys.c.user_id == budget.user_id)
        if (await connection.execute(select(api_keys.c.id).where(*own))).first() is None:
            raise ResourceNotFound("ApiKey", budget.key_id)


async def _hold_budget(connection: AsyncConnection, tenant_id: str | None, budget_id: str) -> RowMapping:
    """Holds a budget and, before it, its tenant."""
    named = _named(tenant_id, budget_id)
    owner = (await connection.execute(select(budgets.c.tenant_id).where(*named))).scalars().first()
    if owner is None:
        raise ResourceNotFound(KIND, budget_id)
    await hold_tenant(connection, owner)
    return await hold(connection, budgets, KIND, budget_id, *named)


async def _with_counters(connection: AsyncConnection, rows: Sequence[RowMapping], at_us: int) -> list[BudgetRecord]:
    """Reads what is spent and reserved of budgets; one without a counter for its period is untouched in it."""
    found = [budget_of(row) for row in rows]
    keys = [(budget.id, budget.period_start(at_us)) for budget in found]
    counters: dict[tuple[str, int], Any] = {}
    if keys:
        columns = budget_counters.c
        query = select(budget_counters).where(tuple_(columns.budget_id, columns.period_start_us).in_(keys))
        for row in (await connection.execute(query)).mappings():
            counters[row["budget_id"], row["period_start_us"]] = row
    records = []
    for row, budget, key in zip(rows, found, keys, strict=True):
        counter = counters.get(key)
        records.append(
            BudgetRecord(
                budget,
                0 if counter is None else counter["spent_nano_usd"],
                0 if counter is None else counter["reserved_nano_usd"],
                row["revision"],
                created_us=row["created_us"],
                updated_us=row["updated_us"],
            )
        )
    return records


def _named(tenant_id: str | None, budget_id: str) -> list[ColumnElement[bool]]:
    narrowed = [] if tenant_id is None else [budgets.c.tenant_id == tenant_id]
    return [budgets.c.id == budget_id, *narrowed]


def _conditions(wanted: BudgetFilter) -> list[ColumnElement[bool]]:
    columns = budgets.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.tenant_id is not None:
        conditions.append(columns.tenant_id == wanted.tenant_id)
    if wanted.user_id:
        conditions.append(columns.user_id == wanted.user_id)
    if wanted.key_id:
        conditions.append(columns.key_id == wanted.key_id)
    if wanted.period is not None:
        conditions.append(columns.period == wanted.period.value)
    return conditions
