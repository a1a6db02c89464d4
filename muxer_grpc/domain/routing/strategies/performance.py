"""Ranks by expected latency alone: the fastest model that can answer."""

from __future__ import annotations

from collections.abc import Sequence

from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.factors import weighted_ranking
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import Aim, Ranking, Strategy

WEIGHTS = Weights(performance=1.0)


def rank(contenders: Sequence[Contender], aim: Aim) -> Ranking:
    """Ranks contenders, the fastest first."""
    del aim
    candidates = weighted_ranking(contenders, WEIGHTS)
    best = candidates[0]
    return Ranking(
        candidates,
        f"{best.model.name}: at about {best.estimated_latency_seconds:.1f} s, none that can answer is faster",
    )


STRATEGY = Strategy("performance", rank)
