"""The budgets that are nearest to their end, of SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import insert

from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.storage.budget_shares import BudgetShares
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.records import budget_row
from muxer_grpc.storage.schema import budget_counters, budgets, tenants
from tests.storage.records import NOW, SECOND

HOUR = 3_600 * SECOND
# In Auckland it is the next day by then.
NOON = int(datetime(2027, 1, 14, 12, tzinfo=UTC).timestamp()) * SECOND


async def keep(database: Database, budget: Budget, spent: int, reserved: int = 0, at_us: int = NOW) -> None:
    """Writes a budget of which so much is gone in the period of a time."""
    times = {"created_us": NOW, "updated_us": NOW}
    counter = {"budget_id": budget.id, "period_start_us": budget.period_start(at_us)}
    async with database.change() as connection:
        await connection.execute(insert(budgets).values(**budget_row(budget), **times))
        await connection.execute(
            insert(budget_counters).values(**counter, spent_nano_usd=spent, reserved_nano_usd=reserved)
        )


async def add_tenant(database: Database, name: str = "acme", display_name: str = "Acme & Sons") -> None:
    async with database.change() as connection:
        row = {"id": name, "display_name": display_name, "created_us": NOW, "updated_us": NOW}
        await connection.execute(insert(tenants).values(**row, suspended=False, policy={}))


async def test_budgets_come_by_the_share_that_is_spent_and_no_more_of_them_than_asked_for(database: Database) -> None:
    await add_tenant(database)
    for name, limit, spent, reserved in (
        ("half", 100, 50, 0),
        ("over", 100, 120, 7),
        ("of-nothing", 0, 5, 0),
        ("untouched", 100, 0, 0),
        ("only-reserved", 100, 0, 9),
        ("nearly", 10**12, 99 * 10**10, 0),
    ):
        await keep(database, Budget(name, "acme", Period.TOTAL, limit), spent, reserved)
    found = await BudgetShares(database).most_spent(NOW, 20)
    assert [each.budget.id for each in found] == ["of-nothing", "over", "nearly", "half", "only-reserved"]
    assert found[1] == (Budget("over", "acme", Period.TOTAL, 100), "Acme & Sons", 120, 7)
    assert len(await BudgetShares(database).most_spent(NOW, 2)) == 2


async def test_only_the_present_period_counts_as_each_budgets_own_time_zone_has_it(database: Database) -> None:
    await add_tenant(database)
    day = Budget("utc", "acme", Period.DAILY, 100)
    far = Budget("far", "acme", Period.DAILY, 100, time_zone="Pacific/Auckland")
    await keep(database, day, 10, at_us=NOON)
    await keep(database, far, 20, at_us=NOON)
    await keep(database, Budget("month", "acme", Period.MONTHLY, 100), 30, at_us=NOON)

    async def spent(at_us: int) -> dict[str, int]:
        return {each.budget.id: each.spent_nano_usd for each in await BudgetShares(database).most_spent(at_us, 20)}

    assert await spent(NOON) == {"month": 30, "far": 20, "utc": 10}
    assert await spent(NOON + 11 * HOUR) == {"month": 30, "far": 20, "utc": 10}
    assert await spent(NOON + 12 * HOUR) == {"month": 30, "far": 20}
    assert await spent(NOON - 24 * HOUR) == {"month": 30}


async def test_without_budgets_there_is_nothing_to_list(database: Database) -> None:
    assert list(await BudgetShares(database).most_spent(NOW, 20)) == []
