"""Leases of money, as they are read; the ledger's writer alone changes them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, select, tuple_

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.money_leases import LeaseFilter, MoneyLease
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import money_leases


class MoneyLeaseTable:
    """Implements the port MoneyLeases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, lease_id: str) -> MoneyLease | None:
        """Reads one."""
        query = select(money_leases).where(money_leases.c.id == lease_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else lease_of(row)

    async def page(self, wanted: LeaseFilter, asked: PageRequest) -> Sequence[MoneyLease]:
        """Lists leases, the latest first."""
        columns = money_leases.c
        query = select(money_leases).order_by(columns.created_us.desc(), columns.id.desc()).limit(asked.length)
        if wanted.tenant_id is not None:
            query = query.where(columns.tenant_id == wanted.tenant_id)
        if wanted.user_id:
            query = query.where(columns.user_id == wanted.user_id)
        if wanted.open_at_us is not None:
            query = query.where(columns.released.is_(False), columns.expires_us > wanted.open_at_us)
        if asked.after:
            query = query.where(tuple_(columns.created_us, columns.id) < tuple_(int(asked.after[0]), asked.after[1]))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [lease_of(row) for row in rows]


def lease_of(row: RowMapping) -> MoneyLease:
    """Reads a row of leases."""
    return MoneyLease(
        id=row["id"],
        subject=Subject(row["tenant_id"], row["user_id"], row["key_id"]),
        amount_nano_usd=row["amount_nano_usd"],
        created_us=row["created_us"],
        expires_us=row["expires_us"],
        spent_nano_usd=row["spent_nano_usd"],
        reserved_nano_usd=row["reserved_nano_usd"],
        released=row["released"],
        labels=row["labels"],
    )
