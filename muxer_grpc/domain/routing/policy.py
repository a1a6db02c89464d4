"""The rules by which a caller, a tenant or an operator narrows the choice of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.chat import Conversation

AUTOMATIC = ""


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """Rules that narrow the choice; names are full model names, and an empty set of allowed ones allows all."""

    strategy: str = ""
    allowed_models: frozenset[str] = frozenset()
    denied_models: frozenset[str] = frozenset()
    allowed_providers: frozenset[str] = frozenset()
    denied_providers: frozenset[str] = frozenset()
    allowed_regions: frozenset[str] = frozenset()
    required_features: frozenset[Feature] = frozenset()
    max_cost_nano_usd: int | None = None


NO_RULES = RoutingPolicy()


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One completion as a caller asks for it. `requested_model` is a full model name, or empty for automatic."""

    conversation: Conversation
    policy: RoutingPolicy = NO_RULES
    requested_model: str = AUTOMATIC
    labels: Mapping[str, str] = field(default_factory=dict)
