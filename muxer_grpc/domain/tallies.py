"""How the latest requests of a group went, and what strategies are told of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from muxer_grpc.domain.completion import Attempt, Outcome, Summary
from muxer_grpc.domain.errors import FailureClass, Reason
from muxer_grpc.domain.figure_counts import BLAMELESS, LEAST_PACED_SECONDS, NO_BUCKET, Counts, Ended, joined
from muxer_grpc.domain.live import LiveFigures
from muxer_grpc.domain.money import Usage
from muxer_grpc.domain.records import record
from muxer_grpc.domain.spreads import bucket_of

WINDOW = 100
# Successes taken for granted of a model that was called little: one failure is no rate.
PRIOR_SUCCESSES = 4


@record
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
    """Figures of one group since the start. `samples` holds the last WINDOW ended completions."""

    counts: Counts = field(default_factory=Counts)
    consecutive_failures: int = 0
    last_success_at: float = 0.0
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=WINDOW))

    @property
    def requests(self) -> int:
        """Counts ended requests."""
        return self.counts.requests

    @property
    def successes(self) -> int:
        """Counts those that brought an answer."""
        return self.counts.successes

    @property
    def cancelled(self) -> int:
        """Counts those that were cancelled."""
        return self.counts.cancelled

    @property
    def failures(self) -> dict[FailureClass, int]:
        """Counts failures by class."""
        return self.counts.failures

    @property
    def usage(self) -> Usage:
        """Sums the tokens."""
        return self.counts.usage

    @property
    def cost_nano_usd(self) -> int:
        """Sums the cost."""
        return self.counts.cost_nano_usd

    @property
    def last_at(self) -> float:
        """Gives the end of the last request, in seconds since the epoch; 0 before the first."""
        return self.counts.last_at

    def latencies(self) -> list[float]:
        """Lists the times to the end of successful completions, sorted."""
        return sorted(sample.duration for sample in self.samples if not sample.failed)

    def first_token_times(self) -> list[float]:
        """Lists the times to the first token, sorted."""
        return sorted(s.time_to_first_token for s in self.samples if s.time_to_first_token is not None)


def final_attempt(summary: Summary) -> Attempt:
    """Gives the attempt that ended the completion: the last one, but where a hedged one beside it won."""
    for attempt in reversed(summary.attempts):
        if attempt.outcome is summary.outcome and attempt.model is summary.answered_by:
            return attempt
    return summary.attempts[-1]


def told_beside(attempt: Attempt, now: float) -> tuple[Ended, Sample]:
    """Tells of an attempt that another one took over from, or won against."""
    outcome, first_token = attempt.outcome, attempt.time_to_first_token
    lost = outcome is Outcome.CANCELLED
    failure = None if lost else attempt.failure_class or FailureClass.PROTOCOL
    first = NO_BUCKET if first_token is None else bucket_of(first_token)
    blameless = lost or failure in BLAMELESS
    return (
        Ended(now, outcome, failure, attempt.usage, attempt.cost.total_nano, NO_BUCKET, first, 0.0),
        Sample(now, attempt.duration, first_token, True, blameless),
    )


def told_at_end(summary: Summary, final: Attempt | None, now: float) -> tuple[Ended, Sample]:
    """Tells of the attempt that ended a completion; None where it ended before any."""
    outcome = summary.outcome
    failed, cancelled = outcome is Outcome.FAILED, outcome is Outcome.CANCELLED
    failure, blameless = None, cancelled
    if failed:
        own = None if final is None else final.failure_class
        failure = own or FailureClass.PROTOCOL
        blameless = own in BLAMELESS or summary.error_reason is Reason.DRAINING
    told: Summary | Attempt = summary if final is None or len(summary.attempts) == 1 else final
    duration, first_token = told.duration, told.time_to_first_token
    usage, cost = (summary.usage, summary.cost) if final is None else (final.usage, final.cost)
    latency, paced = NO_BUCKET, 0.0
    if not failed and not cancelled:
        latency = bucket_of(duration)
        if first_token is not None and duration - first_token >= LEAST_PACED_SECONDS:
            paced = duration - first_token
    first = NO_BUCKET if first_token is None else bucket_of(first_token)
    return (
        Ended(now, outcome, failure, usage, cost.total_nano, latency, first, paced),
        Sample(now, duration, first_token, failed or cancelled, blameless),
    )


def merge(tallies: Sequence[Tally]) -> Tally:
    """Joins tallies: sums, the latest samples, and the failures since the last success of any."""
    if len(tallies) == 1:
        return tallies[0]
    merged = Tally(joined(tally.counts for tally in tallies))
    samples: list[Sample] = []
    for tally in tallies:
        merged.last_success_at = max(merged.last_success_at, tally.last_success_at)
        samples.extend(tally.samples)
    merged.consecutive_failures = failures_in_a_row(tallies)
    samples.sort(key=lambda sample: sample.at)
    merged.samples.extend(samples[-WINDOW:])
    return merged


def failures_in_a_row(tallies: Sequence[Tally]) -> int:
    """Counts the failures since the last success of any.

    A group's failures since its own last success count only as far as they came after the last success of all.
    """
    last_success_at = max((tally.last_success_at for tally in tallies), default=0.0)
    return sum(
        tally.consecutive_failures
        if tally.last_success_at >= last_success_at
        else _failures_since(tally, last_success_at)
        for tally in tallies
        if tally.consecutive_failures
    )


def _failures_since(tally: Tally, at: float) -> int:
    recent = sum(1 for sample in tally.samples if sample.failed and sample.at > at)
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
