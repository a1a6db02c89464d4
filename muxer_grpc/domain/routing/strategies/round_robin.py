"""Takes turns: each model that can answer once, then the first again."""

from __future__ import annotations

from collections.abc import Sequence

from muxer_grpc.domain.decision import Factor
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.ranking import Aim, Ranking, Strategy, candidate_of


def rank(contenders: Sequence[Contender], aim: Aim) -> Ranking:
    """Ranks contenders by whose turn comes first; they stand in the order of their names."""
    ordered = sorted(contenders, key=lambda contender: contender.model.name)
    start = aim.turn % len(ordered)
    candidates = []
    for place, contender in enumerate([*ordered[start:], *ordered[:start]]):
        value = 1 - place / len(ordered)
        candidates.append(candidate_of(contender, value, (Factor("turn", value, 1.0),)))
    best = candidates[0].model.name
    return Ranking(tuple(candidates), f"{best}: it is its turn among {len(ordered)} that can answer")


STRATEGY = Strategy("round_robin", rank, takes_turns=True)
