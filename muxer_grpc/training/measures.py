"""What an evaluation measures: accuracy, F1, calibration, rank correlation, and a router's gain over chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BINS = 15
# Prices per million tokens of the strong and the weak model where an outcome file has no costs (RouteLLM, section 5.4).
STRONG_PRICE, WEAK_PRICE = 24.7, 0.24


def accuracy(told: Sequence[str], right: Sequence[str]) -> float:
    """Gives the share of labels that are right."""
    return float(np.mean([a == b for a, b in zip(told, right, strict=True)])) if right else 0.0


def macro_f1(told: Sequence[str], right: Sequence[str]) -> float:
    """Gives the mean F1 over the labels that occur."""
    scores = []
    for label in sorted(set(right)):
        hits = sum(a == b == label for a, b in zip(told, right, strict=True))
        wanted, found = list(right).count(label), list(told).count(label)
        scores.append(2 * hits / (wanted + found) if wanted + found else 0.0)
    return float(np.mean(scores))


def calibration_error(confidence: Sequence[float], right: Sequence[bool]) -> float:
    """Gives the expected calibration error over equal bins (C. Guo and others, 2017)."""
    stated, hits = np.asarray(confidence, float), np.asarray(right, float)
    bins = np.minimum((stated * BINS).astype(int), BINS - 1)
    return float(
        sum((bins == b).mean() * abs(stated[bins == b].mean() - hits[bins == b].mean()) for b in set(bins.tolist()))
    )


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Gives Spearman's rank correlation; equal values share their mean rank."""
    return float(np.corrcoef(_ranks(np.asarray(one, float)), _ranks(np.asarray(other, float)))[0, 1])


def _ranks(values: Numbers) -> Numbers:
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[where])


class RouterScore(NamedTuple):
    """How well a score parts prompts between a weak and a strong model (I. Ong and others, RouteLLM, 2024, section 3).

    `apgr` is the mean share of the quality gap that is recovered over all budgets (0.5: by chance); `cpt50` and `cpt80`
    are the shares of strong calls that recover 50 and 80 percent of it; `saved` is the share of the strong model's bill
    that is saved at 95 percent of its quality.
    """

    apgr: float
    cpt50: float
    cpt80: float
    saved: float


def router_score(
    score: Numbers, weak: Numbers, strong: Numbers, costs: tuple[Numbers, Numbers] | None = None
) -> RouterScore:
    """Scores a router; prompts of equal score count as if in random order. Needs a strong model that is better."""
    quality = _quality_by_budget(score, weak, strong)
    budget = np.linspace(0, 1, len(quality))
    recovered = (quality - weak.mean()) / (strong.mean() - weak.mean())
    enough = _first_at(budget, quality, 0.95 * strong.mean())
    if costs is None:
        paid, whole = enough * STRONG_PRICE + (1 - enough) * WEAK_PRICE, STRONG_PRICE
    else:
        cheap, dear = costs
        extra = np.concatenate([[0.0], np.cumsum((dear - cheap)[np.argsort(-score, kind="stable")])])
        paid, whole = float(cheap.sum() + np.interp(enough, budget, extra)), float(dear.sum())
    return RouterScore(
        float(np.trapezoid(recovered, budget)),
        _first_at(budget, recovered, 0.5),
        _first_at(budget, recovered, 0.8),
        1 - paid / whole,
    )


def _quality_by_budget(score: Numbers, weak: Numbers, strong: Numbers) -> Numbers:
    """Gives the mean quality when the k prompts of the highest scores go to the strong model, for k from 0 to all."""
    _, group = np.unique(-score, return_inverse=True)
    gains = strong - weak
    mean_gain = np.bincount(group, gains) / np.bincount(group)
    return np.asarray(weak.mean() + np.concatenate([[0.0], np.cumsum(mean_gain[np.sort(group)])]) / len(score))


def _first_at(budget: Numbers, reached: Numbers, target: float) -> float:
    """Gives the least budget at which a target is reached; 1 where it never is."""
    above = np.flatnonzero(reached >= target - 1e-12)
    if not len(above):
        return 1.0
    at = int(above[0])
    if at == 0:
        return 0.0
    step = (target - reached[at - 1]) / (reached[at] - reached[at - 1])
    return float(budget[at - 1] + (budget[at] - budget[at - 1]) * step)
