"""What would have changed a choice: the decision is made again with one thing changed at a time.

Where a value can move, it moves in steps away from where it was until the choice changes, so that what is told is the
nearest value that changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.classification.classifier import with_complexity
from muxer_grpc.domain.decision import Candidate, ExclusionReason
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.routing.past import PastDecision, Remaking
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.domain.routing.router import Choice
from muxer_grpc.domain.tasks import Intent

STEPS = 20
# Catalogues may hold a thousand models; each that is let in is a decision of its own.
MOST_ADMITTED = 50

# What rules, operators and time keep out could answer; what lacks a feature, room or a price could not.
ADMISSIBLE = frozenset(
    {
        ExclusionReason.MODEL_NOT_ALLOWED,
        ExclusionReason.PROVIDER_NOT_ALLOWED,
        ExclusionReason.REGION_NOT_ALLOWED,
        ExclusionReason.COST_CEILING,
        ExclusionReason.LATENCY_CEILING,
        ExclusionReason.SIMULATED,
        ExclusionReason.RETIRED,
        ExclusionReason.DISABLED,
        ExclusionReason.BREAKER_OPEN,
        ExclusionReason.DEADLINE,
    }
)


class AlternativeKind(Named):
    """Names what is changed."""

    UNAVAILABLE = "unavailable"
    AUTOMATIC = "automatic"
    STRATEGY = "strategy"
    ADMITTED = "admitted"
    QUALITY_TARGET = "quality_target"
    WEIGHT = "weight"
    INTENT = "intent"
    COMPLEXITY = "complexity"


class Alternative(NamedTuple):
    """What would have been chosen with one thing changed; `choice` is None where no model could answer.

    `subject` names what is changed. `before` and `after` are its values where it has any: `after` is the nearest value
    that changes the choice, or the last that was tried. `changes` tells whether another model would be chosen.
    """

    kind: AlternativeKind
    subject: str
    before: float | None
    after: float | None
    changes: bool
    choice: Choice | None


class Admission(NamedTuple):
    """The place (from 1) that an excluded model would have, let in, with what would be expected of it."""

    rank: int
    candidate: Candidate


class Explanation(NamedTuple):
    """Why a decision came out as it did. `present` is the choice with nothing changed; None where none can be made."""

    present: Choice | None
    alternatives: tuple[Alternative, ...]
    admissions: Mapping[str, Admission]


NOT_EXPLAINED = Explanation(None, (), {})


def explain(past: PastDecision, catalogue: Catalogue) -> Explanation:
    """Explains a decision; what changes the choice comes first. The same decision and catalogue give the same."""
    if past.basis is None:
        return NOT_EXPLAINED
    remaking = Remaking(past, catalogue)
    present = remaking.choose()
    if present is None:
        return NOT_EXPLAINED
    search = _Search(past, remaking, present)
    admissions: dict[str, Admission] = {}
    found = [*search.simple(), *search.admitted(admissions), *search.aims(), *search.weights(), *search.prompts()]
    # What is missing of the chosen model always changes the choice; the order of kinds is kept in both parts.
    return Explanation(present, tuple(sorted(found, key=lambda each: not each.changes)), admissions)


class _Search:
    """Looks for what would change a choice."""

    def __init__(self, past: PastDecision, remaking: Remaking, present: Choice) -> None:
        self._past = past
        self._remaking = remaking
        self._present = present
        self._chosen = present.candidates[0].model.name
        self._strategy = known_strategies()[past.strategy]

    def simple(self) -> Iterator[Alternative]:
        """Takes the chosen model away, asks for none by name, and ranks by the other strategies."""
        choose = self._remaking.choose
        yield self._told(AlternativeKind.UNAVAILABLE, self._chosen, choose(unavailable=self._chosen))
        if self._past.requested_model:
            yield self._told(AlternativeKind.AUTOMATIC, self._past.requested_model, choose(automatic=True))
        for name in sorted(known_strategies()):
            if name != self._past.strategy:
                yield self._told(AlternativeKind.STRATEGY, name, choose(strategy=name))

    def admitted(self, admissions: dict[str, Admission]) -> Iterator[Alternative]:
        """Lets each excluded model in that could answer, and notes the place that it would have."""
        names = [each.model.name for each in self._present.exclusions if each.reason in ADMISSIBLE]
        for name in names[:MOST_ADMITTED]:
            choice = self._remaking.choose(admitted=[name])
            places = enumerate(() if choice is None else choice.candidates, 1)
            admissions |= {each.model.name: Admission(rank, each) for rank, each in places if each.model.name == name}
            yield self._told(AlternativeKind.ADMITTED, name, choice)

    def aims(self) -> Iterator[Alternative]:
        """Sets a quality target, or moves the one that is set."""
        if not self._strategy.aims:
            return
        target = self._remaking.policy.quality_target
        start = self._present.candidates[0].expected_quality if target is None else target
        for values in _both_ways(start):
            tried = (
                (value, self._remaking.choose(policy=replace(self._remaking.policy, quality_target=value)))
                for value in values
            )
            yield from self._nearest(AlternativeKind.QUALITY_TARGET, "", target, tried)

    def weights(self) -> Iterator[Alternative]:
        """Has each factor weigh more, and less; the others keep their proportions."""
        if not self._strategy.weighs or (self._strategy.aims and self._remaking.policy.quality_target is not None):
            return
        shares = {factor.name: factor.weight for factor in self._present.candidates[0].factors}
        for name in Weights.__dataclass_fields__:
            share = shares.get(name, 0.0)
            for values in _both_ways(share):
                tried = ((value, self._weighed(shares, name, value)) for value in values if value or share < 1)
                yield from self._nearest(AlternativeKind.WEIGHT, name, share, tried)

    def prompts(self) -> Iterator[Alternative]:
        """Takes the prompt for another kind of task, and for a harder or an easier one."""
        classification = self._past.classification
        others: Iterable[tuple[Intent, float | None]] = classification.runners_up or [
            (each, None) for each in Intent if each is not classification.intent
        ]
        for intent, chance in others:
            supposed = classification._replace(intent=intent, settled=True)
            told = self._told(AlternativeKind.INTENT, intent.value, self._remaking.choose(classification=supposed))
            yield told._replace(before=None if chance is None else classification.confidence, after=chance)
        for values in _both_ways(classification.complexity):
            tried = (
                (value, self._remaking.choose(classification=with_complexity(classification, value)))
                for value in values
            )
            yield from self._nearest(AlternativeKind.COMPLEXITY, "", classification.complexity, tried)

    def _weighed(self, shares: Mapping[str, float], name: str, share: float) -> Choice | None:
        rest = 1 - shares.get(name, 0.0)
        scale = (1 - share) / rest if rest > 0 else 0.0
        weights = Weights(**{**{other: weight * scale for other, weight in shares.items()}, name: share})
        return self._remaking.choose(policy=replace(self._remaking.policy, weights=weights))

    def _nearest(
        self, kind: AlternativeKind, subject: str, before: float | None, tried: Iterable[tuple[float, Choice | None]]
    ) -> Iterator[Alternative]:
        """Gives the first that changes the choice, else the last; nothing where nothing was tried."""
        last = None
        for value, choice in tried:
            last = self._told(kind, subject, choice)._replace(before=before, after=value)
            if last.changes:
                break
        if last is not None:
            yield last

    def _told(self, kind: AlternativeKind, subject: str, choice: Choice | None) -> Alternative:
        changes = choice is None or choice.candidates[0].model.name != self._chosen
        return Alternative(kind, subject, None, None, changes, choice)


def _both_ways(start: float) -> tuple[list[float], list[float]]:
    """Gives the twentieths above a value, rising, and those below it, falling; from 0 to 1."""
    grid = [step / STEPS for step in range(STEPS + 1)]
    return [value for value in grid if value > start], [value for value in reversed(grid) if value < start]
