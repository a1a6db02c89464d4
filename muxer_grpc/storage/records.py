"""Rows and the domain's records, side by side; and how a record is described in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping

from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.directory import ApiKey, Tenant, User
from muxer_grpc.domain.tenancy import UNLIMITED, RateLimit, Role
from muxer_grpc.storage.policies import policy_json, policy_of

# What a description leaves out: what is nobody's to see, and what the entry of the log says itself.
_NOT_TOLD = frozenset({"digest", "created_us", "updated_us"})


def tenant_of(row: RowMapping) -> Tenant:
    """Reads a row of tenants."""
    return Tenant(
        id=row["id"],
        display_name=row["display_name"],
        suspended=row["suspended"],
        policy=policy_of(row["policy"]),
        limit=_limit_of(row),
        revision=row["revision"],
        created_us=row["created_us"],
        updated_us=row["updated_us"],
    )


def tenant_row(tenant: Tenant) -> dict[str, Any]:
    """Writes a row of tenants."""
    return {
        "id": tenant.id,
        "display_name": tenant.display_name,
        "suspended": tenant.suspended,
        "policy": policy_json(tenant.policy),
        **_limit_row(tenant.limit),
        "revision": tenant.revision,
        "created_us": tenant.created_us,
        "updated_us": tenant.updated_us,
    }


def user_of(row: RowMapping) -> User:
    """Reads a row of users."""
    return User(
        tenant_id=row["tenant_id"],
        id=row["id"],
        role=Role(row["role"]),
        display_name=row["display_name"],
        suspended=row["suspended"],
        revision=row["revision"],
        created_us=row["created_us"],
        updated_us=row["updated_us"],
    )


def user_row(user: User) -> dict[str, Any]:
    """Writes a row of users."""
    return {
        "tenant_id": user.tenant_id,
        "id": user.id,
        "display_name": user.display_name,
        "role": user.role.value,
        "suspended": user.suspended,
        "revision": user.revision,
        "created_us": user.created_us,
        "updated_us": user.updated_us,
    }


def key_of(row: RowMapping) -> ApiKey:
    """Reads a row of API keys."""
    return ApiKey(
        id=row["id"],
        tenant_id=row["tenant_id"],
        user_id=row["user_id"],
        role=Role(row["role"]),
        prefix=row["prefix"],
        digest=bytes(row["digest"]),
        display_name=row["display_name"],
        limit=_limit_of(row),
        expires_us=row["expires_us"],
        revoked_us=row["revoked_us"],
        rotated_from=row["rotated_from"] or "",
        revision=row["revision"],
        created_us=row["created_us"],
        updated_us=row["updated_us"],
    )


def key_row(key: ApiKey) -> dict[str, Any]:
    """Writes a row of API keys."""
    return {
        "id": key.id,
        "tenant_id": key.tenant_id,
        "user_id": key.user_id,
        "display_name": key.display_name,
        "prefix": key.prefix,
        "digest": key.digest,
        "role": key.role.value,
        **_limit_row(key.limit),
        "expires_us": key.expires_us,
        "revoked_us": key.revoked_us,
        "rotated_from": key.rotated_from or None,
        "revision": key.revision,
        "created_us": key.created_us,
        "updated_us": key.updated_us,
    }


def budget_of(row: RowMapping) -> Budget:
    """Reads a row of budgets."""
    return Budget(
        id=row["id"],
        tenant_id=row["tenant_id"],
        user_id=row["user_id"],
        key_id=row["key_id"],
        period=Period(row["period"]),
        time_zone=row["time_zone"],
        limit_nano_usd=row["limit_nano_usd"],
        hard=row["hard"],
        alert_shares=tuple(row["alert_shares"]),
    )


def budget_row(budget: Budget) -> dict[str, Any]:
    """Writes a row of budgets, but for its revision and times."""
    return {
        "id": budget.id,
        "tenant_id": budget.tenant_id,
        "user_id": budget.user_id,
        "key_id": budget.key_id,
        "period": budget.period.value,
        "time_zone": budget.time_zone,
        "limit_nano_usd": budget.limit_nano_usd,
        "hard": budget.hard,
        "alert_shares": list(budget.alert_shares),
    }


def told_of(row: RowMapping | Mapping[str, Any]) -> dict[str, Any]:
    """Describes a row for the audit log."""
    return {name: value for name, value in row.items() if name not in _NOT_TOLD}


def _limit_of(row: RowMapping) -> RateLimit:
    limit = RateLimit(row["requests_per_minute"], row["tokens_per_minute"])
    return UNLIMITED if limit.unbounded else limit


def _limit_row(limit: RateLimit) -> dict[str, int | None]:
    return {"requests_per_minute": limit.requests_per_minute, "tokens_per_minute": limit.tokens_per_minute}
