"""Users: made with the default budgets, changed, deleted with what is theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, delete, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import Actor, PageRequest, UserFilter
from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.directory import ApiKey, User
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.refusals import PreconditionFailed, ResourceExists
from muxer_grpc.domain.tenancy import LOCAL_TENANT, LOCAL_USER, SCOPES_OF_ROLE, Role
from muxer_grpc.storage import audit
from muxer_grpc.storage.budgets import add_budget, delete_budgets
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.locking import check_revision, hold, hold_tenant
from muxer_grpc.storage.records import key_of, told_of, user_of, user_row
from muxer_grpc.storage.schema import api_keys, budgets, users

KIND = "User"
ORDER = (users.c.tenant_id, users.c.id)


@dataclass(frozen=True, slots=True)
class DefaultBudgets:
    """The budgets that a new user has: nano-USD a day and a month, None without one; hard, in one time zone."""

    daily_nano_usd: int | None = None
    monthly_nano_usd: int | None = None
    time_zone: str = "UTC"

    def of(self, user: User, new_id: Callable[[], str]) -> list[Budget]:
        """Makes them for a user."""
        limits = {Period.DAILY: self.daily_nano_usd, Period.MONTHLY: self.monthly_nano_usd}
        return [
            Budget(f"bud_{new_id()}", user.tenant_id, period, limit, user_id=user.id, time_zone=self.time_zone)
            for period, limit in limits.items()
            if limit is not None
        ]


class UserTable:
    """Implements the port Users. `new_id` makes unique ids, for budgets."""

    def __init__(self, database: Database, defaults: DefaultBudgets, new_id: Callable[[], str]) -> None:
        self._database = database
        self._defaults = defaults
        self._new_id = new_id

    async def create(self, user: User, actor: Actor) -> User:
        """Makes one with the default budgets."""
        async with self._database.change() as connection:
            await hold_tenant(connection, user.tenant_id)
            there = (await connection.execute(select(users.c.id).where(*_named(user.tenant_id, user.id)))).first()
            if there is not None:
                raise ResourceExists(KIND, user.id)
            return await add_user(connection, user, self._defaults.of(user, self._new_id), actor)

    async def get(self, tenant_id: str, user_id: str) -> User:
        """Reads one."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(users).where(*_named(tenant_id, user_id)))).mappings().first()
        if row is None:
            raise ResourceNotFound(KIND, user_id)
        return user_of(row)

    async def page(self, wanted: UserFilter, asked: PageRequest) -> Sequence[User]:
        """Lists them by tenant and id."""
        query = select(users).order_by(*ORDER).limit(asked.length)
        if wanted.tenant_id is not None:
            query = query.where(users.c.tenant_id == wanted.tenant_id)
        if wanted.role is not None:
            query = query.where(users.c.role == wanted.role.value)
        if wanted.suspended is not None:
            query = query.where(users.c.suspended.is_(wanted.suspended))
        if asked.after:
            query = query.where(tuple_(*ORDER) > tuple_(*asked.after))
        async with self._database.read() as connection:
            return [user_of(row) for row in (await connection.execute(query)).mappings()]

    async def change(
        self, tenant_id: str, user_id: str, revision: int, change: Callable[[User], User], actor: Actor
    ) -> User:
        """Puts what `change` makes of one in its place."""
        named = _named(tenant_id, user_id)
        async with self._database.change() as connection:
            row = await hold(connection, users, KIND, user_id, *named)
            check_revision(KIND, user_id, revision, row["revision"])
            before = user_of(row)
            after = change(before)
            if after == before:
                return before
            if after.role is not before.role:
                await _check_keys_fit(connection, after, actor.at_us)
            after = replace(after, revision=before.revision + 1, updated_us=actor.at_us)
            values = user_row(after)
            await connection.execute(update(users).where(*named).values(**values))
            await audit.append(
                connection,
                actor,
                "UpdateUser",
                resource_of(after),
                tenant_id=tenant_id,
                before=told_of(row),
                after=told_of(values),
            )
            return after

    async def delete(self, tenant_id: str, user_id: str, revision: int, actor: Actor, *, force: bool) -> None:
        """Deletes one with its keys and budgets."""
        if (tenant_id, user_id) == (LOCAL_TENANT, LOCAL_USER):
            msg = "this user stands for callers without proof and stays"
            raise PreconditionFailed(msg)
        async with self._database.change() as connection:
            # Held before the user, since its budgets go too; a missing tenant has no users.
            try:
                await hold_tenant(connection, tenant_id)
            except ResourceNotFound:
                raise ResourceNotFound(KIND, user_id) from None
            row = await hold(connection, users, KIND, user_id, *_named(tenant_id, user_id))
            check_revision(KIND, user_id, revision, row["revision"])
            if not force:
                open_ones = [key for key in await keys_of_user(connection, user_of(row)) if key.usable(actor.at_us)]
                if open_ones:
                    msg = f"the user has {len(open_ones)} keys that open something: revoke them, or delete with force"
                    raise PreconditionFailed(msg, {"keys": str(len(open_ones))})
            await delete_user(connection, user_of(row), actor)


async def add_user(connection: AsyncConnection, user: User, own: Sequence[Budget], actor: Actor) -> User:
    """Makes a user of a tenant that the transaction holds, and its budgets."""
    made = replace(user, revision=1, created_us=actor.at_us, updated_us=actor.at_us)
    row = user_row(made)
    await connection.execute(insert(users).values(**row))
    await audit.append(connection, actor, "CreateUser", resource_of(made), tenant_id=made.tenant_id, after=told_of(row))
    for budget in own:
        await add_budget(connection, budget, actor)
    return made


async def delete_user(connection: AsyncConnection, user: User, actor: Actor) -> None:
    """Deletes a user of a tenant that the transaction holds, with its keys, its budgets and those of its keys."""
    keys = await keys_of_user(connection, user)
    theirs = or_(budgets.c.user_id == user.id, budgets.c.key_id.in_([key.id for key in keys]))
    query = select(budgets).where(budgets.c.tenant_id == user.tenant_id, theirs)
    await delete_budgets(connection, (await connection.execute(query)).mappings().all(), actor)
    mine = (api_keys.c.tenant_id == user.tenant_id, api_keys.c.user_id == user.id)
    await connection.execute(delete(api_keys).where(*mine))
    await connection.execute(delete(users).where(*_named(user.tenant_id, user.id)))
    told = {**told_of(user_row(user)), "keys": [key.id for key in keys]}
    await audit.append(connection, actor, "DeleteUser", resource_of(user), tenant_id=user.tenant_id, before=told)


async def keys_of_user(connection: AsyncConnection, user: User) -> list[ApiKey]:
    """Lists a user's keys, those that open nothing too."""
    query = select(api_keys).where(api_keys.c.tenant_id == user.tenant_id, api_keys.c.user_id == user.id)
    return [key_of(row) for row in (await connection.execute(query.order_by(api_keys.c.id))).mappings()]


def fits(key: Role, user: Role) -> bool:
    """Tells whether a key of a role can do nothing that its user may not."""
    return SCOPES_OF_ROLE[key] <= SCOPES_OF_ROLE[user]


def resource_of(user: User) -> str:
    """Names a user in the audit log."""
    return f"tenants/{user.tenant_id}/users/{user.id}"


async def _check_keys_fit(connection: AsyncConnection, user: User, at_us: int) -> None:
    """Raises PreconditionFailed where a key that opens something could do more than its user's new role."""
    wider = [
        key.id for key in await keys_of_user(connection, user) if key.usable(at_us) and not fits(key.role, user.role)
    ]
    if wider:
        msg = f"key {wider[0]} of the user could do more than a {user.role.value}: revoke it first"
        raise PreconditionFailed(msg, {"key": wider[0], "keys": str(len(wider))})


def _named(tenant_id: str, user_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return users.c.tenant_id == tenant_id, users.c.id == user_id
