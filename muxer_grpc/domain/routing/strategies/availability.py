"""Ranks by recent success alone: the model that fails least."""

from __future__ import annotations

from collections.abc import Sequence

from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.factors import weighted_ranking
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import Aim, Ranking, Strategy

WEIGHTS = Weights(availability=1.0)


def rank(contenders: Sequence[Contender], aim: Aim) -> Ranking:
    """Ranks contenders, the one that fails least first; of equals, the cheapest."""
    del aim
    candidates = weighted_ranking(contenders, WEIGHTS)
    best = candidates[0]
    return Ranking(candidates, f"{best.model.name}: none fails less of late, and of those none is cheaper")


STRATEGY = Strategy("availability", rank)
