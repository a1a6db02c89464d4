"""Looks up who may call, for whoever proves who calls."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import TENANT_ID, USER_ID, Actor
from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.directory import Account, ApiKey, User
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.tenancy import SYSTEM_TENANT, Role
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.locking import hold_tenant
from muxer_grpc.storage.records import key_of, tenant_of, user_of
from muxer_grpc.storage.schema import api_keys, tenants, users
from muxer_grpc.storage.users import DefaultBudgets, add_user

# Who makes the users that come with a token or a certificate, in the audit log.
ON_FIRST_CALL = f"{SYSTEM_TENANT} (first call)"


class DirectoryTable:
    """Implements the port Directory. `now` gives seconds since the epoch, `new_id` unique ids, for budgets."""

    def __init__(
        self, database: Database, defaults: DefaultBudgets, *, now: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self._database = database
        self._defaults = defaults
        self._now = now
        self._new_id = new_id

    async def key(self, key_id: str) -> ApiKey | None:
        """Looks up a key by its public id, revoked and expired ones too."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id))).mappings().first()
        return None if row is None else key_of(row)

    async def account(self, tenant_id: str, user_id: str) -> Account | None:
        """Looks up a user and its tenant."""
        if not _can_be(tenant_id, user_id):
            return None
        async with self._database.read() as connection:
            return await _account(connection, tenant_id, user_id)

    async def ensure_account(self, tenant_id: str, user_id: str, role: Role) -> Account | None:
        """Looks up a user and makes it, with the default budgets, where it is not there.

        Gives None without the tenant, and for a name that no user can have (see USER_ID in domain/administration.py).
        """
        found = await self.account(tenant_id, user_id)
        if found is not None or not _can_be(tenant_id, user_id):
            return found
        try:
            async with self._database.change() as connection:
                # Two first calls at once meet here: the second finds what the first made.
                await hold_tenant(connection, tenant_id)
                found = await _account(connection, tenant_id, user_id)
                return found or await self._make(connection, tenant_id, user_id, role)
        except ResourceNotFound:
            return None

    async def _make(self, connection: AsyncConnection, tenant_id: str, user_id: str, role: Role) -> Account | None:
        user = User(tenant_id, user_id, role)
        actor = Actor(ON_FIRST_CALL, int(self._now() * MICROSECONDS))
        await add_user(connection, user, self._defaults.of(user, self._new_id), actor)
        return await _account(connection, tenant_id, user_id)


def _can_be(tenant_id: str, user_id: str) -> bool:
    """Tells whether these can be names at all: a token may say anything, and not all of it can be looked up."""
    return bool(TENANT_ID.fullmatch(tenant_id) and USER_ID.fullmatch(user_id))


async def _account(connection: AsyncConnection, tenant_id: str, user_id: str) -> Account | None:
    of_user = select(users).where(users.c.tenant_id == tenant_id, users.c.id == user_id)
    user = (await connection.execute(of_user)).mappings().first()
    if user is None:
        return None
    tenant = (await connection.execute(select(tenants).where(tenants.c.id == tenant_id))).mappings().first()
    return None if tenant is None else Account(tenant_of(tenant), user_of(user))
