"""Shares traffic: each model gets its weight's share of the choices."""

from __future__ import annotations

from collections.abc import Sequence

from muxer_grpc.domain.decision import Factor
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.ranking import Aim, Ranking, Strategy, candidate_of

DEFAULT_WEIGHT = 1.0
# The multiples of the golden ratio's fraction spread over 0..1 more evenly than any other number's (D. Knuth, The Art
# of Computer Programming, vol. 3, section 6.4, theorem S): shares come out right after few choices, without chance.
GOLDEN = 0.6180339887498949


def rank(contenders: Sequence[Contender], aim: Aim) -> Ranking:
    """Ranks contenders: the one whose share the turn falls into first, the others by their weights.

    A model without a weight has a weight of 1 when no model has one, else of 0: it is then only a fallback.
    """
    ordered = sorted(contenders, key=lambda contender: contender.model.name)
    default = 0.0 if any(c.model.name in aim.model_weights for c in ordered) else DEFAULT_WEIGHT
    weights = [aim.model_weights.get(contender.model.name, default) for contender in ordered]
    total = sum(weights)
    if total <= 0:
        weights = [DEFAULT_WEIGHT] * len(ordered)
        total = float(len(ordered))
    chosen = _place(weights, total * ((aim.turn + 1) * GOLDEN % 1.0))
    rest = [i for i in range(len(ordered)) if i != chosen]
    rest.sort(key=lambda i: (-weights[i], ordered[i].estimated_cost_nano_usd, ordered[i].model.name))
    share = weights[chosen] / total
    candidates = [candidate_of(ordered[chosen], 1.0, (Factor("share", share, 1.0),))]
    candidates += [
        candidate_of(ordered[i], weights[i] / total, (Factor("share", weights[i] / total, 1.0),)) for i in rest
    ]
    best = ordered[chosen].model.name
    return Ranking(tuple(candidates), f"{best}: this choice falls into its share of {share:.0%}")


def _place(weights: Sequence[float], point: float) -> int:
    """Finds the interval that a point of 0 to the sum of the weights falls into; never one of no width."""
    last = 0
    for index, weight in enumerate(weights):
        if weight <= 0:
            continue
        last = index
        if point < weight:
            return index
        point -= weight
    return last


STRATEGY = Strategy("weighted", rank, takes_turns=True)
