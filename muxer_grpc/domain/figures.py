"""Live figures of completions: counters since start and a rolling window of latencies, in bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.completion import Attempt, Outcome, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.errors import FailureClass, Reason
from muxer_grpc.domain.live import NOTHING_KNOWN, LiveFigures, LiveSnapshot
from muxer_grpc.domain.money import NO_USAGE, Usage, add_usage
from muxer_grpc.domain.tasks import Intent

WINDOW = 100
SNAPSHOT_SECONDS = 1.0
# Successes taken for granted of a model that was called little: one failure is no rate.
PRIOR_SUCCESSES = 4


class Dimension(Named):
    """Names a dimension by which figures are grouped, in the order in which rows are sorted."""

    PROVIDER = "provider"
    MODEL = "model"
    INTENT = "intent"
    STRATEGY = "strategy"


@dataclass(frozen=True, slots=True)
class Key:
    """The group of a completion."""

    provider: str
    model: str
    intent: Intent
    strategy: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One ended completion: its end in seconds since the epoch, its times in seconds.

    `failed` means that it did not end well, `blameless` that its caller is the reason and not the model.
    """

    at: float
    duration: float
    time_to_first_token: float | None
    failed: bool
    blameless: bool = False


@dataclass(slots=True)
class Tally:
    """Figures of one group. `samples` holds the last WINDOW ended completions."""

    requests: int = 0
    successes: int = 0
    cancelled: int = 0
    failures: Counter[FailureClass] = field(default_factory=Counter)
    usage: Usage = NO_USAGE
    cost_nano_usd: int = 0
    last_at: float = 0.0
    consecutive_failures: int = 0
    last_success_at: float = 0.0
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def latencies(self) -> list[float]:
        """Lists the times to the end of successful completions, sorted."""
        return sorted(sample.duration for sample in self.samples if not sample.failed)

    def first_token_times(self) -> list[float]:
        """Lists the times to the first token, sorted."""
        return sorted(s.time_to_first_token for s in self.samples if s.time_to_first_token is not None)


@dataclass(frozen=True, slots=True)
class FiguresQuery:
    """Which figures are wanted. An empty filter keeps all; an empty grouping is by provider and model."""

    providers: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    intents: frozenset[Intent] = frozenset()
    strategies: frozenset[str] = frozenset()
    group_by: tuple[Dimension, ...] = ()


@dataclass(frozen=True, slots=True)
class FiguresRow:
    """One group and its figures; `group` holds a value for each dimension that was asked for."""

    group: dict[Dimension, str]
    tally: Tally


class Figures:
    """Collects figures. Its memory is bounded by models x intents x strategies x WINDOW."""

    def __init__(self) -> None:
        self._tallies: dict[Key, Tally] = {}
        self._snapshot = NOTHING_KNOWN
        self._snapshot_at = 0.0
        self._stale = False
        self.in_flight = 0

    def began(self) -> None:
        """Counts a completion as under way."""
        self.in_flight += 1

    def ended(self, summary: Summary, now: float) -> None:
        """Adds an ended completion; `now` is in seconds since the epoch."""
        self.in_flight -= 1
        self._stale = True
        decision = summary.decision
        attempts = summary.attempts
        for attempt in attempts[:-1]:
            # Others took over: what it failed by, used and cost is its own model's.
            _add_attempt(self._tally_of(attempt.model, decision), attempt, now)
        last = attempts[-1] if attempts else None
        _add(self._tally_of(summary.answered_by or decision.selected, decision), summary, last, now)

    def _tally_of(self, model: Model, decision: Decision) -> Tally:
        key = Key(model.provider, model.name, decision.classification.intent, decision.strategy)
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
                self._snapshot = LiveSnapshot.of({row.group[Dimension.MODEL]: live_figures(row.tally) for row in rows})
        return self._snapshot

    def rows(self, query: FiguresQuery) -> list[FiguresRow]:
        """Groups the figures that the query keeps, sorted by the grouping's values."""
        dimensions = tuple(d for d in Dimension if d in (query.group_by or (Dimension.PROVIDER, Dimension.MODEL)))
        groups: dict[tuple[str, ...], list[Tally]] = {}
        for key, tally in self._tallies.items():
            if _keeps(query, key):
                groups.setdefault(tuple(_value(key, d) for d in dimensions), []).append(tally)
        return [
            FiguresRow(dict(zip(dimensions, values, strict=True)), merge(tallies))
            for values, tallies in sorted(groups.items())
        ]

    def total(self, query: FiguresQuery) -> Tally:
        """Sums all figures that the query keeps."""
        return merge([tally for key, tally in self._tallies.items() if _keeps(query, key)])


# Failures that another caller, or the same model with another prompt, would not have met.
_BLAMELESS = frozenset({FailureClass.CALLER_FAULT, FailureClass.CONTEXT_LENGTH, FailureClass.CONTENT_FILTER})


def _add_attempt(tally: Tally, attempt: Attempt, now: float) -> None:
    tally.requests += 1
    tally.usage = add_usage(tally.usage, attempt.usage)
    tally.cost_nano_usd += attempt.cost.total_nano
    tally.last_at = now
    tally.failures[attempt.failure_class or FailureClass.PROTOCOL] += 1
    tally.consecutive_failures += 1
    blameless = attempt.failure_class in _BLAMELESS
    tally.samples.append(Sample(now, attempt.duration, attempt.time_to_first_token, True, blameless))


def _add(tally: Tally, summary: Summary, last: Attempt | None, now: float) -> None:
    failed = summary.outcome is Outcome.FAILED
    blameless = summary.outcome is Outcome.CANCELLED
    tally.requests += 1
    tally.usage = add_usage(tally.usage, summary.usage if last is None else last.usage)
    tally.cost_nano_usd += (summary.cost if last is None else last.cost).total_nano
    tally.last_at = now
    if failed:
        last_class = None if last is None else last.failure_class
        tally.failures[last_class or FailureClass.PROTOCOL] += 1
        blameless = last_class in _BLAMELESS or summary.error_reason is Reason.DRAINING
        tally.consecutive_failures += 1
    elif summary.outcome is Outcome.CANCELLED:
        tally.cancelled += 1
    else:
        tally.successes += 1
        tally.consecutive_failures = 0
        tally.last_success_at = now
    unfinished = failed or summary.outcome is Outcome.CANCELLED
    if last is None or len(summary.attempts) == 1:
        duration, first_token = summary.duration, summary.time_to_first_token
    else:
        duration, first_token = last.duration, last.time_to_first_token
    tally.samples.append(Sample(now, duration, first_token, unfinished, blameless))


def merge(tallies: Sequence[Tally]) -> Tally:
    """Joins tallies: sums, the latest samples, and the failures since the last success of any."""
    if len(tallies) == 1:
        return tallies[0]
    merged = Tally()
    samples: list[Sample] = []
    for tally in tallies:
        merged.requests += tally.requests
        merged.successes += tally.successes
        merged.cancelled += tally.cancelled
        merged.failures.update(tally.failures)
        merged.usage = add_usage(merged.usage, tally.usage)
        merged.cost_nano_usd += tally.cost_nano_usd
        merged.last_at = max(merged.last_at, tally.last_at)
        merged.last_success_at = max(merged.last_success_at, tally.last_success_at)
        samples.extend(tally.samples)
    # A group's failures since its own last success count only as far as they came after the last success of all.
    merged.consecutive_failures = sum(
        t.consecutive_failures if t.last_success_at >= merged.last_success_at else _failures_since(t, merged)
        for t in tallies
    )
    samples.sort(key=lambda sample: sample.at)
    merged.samples.extend(samples[-WINDOW:])
    return merged


def _failures_since(tally: Tally, merged: Tally) -> int:
    recent = sum(1 for sample in tally.samples if sample.failed and sample.at > merged.last_success_at)
    return min(recent, tally.consecutive_failures)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Gives the nearest-rank percentile of sorted values; `share` is 0 to 1. Raises IndexError on no values."""
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def live_figures(tally: Tally) -> LiveFigures:
    """Sums a model's window up for the strategies, rounded so that small changes steer nothing."""
    latencies = tally.latencies()
    first_tokens = tally.first_token_times()
    telling = [sample.failed for sample in tally.samples if not sample.blameless]
    failed, seen = sum(telling), len(telling)
    usage = tally.usage
    tokens = usage.all_input_tokens + usage.all_output_tokens
    return LiveFigures(
        samples=seen,
        latency_seconds=float(f"{percentile(latencies, 0.5):.2g}") if latencies else None,
        first_token_seconds=float(f"{percentile(first_tokens, 0.5):.2g}") if first_tokens else None,
        success_rate=round((seen - failed + PRIOR_SUCCESSES) / (seen + PRIOR_SUCCESSES), 2),
        consecutive_failures=len(list(takewhile(bool, reversed(telling)))),
        cost_per_1k_nano_usd=round(tally.cost_nano_usd * 1000 / tokens) if tokens else 0,
        last_request_at=tally.last_at,
        p95_seconds=float(f"{percentile(latencies, 0.95):.2g}") if latencies else None,
    )


def _keeps(query: FiguresQuery, key: Key) -> bool:
    return (
        (not query.providers or key.provider in query.providers)
        and (not query.models or key.model in query.models)
        and (not query.intents or key.intent in query.intents)
        and (not query.strategies or key.strategy in query.strategies)
    )


def _value(key: Key, dimension: Dimension) -> str:
    value = getattr(key, dimension.value)
    return value.value if isinstance(value, Intent) else str(value)
