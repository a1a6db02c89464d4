"""The rules by which a caller, a tenant or an operator narrows the choice of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.records import record

AUTOMATIC = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each factor counts, relative to the others; each at least 0, and one above 0."""

    quality: float = 0.0
    cost: float = 0.0
    performance: float = 0.0
    availability: float = 0.0

    @property
    def total(self) -> float:
        """Sums the weights."""
        return self.quality + self.cost + self.performance + self.availability


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """Rules that narrow the choice; names are full model names, and an empty set of allowed ones allows all.

    `weights`, `quality_target` (0 to 1) and `model_weights` (shares of traffic) steer the strategies that read them.
    With `fall_back`, a model that is asked for by name is the first choice instead of the only one. With `hedge`, a
    second attempt is made beside a first one that is slow to begin.
    """

    strategy: str = ""
    allowed_models: frozenset[str] = frozenset()
    denied_models: frozenset[str] = frozenset()
    allowed_providers: frozenset[str] = frozenset()
    denied_providers: frozenset[str] = frozenset()
    allowed_regions: frozenset[str] = frozenset()
    required_features: frozenset[Feature] = frozenset()
    max_cost_nano_usd: int | None = None
    max_latency_seconds: float | None = None
    weights: Weights | None = None
    quality_target: float | None = None
    model_weights: tuple[tuple[str, float], ...] = ()
    fall_back: bool = False
    hedge: bool = False


NO_RULES = RoutingPolicy()


class StreamRecovery(Named):
    """Names what becomes of a stream that is cut once pieces of it were sent."""

    FAIL = "fail"
    RESTART = "restart"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class RequestId:
    """What makes a request repeatable: its id, a digest by which the same request is known, and a key made from it.

    The key is kept nowhere: only who sends the same request again has it.
    """

    id: str
    fingerprint: bytes
    key: bytes = field(repr=False)


class CacheMode(Named):
    """Names how the cache of answers is used for a request."""

    DEFAULT = "default"
    OFF = "off"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class CacheWish:
    """How a caller wants the cache of answers used, and what the request is known by there.

    `content` is a digest of all of the request that counts (see domain/caching.py), empty where nothing asks for it.
    `ttl_seconds` is how long the answer is kept; None: as the service is set.
    """

    mode: CacheMode = CacheMode.DEFAULT
    ttl_seconds: float | None = None
    content: bytes = field(default=b"", repr=False)


NO_CACHE_WISH = CacheWish()


@record
class CompletionRequest:
    """One completion as a caller asks for it. `requested_model` is a full model name, or empty for automatic.

    `money_lease_id` names the lease of money that pays, empty where the budgets do. `document` is the request as it
    came, where the tenant has its contents kept.
    """

    conversation: Conversation
    policy: RoutingPolicy = NO_RULES
    requested_model: str = AUTOMATIC
    labels: Mapping[str, str] = field(default_factory=dict)
    request_id: RequestId | None = None
    money_lease_id: str = ""
    document: bytes = field(default=b"", repr=False)
    recovery: StreamRecovery = StreamRecovery.RESTART
    cache: CacheWish = NO_CACHE_WISH
