"""The explained choice of a model: the same in Route, Complete and the first event of a stream.

The parts that a decision holds many of are named tuples: a frozen dataclass takes three times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.enumeration import Named


class Intent(Named):
    """Names what a caller wants."""

    CHAT_LITE = "chat_lite"
    DEEP_REASON = "deep_reason"
    CODE_GEN = "code_gen"
    JSON_EXTRACT = "json_extract"
    TRANSLATION = "translation"
    VISION = "vision"
    SAFETY_RISK = "safety_risk"


class Capability(Named):
    """Names an ability that an answer calls for."""

    LOGICAL = "logical"
    CODE = "code"
    MATHEMATICAL = "mathematical"
    FACTUAL = "factual"
    CREATIVE = "creative"
    CONVERSATIONAL = "conversational"


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


class Signal(NamedTuple):
    """One thing that a classification rests on."""

    name: str
    value: float


class Classification(NamedTuple):
    """What kind of task a prompt is. `confidence`, `complexity` and capability scores are 0 to 1."""

    intent: Intent
    confidence: float
    capabilities: tuple[tuple[Capability, float], ...]
    complexity: float
    signals: tuple[Signal, ...]
    classifier_version: str


class Factor(NamedTuple):
    """One factor of a score: `value` and `weight` are 0 to 1, higher is better."""

    name: str
    value: float
    weight: float


class Candidate(NamedTuple):
    """A model that could answer, with its score (0 to 1) and its estimated cost in nano-USD."""

    model: Model
    score: float
    factors: tuple[Factor, ...]
    estimated_cost_nano_usd: int


class Exclusion(NamedTuple):
    """A model that could not answer, with the reason."""

    model: Model
    reason: ExclusionReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The whole decision. `candidates` holds at least one entry, best first; the first is the chosen one.

    `created_at` is in seconds since the epoch.
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

    @property
    def selected(self) -> Model:
        """Gives the chosen model."""
        return self.candidates[0].model
