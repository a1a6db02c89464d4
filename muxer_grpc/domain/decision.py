"""The explained choice of a model: the same in Route, Complete and the first event of a stream.

The parts that a decision holds many of are named tuples: a frozen dataclass takes three times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Feature, Model
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.live import LiveSnapshot
from muxer_grpc.domain.records import record
from muxer_grpc.domain.routing.policy import RoutingPolicy, Weights
from muxer_grpc.domain.tasks import Capability, Intent


class ExclusionReason(Named):
    """Says why a model could not answer."""

    MODEL_NOT_ALLOWED = "model_not_allowed"
    PROVIDER_NOT_ALLOWED = "provider_not_allowed"
    REGION_NOT_ALLOWED = "region_not_allowed"
    FEATURE_MISSING = "feature_missing"
    CONTEXT_WINDOW = "context_window"
    COST_CEILING = "cost_ceiling"
    NO_PRICE = "no_price"
    NOT_REQUESTED = "not_requested"
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    OUTPUT_LIMIT = "output_limit"
    SIMULATED = "simulated"
    RETIRED = "retired"
    LATENCY_CEILING = "latency_ceiling"
    DISABLED = "disabled"
    BREAKER_OPEN = "breaker_open"
    DEADLINE = "deadline"


class Signal(NamedTuple):
    """One thing that a classification rests on."""

    name: str
    value: float


class Classification(NamedTuple):
    """What kind of task a prompt is. `confidence`, `complexity`, `gain` and capability scores are 0 to 1.

    `gain` is the expected gain in quality of a strong model over a cheap one, as a rank among ordinary prompts.
    `settled` tells whether the confidence is high enough to rest a choice on the intent. `difficulty` is how able a
    model must be, on the scale of models' qualities, 0 to 1; it sums up complexity, gain and what rules say.
    `runners_up` are the intents that came next with their chances, likeliest first; rules alone have none.
    """

    intent: Intent
    confidence: float
    capabilities: tuple[tuple[Capability, float], ...]
    complexity: float
    signals: tuple[Signal, ...]
    classifier_version: str
    gain: float = 0.5
    settled: bool = True
    difficulty: float = 0.5
    runners_up: tuple[tuple[Intent, float], ...] = ()


class Factor(NamedTuple):
    """One factor of a score: `value` and `weight` are 0 to 1, higher is better."""

    name: str
    value: float
    weight: float


class Candidate(NamedTuple):
    """A model that could answer, with its score (0 to 1) and what is estimated of its answer.

    Cost is in nano-USD, latency (to the end of the answer) in seconds; `expected_quality` is 0 to 1.
    """

    model: Model
    score: float
    factors: tuple[Factor, ...]
    estimated_cost_nano_usd: int
    expected_quality: float = 0.5
    estimated_latency_seconds: float = 0.0
    estimated_input_tokens: int = 0
    estimated_output_tokens: int = 0


class Exclusion(NamedTuple):
    """A model that could not answer, with the reason."""

    model: Model
    reason: ExclusionReason
    detail: str = ""


class Basis(NamedTuple):
    """What a choice was made from besides the catalogue, so that it can be made again; nothing of it is content.

    `policy` is the request's, narrowed by its tenant's; `default_weights` hold where it has none. `counts` holds the
    input's tokens by tokenizer, `output_tokens` the asked bound (0: none). `too_slow` names models that were not
    expected to answer in time. `turn` counts the choices made before among the same models.
    """

    policy: RoutingPolicy
    features: frozenset[Feature]
    counts: Mapping[str, int]
    output_tokens: int
    default_weights: Weights | None
    live: LiveSnapshot
    too_slow: frozenset[str] = frozenset()
    turn: int = 0


@record
class Decision:
    """The whole decision. `candidates` holds at least one entry, best first; the first is the chosen one.

    `fallbacks` are those that stand behind it, in order. `created_at` is in seconds since the epoch. `basis` is None
    in a decision that was put together by hand.
    """

    decision_id: str
    created_at: float
    requested_model: str
    strategy: str
    explanation: str
    classification: Classification
    candidates: tuple[Candidate, ...]
    exclusions: tuple[Exclusion, ...]
    policy_version: str
    price_book_version: str
    fleet_version: str
    estimated_input_tokens: int
    fallbacks: tuple[Candidate, ...] = ()
    basis: Basis | None = None

    @property
    def selected(self) -> Model:
        """Gives the chosen model."""
        return self.candidates[0].model
