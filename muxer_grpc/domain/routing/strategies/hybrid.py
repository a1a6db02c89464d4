"""Ranks by a weighted mean of cost, performance and availability."""

from __future__ import annotations

from collections.abc import Sequence

from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.factors import strongest_factor, weighted_ranking
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import Aim, Ranking, Strategy

DEFAULT_WEIGHTS = Weights(cost=0.4, performance=0.3, availability=0.3)


def rank(contenders: Sequence[Contender], aim: Aim) -> Ranking:
    """Ranks contenders by the caller's weights, or by the default ones."""
    candidates = weighted_ranking(contenders, aim.weights or DEFAULT_WEIGHTS)
    best = candidates[0]
    if len(candidates) == 1:
        return Ranking(candidates, f"{best.model.name}: the only one that can answer")
    decisive = strongest_factor(best, candidates[1])
    return Ranking(candidates, f"{best.model.name}: the best mean of the weighed factors, most of all by {decisive}")


STRATEGY = Strategy("hybrid", rank, weighs=True)
