"""Tenants: made, changed, deleted. Two are always there: a migration makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import RowMapping, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import RESERVED_TENANTS, Actor, PageRequest
from muxer_grpc.domain.directory import Tenant
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.refusals import PreconditionFailed, ResourceExists
from muxer_grpc.storage import audit
from muxer_grpc.storage.budgets import delete_budgets
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.locking import check_revision, hold, hold_tenant
from muxer_grpc.storage.records import tenant_of, tenant_row, told_of, user_of
from muxer_grpc.storage.schema import (
    alerts,
    budgets,
    contents,
    decisions,
    idempotent_requests,
    ledger_entries,
    money_leases,
    reservations,
    tenants,
    users,
)
from muxer_grpc.storage.users import delete_user

KIND = "Tenant"

# What tells of money: a tenant that stands in one of these stays, so that the accounts stay whole.
ACCOUNTS = (ledger_entries, reservations, money_leases)
# What is kept for a tenant and goes with it.
KEPT = (idempotent_requests, decisions, contents, alerts)


class TenantTable:
    """Implements the port Tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tenant: Tenant, actor: Actor) -> Tenant:
        """Makes one."""
        async with self._database.change() as connection:
            return await add_tenant(connection, tenant, actor)

    async def get(self, tenant_id: str) -> Tenant:
        """Reads one."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(tenants).where(tenants.c.id == tenant_id))).mappings().first()
        if row is None:
            raise ResourceNotFound(KIND, tenant_id)
        return tenant_of(row)

    async def page(self, asked: PageRequest, *, suspended: bool | None = None) -> Sequence[Tenant]:
        """Lists them by id."""
        query = select(tenants).order_by(tenants.c.id).limit(asked.length)
        if suspended is not None:
            query = query.where(tenants.c.suspended.is_(suspended))
        if asked.after:
            query = query.where(tenants.c.id > asked.after[0])
        async with self._database.read() as connection:
            return [tenant_of(row) for row in (await connection.execute(query)).mappings()]

    async def change(self, tenant_id: str, revision: int, change: Callable[[Tenant], Tenant], actor: Actor) -> Tenant:
        """Puts what `change` makes of one in its place."""
        async with self._database.change() as connection:
            row = await hold(connection, tenants, KIND, tenant_id, tenants.c.id == tenant_id)
            check_revision(KIND, tenant_id, revision, row["revision"])
            before = tenant_of(row)
            after = change(before)
            if after == before:
                return before
            if after.suspended:
                _check_not_reserved(tenant_id, "suspended")
            after = replace(after, revision=before.revision + 1, updated_us=actor.at_us)
            values = tenant_row(after)
            await connection.execute(update(tenants).where(tenants.c.id == tenant_id).values(**values))
            await audit.append(
                connection,
                actor,
                "UpdateTenant",
                resource_of(tenant_id),
                tenant_id=tenant_id,
                before=told_of(tenant_row(before)),
                after=told_of(values),
            )
            return after

    async def delete(self, tenant_id: str, revision: int, actor: Actor, *, force: bool) -> None:
        """Deletes one, and with `force` its users too."""
        _check_not_reserved(tenant_id, "deleted")
        async with self._database.change() as connection:
            row = await hold_tenant(connection, tenant_id)
            check_revision(KIND, tenant_id, revision, row["revision"])
            for table in ACCOUNTS:
                if await _any_of(connection, table, tenant_id):
                    msg = "the tenant stands in the ledger, which is never forgotten: suspend it instead"
                    raise PreconditionFailed(msg, {"table": table.name})
            theirs = [user_of(each) for each in await _rows_of(connection, users, tenant_id)]
            if theirs and not force:
                msg = f"the tenant has {len(theirs)} users: delete them, or delete it with force"
                raise PreconditionFailed(msg, {"users": str(len(theirs))})
            for user in theirs:
                await delete_user(connection, user, actor)
            await delete_budgets(connection, await _rows_of(connection, budgets, tenant_id), actor)
            for table in KEPT:
                await connection.execute(delete(table).where(table.c.tenant_id == tenant_id))
            await connection.execute(delete(tenants).where(tenants.c.id == tenant_id))
            told = told_of(tenant_row(tenant_of(row)))
            await audit.append(
                connection, actor, "DeleteTenant", resource_of(tenant_id), tenant_id=tenant_id, before=told
            )


async def add_tenant(connection: AsyncConnection, tenant: Tenant, actor: Actor) -> Tenant:
    """Makes a tenant within a transaction, which is lost when this raises ResourceExists."""
    made = replace(tenant, revision=1, created_us=actor.at_us, updated_us=actor.at_us)
    row = tenant_row(made)
    try:
        # The count of budget changes begins at the time, so that a later tenant of the same name never repeats one that
        # a writer remembers.
        await connection.execute(insert(tenants).values(**row, budgets_revision=actor.at_us))
    except IntegrityError:
        raise ResourceExists(KIND, made.id) from None
    await audit.append(connection, actor, "CreateTenant", resource_of(made.id), tenant_id=made.id, after=told_of(row))
    return made


def resource_of(tenant_id: str) -> str:
    """Names a tenant in the audit log."""
    return f"tenants/{tenant_id}"


def _check_not_reserved(tenant_id: str, what: str) -> None:
    if tenant_id in RESERVED_TENANTS:
        msg = f"the tenant {tenant_id} is the service's own and cannot be {what}"
        raise PreconditionFailed(msg, {"tenant": tenant_id})


async def _any_of(connection: AsyncConnection, table: Table, tenant_id: str) -> bool:
    query = select(table.c.tenant_id).where(table.c.tenant_id == tenant_id).limit(1)
    return (await connection.execute(query)).first() is not None


async def _rows_of(connection: AsyncConnection, table: Table, tenant_id: str) -> Sequence[RowMapping]:
    return (await connection.execute(select(table).where(table.c.tenant_id == tenant_id))).mappings().all()
