"""From a request and a snapshot to one explained decision: filter, rank, explain. A pure function."""

from __future__ import annotations

from dataclasses import dataclass

from muxer_grpc.domain.catalogue import Catalogue, Model
from muxer_grpc.domain.decision import Classification, Decision, Exclusion, ExclusionReason
from muxer_grpc.domain.errors import ContextTooLong, NoEligibleModel
from muxer_grpc.domain.routing.candidates import Needs, estimated_cost_nano_usd, exclusion_of, needs_of, rules_for
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.routing.ranking import DEFAULT_STRATEGY, Contender, known_strategies

POLICY_VERSION = "default-1"
CANDIDATES_NAMED = 3


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What a decision needs besides the request: an id, the time (seconds since the epoch), the models, the default."""

    decision_id: str
    now: float
    catalogue: Catalogue
    default_strategy: str = DEFAULT_STRATEGY


def decide(request: CompletionRequest, classification: Classification, context: DecisionContext) -> Decision:
    """Decides which model should answer.

    Raises NoEligibleModel when every model is excluded, and ContextTooLong when only the input's length stands in
    the way.
    """
    catalogue = context.catalogue
    needs = needs_of(request, catalogue)
    contenders: list[Contender] = []
    exclusions: list[Exclusion] = []
    rules = rules_for(needs, catalogue)
    for model in catalogue.available:
        exclusion = exclusion_of(model, needs, rules)
        if exclusion is None:
            contenders.append(Contender(model, estimated_cost_nano_usd(model, needs)))
        else:
            exclusions.append(exclusion)
    if not contenders:
        raise _refusal(request, needs, exclusions, catalogue)
    strategy = known_strategies()[request.policy.strategy or context.default_strategy]
    ranking = strategy.rank(contenders, classification)
    explanation = ranking.explanation
    if request.requested_model:
        explanation = f"{request.requested_model}: it was asked for by name"
    return Decision(
        decision_id=context.decision_id,
        created_at=context.now,
        requested_model=request.requested_model,
        strategy=strategy.name,
        explanation=explanation,
        classification=classification,
        candidates=ranking.candidates,
        exclusions=tuple(exclusions),
        policy_version=POLICY_VERSION,
        price_book_version=catalogue.price_book_version,
        fleet_version=catalogue.version,
        estimated_input_tokens=needs.input_tokens,
    )


def _refusal(
    request: CompletionRequest, needs: Needs, exclusions: list[Exclusion], catalogue: Catalogue
) -> NoEligibleModel:
    """Says why no model is left, in the words that help most."""
    requested = catalogue.models.get(request.requested_model)
    if requested is not None and not catalogue.providers[requested.provider].configured:
        return _not_configured(requested, exclusions, catalogue)
    telling = [e for e in exclusions if e.reason is not ExclusionReason.NOT_REQUESTED]
    # Rules run in order, so a model that reached the context rule passed all that stand before it.
    if any(e.reason is ExclusionReason.CONTEXT_WINDOW for e in telling):
        largest = max(
            (e.model for e in telling if e.reason is ExclusionReason.CONTEXT_WINDOW), key=lambda m: m.context_window
        )
        return ContextTooLong(
            f"about {needs.input_tokens} input tokens do not fit; the largest model that may answer, {largest.name}, "
            f"takes {largest.context_window} with its output",
            exclusions,
            {"model": largest.name, "input_tokens": str(needs.input_tokens)},
        )
    if not exclusions:
        return NoEligibleModel("no model is configured: set a provider's key, or ask for a sandbox model", exclusions)
    named = "; ".join(f"{e.model.name}: {e.detail}" for e in telling[:CANDIDATES_NAMED])
    more = f"; and {len(telling) - CANDIDATES_NAMED} more" if len(telling) > CANDIDATES_NAMED else ""
    return NoEligibleModel(f"no model can answer ({named}{more})", exclusions)


def _not_configured(model: Model, exclusions: list[Exclusion], catalogue: Catalogue) -> NoEligibleModel:
    detail = catalogue.providers[model.provider].detail
    exclusion = Exclusion(model, ExclusionReason.PROVIDER_NOT_CONFIGURED, detail)
    return NoEligibleModel(
        f"{model.name} cannot be called: provider {model.provider} is not configured ({detail})",
        [exclusion, *(e for e in exclusions if e.reason is not ExclusionReason.NOT_REQUESTED)],
    )
