"""What it would take to let an excluded model in, and in whose hands that is."""

from __future__ import annotations

from typing import NamedTuple

from muxer_grpc.domain.catalogue import Catalogue, Model
from muxer_grpc.domain.decision import ExclusionReason
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.routing.alternatives import Admission
from muxer_grpc.domain.routing.needs import Needs, needs_again
from muxer_grpc.domain.routing.past import PastDecision, PastExclusion


class RemedyKind(Named):
    """Names in whose hands a remedy is: those of who sets rules, of who asks, of an operator, or of time."""

    POLICY = "policy"
    REQUEST = "request"
    OPERATOR = "operator"
    TIME = "time"


class Remedy(NamedTuple):
    """What it would take, in words."""

    kind: RemedyKind
    text: str


_SIMPLE = {
    ExclusionReason.NO_PRICE: Remedy(RemedyKind.OPERATOR, "a price for it, or free = true"),
    ExclusionReason.DISABLED: Remedy(RemedyKind.OPERATOR, "an operator enables it"),
    ExclusionReason.PROVIDER_NOT_CONFIGURED: Remedy(RemedyKind.OPERATOR, "a key or an address for its provider"),
    ExclusionReason.NOT_REQUESTED: Remedy(RemedyKind.REQUEST, "no requested_model, or fall_back beside it"),
    ExclusionReason.SIMULATED: Remedy(RemedyKind.REQUEST, "ask for it by name"),
    ExclusionReason.RETIRED: Remedy(RemedyKind.REQUEST, "ask for it by name"),
    ExclusionReason.DEADLINE: Remedy(RemedyKind.REQUEST, "a later deadline"),
    ExclusionReason.BREAKER_OPEN: Remedy(RemedyKind.TIME, "it rests, and is tried again"),
}


def remedy_of(
    exclusion: PastExclusion, past: PastDecision, catalogue: Catalogue, admission: Admission | None
) -> Remedy | None:
    """Says what would let a model in; None where that is not known: it is gone, or what was asked is not kept."""
    reason = exclusion.reason
    if reason is None:
        return None
    if reason in _SIMPLE:
        return _SIMPLE[reason]
    model = catalogue.models.get(exclusion.model)
    if model is None or past.basis is None:
        return None
    needs = needs_again(past.basis, past.requested_model, catalogue)
    return _of_policy(reason, model, needs, admission) or _of_request(reason, model, needs)


def _of_policy(reason: ExclusionReason, model: Model, needs: Needs, admission: Admission | None) -> Remedy | None:
    policy = needs.request.policy
    expected = None if admission is None else admission.candidate
    text = ""
    if reason is ExclusionReason.MODEL_NOT_ALLOWED:
        denied = model.name in policy.denied_models
        text = "take it off denied_models" if denied else "add it to allowed_models"
    elif reason is ExclusionReason.PROVIDER_NOT_ALLOWED:
        denied = model.provider in policy.denied_providers
        text = f"take {model.provider} off denied_providers" if denied else f"add {model.provider} to allowed_providers"
    elif reason is ExclusionReason.REGION_NOT_ALLOWED:
        told = " or ".join(model.regions)
        text = f"add {told} to allowed_regions" if told else "an operator says in which regions it runs"
        return Remedy(RemedyKind.POLICY if told else RemedyKind.OPERATOR, text)
    elif reason is ExclusionReason.COST_CEILING and expected is not None:
        text = f"max_cost_nano_usd {policy.max_cost_nano_usd} -> {expected.estimated_cost_nano_usd}"
    elif reason is ExclusionReason.LATENCY_CEILING and expected is not None:
        text = f"max_latency {policy.max_latency_seconds:g} s -> {expected.estimated_latency_seconds:.2f} s"
    elif reason is ExclusionReason.FEATURE_MISSING:
        # What the rules alone demand, the request could do without.
        missing = needs.features - model.features
        if missing <= policy.required_features:
            text = f"take {_named(missing)} off required_features"
    return Remedy(RemedyKind.POLICY, text) if text else None


def _of_request(reason: ExclusionReason, model: Model, needs: Needs) -> Remedy | None:
    if reason is ExclusionReason.FEATURE_MISSING:
        return Remedy(RemedyKind.REQUEST, f"the request needs {_named(needs.features - model.features)}")
    if reason is ExclusionReason.OUTPUT_LIMIT:
        return Remedy(
            RemedyKind.REQUEST, f"max_output_tokens {needs.output_tokens} -> {model.max_output_tokens} or less"
        )
    if reason is ExclusionReason.CONTEXT_WINDOW:
        over = needs.window_tokens(model) - model.context_window
        return Remedy(RemedyKind.REQUEST, f"about {over} tokens less, of input and asked output together")
    return None


def _named(features: frozenset[object]) -> str:
    return ", ".join(sorted(str(getattr(feature, "value", feature)) for feature in features))
