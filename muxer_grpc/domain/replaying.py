"""Replays: decisions of the past made again, over the models of today, under another policy or other prices.

Each decision is made with how models did at its own time, so that the same history gives the same replay. Costs are in
nano-USD. Of a decision that led to a completion, they are those of the tokens that its last attempt used, as the ledger
has them; of any other, the estimates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.catalogue import Catalogue, version_of
from muxer_grpc.domain.decision import ExclusionReason
from muxer_grpc.domain.errors import MuxerError
from muxer_grpc.domain.money import Price, Usage, cost_of
from muxer_grpc.domain.reporting import DecisionFilter, DecisionRecord
from muxer_grpc.domain.routing.needs import needs_again
from muxer_grpc.domain.routing.past import PastDecision
from muxer_grpc.domain.routing.policy import RoutingPolicy, Weights
from muxer_grpc.domain.routing.router import Choice, Router
from muxer_grpc.domain.tasks import Intent

MOST_DECISIONS = 10_000
DEFAULT_DECISIONS = 1_000


@dataclass(frozen=True, slots=True)
class ReplayPolicy:
    """What is changed in the rules of decisions; what is empty or None stays as it was in each of them.

    `allowed_models` take the place of what the rules said of models before, denied ones among them; `denied_models`
    are added.
    """

    strategy: str = ""
    weights: Weights | None = None
    quality_target: float | None = None
    allowed_models: frozenset[str] = frozenset()
    denied_models: frozenset[str] = frozenset()

    def over(self, policy: RoutingPolicy) -> RoutingPolicy:
        """Gives the rules of a decision with what is changed in them."""
        denied = policy.denied_models - self.allowed_models
        return replace(
            policy,
            strategy=self.strategy or policy.strategy,
            weights=self.weights or policy.weights,
            quality_target=policy.quality_target if self.quality_target is None else self.quality_target,
            allowed_models=self.allowed_models or policy.allowed_models,
            denied_models=denied | self.denied_models,
        )


class Spent(NamedTuple):
    """What the last attempt of a completion used and cost, and at which model."""

    model: str
    usage: Usage
    cost_nano_usd: int


class PastRecord(NamedTuple):
    """A decision as history keeps it, with its document, and what it came to; None where it was a dry run."""

    record: DecisionRecord
    spent: Spent | None


class PastDecisions(Protocol):
    """Reads decisions to be made again."""

    async def page(self, wanted: DecisionFilter, asked: PageRequest) -> Sequence[PastRecord]:
        """Lists decisions, the latest first. Raises StorageUnavailable."""
        ...


@dataclass(slots=True)
class Sums:
    """Sums decisions that were made again; the qualities are summed, not yet divided by how many there are."""

    decisions: int = 0
    changed: int = 0
    pinned: int = 0
    measured: int = 0
    cost_before: int = 0
    cost_after: int = 0
    quality_before: float = 0.0
    quality_after: float = 0.0


@dataclass(slots=True)
class Shift:
    """Counts decisions by their model before and after, and what they cost."""

    decisions: int = 0
    cost_before: int = 0
    cost_after: int = 0


@dataclass(slots=True)
class Report:
    """What a replay came to: `shifts` by model before and after (empty: none is left), `exclusions` by reason.

    Skipped are decisions that cannot be made again, refused those for which no model is left.
    """

    total: Sums = field(default_factory=Sums)
    intents: dict[Intent, Sums] = field(default_factory=dict)
    shifts: dict[tuple[str, str], Shift] = field(default_factory=dict)
    excluded_before: Counter[ExclusionReason] = field(default_factory=Counter)
    excluded_after: Counter[ExclusionReason] = field(default_factory=Counter)
    skipped: int = 0
    refused: int = 0


class Replay:
    """Makes decisions again, one after the other, and sums what comes of it in `report`.

    Strategies that take turns begin anew. The catalogue holds the prices that count.
    """

    def __init__(self, catalogue: Catalogue, policy: ReplayPolicy) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._router = Router(catalogue)
        self.report = Report()

    def add(self, decisions: Iterable[tuple[PastDecision, Spent | None]]) -> None:
        """Makes some decisions again."""
        for past, spent in decisions:
            if past.basis is None:
                self.report.skipped += 1
                continue
            self.report.excluded_before.update(e.reason for e in past.exclusions if e.reason is not None)
            choice = self._choose(past)
            if choice is None:
                self.report.refused += 1
                self._shift(past.selected_model, "").decisions += 1
                continue
            self.report.excluded_after.update(e.reason for e in choice.exclusions)
            self._count(past, spent, choice)

    def _choose(self, past: PastDecision) -> Choice | None:
        basis = past.basis
        if basis is None:
            return None
        changed = basis._replace(policy=self._policy.over(basis.policy))
        needs = needs_again(changed, past.requested_model, self._catalogue)
        try:
            return self._router.choose(
                needs, past.classification, live=basis.live, strategy=self._policy.strategy or past.strategy
            )
        except MuxerError:
            return None

    def _count(self, past: PastDecision, spent: Spent | None, choice: Choice) -> None:
        report, chosen = self.report, choice.candidates[0]
        changed = chosen.model.name != past.selected_model
        before, after = past.estimated_cost_nano_usd, chosen.estimated_cost_nano_usd
        if spent is not None:
            before = spent.cost_nano_usd
            # Where nothing changed, whoever answered then, as a fallback perhaps, answers again.
            after = self._cost(spent, chosen.model.name if changed else spent.model)
        intent = past.classification.intent
        for sums in (report.total, report.intents.setdefault(intent, Sums())):
            sums.decisions += 1
            sums.changed += changed
            sums.pinned += bool(past.requested_model) and not (past.basis and past.basis.policy.fall_back)
            sums.measured += spent is not None
            sums.cost_before += before
            sums.cost_after += after
            sums.quality_before += past.expected_quality
            sums.quality_after += chosen.expected_quality
        shift = self._shift(past.selected_model, chosen.model.name)
        shift.decisions += 1
        shift.cost_before += before
        shift.cost_after += after

    def _shift(self, before: str, after: str) -> Shift:
        return self.report.shifts.setdefault((before, after), Shift())

    def _cost(self, spent: Spent, model: str) -> int:
        """Prices the tokens at a model; as they were, where it has gone or has no price any more."""
        known = self._catalogue.models.get(model)
        return (
            spent.cost_nano_usd
            if known is None or known.price is None
            else cost_of(spent.usage, known.price).total_nano
        )


def repriced(catalogue: Catalogue, given: Mapping[str, Price]) -> Catalogue:
    """Gives the catalogue with some prices in place of those in force; their version is a name for this replay."""
    if not given:
        return catalogue
    prices = {model.name: model.price for model in catalogue.models.values() if model.price is not None} | dict(given)
    version = version_of("replay", catalogue.price_book_version, sorted(given.items(), key=lambda item: item[0]))
    return catalogue.with_prices(prices, version)
