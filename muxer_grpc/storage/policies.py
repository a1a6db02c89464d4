"""A tenant's policy as it is kept: JSON that holds what differs from the default, so that it reads well in an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.tenancy import NO_POLICY, ContentStorage, SafetyAction, TenantPolicy

_SETS = ("allowed_providers", "denied_providers", "allowed_models", "denied_models", "allowed_regions")
_READ: Mapping[str, Any] = {
    **dict.fromkeys(_SETS, frozenset),
    "default_strategy": str,
    "weights": lambda told: Weights(**told),
    "safety_action": SafetyAction,
    "content": ContentStorage,
    "content_days": int,
    "allows_high_priority": bool,
}


def policy_json(policy: TenantPolicy) -> dict[str, Any]:
    """Writes a policy."""
    told: dict[str, Any] = {}
    for each in fields(policy):
        value = getattr(policy, each.name)
        if value != getattr(NO_POLICY, each.name):
            told[each.name] = _plain(value)
    return told


def policy_of(told: Mapping[str, Any]) -> TenantPolicy:
    """Reads a policy. Raises ValueError on one that a later version wrote: it must not be taken for a laxer one."""
    unknown = sorted(set(told) - set(_READ))
    if unknown:
        msg = f"a tenant's policy has fields that this version does not know: {', '.join(unknown)}"
        raise ValueError(msg)
    return TenantPolicy(**{name: _READ[name](value) for name, value in told.items()}) if told else NO_POLICY


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Weights):
        return asdict(value)
    return value.value if isinstance(value, SafetyAction | ContentStorage) else value
