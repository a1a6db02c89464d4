"""Decisions of Route that another process made: read back from what is kept of them, to be taken up here."""

from __future__ import annotations

from muxer.v1 import routing_pb2

from muxer_grpc.domain.catalogue import Catalogue, Model, Tier
from muxer_grpc.domain.decision import Candidate, Decision, Exclusion, Factor
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.rpc.enums import EXCLUSION_REASON_OF, TIERS
from muxer_grpc.rpc.kept_decisions import read_classification, read_document
from muxer_grpc.rpc.replies import NANOS

_TIER_OF = {number: tier for tier, number in TIERS.items()}


def read_decision(content: bytes, catalogue: Catalogue) -> Decision | None:
    """Reads a decision back; None where it says what is not known here.

    Its models are those of the catalogue, at its prices, and the version of those prices is the one that is told: so
    cost and version fit together. Of models that are gone, what was told of them remains; they are no fallbacks.
    """
    told = read_document(content)
    classification = read_classification(told.classification)
    if classification is None or not told.candidates or told.strategy not in known_strategies():
        return None
    candidates = tuple(_read_candidate(each, catalogue) for each in told.candidates)
    by_name = {candidate.model.name: candidate for candidate in candidates if _callable(candidate.model, catalogue)}
    return Decision(
        decision_id=told.decision_id,
        created_at=told.create_time.seconds + told.create_time.nanos / NANOS,
        requested_model=told.requested_model,
        strategy=told.strategy,
        explanation=told.explanation,
        classification=classification,
        candidates=candidates,
        exclusions=tuple(_read_exclusions(told, catalogue)),
        policy_version=told.policy_version,
        price_book_version=catalogue.price_book_version,
        fleet_version=told.fleet_version,
        estimated_input_tokens=told.estimated_input_tokens,
        fallbacks=tuple(by_name[name] for name in told.fallback_models if name in by_name),
    )


def _callable(model: Model, catalogue: Catalogue) -> bool:
    return model.name in catalogue.models and catalogue.providers[model.provider].configured


def _read_candidate(told: routing_pb2.Candidate, catalogue: Catalogue) -> Candidate:
    tier = _TIER_OF.get(told.tier, Tier.BALANCED)
    return Candidate(
        model=_model_of(told.model, told.provider, catalogue, tier),
        score=told.score,
        factors=tuple(Factor(each.name, each.value, each.weight) for each in told.factors),
        estimated_cost_nano_usd=told.estimated_cost_nano_usd,
        expected_quality=told.expected_quality,
        estimated_latency_seconds=told.estimated_latency.seconds + told.estimated_latency.nanos / NANOS,
        estimated_input_tokens=told.estimated_input_tokens,
        estimated_output_tokens=told.estimated_output_tokens,
    )


def _read_exclusions(told: routing_pb2.RouteDecision, catalogue: Catalogue) -> list[Exclusion]:
    known = ((each, EXCLUSION_REASON_OF.get(each.reason)) for each in told.exclusions)
    return [
        Exclusion(_model_of(each.model, each.provider, catalogue, Tier.BALANCED), reason, each.detail)
        for each, reason in known
        if reason is not None
    ]


def _model_of(name: str, provider: str, catalogue: Catalogue, tier: Tier) -> Model:
    """Gives a model of the catalogue; of one that is gone, its names, with which it can be told and not called."""
    model = catalogue.models.get(name)
    return model or Model(name, provider, name.partition("/")[2], tier, 0, 0)
