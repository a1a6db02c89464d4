"""Who calls, for whom, and what they may do: tenants, users, keys, roles, scopes and a tenant's policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.routing.policy import RoutingPolicy, Weights

# Principals of this tenant act on all tenants; those of any other on their own alone.
SYSTEM_TENANT = "muxer"
# Whom calls belong to where nobody proves who they are.
LOCAL_TENANT = "local"
LOCAL_USER = "local"


class Role(Named):
    """Names what a principal is there for."""

    CALLER = "caller"
    VIEWER = "viewer"
    ADMIN = "admin"


class Scope(Named):
    """Names what a method needs of whoever calls it.

    PUBLIC needs no proof at all, as a health check; DESCRIBE needs proof, and no particular role.
    """

    PUBLIC = "public"
    DESCRIBE = "describe"
    COMPLETE = "complete"
    READ_METRICS = "metrics.read"
    READ_USAGE = "usage.read"
    READ_ADMIN = "admin.read"
    WRITE_ADMIN = "admin.write"


SCOPES_OF_ROLE: Mapping[Role, frozenset[Scope]] = {
    Role.CALLER: frozenset({Scope.DESCRIBE, Scope.COMPLETE}),
    Role.VIEWER: frozenset({Scope.DESCRIBE, Scope.READ_METRICS, Scope.READ_USAGE, Scope.READ_ADMIN}),
    Role.ADMIN: frozenset(Scope),
}


class SafetyAction(Named):
    """Names what becomes of a request that is classified as a safety risk."""

    ALLOW = "allow"
    FLAG = "flag"
    BLOCK = "block"


class ContentStorage(Named):
    """Names what is kept of prompts and answers: nothing, a keyed digest, or the text for a number of days."""

    OFF = "off"
    HASHED = "hashed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """What a tenant allows; an empty set of allowed ones allows all.

    `allowed_regions` is its data residency. `default_strategy` and `weights` hold where a request has none of its own.
    `content_days` counts the days for which content is kept where it is. With `allows_high_priority` its requests may
    be among those that are shed last.
    """

    allowed_providers: frozenset[str] = frozenset()
    denied_providers: frozenset[str] = frozenset()
    allowed_models: frozenset[str] = frozenset()
    denied_models: frozenset[str] = frozenset()
    allowed_regions: frozenset[str] = frozenset()
    default_strategy: str = ""
    weights: Weights | None = None
    safety_action: SafetyAction = SafetyAction.ALLOW
    content: ContentStorage = ContentStorage.OFF
    content_days: int = 0
    allows_high_priority: bool = False


NO_POLICY = TenantPolicy()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests and tokens per minute; None leaves either unbounded."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    @property
    def unbounded(self) -> bool:
        """Tells whether there is nothing to count."""
        return self.requests_per_minute is None and self.tokens_per_minute is None


UNLIMITED = RateLimit()


@dataclass(frozen=True, slots=True)
class Subject:
    """Who pays: a tenant, one of its users, and the key that was used (empty where there was none)."""

    tenant_id: str
    user_id: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever calls, proven. `name` is for the audit log, and holds no secret.

    One that acts `everywhere` acts on all tenants, any other on its own alone.
    """

    subject: Subject
    role: Role
    name: str
    policy: TenantPolicy = NO_POLICY
    tenant_limit: RateLimit = UNLIMITED
    key_limit: RateLimit = UNLIMITED
    everywhere: bool = False

    def may(self, scope: Scope) -> bool:
        """Tells whether the principal has a scope; everybody has PUBLIC."""
        return scope is Scope.PUBLIC or scope in SCOPES_OF_ROLE[self.role]

    def sees(self, tenant_id: str) -> bool:
        """Tells whether the principal may know of a tenant at all."""
        return self.everywhere or tenant_id == self.subject.tenant_id


# Whoever calls where no proof is asked for.
LOCAL = Principal(Subject(LOCAL_TENANT, LOCAL_USER), Role.ADMIN, "local", everywhere=True)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call brought to prove who it is; nothing in here is believed yet, and nothing of it is ever logged.

    `peer` is the address of the other end of the connection; `certificate_names` are the names in its verified
    certificate, `forwarded` is the header in which a mesh tells whom it verified.
    """

    authorization: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    certificate_names: tuple[str, ...] = ()
    forwarded: str = field(default="", repr=False)
    peer: str = ""


NO_CREDENTIALS = Credentials()


def narrowed(asked: RoutingPolicy, allowed: TenantPolicy) -> RoutingPolicy:
    """Narrows what a request asks for to what its tenant allows. Where both name allowed ones, both must."""
    if allowed is NO_POLICY:
        return asked
    return RoutingPolicy(
        strategy=asked.strategy or allowed.default_strategy,
        allowed_models=_both(asked.allowed_models, allowed.allowed_models),
        denied_models=asked.denied_models | allowed.denied_models,
        allowed_providers=_both(asked.allowed_providers, allowed.allowed_providers),
        denied_providers=asked.denied_providers | allowed.denied_providers,
        allowed_regions=_both(asked.allowed_regions, allowed.allowed_regions),
        required_features=asked.required_features,
        max_cost_nano_usd=asked.max_cost_nano_usd,
        max_latency_seconds=asked.max_latency_seconds,
        weights=asked.weights or allowed.weights,
        quality_target=asked.quality_target,
        model_weights=asked.model_weights,
        fall_back=asked.fall_back,
        hedge=asked.hedge,
    )


# No model, provider or region has this name, so that a set that holds nothing else allows nothing.
NOTHING = "\x00"


def _both(asked: frozenset[str], allowed: frozenset[str]) -> frozenset[str]:
    if not asked or not allowed:
        return asked or allowed
    return asked & allowed or frozenset({NOTHING})
