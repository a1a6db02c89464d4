"""The learned classifier at run time: tables of a few megabytes, some sums. How it is trained: muxer_grpc/training."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from io import BytesIO
from math import exp, log, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muxer_grpc.domain.classification.features import (
    DENSE_NAMES,
    GROUP_NAMES,
    SIGNAL_SUMS,
    Floats,
    Rows,
    fill,
)
from muxer_grpc.domain.classification.reading import NOTHING, SHAPE_NAMES, Reading
from muxer_grpc.domain.tasks import Capability, Intent

# The columns of the heads, in this order. Safety has a head of its own, against everything else.
INTENTS = (
    Intent.CHAT_LITE,
    Intent.DEEP_REASON,
    Intent.CODE_GEN,
    Intent.JSON_EXTRACT,
    Intent.TRANSLATION,
    Intent.VISION,
)
_BLIND_GUESS = 1 / len(INTENTS)
CAPABILITIES = tuple(Capability)
SAFETY = len(INTENTS)
FIRST_CAPABILITY = SAFETY + 1
COMPLEXITY = FIRST_CAPABILITY + len(CAPABILITIES)
HEADS = COMPLEXITY + 1

# Capabilities that are told: the strongest, and those from this chance on.
LIKELY_CAPABILITY = 0.5

_LOG_LENGTH = SHAPE_NAMES.index("log_length")
_WORD_LENGTH = SHAPE_NAMES.index("word_length")
_STEPS = GROUP_NAMES.index("step_word")
_PROPORTION = GROUP_NAMES.index("proportion")
_LEAST = 1e-6


class GainScale(NamedTuple):
    """What turns the parts of the gain into a rank: means and widths of the parts, and quantiles of their sum."""

    log_length: tuple[float, float]
    word_length: tuple[float, float]
    steps: tuple[float, float]
    quantiles: tuple[float, ...]


class Verdict(NamedTuple):
    """What the learned part says of a text. Chances, complexity and gain are 0 to 1.

    `groups` counts the words of the lexicon's groups, `signals` those of SIGNAL_NAMES.
    """

    intent: Intent
    confidence: float
    intents: tuple[float, ...]
    safety_risk: float
    capabilities: tuple[tuple[Capability, float], ...]
    complexity: float
    gain: float
    groups: list[float]
    signals: list[float]


class Learned:
    """A trained classifier. `from_bytes` reads an artefact; ValueError when it is none, or of another format."""

    FORMAT = 1

    def __init__(self, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
        self.facts = facts
        self.version = str(facts["version"])
        self.rows = Rows(_words(arrays["words"]), _words(arrays["pairs"]))
        # What each row adds, in one table, so that one look-up and one sum serve all: to the counts of the groups, to
        # the text's vector, and to the heads. The bias rides on the row of the beginning, which every text has.
        vectors = arrays["vectors"].astype(np.float32) * arrays["vector_scale"][:, None]
        occurs = arrays["occurs"].astype(np.float32)
        occurs[self.rows.of(NOTHING)[0]] += arrays["bias"]
        self._table: Floats = np.hstack([self.rows.groups, vectors, occurs], dtype=np.float32)
        self._vector = slice(len(GROUP_NAMES), len(GROUP_NAMES) + vectors.shape[1])
        self._weights: Floats = np.vstack([arrays["dense"], arrays["direction"]], dtype=np.float32)
        self._safety_threshold = float(facts["safety_threshold"])
        # Below the curve's lowest point, confidence falls towards that of a blind guess.
        self._confidence = Curve([(_BLIND_GUESS, _BLIND_GUESS), *facts["confidence"]])
        self._safety_confidence = Curve(facts["safety_confidence"])
        self._complexity = tuple(facts["complexity"])
        self._gain = GainScale(*(tuple(part) for part in facts["gain"]))
        # The rank of a gain among those of ordinary prompts.
        last = len(self._gain.quantiles) - 1
        self._gain_rank = Curve([(quantile, place / last) for place, quantile in enumerate(self._gain.quantiles)])

    @classmethod
    def from_bytes(cls, content: bytes) -> Learned:
        """Reads an artefact."""
        with np.load(BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(arrays.pop("facts").tobytes())
        if facts.get("format") != cls.FORMAT:
            msg = f"the classifier's artefact is of format {facts.get('format')}, not {cls.FORMAT}"
            raise ValueError(msg)
        return cls(arrays, facts)

    def heads(self, reading: Reading) -> tuple[Floats, Floats]:
        """Gives the heads' raw values, and the counts of the lexicon's groups."""
        found = self.rows.of(reading)
        summed = self._table.take(list(set(found)), 0).sum(0)
        counts = summed[: len(GROUP_NAMES)]
        vector = summed[self._vector]
        values = np.empty(len(self._weights), np.float32)
        fill(values, reading, counts, self.rows.opening(found))
        norm = sqrt(vector @ vector)
        np.multiply(vector, 1 / norm if norm > 0 else 0.0, out=values[len(DENSE_NAMES) :])
        return values @ self._weights + summed[self._vector.stop :], counts

    def judge(self, reading: Reading) -> Verdict:
        """Says what kind of task a text is."""
        heads, counts = self.heads(reading)
        raw: list[float] = heads.tolist()
        groups: list[float] = counts.tolist()
        intents = _softmax(raw[:SAFETY])
        risk = _sigmoid(raw[SAFETY])
        best = intents.index(max(intents))
        if risk > self._safety_threshold:
            intent, confidence = Intent.SAFETY_RISK, self._safety_confidence.at(risk)
        else:
            intent, confidence = INTENTS[best], self._confidence.at(intents[best] * (1 - risk))
        reasoned = intents[1] + intents[2]
        return Verdict(
            intent,
            confidence,
            tuple(intents),
            risk,
            _capabilities(raw[FIRST_CAPABILITY:COMPLEXITY]),
            min(1.0, max(0.0, (raw[COMPLEXITY] - self._complexity[0]) / self._complexity[1])),
            self._gain_rank.at(gain_of(reading.shape, groups, reasoned, self._gain)),
            groups,
            (counts @ SIGNAL_SUMS).tolist(),
        )


def gain_of(shape: list[float], groups: list[float], reasoned: float, scale: GainScale) -> float:
    """Sums what speaks for a strong model, in widths of each part; only its order counts.

    The parts are unlike on purpose: length, the chance that the task is reasoning or code, in such tasks the number of
    steps, in others the length of words (a sign of learned subjects). A regression on outcomes alone learned the
    benchmarks instead of the topics.
    """
    length = (shape[_LOG_LENGTH] - scale.log_length[0]) / scale.log_length[1]
    words = (shape[_WORD_LENGTH] - scale.word_length[0]) / scale.word_length[1]
    steps = (log(groups[_STEPS] + 1) - scale.steps[0]) / scale.steps[1]
    proportion = min(groups[_PROPORTION], 1.0)
    return length + 0.35 * words * (1 - reasoned) + reasoned * (2.5 + 0.35 * steps + 0.4 * proportion)


class Curve:
    """A rising line through points (from, to); level before the first and behind the last."""

    def __init__(self, points: Sequence[Sequence[float]]) -> None:
        self._from = [float(point[0]) for point in points]
        self._to = [float(point[1]) for point in points]

    def at(self, value: float) -> float:
        """Reads the line."""
        right = bisect_left(self._from, value)
        if right == 0:
            return self._to[0]
        if right == len(self._from):
            return self._to[-1]
        left, low = self._from[right - 1], self._to[right - 1]
        return low + (self._to[right] - low) * (value - left) / (self._from[right] - left)


def _capabilities(raw: list[float]) -> tuple[tuple[Capability, float], ...]:
    """Lists the strongest capability and all likely ones, strongest first."""
    chances = [_sigmoid(value) for value in raw]
    likely = [i for i, chance in enumerate(chances) if chance >= LIKELY_CAPABILITY]
    if len(likely) < 2:
        best = chances.index(max(chances))
        return ((CAPABILITIES[best], chances[best]),)
    likely.sort(key=lambda i: -chances[i])
    return tuple([(CAPABILITIES[i], chances[i]) for i in likely])


def _softmax(raw: list[float]) -> list[float]:
    highest = max(raw)
    weights = [exp(value - highest) for value in raw]
    total = sum(weights)
    return [weight / total for weight in weights]


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + exp(-value)) if value > -60 else 0.0


def _words(joined: NDArray[Any]) -> list[str]:
    text = joined.tobytes().decode()
    return text.split("\n") if text else []
