"""Ranks by estimated cost alone: the cheapest model that can answer."""

from __future__ import annotations

from collections.abc import Sequence

from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.factors import weighted_ranking
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import Aim, Ranking, Strategy

WEIGHTS = Weights(cost=1.0)


def rank(contenders: Sequence[Contender], aim: Aim) -> Ranking:
    """Ranks contenders, the cheapest first."""
    del aim
    candidates = weighted_ranking(contenders, WEIGHTS)
    best = candidates[0]
    return Ranking(
        candidates,
        f"{best.model.name}: at about {best.estimated_cost_nano_usd} nano-USD, none is cheaper",
    )


STRATEGY = Strategy("cost", rank)
