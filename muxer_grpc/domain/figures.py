"""Figures of completions in bounded memory: counts since the start and of the last hour, and the latest requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from muxer_grpc.domain.caching import CachedAnswer
from muxer_grpc.domain.completion import Attempt, Outcome, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.figure_counts import (
    Counts,
    Ended,
    GroupFigures,
    joined,
)
from muxer_grpc.domain.figure_slots import FiguresWindow, Slots
from muxer_grpc.domain.live import NOTHING_KNOWN, LiveSnapshot
from muxer_grpc.domain.tallies import (
    Sample,
    Tally,
    failures_in_a_row,
    final_attempt,
    live_figures,
    merge,
    told_at_end,
    told_beside,
)
from muxer_grpc.domain.tasks import Intent

SNAPSHOT_SECONDS = 1.0


class Dimension(Named):
    """Names a dimension by which figures are grouped, in the order in which rows are sorted."""

    PROVIDER = "provider"
    MODEL = "model"
    INTENT = "intent"
    STRATEGY = "strategy"


class FiguresScope(Named):
    """Says which part of the service figures speak of."""

    PROCESS = "process"
    FLEET = "fleet"


class Key(NamedTuple):
    """The group of a completion."""

    provider: str
    model: str
    intent: Intent | None
    strategy: str


OTHERS = Key("", "", None, "")


@dataclass(frozen=True, slots=True)
class FiguresQuery:
    """Which figures are wanted. An empty filter keeps all; an empty grouping is by provider and model."""

    providers: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    intents: frozenset[Intent] = frozenset()
    strategies: frozenset[str] = frozenset()
    group_by: tuple[Dimension, ...] = ()

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Gives what rows are grouped by, in the order in which they are sorted."""
        return tuple(d for d in Dimension if d in (self.group_by or (Dimension.PROVIDER, Dimension.MODEL)))


@dataclass(frozen=True, slots=True)
class FiguresRow:
    """One group and its figures; `group` holds a value for each dimension that was asked for."""

    group: dict[Dimension, str]
    tally: Tally


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One group and its figures; `group` holds a value for each dimension that was asked for."""

    group: dict[Dimension, str]
    figures: GroupFigures


@dataclass(frozen=True, slots=True)
class FiguresReport:
    """Figures of some time: by group, and of all groups together. `since` is in seconds since the epoch."""

    since: float
    rows: Sequence[ReportRow]
    total: GroupFigures


class Figures:
    """Collects figures. Its memory is bounded by models x intents x strategies, and by that of Slots.

    `now` is in seconds since the epoch everywhere.
    """

    def __init__(self) -> None:
        self._tallies: dict[Key, Tally] = {}
        self._slots: Slots[Key] = Slots(OTHERS)
        self._snapshot = NOTHING_KNOWN
        self._snapshot_at = 0.0
        self._stale = False
        self.in_flight = 0

    def began(self) -> None:
        """Counts a completion as under way."""
        self.in_flight += 1

    def ended(self, summary: Summary, now: float) -> None:
        """Adds an ended completion."""
        self.in_flight -= 1
        self._stale = True
        decision, attempts = summary.decision, summary.attempts
        if len(attempts) <= 1:
            self._add_end(summary, attempts[0] if attempts else None, now)
            return
        final = final_attempt(summary)
        for attempt in attempts:
            if attempt is not final:
                # What it used and cost, and what it failed by, is its own model's.
                self._add(attempt.model.provider, attempt.model.name, decision, told_beside(attempt, now))
        self._add_end(summary, final, now)

    def cache_hit(self, answer: CachedAnswer, now: float, *, shared: bool) -> None:
        """Adds an answer that was given again; `shared` says that the same request was under way."""
        provider = answer.model.partition("/")[0]
        key = Key(provider, answer.model, _INTENTS.get(answer.intent), answer.strategy)
        for counts in (self._tally_of(key).counts, self._slots.of(key, now)):
            counts.add_hit(answer.saved_nano_usd, shared=shared)

    def cache_missed(self, decision: Decision, now: float) -> None:
        """Adds a request that nothing was kept for."""
        model = decision.selected
        key = Key(model.provider, model.name, decision.classification.intent, decision.strategy)
        self._tally_of(key).counts.misses += 1
        self._slots.of(key, now).misses += 1

    def _add_end(self, summary: Summary, final: Attempt | None, now: float) -> None:
        model = summary.answered_by or summary.decision.selected
        self._add(model.provider, model.name, summary.decision, told_at_end(summary, final, now))

    def _add(self, provider: str, model: str, decision: Decision, told: tuple[Ended, Sample]) -> None:
        ended, sample = told
        key = Key(provider, model, decision.classification.intent, decision.strategy)
        tally = self._tallies.get(key) or self._tally_of(key)
        tally.counts.add(ended)
        tally.samples.append(sample)
        self._slots.of(key, ended.at).add(ended)
        if ended.failure is not None:
            tally.consecutive_failures += 1
        elif ended.outcome is not Outcome.CANCELLED:
            tally.consecutive_failures = 0
            tally.last_success_at = ended.at

    def _tally_of(self, key: Key) -> Tally:
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        return tally

    def snapshot(self, now: float) -> LiveSnapshot:
        """Gives how each model does, at most SNAPSHOT_SECONDS old, so that choices among like requests stay alike."""
        if not 0 <= now - self._snapshot_at < SNAPSHOT_SECONDS:
            self._snapshot_at = now
            if self._stale:
                self._stale = False
                rows = self.rows(FiguresQuery(group_by=(Dimension.MODEL,)))
                called = [row for row in rows if row.tally.requests]
                self._snapshot = LiveSnapshot.of({r.group[Dimension.MODEL]: live_figures(r.tally) for r in called})
        return self._snapshot

    def report(self, query: FiguresQuery, window: FiguresWindow, now: float, started_at: float) -> FiguresReport:
        """Gives the figures of a window that ends now; `started_at` is when the process began."""
        if window is FiguresWindow.SINCE_START:
            since = started_at
            found: Iterable[tuple[Key, Counts]] = ((key, tally.counts) for key, tally in self._tallies.items())
        else:
            since, found = self._slots.since(window, now)
        dimensions = query.dimensions
        groups: dict[tuple[str, ...], list[Counts]] = {}
        for key, counts in found:
            if _keeps(query, key):
                groups.setdefault(_values(key, dimensions), []).append(counts)
        tallies: dict[tuple[str, ...], list[Tally]] = {}
        for key, tally in self._tallies.items():
            if _keeps(query, key):
                tallies.setdefault(_values(key, dimensions), []).append(tally)
        sums = {values: joined(parts) for values, parts in sorted(groups.items())}
        rows = [
            ReportRow(
                dict(zip(dimensions, values, strict=True)),
                counts.figures(failures_in_a_row(tallies.get(values, []))),
            )
            for values, counts in sums.items()
        ]
        total = joined(sums.values()).figures(
            failures_in_a_row([tally for parts in tallies.values() for tally in parts])
        )
        return FiguresReport(max(since, started_at), rows, total)

    def rows(self, query: FiguresQuery) -> list[FiguresRow]:
        """Groups the figures since the start that the query keeps, sorted by the grouping's values."""
        dimensions = query.dimensions
        groups: dict[tuple[str, ...], list[Tally]] = {}
        for key, tally in self._tallies.items():
            if _keeps(query, key):
                groups.setdefault(_values(key, dimensions), []).append(tally)
        return [
            FiguresRow(dict(zip(dimensions, values, strict=True)), merge(tallies))
            for values, tallies in sorted(groups.items())
        ]

    def total(self, query: FiguresQuery) -> Tally:
        """Sums all figures that the query keeps."""
        return merge([tally for key, tally in self._tallies.items() if _keeps(query, key)])


_INTENTS = {intent.value: intent for intent in Intent}


def _keeps(query: FiguresQuery, key: Key) -> bool:
    return (
        (not query.providers or key.provider in query.providers)
        and (not query.models or key.model in query.models)
        and (not query.intents or key.intent in query.intents)
        and (not query.strategies or key.strategy in query.strategies)
    )


def _values(key: Key, dimensions: Iterable[Dimension]) -> tuple[str, ...]:
    values = (getattr(key, dimension.value) for dimension in dimensions)
    return tuple(value.value if isinstance(value, Intent) else value or "" for value in values)
