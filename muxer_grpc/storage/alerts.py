"""Alerts, as the ledger's writers raise them: in the order of their numbers, without gaps that fill later."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, RowMapping, func, select

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.reporting import AlertFilter, AlertRecord
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import alerts


class AlertTable:
    """Implements the port AlertLog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: AlertFilter, asked: PageRequest) -> Sequence[AlertRecord]:
        """Lists alerts, the latest first."""
        query = select(alerts).where(*_conditions(wanted)).order_by(alerts.c.seq.desc()).limit(asked.length)
        if asked.after:
            query = query.where(alerts.c.seq < int(asked.after[0]))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_record(row) for row in rows]

    async def after(self, sequence: int, tenant_id: str | None, length: int) -> Sequence[AlertRecord]:
        """Lists at most so many alerts with a higher number, the earliest first."""
        query = select(alerts).where(alerts.c.seq > sequence).order_by(alerts.c.seq).limit(length)
        if tenant_id is not None:
            query = query.where(alerts.c.tenant_id == tenant_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_record(row) for row in rows]

    async def last(self) -> int:
        """Gives the number of the latest alert of all; 0 before the first."""
        async with self._database.read() as connection:
            return (await connection.execute(select(func.max(alerts.c.seq)))).scalar() or 0


def _record(row: RowMapping) -> AlertRecord:
    return AlertRecord(
        sequence=row["seq"],
        tenant_id=row["tenant_id"],
        budget_id=row["budget_id"],
        user_id=row["user_id"],
        key_id=row["key_id"],
        period_start_us=row["period_start_us"],
        share=row["share"],
        spent_nano_usd=row["spent_nano_usd"],
        limit_nano_usd=row["limit_nano_usd"],
        created_us=row["created_us"],
    )


def _conditions(wanted: AlertFilter) -> list[ColumnElement[bool]]:
    columns = alerts.c
    conditions: list[ColumnElement[bool]] = [
        columns[name] == getattr(wanted, name) for name in ("budget_id", "user_id", "key_id") if getattr(wanted, name)
    ]
    if wanted.tenant_id is not None:
        conditions.append(columns.tenant_id == wanted.tenant_id)
    if wanted.since_us is not None:
        conditions.append(columns.created_us >= wanted.since_us)
    if wanted.until_us is not None:
        conditions.append(columns.created_us < wanted.until_us)
    return conditions
