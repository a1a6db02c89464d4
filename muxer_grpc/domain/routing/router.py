"""From a request and a catalogue to one explained decision: filter, rank, explain. The same in, the same out."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Catalogue, Model
from muxer_grpc.domain.decision import Candidate, Classification, Decision, Exclusion, ExclusionReason
from muxer_grpc.domain.errors import ContextTooLong, NoEligibleModel
from muxer_grpc.domain.routing.candidates import Needs, estimated_cost_nano_usd, exclusion_of, needs_of, rules_for
from muxer_grpc.domain.routing.policy import NO_RULES, CompletionRequest
from muxer_grpc.domain.routing.ranking import DEFAULT_STRATEGY, Contender, Strategy, known_strategies

POLICY_VERSION = "default-1"
CANDIDATES_NAMED = 3


# Choices kept per router. With twenty models one takes some ten kilobytes.
MAX_CHOICES = 512


class _Choice(NamedTuple):
    """What a decision comes to, apart from its id, its time and its classification."""

    candidates: tuple[Candidate, ...]
    exclusions: tuple[Exclusion, ...]
    explanation: str


class Router:
    """Takes decisions over one catalogue.

    A choice depends on few things: the policy, the needs in tokens and features, and what the strategy reads from the
    classification. Choices are kept by those, so that a need that was met before costs a look-up; a new catalogue gets
    a new router, and nothing kept outlives what it rests on.
    """

    def __init__(self, catalogue: Catalogue, default_strategy: str = DEFAULT_STRATEGY) -> None:
        self._catalogue = catalogue
        self._default_strategy = default_strategy
        self._choices: dict[Hashable, _Choice] = {}

    def decide(
        self, request: CompletionRequest, classification: Classification, *, decision_id: str, now: float
    ) -> Decision:
        """Decides which model should answer; `now` is in seconds since the epoch.

        Raises NoEligibleModel when every model is excluded, and ContextTooLong when only the input's length stands in
        the way.
        """
        catalogue = self._catalogue
        policy = request.policy
        needs = needs_of(request, catalogue)
        strategy = known_strategies()[policy.strategy or self._default_strategy]
        key = (
            None if policy is NO_RULES else policy,
            request.requested_model,
            needs.features,
            needs.input_tokens,
            needs.output_tokens,
            strategy.key(classification),
        )
        choice = self._choices.get(key)
        if choice is None:
            choice = _choose(needs, classification, strategy, catalogue)
            if len(self._choices) >= MAX_CHOICES:
                del self._choices[next(iter(self._choices))]
            self._choices[key] = choice
        return Decision(
            decision_id=decision_id,
            created_at=now,
            requested_model=request.requested_model,
            strategy=strategy.name,
            explanation=choice.explanation,
            classification=classification,
            candidates=choice.candidates,
            exclusions=choice.exclusions,
            policy_version=POLICY_VERSION,
            price_book_version=catalogue.price_book_version,
            fleet_version=catalogue.version,
            estimated_input_tokens=needs.input_tokens,
        )


def _choose(needs: Needs, classification: Classification, strategy: Strategy, catalogue: Catalogue) -> _Choice:
    """Filters and ranks. Raises NoEligibleModel when nothing is left."""
    contenders: list[Contender] = []
    exclusions: list[Exclusion] = []
    rules = rules_for(needs, catalogue)
    for model in catalogue.available:
        exclusion = exclusion_of(model, needs, rules)
        if exclusion is None:
            contenders.append(Contender(model, estimated_cost_nano_usd(model, needs)))
        else:
            exclusions.append(exclusion)
    request = needs.request
    if not contenders:
        raise _refusal(request, needs, exclusions, catalogue)
    ranking = strategy.rank(contenders, classification)
    asked = f"{request.requested_model}: it was asked for by name" if request.requested_model else ""
    return _Choice(ranking.candidates, tuple(exclusions), asked or ranking.explanation)


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
