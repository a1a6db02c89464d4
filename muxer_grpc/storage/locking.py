"""How a change holds what it changes, so that nobody else changes it, or books on it, in between.

SQLite holds the whole database for a transaction that writes. On PostgreSQL rows are locked, a tenant's before those of
anything that is the tenant's, in the order of the ledger's writer: it takes FOR KEY SHARE on the tenants that it books
for, which FOR UPDATE shuts out and which a change that does not touch budgets lets through.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, RowMapping, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.refusals import RevisionConflict
from muxer_grpc.storage.schema import tenants


async def hold_tenant(connection: AsyncConnection, tenant_id: str) -> RowMapping:
    """Holds a tenant: until the transaction ends nothing is booked for it. Raises ResourceNotFound."""
    query = select(tenants).where(tenants.c.id == tenant_id).with_for_update()
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise ResourceNotFound("Tenant", tenant_id)
    return row


async def hold(
    connection: AsyncConnection, table: Table, kind: str, name: str, *where: ColumnElement[bool]
) -> RowMapping:
    """Reads one row, and holds it against changes, not against references to it. Raises ResourceNotFound."""
    query = select(table).where(*where).with_for_update(key_share=True)
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise ResourceNotFound(kind, name)
    return row


def check_revision(kind: str, name: str, asked: int, current: int) -> None:
    """Raises RevisionConflict where a change builds on another revision than the current one; 0 builds on any."""
    if asked not in (0, current):
        raise RevisionConflict(kind, name, current)


async def tell_budgets_changed(connection: AsyncConnection, tenant_id: str) -> None:
    """Lets writers know that the budgets of a tenant, which they remember, are no longer as they were."""
    changed = update(tenants).where(tenants.c.id == tenant_id)
    await connection.execute(changed.values(budgets_revision=tenants.c.budgets_revision + 1))
