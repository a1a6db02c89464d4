"""Hard filters: which models can answer at all, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from muxer_grpc.domain.catalogue import Catalogue, Model
from muxer_grpc.domain.decision import Exclusion, ExclusionReason
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.needs import Needs
from muxer_grpc.domain.routing.policy import NO_RULES, RoutingPolicy

Rule = Callable[[Model, Needs], Exclusion | None]


def rules_for(needs: Needs, catalogue: Catalogue) -> list[Rule]:
    """Gives the rules that could exclude anything, in the order in which a caller would want to hear them."""
    return [rule for applies, rule in _RULES if applies(needs, catalogue)]


def exclusion_of(model: Model, needs: Needs, rules: Sequence[Rule]) -> Exclusion | None:
    """Gives the first reason why a model cannot answer, or None when it can."""
    for rule in rules:
        exclusion = rule(model, needs)
        if exclusion is not None:
            return exclusion
    return None


def ceiling_exclusion_of(contender: Contender, needs: Needs) -> Exclusion | None:
    """Gives the ceiling of the policy that an estimate is above, or None."""
    policy = needs.request.policy
    model, cost, latency = contender.model, contender.estimated_cost_nano_usd, contender.latency_seconds
    if policy.max_cost_nano_usd is not None and cost > policy.max_cost_nano_usd:
        detail = f"about {cost} nano-USD estimated, {policy.max_cost_nano_usd} at most"
        return Exclusion(model, ExclusionReason.COST_CEILING, detail)
    if policy.max_latency_seconds is not None and latency > policy.max_latency_seconds:
        detail = f"about {latency:.2f} s estimated, {policy.max_latency_seconds:g} s at most"
        return Exclusion(model, ExclusionReason.LATENCY_CEILING, detail)
    return None


def _disabled(model: Model, needs: Needs) -> Exclusion | None:
    del needs
    if model.disabled:
        return Exclusion(model, ExclusionReason.DISABLED, "an operator has disabled it")
    return None


def _not_requested(model: Model, needs: Needs) -> Exclusion | None:
    requested = needs.request.requested_model
    if requested and model.name != requested and not needs.request.policy.fall_back:
        return Exclusion(model, ExclusionReason.NOT_REQUESTED, f"{requested} was asked for")
    return None


def policy_exclusion_of(model: Model, policy: RoutingPolicy) -> Exclusion | None:
    """Says why a policy lets a model have no request, nor anything of one; None where it may."""
    if model.name in policy.denied_models:
        return Exclusion(model, ExclusionReason.MODEL_NOT_ALLOWED, "the policy denies the model")
    if policy.allowed_models and model.name not in policy.allowed_models:
        return Exclusion(model, ExclusionReason.MODEL_NOT_ALLOWED, "the policy allows other models only")
    if model.provider in policy.denied_providers:
        return Exclusion(model, ExclusionReason.PROVIDER_NOT_ALLOWED, "the policy denies the provider")
    if policy.allowed_providers and model.provider not in policy.allowed_providers:
        return Exclusion(model, ExclusionReason.PROVIDER_NOT_ALLOWED, "the policy allows other providers only")
    if policy.allowed_regions and policy.allowed_regions.isdisjoint(model.regions):
        runs_in = ", ".join(model.regions) or "a region that is not known"
        return Exclusion(model, ExclusionReason.REGION_NOT_ALLOWED, f"it runs in {runs_in}")
    return None


def _not_allowed(model: Model, needs: Needs) -> Exclusion | None:
    return policy_exclusion_of(model, needs.request.policy)


def _simulated(model: Model, needs: Needs) -> Exclusion | None:
    if model.simulated and needs.exclude_simulated and model.name != needs.request.requested_model:
        return Exclusion(model, ExclusionReason.SIMULATED, "real models are configured; ask for it by name")
    return None


def _retired(model: Model, needs: Needs) -> Exclusion | None:
    request = needs.request
    if model.retired and model.name != request.requested_model and model.name not in request.policy.allowed_models:
        return Exclusion(model, ExclusionReason.RETIRED, "its vendor has ended it; ask for it by name")
    return None


def _feature_missing(model: Model, needs: Needs) -> Exclusion | None:
    if needs.features and not needs.features <= model.features:
        missing = ", ".join(sorted(feature.value for feature in needs.features - model.features))
        return Exclusion(model, ExclusionReason.FEATURE_MISSING, f"it lacks {missing}")
    return None


def _output_limit(model: Model, needs: Needs) -> Exclusion | None:
    if needs.output_tokens > model.max_output_tokens:
        detail = f"{needs.output_tokens} output tokens asked, {model.max_output_tokens} at most"
        return Exclusion(model, ExclusionReason.OUTPUT_LIMIT, detail)
    return None


def _context_window(model: Model, needs: Needs) -> Exclusion | None:
    needed = needs.window_tokens(model)
    if needed > model.context_window:
        detail = f"about {needed} tokens needed, {model.context_window} at most"
        return Exclusion(model, ExclusionReason.CONTEXT_WINDOW, detail)
    return None


def _no_price(model: Model, needs: Needs) -> Exclusion | None:
    del needs
    if model.price is None:
        return Exclusion(model, ExclusionReason.NO_PRICE, "no price is configured and it is not marked free")
    return None


# What was asked, what is allowed, what is possible; each with when it can exclude anything at all, since most requests
# come without a policy and fit everywhere.
_RULES: tuple[tuple[Callable[[Needs, Catalogue], object], Rule], ...] = (
    (lambda needs, _: needs.request.requested_model, _not_requested),
    (lambda _, catalogue: catalogue.has_disabled_models, _disabled),
    (lambda needs, _: needs.request.policy is not NO_RULES, _not_allowed),
    (lambda needs, _: needs.exclude_simulated, _simulated),
    (lambda _, catalogue: catalogue.has_retired_models, _retired),
    (lambda needs, _: needs.features, _feature_missing),
    (lambda needs, _: needs.output_tokens, _output_limit),
    (lambda needs, catalogue: needs.most_window_tokens > catalogue.smallest_window, _context_window),
    (lambda _, catalogue: not catalogue.all_priced, _no_price),
)
