"""The factors that strategies weigh: each maps contenders to values of 0 to 1, higher is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log

from muxer_grpc.domain.decision import Candidate, Factor
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import ranked

# A model that failed this often in a row is taken for down.
FAILURES_OF_A_DOWN_MODEL = 5


def quality(contenders: Sequence[Contender]) -> list[float]:
    """Takes the expected quality as it is."""
    return [contender.expected_quality for contender in contenders]


def cost(contenders: Sequence[Contender]) -> list[float]:
    """Places each cost on the logarithmic scale between the dearest (0) and the cheapest (1).

    Prices differ by factors: from 10 to 1 saves as much of a bill as from 1 to 0.1.
    """
    return _inverted([log(contender.estimated_cost_nano_usd + 1) for contender in contenders])


def performance(contenders: Sequence[Contender]) -> list[float]:
    """Places each expected latency on the logarithmic scale between the slowest (0) and the fastest (1)."""
    return _inverted([log(contender.latency_seconds + 0.01) for contender in contenders])


def availability(contenders: Sequence[Contender]) -> list[float]:
    """Takes the success rate, less a share for each failure since the last success."""
    return [
        max(0.0, contender.success_rate * (1 - contender.consecutive_failures / FAILURES_OF_A_DOWN_MODEL))
        for contender in contenders
    ]


def _inverted(values: list[float]) -> list[float]:
    lowest, highest = min(values), max(values)
    width = highest - lowest
    if width <= 0:
        return [1.0] * len(values)
    return [(highest - value) / width for value in values]


FACTORS: tuple[tuple[str, Callable[[Sequence[Contender]], list[float]]], ...] = (
    ("quality", quality),
    ("cost", cost),
    ("performance", performance),
    ("availability", availability),
)


def weighted_ranking(contenders: Sequence[Contender], weights: Weights) -> tuple[Candidate, ...]:
    """Ranks by the weighted mean of the factors whose weight is above 0."""
    total = weights.total
    columns = []
    for name, values_of in FACTORS:
        weight = getattr(weights, name) / total
        if weight > 0:
            columns.append([tuple.__new__(Factor, (name, value, weight)) for value in values_of(contenders)])
    return ranked(zip(contenders, zip(*columns, strict=True), strict=True))


def strongest_factor(best: Candidate, runner_up: Candidate) -> str:
    """Names the factor by which the best is furthest ahead of the next, weighed."""
    ahead = {
        f.name: (f.value - other.value) * f.weight for f, other in zip(best.factors, runner_up.factors, strict=True)
    }
    return max(ahead, key=lambda name: ahead[name])
