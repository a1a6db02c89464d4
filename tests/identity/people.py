"""A directory in memory, and people in it with keys."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from muxer_grpc.domain.directory import Account, ApiKey, Tenant, User
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.domain.tenancy import Credentials, Role
from muxer_grpc.identity.api_keys import ApiKeys, FreshKey
from muxer_grpc.identity.authenticator import Authenticator, Means

# A pepper, and a time at which tests begin (seconds since the epoch).
PEPPER = b"a pepper of thirty-two bytes, no less"
START = 1_800_000_000.0
SECOND_US = 1_000_000

TENANT = "search"
KEYS = ApiKeys(PEPPER)


@dataclass
class People:
    """Knows tenants, users and keys (domain.ports.Directory), and counts what it is asked."""

    tenants: dict[str, Tenant] = field(default_factory=dict)
    users: dict[tuple[str, str], User] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    down: bool = False

    async def key(self, key_id: str) -> ApiKey | None:
        self._note(f"key {key_id}")
        return self.keys.get(key_id)

    async def account(self, tenant_id: str, user_id: str) -> Account | None:
        self._note(f"account {tenant_id}/{user_id}")
        tenant, user = self.tenants.get(tenant_id), self.users.get((tenant_id, user_id))
        return None if tenant is None or user is None else Account(tenant, user)

    async def ensure_account(self, tenant_id: str, user_id: str, role: Role) -> Account | None:
        if tenant_id in self.tenants and (tenant_id, user_id) not in self.users:
            self.made.append(f"{tenant_id}/{user_id} as {role.value}")
            self.users[tenant_id, user_id] = User(tenant_id, user_id, role)
        return await self.account(tenant_id, user_id)

    def _note(self, question: str) -> None:
        self.asked.append(question)
        if self.down:
            raise StorageUnavailable

    def add_user(self, user_id: str, role: Role = Role.CALLER, tenant_id: str = TENANT) -> User:
        """Adds a user, and its tenant where that is not there."""
        self.tenants.setdefault(tenant_id, Tenant(tenant_id))
        user = self.users[tenant_id, user_id] = User(tenant_id, user_id, role)
        return user

    def add_key(
        self, user_id: str = "ada", role: Role = Role.CALLER, tenant_id: str = TENANT, **changes: object
    ) -> FreshKey:
        """Adds a key, and its user where that is not there."""
        if (tenant_id, user_id) not in self.users:
            self.add_user(user_id, role, tenant_id)
        fresh = KEYS.make()
        key = ApiKey(fresh.id, tenant_id, user_id, role, fresh.prefix, fresh.digest)
        self.keys[fresh.id] = replace(key, **changes)  # type: ignore[arg-type]
        return fresh

    def change_key(self, key_id: str, **changes: object) -> None:
        self.keys[key_id] = replace(self.keys[key_id], **changes)  # type: ignore[arg-type]

    def suspend_user(self, user_id: str, tenant_id: str = TENANT) -> None:
        self.users[tenant_id, user_id] = replace(self.users[tenant_id, user_id], suspended=True)

    def suspend_tenant(self, tenant_id: str = TENANT) -> None:
        self.tenants[tenant_id] = replace(self.tenants[tenant_id], suspended=True)


def by_keys(people: People) -> Authenticator:
    """Makes an authenticator that takes API keys alone."""
    return Authenticator(Means(keys=KEYS), people)


def bearer(text: str) -> Credentials:
    return Credentials(authorization=f"Bearer {text}")


def secret_of(key: FreshKey) -> str:
    """Gives the part of a key's text that nobody but its user knows."""
    return key.text.removeprefix(f"{key.prefix}_")
