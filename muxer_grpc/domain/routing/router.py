"""From a request and a catalogue to one explained decision: filter, rank, explain. The same in, the same out."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Catalogue, Model, version_of
from muxer_grpc.domain.decision import Basis, Candidate, Classification, Decision, Exclusion, ExclusionReason
from muxer_grpc.domain.errors import ContextTooLong, MuxerError, NoEligibleModel
from muxer_grpc.domain.live import NOTHING_KNOWN, LiveSnapshot
from muxer_grpc.domain.refusals import DeadlineTooShort, NoProviderAvailable
from muxer_grpc.domain.resilience.attempts import fallback_chain
from muxer_grpc.domain.routing.candidates import ceiling_exclusion_of, exclusion_of, rules_for
from muxer_grpc.domain.routing.estimates import SLOWEST_ANSWER, Contender, Estimator, Task, task_of, too_slow
from muxer_grpc.domain.routing.needs import Needs, needs_of
from muxer_grpc.domain.routing.policy import NO_RULES, CompletionRequest, Weights
from muxer_grpc.domain.routing.ranking import DEFAULT_STRATEGY, Aim, Ranking, Strategy, known_strategies
from muxer_grpc.domain.routing.turns import Turns

POLICY_VERSION = "default-3"
# Candidates that stand behind the chosen one.
MOST_FALLBACKS = 3
# What a caller is told to wait where only an operator can end a rest, in seconds: longer than clients do by themselves.
LONG_REST = 120.0
CANDIDATES_NAMED = 3


# Choices kept per router. With twenty models one takes some ten kilobytes.
MAX_CHOICES = 512


class Choice(NamedTuple):
    """What a decision comes to, apart from its id, its time and its classification.

    `turn` counts the choices made before among the same models, where the strategy takes turns.
    """

    candidates: tuple[Candidate, ...]
    exclusions: tuple[Exclusion, ...]
    explanation: str
    fallbacks: tuple[Candidate, ...] = ()
    turn: int = 0


class Router:
    """Takes decisions over one catalogue.

    A choice depends on few things: the policy, the needs in tokens and features, the task, the live figures, and what
    the strategy reads from the classification. Choices are kept by those, so that a need that was met before costs a
    look-up; a new catalogue gets a new router, and nothing kept outlives what it rests on. Over twenty models a
    decision then takes a seventh of the time (32 µs instead of 220, the median of 400 prompts on a busy machine).
    """

    def __init__(
        self,
        catalogue: Catalogue,
        default_strategy: str = DEFAULT_STRATEGY,
        turns: Turns | None = None,
        default_weights: Weights | None = None,
    ) -> None:
        self.catalogue = catalogue
        self._default_strategy = default_strategy
        self._default_weights = default_weights
        weighed = "" if default_weights is None else f".{version_of('weights', default_weights).rpartition('-')[2]}"
        self._policy_version = f"{POLICY_VERSION}{weighed}"
        self._turns = turns or Turns()
        self._choices: dict[Hashable, Choice] = {}
        self._estimator = Estimator(catalogue)

    def decide(
        self,
        request: CompletionRequest,
        classification: Classification,
        *,
        decision_id: str,
        now: float,
        live: LiveSnapshot = NOTHING_KNOWN,
        dry_run: bool = True,
        seconds_left: float | None = None,
    ) -> Decision:
        """Decides which model should answer; `now` is in seconds since the epoch.

        A dry run takes no turn: it tells what the next decision would be. With `seconds_left`, models that are not
        expected to answer within it are excluded. Raises NoEligibleModel when every model is excluded, ContextTooLong
        when only the input's length stands in the way, NoProviderAvailable when all that could answer rest, and
        DeadlineTooShort when all that could answer are too slow.
        """
        catalogue = self.catalogue
        policy = request.policy
        needs = needs_of(request, catalogue)
        if seconds_left is not None and seconds_left < SLOWEST_ANSWER:
            needs = replace(needs, seconds_left=seconds_left, too_slow=too_slow(catalogue, live, seconds_left))
        strategy = known_strategies()[policy.strategy or self._default_strategy]
        task = task_of(classification)
        if strategy.takes_turns:
            choice = self._take_turn(needs, classification, strategy, live, dry_run=dry_run)
        else:
            key = (
                None if policy is NO_RULES else policy,
                request.requested_model,
                needs.features,
                *needs.counts.values(),
                needs.output_tokens,
                needs.too_slow,
                task,
                live.version,
                strategy.name,
                strategy.key(classification),
            )
            known = self._choices.get(key)
            choice = known or self._choose(needs, classification, strategy, live)
            if known is None:
                self._keep(key, choice)
        return Decision(
            decision_id=decision_id,
            created_at=now,
            requested_model=request.requested_model,
            strategy=strategy.name,
            explanation=choice.explanation,
            classification=classification,
            candidates=choice.candidates,
            exclusions=choice.exclusions,
            policy_version=self._policy_version,
            price_book_version=catalogue.price_book_version,
            fleet_version=f"{catalogue.version}.{live.version}" if live.version else catalogue.version,
            estimated_input_tokens=choice.candidates[0].estimated_input_tokens,
            fallbacks=choice.fallbacks,
            basis=self._basis(needs, live, choice.turn),
        )

    def choose(
        self,
        needs: Needs,
        classification: Classification,
        *,
        live: LiveSnapshot,
        strategy: str = "",
        turn: int | None = None,
    ) -> Choice:
        """Chooses for needs that are only supposed, or were met before; what is chosen is not kept.

        Without a `turn`, a strategy that takes turns takes the next one. Raises as decide() does.
        """
        ranks = known_strategies()[strategy or self._default_strategy]
        if ranks.takes_turns and turn is None:
            return self._take_turn(needs, classification, ranks, live, dry_run=False)
        return self._choose(needs, classification, ranks, live, turn=turn or 0)

    def _basis(self, needs: Needs, live: LiveSnapshot, turn: int) -> Basis:
        policy, weights = needs.request.policy, self._default_weights
        return Basis(policy, needs.features, needs.counts, needs.output_tokens, weights, live, needs.too_slow, turn)

    def allows(self, model: Model, request: CompletionRequest) -> Exclusion | None:
        """Says why a model may not answer a request now; None when it may."""
        catalogue = self.catalogue
        current = catalogue.models.get(model.name)
        if current is None or not catalogue.providers[current.provider].configured:
            return Exclusion(model, ExclusionReason.PROVIDER_NOT_CONFIGURED, "it is no longer in the catalogue")
        needs = needs_of(request, catalogue)
        return exclusion_of(current, needs, rules_for(needs, catalogue))

    def took(self, decision: Decision) -> None:
        """Counts the turn of a decision that was taken in a dry run and is carried out now."""
        if known_strategies()[decision.strategy].takes_turns:
            self._turns.take((decision.strategy, *sorted(candidate.model.name for candidate in decision.candidates)))

    def _keep(self, key: Hashable, choice: Choice) -> None:
        if len(self._choices) >= MAX_CHOICES:
            del self._choices[next(iter(self._choices))]
        self._choices[key] = choice

    def _take_turn(
        self, needs: Needs, classification: Classification, strategy: Strategy, live: LiveSnapshot, *, dry_run: bool
    ) -> Choice:
        contenders, exclusions = self._contend(needs, task_of(classification), live)
        among = (strategy.name, *(contender.model.name for contender in contenders))
        turn = self._turns.next(among) if dry_run else self._turns.take(among)
        return self._rank(needs, classification, strategy, contenders=contenders, exclusions=exclusions, turn=turn)

    def _choose(
        self, needs: Needs, classification: Classification, strategy: Strategy, live: LiveSnapshot, *, turn: int = 0
    ) -> Choice:
        """Filters and ranks. Raises NoEligibleModel when nothing is left."""
        contenders, exclusions = self._contend(needs, task_of(classification), live)
        return self._rank(needs, classification, strategy, contenders=contenders, exclusions=exclusions, turn=turn)

    def _rank(
        self,
        needs: Needs,
        classification: Classification,
        strategy: Strategy,
        *,
        contenders: list[Contender],
        exclusions: list[Exclusion],
        turn: int,
    ) -> Choice:
        policy = needs.request.policy
        aim = Aim(
            classification,
            policy.weights or self._default_weights,
            policy.quality_target,
            dict(policy.model_weights),
            turn,
        )
        ranking = strategy.rank(contenders, aim)
        requested = needs.request.requested_model
        if requested:
            ranking = _requested_first(ranking, requested)
        candidates = ranking.candidates
        fallbacks = fallback_chain(candidates, MOST_FALLBACKS)
        return Choice(candidates, tuple(exclusions), ranking.explanation, fallbacks, turn)

    def _contend(self, needs: Needs, task: Task, live: LiveSnapshot) -> tuple[list[Contender], list[Exclusion]]:
        """Parts the models into those that can answer and those that cannot. Raises NoEligibleModel when none can."""
        catalogue = self.catalogue
        contenders = self._estimator.contenders(needs, task, live.figures)
        exclusions: list[Exclusion] = []
        rules = rules_for(needs, catalogue)
        policy = needs.request.policy
        has_ceiling = policy.max_cost_nano_usd is not None or policy.max_latency_seconds is not None
        if rules or has_ceiling or live.resting or needs.too_slow:
            able = []
            for contender in contenders:
                if contender.model.name in needs.admitted:
                    able.append(contender)
                    continue
                exclusion = exclusion_of(contender.model, needs, rules) or _not_now(contender.model, needs, live)
                if exclusion is None and has_ceiling:
                    exclusion = ceiling_exclusion_of(contender, needs)
                if exclusion is None:
                    able.append(contender)
                else:
                    exclusions.append(exclusion)
            contenders = able
        if not contenders:
            raise _refusal(needs, exclusions, catalogue, live)
        return contenders, exclusions


def _not_now(model: Model, needs: Needs, live: LiveSnapshot) -> Exclusion | None:
    """Says why a model that could answer should not be asked at present; None where it may."""
    resting = live.why_resting(model.name, model.provider)
    if resting is not None:
        return Exclusion(model, ExclusionReason.BREAKER_OPEN, resting.detail)
    if model.name in needs.too_slow:
        return Exclusion(model, ExclusionReason.DEADLINE, "it is not expected to answer within the deadline")
    return None


def _requested_first(ranking: Ranking, requested: str) -> Ranking:
    """Puts the model that was asked for by name before all others, where it can answer."""
    candidates = ranking.candidates
    asked = [c for c in candidates if c.model.name == requested]
    if not asked:
        return Ranking(candidates, f"{ranking.explanation} ({requested} was asked for and cannot answer)")
    others = [c for c in candidates if c.model.name != requested]
    return Ranking((*asked, *others), f"{requested}: it was asked for by name")


def _refusal(needs: Needs, exclusions: list[Exclusion], catalogue: Catalogue, live: LiveSnapshot) -> MuxerError:
    """Says why no model is left, in the words that help most."""
    request = needs.request
    requested = catalogue.models.get(request.requested_model)
    if requested is not None and not catalogue.providers[requested.provider].configured:
        return _not_configured(requested, exclusions, catalogue)
    telling = [e for e in exclusions if e.reason is not ExclusionReason.NOT_REQUESTED]
    # What could answer, but not now, says most: rules on needs and policies come before it.
    resting = [e for e in telling if e.reason is ExclusionReason.BREAKER_OPEN]
    if resting:
        waits = [live.why_resting(e.model.name, e.model.provider) for e in resting]
        soonest = min((wait.seconds for wait in waits if wait is not None and wait.seconds > 0), default=LONG_REST)
        first = resting[0]
        return NoProviderAvailable(first.model.name, first.model.provider, soonest, first.detail)
    if any(e.reason is ExclusionReason.DEADLINE for e in telling):
        return DeadlineTooShort(needs.seconds_left or 0.0)
    # Rules run in order, so a model that reached the context rule passed all that stand before it.
    if any(e.reason is ExclusionReason.CONTEXT_WINDOW for e in telling):
        largest = max(
            (e.model for e in telling if e.reason is ExclusionReason.CONTEXT_WINDOW), key=lambda m: m.context_window
        )
        return ContextTooLong(
            f"about {needs.input_tokens(largest)} input tokens do not fit; the largest model that may answer, "
            f"{largest.name}, takes {largest.context_window} with its output",
            exclusions,
            {"model": largest.name, "input_tokens": str(needs.input_tokens(largest))},
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
