"""API keys as they are kept: everything but the secret, of which there is a digest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import Actor, KeyFilter, PageRequest
from muxer_grpc.domain.directory import ApiKey
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.refusals import PreconditionFailed
from muxer_grpc.storage import audit
from muxer_grpc.storage.budgets import add_budget
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.locking import check_revision, hold, hold_tenant
from muxer_grpc.storage.records import budget_of, key_of, key_row, told_of, user_of
from muxer_grpc.storage.schema import api_keys, budgets, users
from muxer_grpc.storage.users import fits

KIND = "ApiKey"
ORDER = (api_keys.c.tenant_id, api_keys.c.user_id, api_keys.c.id)


class KeyTable:
    """Implements the port Keys. `new_id` makes unique ids, for budgets."""

    def __init__(self, database: Database, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def create(self, key: ApiKey, actor: Actor) -> ApiKey:
        """Keeps a fresh one."""
        async with self._database.change() as connection:
            return await add_key(connection, key, actor)

    async def get(self, tenant_id: str | None, key_id: str) -> ApiKey:
        """Reads one."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_keys).where(*_named(tenant_id, key_id)))).mappings().first()
        if row is None:
            raise ResourceNotFound(KIND, key_id)
        return key_of(row)

    async def page(self, wanted: KeyFilter, asked: PageRequest) -> Sequence[ApiKey]:
        """Lists them by tenant, user and id."""
        query = select(api_keys).where(*_conditions(wanted)).order_by(*ORDER).limit(asked.length)
        if asked.after:
            query = query.where(tuple_(*ORDER) > tuple_(*asked.after))
        async with self._database.read() as connection:
            return [key_of(row) for row in (await connection.execute(query)).mappings()]

    async def change(
        self,
        tenant_id: str | None,
        key_id: str,
        revision: int,
        change: Callable[[ApiKey], ApiKey],
        actor: Actor,
        *,
        action: str,
    ) -> ApiKey:
        """Puts what `change` makes of one in its place."""
        async with self._database.change() as connection:
            before = await _hold_key(connection, tenant_id, key_id, revision)
            return await _replace(connection, before, change(before), actor, action)

    async def rotate(
        self,
        tenant_id: str | None,
        key_id: str,
        revision: int,
        successor: Callable[[ApiKey], tuple[ApiKey, ApiKey]],
        actor: Actor,
    ) -> tuple[ApiKey, ApiKey]:
        """Keeps the new key and the old one, which `successor` makes of a key.

        The new one has budgets like the old one's, since what a key is bounded by must not end with a rotation.
        """
        async with self._database.change() as connection:
            owner = select(api_keys.c.tenant_id).where(*_named(tenant_id, key_id))
            found = (await connection.execute(owner)).scalars().first()
            if found is None:
                raise ResourceNotFound(KIND, key_id)
            await hold_tenant(connection, found)
            before = await _hold_key(connection, tenant_id, key_id, revision)
            fresh, old = successor(before)
            made = await add_key(connection, fresh, actor)
            bounds = select(budgets).where(budgets.c.tenant_id == found, budgets.c.key_id == key_id)
            for row in (await connection.execute(bounds)).mappings().all():
                budget = replace(budget_of(row), id=f"bud_{self._new_id()}", key_id=made.id)
                await add_budget(connection, budget, actor)
            return made, await _replace(connection, before, old, actor, "RotateKey")


async def add_key(connection: AsyncConnection, key: ApiKey, actor: Actor) -> ApiKey:
    """Keeps a fresh key. Raises ResourceNotFound without its user, PreconditionFailed where it could do more."""
    row = await hold(
        connection, users, "User", key.user_id, users.c.tenant_id == key.tenant_id, users.c.id == key.user_id
    )
    user = user_of(row)
    if not fits(key.role, user.role):
        msg = f"the user is a {user.role.value}: a key of the role {key.role.value} could do more"
        raise PreconditionFailed(msg, {"role": user.role.value})
    made = replace(key, revision=1, created_us=actor.at_us, updated_us=actor.at_us)
    values = key_row(made)
    await connection.execute(insert(api_keys).values(**values))
    await audit.append(
        connection, actor, "CreateKey", resource_of(made), tenant_id=made.tenant_id, after=told_of(values)
    )
    return made


def resource_of(key: ApiKey) -> str:
    """Names a key in the audit log."""
    return f"tenants/{key.tenant_id}/keys/{key.id}"


async def _hold_key(connection: AsyncConnection, tenant_id: str | None, key_id: str, revision: int) -> ApiKey:
    row = await hold(connection, api_keys, KIND, key_id, *_named(tenant_id, key_id))
    check_revision(KIND, key_id, revision, row["revision"])
    return key_of(row)


async def _replace(connection: AsyncConnection, before: ApiKey, after: ApiKey, actor: Actor, action: str) -> ApiKey:
    if after == before:
        return before
    changed = replace(after, revision=before.revision + 1, updated_us=actor.at_us)
    values = key_row(changed)
    await connection.execute(update(api_keys).where(api_keys.c.id == before.id).values(**values))
    await audit.append(
        connection,
        actor,
        action,
        resource_of(changed),
        tenant_id=changed.tenant_id,
        before=told_of(key_row(before)),
        after=told_of(values),
    )
    return changed


def _named(tenant_id: str | None, key_id: str) -> list[ColumnElement[bool]]:
    narrowed = [] if tenant_id is None else [api_keys.c.tenant_id == tenant_id]
    return [api_keys.c.id == key_id, *narrowed]


def _conditions(wanted: KeyFilter) -> list[ColumnElement[bool]]:
    columns = api_keys.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.tenant_id is not None:
        conditions.append(columns.tenant_id == wanted.tenant_id)
    if wanted.user_id:
        conditions.append(columns.user_id == wanted.user_id)
    at_us = wanted.usable_at_us
    if at_us is not None:
        # As ApiKey.usable says.
        conditions += [or_(ends.is_(None), ends > at_us) for ends in (columns.expires_us, columns.revoked_us)]
    return conditions
