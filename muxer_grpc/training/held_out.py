"""Judges each family of the development data by a classifier that was trained without it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from muxer_grpc.domain.classification.learned import (
    CAPABILITIES,
    COMPLEXITY,
    FIRST_CAPABILITY,
    Curve,
    Learned,
)
from muxer_grpc.training.calibration import chances, labels_of
from muxer_grpc.training.families import held_out_heads
from muxer_grpc.training.heads import Design
from muxer_grpc.training.rows import Row, written_rows
from muxer_grpc.training.vectors import WordVectors


class Judged(NamedTuple):
    """What a prompt was judged."""

    label: str
    confidence: float
    capability: str


def judged_without_family(rows: Sequence[Row], artefact: Path) -> dict[str, Judged]:
    """Trains a classifier per family that is left out, over the artefact's words and vectors, and judges with it."""
    learned = Learned.from_bytes(artefact.read_bytes())
    with np.load(artefact) as arrays:
        vectors = WordVectors(arrays["vectors"], arrays["vector_scale"])
    design = Design([*rows, *written_rows()], learned.rows, vectors)
    heads = held_out_heads(design, learned.rows.count)[: len(rows)]
    intents, risk = chances(heads)
    threshold = float(learned.facts["safety_threshold"])
    risky, ordinary = Curve(learned.facts["safety_confidence"]), Curve(learned.facts["confidence"])
    best = heads[:, FIRST_CAPABILITY:COMPLEXITY].argmax(1)
    return {
        row.id: Judged(
            label,
            risky.at(risk[i]) if risk[i] > threshold else ordinary.at(float(intents[i].max() * (1 - risk[i]))),
            CAPABILITIES[int(best[i])].value,
        )
        for i, (row, label) in enumerate(zip(rows, labels_of(heads, threshold), strict=True))
    }
