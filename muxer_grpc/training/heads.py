"""Fits the linear heads over the classifier's features, and folds them into tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from muxer_grpc.domain.classification.features import DENSE_NAMES, Rows, fill
from muxer_grpc.domain.classification.learned import CAPABILITIES, HEADS, INTENTS, SAFETY
from muxer_grpc.domain.classification.reading import Reading, read
from muxer_grpc.training.rows import WRITTEN_FAMILY, Row
from muxer_grpc.training.vectors import WordVectors

Matrix = NDArray[np.float64]

# A word or pair takes part on its own when at least this many training prompts hold it.
LEAST_DOCUMENTS = 3


@dataclass(frozen=True)
class Mix:
    """How much each block of features counts, and how strongly the head is held back (less is stronger)."""

    dense: float
    direction: float
    occurs: float
    strength: float
    written: float


# Chosen by leaving families out. Safety leans on meaning: its words are those of harmless prompts too.
INTENT_MIX = Mix(dense=1.0, direction=5.0, occurs=0.8, strength=0.3, written=3.0)
SAFETY_MIX = Mix(dense=0.5, direction=8.0, occurs=1.1, strength=0.1, written=4.0)
CAPABILITY_MIX = Mix(dense=1.0, direction=5.0, occurs=0.6, strength=0.1, written=2.0)
COMPLEXITY_MIX = Mix(dense=1.0, direction=5.0, occurs=0.6, strength=0.02, written=1.0)


@dataclass(frozen=True)
class Tables:
    """Folded heads: what each dense feature, direction, row of the vocabulary adds to each head."""

    dense: Matrix
    direction: Matrix
    occurs: Matrix
    bias: Matrix


class Design:
    """The features of many prompts, over one vocabulary."""

    def __init__(self, rows: Sequence[Row], vocabulary: Rows, vectors: WordVectors) -> None:
        self.rows = rows
        self.readings: list[Reading] = [read(row.prompt) for row in rows]
        found = [vocabulary.of(reading) for reading in self.readings]
        once = [sorted(set(at)) for at in found]
        self.counts = np.array([vocabulary.groups[at].sum(0, dtype=np.float32) for at in once])
        self.dense = np.zeros((len(rows), len(DENSE_NAMES)), np.float32)
        for number, (reading, at) in enumerate(zip(self.readings, found, strict=True)):
            fill(self.dense[number], reading, self.counts[number], vocabulary.opening(at))
        table = vectors.dense()
        summed = np.array([table[at].sum(0) for at in once])
        norms = np.linalg.norm(summed, axis=1, keepdims=True)
        self.direction = np.divide(summed, norms, out=np.zeros_like(summed), where=norms > 0)
        self.occurs = _occurrences(once, vocabulary.count)

    def blocks(self, at: NDArray[np.int64], mix: Mix, kept: NDArray[np.int64]) -> sparse.csr_matrix:
        """Joins the blocks of some prompts, weighed."""
        return sparse.hstack(
            [
                sparse.csr_matrix(self.dense[at] * mix.dense),
                sparse.csr_matrix(self.direction[at] * mix.direction),
                self.occurs[at][:, kept] * mix.occurs,
            ]
        ).tocsr()

    def kept(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Lists the vocabulary's rows that enough of some prompts hold; never row 0, which is no word."""
        documents = np.asarray(self.occurs[at].sum(0)).ravel()
        documents[0] = 0
        return np.flatnonzero(documents >= LEAST_DOCUMENTS)


def _occurrences(once: Sequence[Sequence[int]], width: int) -> sparse.csr_matrix:
    ends = np.cumsum([0, *(len(at) for at in once)])
    where = np.concatenate([np.array(at, np.int64) for at in once])
    return sparse.csr_matrix((np.ones(len(where)), where, ends), shape=(len(once), width))


def fit_heads(design: Design, at: NDArray[np.int64], vocabulary_size: int) -> Tables:
    """Fits all heads on some prompts."""
    kept = design.kept(at)
    columns: list[tuple[Mix, Matrix, Matrix]] = [
        *_intent_columns(design, at, kept),
        _safety_column(design, at, kept),
        *_capability_columns(design, at, kept),
        _complexity_column(design, at, kept),
    ]
    first, second = len(DENSE_NAMES), len(DENSE_NAMES) + design.direction.shape[1]
    tables = Tables(
        np.zeros((first, HEADS)), np.zeros((second - first, HEADS)), np.zeros((vocabulary_size, HEADS)), np.zeros(HEADS)
    )
    for head, (mix, weights, bias) in enumerate(columns):
        tables.dense[:, head] = weights[:first] * mix.dense
        tables.direction[:, head] = weights[first:second] * mix.direction
        tables.occurs[kept, head] = weights[second:] * mix.occurs
        tables.bias[head] = float(bias)
    return tables


def raw_heads(design: Design, at: NDArray[np.int64], tables: Tables) -> Matrix:
    """Gives the heads' values for some prompts, as the classifier computes them."""
    return np.asarray(
        design.dense[at] @ tables.dense
        + design.direction[at] @ tables.direction
        + design.occurs[at] @ tables.occurs
        + tables.bias
    )


def _weights(rows: Sequence[Row], at: NDArray[np.int64], classes: Sequence[object], written: float) -> Matrix:
    """Weighs prompts so that a family counts by the root of its size, and the written ones more."""
    sizes = Counter((kind, rows[i].family) for kind, i in zip(classes, at, strict=True))
    weights = np.array([sizes[kind, rows[i].family] ** -0.5 for kind, i in zip(classes, at, strict=True)])
    weights *= [written if rows[i].family == WRITTEN_FAMILY else 1.0 for i in at]
    return np.asarray(weights / weights.mean())


def _logistic(
    design: Design, at: NDArray[np.int64], classes: list[int], mix: Mix, kept: NDArray[np.int64]
) -> LogisticRegression:
    model = LogisticRegression(C=mix.strength, max_iter=200, tol=1e-4)
    weights = _weights(design.rows, at, classes, mix.written)
    model.fit(design.blocks(at, mix, kept), classes, sample_weight=weights)
    return model


def _intent_columns(design: Design, at: NDArray[np.int64], kept: NDArray[np.int64]) -> list[tuple[Mix, Matrix, Matrix]]:
    names = [intent.value for intent in INTENTS]
    of_intents = np.array([i for i in at if design.rows[i].label in names])
    classes = [names.index(str(design.rows[i].label)) for i in of_intents]
    model = _logistic(design, of_intents, classes, INTENT_MIX, kept)
    columns = dict(zip(model.classes_, zip(model.coef_, model.intercept_, strict=True), strict=True))
    never = (np.zeros(model.coef_.shape[1]), np.array(-30.0))
    return [(INTENT_MIX, *columns.get(head, never)) for head in range(SAFETY)]


def _safety_column(design: Design, at: NDArray[np.int64], kept: NDArray[np.int64]) -> tuple[Mix, Matrix, Matrix]:
    told = np.array([i for i in at if design.rows[i].harmless or design.rows[i].label == "safety_risk"])
    model = _logistic(design, told, [int(not design.rows[i].harmless) for i in told], SAFETY_MIX, kept)
    return SAFETY_MIX, model.coef_[0], model.intercept_[0]


def _capability_columns(
    design: Design, at: NDArray[np.int64], kept: NDArray[np.int64]
) -> list[tuple[Mix, Matrix, Matrix]]:
    told = np.array([i for i in at if design.rows[i].capabilities])
    columns = []
    for capability in CAPABILITIES:
        classes = [int(capability.value in (design.rows[i].capabilities or ())) for i in told]
        model = _logistic(design, told, classes, CAPABILITY_MIX, kept)
        columns.append((CAPABILITY_MIX, model.coef_[0], model.intercept_[0]))
    return columns


def _complexity_column(design: Design, at: NDArray[np.int64], kept: NDArray[np.int64]) -> tuple[Mix, Matrix, Matrix]:
    told = np.array([i for i in at if design.rows[i].difficulty is not None])
    model = Ridge(alpha=1 / COMPLEXITY_MIX.strength)
    model.fit(design.blocks(told, COMPLEXITY_MIX, kept), [design.rows[i].difficulty for i in told])
    return COMPLEXITY_MIX, model.coef_, model.intercept_
