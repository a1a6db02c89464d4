"""Sets the safety threshold and calibrates confidence, on prompts whose family was held out of training."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from muxer_grpc.domain.classification.learned import INTENTS, SAFETY
from muxer_grpc.training.heads import Design

Matrix = NDArray[np.float64]

# Half of the false alarms that are wanted at most on harmless prompts that only look dangerous: unseen sources are
# harder.
FALSE_ALARMS_ON_LOOKALIKES = 0.12
LOOKALIKE_SOURCES = frozenset({"oktest"})

POINTS = 13
LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.05, 0.99


def chances(heads: Matrix) -> tuple[Matrix, Matrix]:
    """Turns raw heads into the chances of the ordinary intents, and the chance of a risk."""
    raw = heads[:, :SAFETY]
    weights = np.exp(raw - raw.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True), 1 / (1 + np.exp(-heads[:, SAFETY]))


def labels_of(heads: Matrix, threshold: float) -> list[str]:
    """Names the intent of each prompt."""
    intents, risk = chances(heads)
    return [
        "safety_risk" if risk[i] > threshold else INTENTS[int(intents[i].argmax())].value for i in range(len(heads))
    ]


def calibrate(design: Design, heads: Matrix) -> dict[str, Any]:
    """Gives the threshold and the two calibration curves, as facts of the artefact."""
    rows = design.rows
    intents, risk = chances(heads)
    lookalikes = np.array([row.source in LOOKALIKE_SOURCES for row in rows])
    threshold = float(np.quantile(risk[lookalikes], 1 - FALSE_ALARMS_ON_LOOKALIKES))
    labels = labels_of(heads, threshold)
    told = np.array([row.label is not None and row.source != "written" for row in rows])
    right = np.array([row.label == label for row, label in zip(rows, labels, strict=True)])
    risky = risk > threshold
    sizes: dict[str, int] = {}
    for row, is_told in zip(rows, told, strict=True):
        sizes[row.family] = sizes.get(row.family, 0) + int(is_told)
    weight = np.array([max(1, sizes[row.family]) ** -0.5 for row in rows])
    best = intents.max(1) * (1 - risk)
    return {
        "safety_threshold": round(threshold, 6),
        "confidence": _curve(best[told & ~risky], right[told & ~risky], weight[told & ~risky]),
        "safety_confidence": _curve(risk[told & risky], right[told & risky], weight[told & risky]),
    }


def _curve(stated: Matrix, right: NDArray[np.bool_], weight: Matrix) -> list[tuple[float, float]]:
    """Fits a rising curve from stated to measured confidence, through few points at quantiles of the stated one."""
    model = IsotonicRegression(y_min=LEAST_CONFIDENCE, y_max=MOST_CONFIDENCE, out_of_bounds="clip")
    model.fit(stated, right.astype(float), sample_weight=weight)
    edges = np.unique(np.quantile(stated, np.linspace(0, 1, POINTS + 1)))
    points = []
    for low, high in pairwise(edges):
        inside = (stated >= low) & (stated <= high)
        middle = float(np.average(stated[inside], weights=weight[inside]))
        points.append(
            (round(middle, 5), round(float(np.average(model.predict(stated[inside]), weights=weight[inside])), 5))
        )
    return points
