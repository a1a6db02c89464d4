"""Decisions as history keeps them: a RouteDecision with its basis in it, written and read."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from muxer.v1 import routing_pb2

from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.decision import Basis, Classification, Decision, Signal
from muxer_grpc.domain.live import LiveFigures, LiveSnapshot, Resting
from muxer_grpc.domain.routing.past import PastDecision, PastExclusion
from muxer_grpc.domain.routing.policy import NO_RULES, RoutingPolicy, Weights
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.rpc.enums import CAPABILITY_OF, EXCLUSION_REASON_OF, FEATURE_OF, FEATURES, INTENT_OF
from muxer_grpc.rpc.replies import NANOS, duration_message, written_decision
from muxer_grpc.rpc.written import Remembered


def kept_decision_document(decision: Decision) -> bytes:
    """Writes a decision as history keeps it: as its callers see it, and its basis."""
    if decision.basis is None:
        return written_decision(decision)
    # A message in wire format may be followed by more of its fields, and of the messages in them.
    return written_decision(decision) + _written_basis(decision.basis)


def read_past(document: routing_pb2.RouteDecision) -> PastDecision:
    """Reads a decision as far as it can be made again."""
    best = document.candidates[0] if document.candidates else routing_pb2.Candidate()
    classification = read_classification(document.classification)
    whole = classification is not None and document.HasField("basis")
    return PastDecision(
        decision_id=document.decision_id,
        requested_model=document.requested_model,
        strategy=document.strategy,
        selected_model=document.selected_model,
        models=tuple(each.model for each in document.candidates),
        exclusions=tuple(
            PastExclusion(each.model, each.provider, EXCLUSION_REASON_OF.get(each.reason), each.detail)
            for each in document.exclusions
        ),
        classification=classification or _NOT_CLASSIFIED,
        basis=_read_basis(document.basis) if whole else None,
        estimated_cost_nano_usd=best.estimated_cost_nano_usd,
        expected_quality=best.expected_quality,
        price_book_version=document.price_book_version,
        fleet_version=document.fleet_version,
    )


def read_document(content: bytes) -> routing_pb2.RouteDecision:
    """Reads a kept decision; an empty one where the bytes are none."""
    try:
        return routing_pb2.RouteDecision.FromString(content)
    except DecodeError:
        return routing_pb2.RouteDecision()


def read_classification(told: routing_pb2.Classification) -> Classification | None:
    """Reads a classification; None where its intent is not known any more."""
    intent = INTENT_OF.get(told.intent)
    if intent is None:
        return None
    known = ((CAPABILITY_OF.get(each.capability), each.score) for each in told.capabilities)
    others = ((INTENT_OF.get(each.intent), each.score) for each in told.runners_up)
    return Classification(
        intent=intent,
        confidence=told.confidence,
        capabilities=tuple((capability, score) for capability, score in known if capability is not None),
        complexity=told.complexity,
        signals=tuple(Signal(each.name, each.value) for each in told.signals),
        classifier_version=told.classifier_version,
        gain=told.gain,
        settled=told.settled,
        difficulty=told.difficulty,
        runners_up=tuple((other, score) for other, score in others if other is not None),
    )


_NOT_CLASSIFIED = Classification(Intent.CHAT_LITE, 0.0, (), 0.0, (), "")


def _written_basis(basis: Basis) -> bytes:
    head = routing_pb2.RouteDecision()
    own = head.basis
    own.SetInParent()
    own.max_output_tokens, own.turn = basis.output_tokens, basis.turn
    for name, tokens in basis.counts.items():
        count = own.input_tokens.add()
        count.tokenizer, count.tokens = name, tokens
    own.needed_features.extend(_feature_numbers(basis.features))
    if basis.default_weights is not None:
        own.default_weights.CopyFrom(_weights_message(basis.default_weights))
    own.too_slow_models.extend(sorted(basis.too_slow))
    written = head.SerializeToString()
    if basis.policy is not NO_RULES:
        written += routing_pb2.RouteDecision(
            basis=routing_pb2.DecisionBasis(policy=_policy_message(basis.policy))
        ).SerializeToString()
    return written + _snapshots.of(basis.live)


def _write_snapshot(live: LiveSnapshot) -> bytes:
    if not live.figures and not live.resting:
        return b""
    states = [
        routing_pb2.LiveState(
            model=name,
            samples=figures.samples,
            latency=None if figures.latency_seconds is None else duration_message(figures.latency_seconds),
            success_rate=figures.success_rate,
            consecutive_failures=figures.consecutive_failures,
        )
        for name, figures in sorted(live.figures.items())
    ]
    rests = [routing_pb2.Rest(name=name, detail=rest.detail) for name, rest in sorted(live.resting.items())]
    basis = routing_pb2.DecisionBasis(live_states=states, rests=rests)
    return routing_pb2.RouteDecision(basis=basis).SerializeToString()


# One snapshot serves many decisions.
_snapshots = Remembered(_write_snapshot, 16)


def _policy_message(policy: RoutingPolicy) -> routing_pb2.RoutingPolicy:
    message = routing_pb2.RoutingPolicy(
        strategy=policy.strategy,
        allowed_models=sorted(policy.allowed_models),
        denied_models=sorted(policy.denied_models),
        allowed_providers=sorted(policy.allowed_providers),
        denied_providers=sorted(policy.denied_providers),
        allowed_regions=sorted(policy.allowed_regions),
        required_features=_feature_numbers(policy.required_features),
        max_cost_nano_usd=policy.max_cost_nano_usd,
        quality_target=policy.quality_target,
        model_weights=dict(policy.model_weights),
        fall_back=policy.fall_back,
        hedge=policy.hedge,
    )
    if policy.max_latency_seconds is not None:
        message.max_latency.CopyFrom(duration_message(policy.max_latency_seconds))
    if policy.weights is not None:
        message.weights.CopyFrom(_weights_message(policy.weights))
    return message


def _feature_numbers(features: frozenset[Feature]) -> list[Any]:
    return sorted([FEATURES[feature] for feature in features])


def _weights_message(weights: Weights) -> routing_pb2.RoutingWeights:
    return routing_pb2.RoutingWeights(
        quality=weights.quality,
        cost=weights.cost,
        performance=weights.performance,
        availability=weights.availability,
    )


def _read_basis(told: routing_pb2.DecisionBasis) -> Basis:
    figures = {
        each.model: LiveFigures(
            samples=each.samples,
            latency_seconds=_seconds(each.latency) if each.HasField("latency") else None,
            first_token_seconds=None,
            success_rate=each.success_rate,
            consecutive_failures=each.consecutive_failures,
            cost_per_1k_nano_usd=0,
            last_request_at=0.0,
        )
        for each in told.live_states
    }
    return Basis(
        policy=_read_policy(told.policy) if told.HasField("policy") else NO_RULES,
        features=frozenset(FEATURE_OF[each] for each in told.needed_features if each in FEATURE_OF),
        counts={each.tokenizer: each.tokens for each in told.input_tokens},
        output_tokens=told.max_output_tokens,
        default_weights=_read_weights(told.default_weights) if told.HasField("default_weights") else None,
        live=LiveSnapshot(figures, "", {each.name: Resting(each.detail, 0.0) for each in told.rests}),
        too_slow=frozenset(told.too_slow_models),
        turn=told.turn,
    )


def _read_policy(told: routing_pb2.RoutingPolicy) -> RoutingPolicy:
    return RoutingPolicy(
        strategy=told.strategy,
        allowed_models=frozenset(told.allowed_models),
        denied_models=frozenset(told.denied_models),
        allowed_providers=frozenset(told.allowed_providers),
        denied_providers=frozenset(told.denied_providers),
        allowed_regions=frozenset(told.allowed_regions),
        required_features=frozenset(FEATURE_OF[each] for each in told.required_features if each in FEATURE_OF),
        max_cost_nano_usd=told.max_cost_nano_usd if told.HasField("max_cost_nano_usd") else None,
        max_latency_seconds=_seconds(told.max_latency) if told.HasField("max_latency") else None,
        weights=_read_weights(told.weights) if told.HasField("weights") else None,
        quality_target=told.quality_target if told.HasField("quality_target") else None,
        model_weights=tuple(sorted(told.model_weights.items())),
        fall_back=told.fall_back,
        hedge=told.hedge,
    )


def _read_weights(told: routing_pb2.RoutingWeights) -> Weights:
    return Weights(told.quality, told.cost, told.performance, told.availability)


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / NANOS
