"""The budgets that are nearest to their end: what of each is spent in its present period."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Float, and_, case, cast, or_, select

from muxer_grpc.domain.budgeting import Budget, BudgetSpending, Period
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.records import budget_of
from muxer_grpc.storage.schema import budget_counters, budgets, tenants


class BudgetShares:
    """Reads them, of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def most_spent(self, at_us: int, most: int) -> Sequence[BudgetSpending]:
        """Lists budgets by the share that is spent, the greatest first; untouched ones are not listed.

        Raises StorageUnavailable.
        """
        spent, reserved = budget_counters.c.spent_nano_usd, budget_counters.c.reserved_nano_usd
        # A budget of nothing of which anything is spent stands above all others.
        share = cast(spent, Float) / case((budgets.c.limit_nano_usd == 0, 1), else_=budgets.c.limit_nano_usd)
        async with self._database.read() as connection:
            clocks = (await connection.execute(select(budgets.c.period, budgets.c.time_zone).distinct())).all()
            # When a period began rests on its zone: the database is told, for each that there is.
            present = [
                and_(
                    budgets.c.period == period,
                    budgets.c.time_zone == zone,
                    budget_counters.c.period_start_us
                    == Budget("", "", Period(period), 0, time_zone=zone).period_start(at_us),
                )
                for period, zone in clocks
            ]
            if not present:
                return ()
            query = (
                select(budgets, spent, reserved, tenants.c.display_name)
                .join(budget_counters, budget_counters.c.budget_id == budgets.c.id)
                .join(tenants, tenants.c.id == budgets.c.tenant_id)
                .where(or_(*present), or_(spent > 0, reserved > 0))
                .order_by(share.desc(), budgets.c.tenant_id, budgets.c.id)
                .limit(most)
            )
            rows = (await connection.execute(query)).mappings().all()
        return [
            BudgetSpending(budget_of(row), row["display_name"], row["spent_nano_usd"], row["reserved_nano_usd"])
            for row in rows
        ]
