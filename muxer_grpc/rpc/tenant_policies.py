"""A tenant's policy, read from the wire by field and written to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from muxer.v1 import routing_pb2, tenant_service_pb2

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.domain.tenancy import NO_POLICY, ContentStorage, SafetyAction, TenantPolicy
from muxer_grpc.rpc.aims import read_weights
from muxer_grpc.rpc.enums import CONTENT_STORAGE_OF, CONTENT_STORAGES, SAFETY_ACTION_OF, SAFETY_ACTIONS
from muxer_grpc.rpc.requests import read_models, read_providers
from muxer_grpc.rpc.violations import Violations, quote

MAX_CONTENT_DAYS = 3_650
MAX_REGIONS = 200

Message = tenant_service_pb2.TenantPolicy
Read = Callable[[Message, str, Catalogue, Violations], Any]

# The fields that stand under another name in the domain.
_DOMAIN_NAMES = {"content_storage": "content"}


def read_policy(
    told: Message, names: Collection[str], path: str, catalogue: Catalogue, violations: Violations
) -> dict[str, Any]:
    """Reads those fields of a policy that are named; gives what they are, by the names that the domain has for them."""
    return {
        _DOMAIN_NAMES.get(name, name): read(told, f"{path}.{name}", catalogue, violations)
        for name, read in POLICY_FIELDS.items()
        if name in names
    }


def policy_with(before: TenantPolicy, changes: Mapping[str, Any], path: str) -> TenantPolicy:
    """Gives a policy with fields changed. Raises InvalidRequest where fields do not fit together, old and new."""
    policy = replace(before, **changes)
    violations = Violations()
    kept = policy.content is ContentStorage.KEPT
    days = policy.content_days
    holds = 1 <= days <= MAX_CONTENT_DAYS if kept else days == 0
    told = f"give 1 to {MAX_CONTENT_DAYS:,} days" if kept else "give 0 days, or keep content"
    violations.check(holds, f"{path}.content_days", "range", told)
    for kind in ("providers", "models"):
        both = getattr(policy, f"allowed_{kind}") & getattr(policy, f"denied_{kind}")
        if both:
            told = f"{min(both)} is also in allowed_{kind}"
            violations.add(f"{path}.denied_{kind}", "contradiction", told)
    violations.raise_if_any()
    return NO_POLICY if policy == NO_POLICY else policy


def policy_message(policy: TenantPolicy) -> Message | None:
    """Writes a policy; nothing where it allows everything."""
    if policy == NO_POLICY:
        return None
    return Message(
        allowed_providers=sorted(policy.allowed_providers),
        denied_providers=sorted(policy.denied_providers),
        allowed_models=sorted(policy.allowed_models),
        denied_models=sorted(policy.denied_models),
        allowed_regions=sorted(policy.allowed_regions),
        default_strategy=policy.default_strategy,
        weights=_weights_message(policy.weights),
        safety_action=SAFETY_ACTIONS[policy.safety_action],  # type: ignore[arg-type]
        content_storage=CONTENT_STORAGES[policy.content],  # type: ignore[arg-type]
        content_days=policy.content_days,
        allows_high_priority=policy.allows_high_priority,
    )


def _weights_message(weights: Weights | None) -> routing_pb2.RoutingWeights | None:
    if weights is None:
        return None
    return routing_pb2.RoutingWeights(
        quality=weights.quality,
        cost=weights.cost,
        performance=weights.performance,
        availability=weights.availability,
    )


def _read_regions(regions: Iterable[str], path: str, catalogue: Catalogue, violations: Violations) -> frozenset[str]:
    given = list(regions)
    violations.check(len(given) <= MAX_REGIONS, path, "too_many", f"give at most {MAX_REGIONS} names")
    known = {region for model in catalogue.models.values() for region in model.regions}
    for index, region in enumerate(given[:MAX_REGIONS]):
        if region not in known:
            told = ", ".join(sorted(known)) or "none, since no model says where it runs"
            violations.add(f"{path}[{index}]", "unknown", f"{quote(region)} is no region of a model; known: {told}")
    return frozenset(given)


def _read_strategy(name: str, path: str, violations: Violations) -> str:
    known = known_strategies()
    if name and name not in known:
        violations.add(path, "unknown", f"{quote(name)} is not one of {', '.join(sorted(known))}")
    return name


def _read_safety(number: int, path: str, violations: Violations) -> SafetyAction:
    action = SAFETY_ACTION_OF.get(number)
    violations.check(action is not None, path, "unknown", f"{number} is not a safety action")
    return action or SafetyAction.ALLOW


def _read_content(number: int, path: str, violations: Violations) -> ContentStorage:
    content = CONTENT_STORAGE_OF.get(number)
    violations.check(content is not None, path, "unknown", f"{number} is no way of keeping content")
    return content or ContentStorage.OFF


POLICY_FIELDS: Mapping[str, Read] = {
    "allowed_providers": lambda told, path, cat, found: read_providers(told.allowed_providers, path, cat, found),
    "denied_providers": lambda told, path, cat, found: read_providers(told.denied_providers, path, cat, found),
    "allowed_models": lambda told, path, cat, found: read_models(told.allowed_models, path, cat, found),
    "denied_models": lambda told, path, cat, found: read_models(told.denied_models, path, cat, found),
    "allowed_regions": lambda told, path, cat, found: _read_regions(told.allowed_regions, path, cat, found),
    "default_strategy": lambda told, path, _cat, found: _read_strategy(told.default_strategy, path, found),
    "weights": lambda told, path, _cat, found: read_weights(told, path.rpartition(".")[0], found),
    "safety_action": lambda told, path, _cat, found: _read_safety(told.safety_action, path, found),
    "content_storage": lambda told, path, _cat, found: _read_content(told.content_storage, path, found),
    "content_days": lambda told, _path, _cat, _found: told.content_days,
    "allows_high_priority": lambda told, _path, _cat, _found: told.allows_high_priority,
}
