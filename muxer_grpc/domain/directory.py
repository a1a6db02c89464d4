"""The records of those who may call: tenants, their users, the users' keys. Times are microseconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

from muxer_grpc.domain.tenancy import NO_POLICY, UNLIMITED, RateLimit, Role, Subject, TenantPolicy


@dataclass(frozen=True, slots=True)
class Tenant:
    """Somebody with an account of their own: a team, a product, a customer. `revision` counts its changes."""

    id: str
    display_name: str = ""
    suspended: bool = False
    policy: TenantPolicy = NO_POLICY
    limit: RateLimit = UNLIMITED
    revision: int = 1
    created_us: int = 0
    updated_us: int = 0


@dataclass(frozen=True, slots=True)
class User:
    """A person or a service of a tenant's."""

    tenant_id: str
    id: str
    role: Role
    display_name: str = ""
    suspended: bool = False
    revision: int = 1
    created_us: int = 0
    updated_us: int = 0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A user's key. `prefix` may be shown; `digest` is the peppered HMAC of the secret, which is nowhere."""

    id: str
    tenant_id: str
    user_id: str
    role: Role
    prefix: str
    digest: bytes = field(repr=False)
    display_name: str = ""
    limit: RateLimit = UNLIMITED
    expires_us: int | None = None
    revoked_us: int | None = None
    rotated_from: str = ""
    revision: int = 1
    created_us: int = 0
    updated_us: int = 0

    @property
    def subject(self) -> Subject:
        """Gives who pays for what the key is used for."""
        return Subject(self.tenant_id, self.user_id, self.id)

    def usable(self, at_us: int) -> bool:
        """Tells whether the key opens anything at a time. A time in `revoked_us` that is yet to come is an overlap."""
        return (self.expires_us is None or at_us < self.expires_us) and (
            self.revoked_us is None or at_us < self.revoked_us
        )


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its tenant."""

    tenant: Tenant
    user: User

    @property
    def suspended(self) -> bool:
        """Tells whether either is suspended."""
        return self.tenant.suspended or self.user.suspended
