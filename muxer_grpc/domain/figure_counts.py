"""Counts of one group of requests, and the figures that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from muxer_grpc.domain.completion import Outcome
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.money import NO_USAGE, Usage, UsageSource, round_half_even
from muxer_grpc.domain.spreads import Spread, spread_of_counts

T = TypeVar("T")

# An answer whose end came sooner after its first token came whole: it has no pace. In seconds.
LEAST_PACED_SECONDS = 0.01
# Stands for the bucket of a duration that there is not.
NO_BUCKET = -1

# Failures that another caller, or the same model with another prompt, would not have met.
BLAMELESS = frozenset({FailureClass.CALLER_FAULT, FailureClass.CONTEXT_LENGTH, FailureClass.CONTENT_FILTER})


class Ended(NamedTuple):
    """One ended request, as it is counted.

    `latency` and `first_token` are buckets of durations, or NO_BUCKET; `failure` is set if and only if the outcome is
    FAILED. With `paced_seconds` above 0 the tokens of its output came over so many seconds.
    """

    at: float
    outcome: Outcome
    failure: FailureClass | None
    usage: Usage
    cost_nano_usd: int
    latency: int
    first_token: int
    paced_seconds: float


@dataclass(slots=True)
class Counts:
    """What is counted of a group. Durations are counted by bucket, see spreads.py."""

    requests: int = 0
    successes: int = 0
    cancelled: int = 0
    failures: dict[FailureClass, int] = field(default_factory=dict)
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usage_source: UsageSource = UsageSource.NONE
    cost_nano_usd: int = 0
    paced_tokens: int = 0
    paced_seconds: float = 0.0
    last_at: float = 0.0
    hits: int = 0
    shared_hits: int = 0
    misses: int = 0
    saved_nano_usd: int = 0
    latencies: dict[int, int] = field(default_factory=dict)
    first_tokens: dict[int, int] = field(default_factory=dict)

    def add(self, ended: Ended) -> None:
        """Counts an ended request."""
        at, outcome, failure, usage, cost, latency, first_token, paced_seconds = ended
        self.requests += 1
        self.last_at = at
        self.cost_nano_usd += cost
        if usage is not NO_USAGE:
            self._add_usage(usage)
        if failure is not None:
            self.failures[failure] = self.failures.get(failure, 0) + 1
        elif outcome is Outcome.CANCELLED:
            self.cancelled += 1
        else:
            self.successes += 1
        if latency >= 0:
            self.latencies[latency] = self.latencies.get(latency, 0) + 1
        if first_token >= 0:
            self.first_tokens[first_token] = self.first_tokens.get(first_token, 0) + 1
        if paced_seconds > 0:
            self.paced_tokens += usage.output_tokens + usage.reasoning_tokens
            self.paced_seconds += paced_seconds

    def _add_usage(self, usage: Usage) -> None:
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        # Most answers have none of these.
        if usage.cached_input_tokens:
            self.cached_input_tokens += usage.cached_input_tokens
        if usage.cache_write_tokens:
            self.cache_write_tokens += usage.cache_write_tokens
        if usage.cache_write_1h_tokens:
            self.cache_write_1h_tokens += usage.cache_write_1h_tokens
        if usage.reasoning_tokens:
            self.reasoning_tokens += usage.reasoning_tokens
        if usage.source is not UsageSource.NONE:
            self.usage_source = usage.source

    def add_hit(self, saved_nano_usd: int, *, shared: bool) -> None:
        """Counts an answer that was given again."""
        if shared:
            self.shared_hits += 1
        else:
            self.hits += 1
        self.saved_nano_usd += saved_nano_usd

    def take(self, other: Counts) -> None:
        """Adds all that another one has counted."""
        # Written out, since a window of an hour joins thousands of these.
        self.requests += other.requests
        self.successes += other.successes
        self.cancelled += other.cancelled
        self.input_tokens += other.input_tokens
        self.cached_input_tokens += other.cached_input_tokens
        self.cache_write_tokens += other.cache_write_tokens
        self.cache_write_1h_tokens += other.cache_write_1h_tokens
        self.output_tokens += other.output_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.cost_nano_usd += other.cost_nano_usd
        self.paced_tokens += other.paced_tokens
        self.paced_seconds += other.paced_seconds
        self.hits += other.hits
        self.shared_hits += other.shared_hits
        self.misses += other.misses
        self.saved_nano_usd += other.saved_nano_usd
        if other.usage_source is not UsageSource.NONE and (
            self.usage_source is UsageSource.NONE or other.last_at >= self.last_at
        ):
            self.usage_source = other.usage_source
        self.last_at = max(self.last_at, other.last_at)
        _take(self.failures, other.failures)
        _take(self.latencies, other.latencies)
        _take(self.first_tokens, other.first_tokens)

    @property
    def usage(self) -> Usage:
        """Gives the tokens by kind; their source is that of the latest request that had any."""
        return Usage(
            self.input_tokens,
            self.cached_input_tokens,
            self.cache_write_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.usage_source,
            self.cache_write_1h_tokens,
        )

    def figures(self, consecutive_failures: int = 0) -> GroupFigures:
        """Makes the figures."""
        cache = CacheCounts(self.hits, self.shared_hits, self.misses, self.saved_nano_usd)
        return GroupFigures(
            requests=self.requests,
            successes=self.successes,
            cancelled=self.cancelled,
            failures=dict(self.failures.items()),
            consecutive_failures=consecutive_failures,
            usage=self.usage,
            cost_nano_usd=self.cost_nano_usd,
            latency=spread_of_counts(self.latencies),
            first_token=spread_of_counts(self.first_tokens),
            paced_tokens=self.paced_tokens,
            paced_seconds=self.paced_seconds,
            last_at=self.last_at if self.requests else None,
            cache=cache if cache.asked else None,
        )


def _take(into: dict[T, int], counts: Mapping[T, int]) -> None:
    get = into.get
    for name, count in counts.items():
        into[name] = get(name, 0) + count


def joined(counts: Iterable[Counts]) -> Counts:
    """Joins counts into new ones."""
    whole = Counts()
    for each in counts:
        whole.take(each)
    return whole


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """What the cache of answers did for a group. `shared` counts answers of the same request under way."""

    hits: int = 0
    shared: int = 0
    misses: int = 0
    saved_nano_usd: int = 0

    @property
    def asked(self) -> int:
        """Counts the look-ups."""
        return self.hits + self.shared + self.misses

    @property
    def hit_rate(self) -> float:
        """Gives the share of look-ups that were answered; 0 where there were none."""
        return (self.hits + self.shared) / self.asked if self.asked else 0.0


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """The figures of a group of requests. Times are in seconds, `last_at` since the epoch; None: there are none.

    Failures of no class are those of processes that died before they could say.
    """

    requests: int = 0
    successes: int = 0
    cancelled: int = 0
    failures: Mapping[FailureClass | None, int] = field(default_factory=dict)
    consecutive_failures: int = 0
    usage: Usage = NO_USAGE
    cost_nano_usd: int = 0
    latency: Spread | None = None
    first_token: Spread | None = None
    paced_tokens: int = 0
    paced_seconds: float = 0.0
    last_at: float | None = None
    cache: CacheCounts | None = None

    @property
    def success_rate(self) -> float | None:
        """Gives the share of requests that succeeded; cancelled ones count neither way."""
        telling = self.requests - self.cancelled
        return self.successes / telling if telling else None

    @property
    def output_tokens_per_second(self) -> float | None:
        """Gives output tokens over the time from the first one to the end."""
        return self.paced_tokens / self.paced_seconds if self.paced_seconds else None

    @property
    def cost_per_1k_nano_usd(self) -> int | None:
        """Gives the mean cost of 1,000 tokens, input and output together."""
        tokens = self.usage.all_input_tokens + self.usage.all_output_tokens
        return round_half_even(self.cost_nano_usd * 1_000, tokens) if tokens else None

    @property
    def blamed_failures(self) -> int:
        """Counts the failures that speak against who was called."""
        return sum(count for failure, count in self.failures.items() if failure not in BLAMELESS)
