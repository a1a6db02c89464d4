"""What admin services change and look at, and the ports through which they do so.

Each change is one transaction: the resource, and the row of the audit log that tells of it. Where a `revision` is asked
for, 0 takes whichever is current. Where a `tenant_id` narrows a look-up, None looks in all tenants. Times are
microseconds since the epoch, money is in nano-USD.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.directory import ApiKey, Tenant, User
from muxer_grpc.domain.tenancy import LOCAL_TENANT, SYSTEM_TENANT, Role

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# E-mail addresses, subjects of tokens (auth0|4711, system:serviceaccount:ns:name), mesh identities. ASCII, printable.
USER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+@:|/=-]{0,127}")

# Always there: whom admins of everything belong to, and whom calls without proof belong to.
RESERVED_TENANTS = frozenset({SYSTEM_TENANT, LOCAL_TENANT})

_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")
# Files beside the database's zones: whatever the machine is set to, and copies that count leap seconds.
_NOT_OF_THE_DATABASE = ("localtime", "posix", "right/")


def is_time_zone(name: str) -> bool:
    """Tells whether the IANA database has a time zone of this name."""
    if not _ZONE.fullmatch(name) or name.startswith(_NOT_OF_THE_DATABASE):
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # A folder of zones, as Europe, is an OSError.
        return False
    return True


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, and when. `name` is a principal's, for the audit log."""

    name: str
    at_us: int


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Asks for at most `length` items of an ordered listing, beginning behind the item with the key `after`."""

    length: int
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BudgetRecord:
    """A budget as it is kept, with what is spent and reserved in the period that was asked about."""

    budget: Budget
    spent_nano_usd: int = 0
    reserved_nano_usd: int = 0
    revision: int = 1
    created_us: int = 0
    updated_us: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did to a resource of a tenant's, with how it was described before and after; no secrets."""

    sequence: int
    tenant_id: str
    principal: str
    action: str
    resource: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    created_us: int


class MadeKey(Protocol):
    """A fresh API key."""

    @property
    def text(self) -> str:
        """Gives the whole key, which is shown once."""
        ...

    @property
    def id(self) -> str:
        """Gives its public id."""
        ...

    @property
    def prefix(self) -> str:
        """Gives what may be shown of it."""
        ...

    @property
    def digest(self) -> bytes:
        """Gives what is kept of it."""
        ...


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Narrows a listing of users; None: all."""

    tenant_id: str | None = None
    role: Role | None = None
    suspended: bool | None = None


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Narrows a listing of keys; None or nothing: all. `usable_at_us` keeps those that open something then."""

    tenant_id: str | None = None
    user_id: str = ""
    usable_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetFilter:
    """Narrows a listing of budgets; None or nothing: all."""

    tenant_id: str | None = None
    user_id: str = ""
    key_id: str = ""
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Narrows a listing of the audit log; None or nothing: all. From `since_us` on, and before `until_us`."""

    tenant_id: str | None = None
    principal: str = ""
    action: str = ""
    resource: str = ""
    since_us: int | None = None
    until_us: int | None = None


class KeyMaker(Protocol):
    """Makes API keys."""

    def make(self) -> MadeKey:
        """Makes one, unlike any other."""
        ...


class Tenants(Protocol):
    """Keeps tenants. Each method raises StorageUnavailable."""

    async def create(self, tenant: Tenant, actor: Actor) -> Tenant:
        """Makes one. Raises ResourceExists."""
        ...

    async def get(self, tenant_id: str) -> Tenant:
        """Reads one. Raises ResourceNotFound."""
        ...

    async def page(self, asked: PageRequest, *, suspended: bool | None = None) -> Sequence[Tenant]:
        """Lists them by id."""
        ...

    async def change(self, tenant_id: str, revision: int, change: Callable[[Tenant], Tenant], actor: Actor) -> Tenant:
        """Puts what `change` makes of one in its place.

        Raises ResourceNotFound, RevisionConflict, PreconditionFailed.
        """
        ...

    async def delete(self, tenant_id: str, revision: int, actor: Actor, *, force: bool) -> None:
        """Deletes one, and with `force` its users too.

        Raises ResourceNotFound, RevisionConflict, PreconditionFailed.
        """
        ...


class Users(Protocol):
    """Keeps users. Each method raises StorageUnavailable."""

    async def create(self, user: User, actor: Actor) -> User:
        """Makes one with the default budgets. Raises ResourceExists, and ResourceNotFound without the tenant."""
        ...

    async def get(self, tenant_id: str, user_id: str) -> User:
        """Reads one. Raises ResourceNotFound."""
        ...

    async def page(self, wanted: UserFilter, asked: PageRequest) -> Sequence[User]:
        """Lists them by tenant and id."""
        ...

    async def change(
        self, tenant_id: str, user_id: str, revision: int, change: Callable[[User], User], actor: Actor
    ) -> User:
        """Puts what `change` makes of one in its place.

        Raises ResourceNotFound, RevisionConflict, PreconditionFailed.
        """
        ...

    async def delete(self, tenant_id: str, user_id: str, revision: int, actor: Actor, *, force: bool) -> None:
        """Deletes one with its keys and budgets. Raises ResourceNotFound, RevisionConflict, PreconditionFailed."""
        ...


class Keys(Protocol):
    """Keeps API keys, but for their secrets. Each method raises StorageUnavailable."""

    async def create(self, key: ApiKey, actor: Actor) -> ApiKey:
        """Keeps a fresh one. Raises ResourceNotFound without the user, PreconditionFailed where it could do more."""
        ...

    async def get(self, tenant_id: str | None, key_id: str) -> ApiKey:
        """Reads one. Raises ResourceNotFound."""
        ...

    async def page(self, wanted: KeyFilter, asked: PageRequest) -> Sequence[ApiKey]:
        """Lists them by tenant, user and id."""
        ...

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
        """Puts what `change` makes of one in its place. Raises ResourceNotFound, RevisionConflict."""
        ...

    async def rotate(
        self,
        tenant_id: str | None,
        key_id: str,
        revision: int,
        successor: Callable[[ApiKey], tuple[ApiKey, ApiKey]],
        actor: Actor,
    ) -> tuple[ApiKey, ApiKey]:
        """Keeps the new key and the old one, which `successor` makes of a key.

        Raises ResourceNotFound, RevisionConflict.
        """
        ...


class Budgets(Protocol):
    """Keeps budgets; what a counter holds is exactly the ledger's sum. Each method raises StorageUnavailable."""

    async def create(self, budget: Budget, actor: Actor) -> BudgetRecord:
        """Makes one, counting what its period holds already. Raises ResourceExists, ResourceNotFound."""
        ...

    async def get(self, tenant_id: str | None, budget_id: str, at_us: int) -> BudgetRecord:
        """Reads one, as it stands in the period of a time. Raises ResourceNotFound."""
        ...

    async def page(self, wanted: BudgetFilter, asked: PageRequest, at_us: int) -> Sequence[BudgetRecord]:
        """Lists them by tenant, user, key and id, as they stand in the period of a time."""
        ...

    async def change(
        self, tenant_id: str | None, budget_id: str, revision: int, change: Callable[[Budget], Budget], actor: Actor
    ) -> BudgetRecord:
        """Changes limit, hardness or alerts of one. Raises ResourceNotFound, RevisionConflict."""
        ...

    async def delete(self, tenant_id: str | None, budget_id: str, revision: int, actor: Actor) -> None:
        """Deletes one with its counters. Raises ResourceNotFound, RevisionConflict."""
        ...


class AuditNotes(Protocol):
    """Takes down what is done to things that the database does not hold."""

    async def note(
        self, actor: Actor, action: str, resource: str, *, tenant_id: str, after: Mapping[str, Any] | None = None
    ) -> None:
        """Writes what somebody is about to do; durable when this returns. Raises StorageUnavailable."""
        ...


class AuditLog(Protocol):
    """Shows who changed what; what writes it are the changes themselves."""

    async def page(self, wanted: AuditFilter, asked: PageRequest) -> Sequence[AuditEntry]:
        """Lists entries, the latest first. Raises StorageUnavailable."""
        ...
