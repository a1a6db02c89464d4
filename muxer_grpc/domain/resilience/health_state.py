"""Whether a model or a provider can be relied upon, in one word."""

from __future__ import annotations

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.figure_counts import GroupFigures
from muxer_grpc.domain.resilience.breaker import BreakerState

# From so many requests on, a share of failures says something.
LEAST_REQUESTS = 10


class HealthState(Named):
    """Says whether a model or a provider can be relied upon now."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    DISABLED = "disabled"


def health_state(breaker: BreakerState, consecutive_failures: int, figures: GroupFigures) -> HealthState:
    """Sums up a breaker, the failures in a row that speak against its target, and the figures of a window."""
    if breaker is BreakerState.DISABLED:
        return HealthState.DISABLED
    if breaker is BreakerState.OPEN:
        return HealthState.DOWN
    often = figures.requests >= LEAST_REQUESTS and figures.blamed_failures * 10 >= figures.requests
    if breaker is BreakerState.HALF_OPEN or consecutive_failures or often:
        return HealthState.DEGRADED
    return HealthState.HEALTHY
