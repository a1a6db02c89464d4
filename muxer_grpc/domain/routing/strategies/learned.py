"""Ranks by expected quality against cost, or reaches a quality target at least cost. The default.

The expected quality of each model at this very task comes from the classifier's gain and complexity and the model's
profile (see estimates.py); the caller's weights say how much quality is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

from muxer_grpc.domain.decision import Candidate
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.factors import weighted_ranking
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import Aim, Ranking, Strategy

# Chosen so that the three tiers of one vendor, a factor of ten apart in price, each serve about the third of prompts
# that suits them.
DEFAULT_WEIGHTS = Weights(quality=0.625, cost=0.375)


def rank(contenders: Sequence[Contender], aim: Aim) -> Ranking:
    """Ranks contenders by weighed quality and cost; with a target, those that reach it come first, by cost."""
    candidates = weighted_ranking(contenders, aim.weights or DEFAULT_WEIGHTS)
    target = aim.quality_target
    if target is not None:
        return _reach(candidates, target)
    best = candidates[0]
    expected = f"an expected quality of {best.expected_quality:.2f} for {best.estimated_cost_nano_usd} nano-USD"
    return Ranking(candidates, f"{best.model.name}: {expected} is the best balance")


def _reach(candidates: tuple[Candidate, ...], target: float) -> Ranking:
    """Puts those that reach the target first, by cost, and then the others, by quality."""
    reaching = [c for c in candidates if c.expected_quality >= target]
    below = [c for c in candidates if c.expected_quality < target]
    reaching.sort(key=lambda c: (c.estimated_cost_nano_usd, -c.expected_quality, c.model.name))
    below.sort(key=lambda c: (-c.expected_quality, c.estimated_cost_nano_usd, c.model.name))
    best = (reaching or below)[0]
    told = "the cheapest that is expected to reach" if reaching else "none reaches, and it comes nearest to"
    return Ranking(
        (*reaching, *below),
        f"{best.model.name}: {told} a quality of {target:.2f} (expected {best.expected_quality:.2f})",
    )


STRATEGY = Strategy("learned", rank, weighs=True, aims=True)
