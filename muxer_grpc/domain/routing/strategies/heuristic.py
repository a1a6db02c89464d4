"""Ranks by tier: hard prompts to premium, simple ones to economy, the rest to balanced; then by quality and cost."""

from __future__ import annotations

from collections.abc import Sequence

from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.decision import Candidate, Classification, Factor
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.ranking import Aim, Ranking, Strategy, ranked

TIER_WEIGHT = 0.7
QUALITY_WEIGHT = 0.15
COST_WEIGHT = 0.15

PREMIUM_FROM = 0.6
ECONOMY_BELOW = 0.3

_RANK = {Tier.ECONOMY: 0, Tier.BALANCED: 1, Tier.PREMIUM: 2}


def wanted_tier(classification: Classification) -> Tier:
    """Chooses the tier that suits the complexity."""
    if classification.complexity >= PREMIUM_FROM:
        return Tier.PREMIUM
    return Tier.ECONOMY if classification.complexity < ECONOMY_BELOW else Tier.BALANCED


def rank(contenders: Sequence[Contender], aim: Aim) -> Ranking:
    """Ranks contenders; of two otherwise equal ones, the cheaper comes first."""
    tier, why = key(aim.classification)
    tier_factors = {has: _tier_factor(has, tier) for has in Tier}
    cheapest = min([contender.estimated_cost_nano_usd for contender in contenders])
    scored = []
    for contender in contenders:
        model, cost = contender.model, contender.estimated_cost_nano_usd
        cheapness = 1.0 if cost <= cheapest else (cheapest + 1) / (cost + 1)
        factors = (
            tier_factors[model.tier],
            Factor("quality", model.quality, QUALITY_WEIGHT),
            Factor("cost", cheapness, COST_WEIGHT),
        )
        scored.append((contender, factors))
    candidates = ranked(scored)
    return Ranking(candidates, _explain(candidates[0], tier, why))


def _tier_factor(has: Tier, wanted: Tier) -> Factor:
    """Rates the tier: 1 where it fits, a little more for a tier too strong than for one too weak."""
    distance = _RANK[has] - _RANK[wanted]
    value = 1.0 if distance == 0 else (0.5 if distance > 0 else 0.4) / abs(distance)
    return Factor("tier", value, TIER_WEIGHT)


_ABOUT_CODE = frozenset({"code_fence", "inline_code", "programming_words"})


def key(classification: Classification) -> tuple[Tier, str]:
    """Gives what the ranking reads: the wanted tier, and why."""
    tier = wanted_tier(classification)
    seen = {signal.name for signal in classification.signals}
    if not seen.isdisjoint(_ABOUT_CODE):
        return tier, "the prompt is about code"
    if "complexity_words" in seen:
        return tier, "the prompt calls for reasoning"
    if tier is Tier.ECONOMY:
        return tier, "the prompt is short or simple"
    return tier, "the prompt is neither simple nor hard"


def _explain(best: Candidate, tier: Tier, why: str) -> str:
    found = "" if best.model.tier is tier else f", the nearest to it that can answer is {best.model.tier.value}"
    return f"{best.model.name}: {why}, which suits the {tier.value} tier{found}"


STRATEGY = Strategy("heuristic", rank, key)
