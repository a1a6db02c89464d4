"""Leaves families of sources out, one after the other: what a classifier says of sources that it never saw."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from muxer_grpc.domain.classification.learned import HEADS
from muxer_grpc.training.heads import Design, fit_heads, raw_heads
from muxer_grpc.training.rows import WRITTEN_FAMILY


def held_out_heads(design: Design, vocabulary_size: int) -> NDArray[np.float64]:
    """Gives each prompt's heads as a classifier sees them that was trained without the prompt's family."""
    rows = design.rows
    heads = np.zeros((len(rows), HEADS))
    trained = np.array([i for i, row in enumerate(rows) if row.may_train])
    outside = np.array([i for i, row in enumerate(rows) if not row.may_train], np.int64)
    if len(outside):
        heads[outside] = raw_heads(design, outside, fit_heads(design, trained, vocabulary_size))
    for family in sorted({rows[i].family for i in trained} - {WRITTEN_FAMILY}):
        left_out = np.array([i for i in trained if rows[i].family == family])
        others = np.array([i for i in trained if rows[i].family != family])
        heads[left_out] = raw_heads(design, left_out, fit_heads(design, others, vocabulary_size))
        sys.stderr.write(f"left out {family}: {len(left_out)} prompts\n")
    return heads
