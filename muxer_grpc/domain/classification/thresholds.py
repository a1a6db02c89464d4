"""When a classification is sure enough: two thresholds, which adapt per intent as feedback comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from muxer_grpc.domain.tasks import Intent

LOW_CONFIDENCE = 0.4
DIRECT_CONFIDENCE = 0.7

# Verdicts kept per intent, and how many weigh as much as the belief that the classifier is calibrated.
WINDOW = 200
BELIEF = 50
# However wrong the classifier was, feedback leaves some prompts below and some above a threshold.
LEAST, MOST = 0.05, 0.95


@dataclass(frozen=True, slots=True)
class _Verdict:
    confidence: float
    right: bool


class Thresholds:
    """Below `low` a cheap model may be asked; from `direct` on the intent is taken as settled.

    Both are meant as chances of being right. Feedback shows by how much the stated confidence of an intent is too high
    or too low; its thresholds move by that much, the more verdicts there are the more. Without feedback they are as
    set, 0 and 1 included; the same feedback in the same order always gives the same thresholds.
    """

    def __init__(self, low: float = LOW_CONFIDENCE, direct: float = DIRECT_CONFIDENCE) -> None:
        self._low = low
        self._direct = direct
        self._verdicts: Mapping[Intent, deque[_Verdict]] = {intent: deque(maxlen=WINDOW) for intent in Intent}
        self._shift = dict.fromkeys(Intent, 0.0)
        # Counts the changes, so that what was decided by other thresholds is not taken for what these would say.
        self.revision = 0

    def follow(self, low: float, direct: float) -> None:
        """Takes other thresholds to start from; what feedback has shown stays."""
        if (low, direct) != (self._low, self._direct):
            self._low, self._direct = low, direct
            self.revision += 1

    def low(self, intent: Intent) -> float:
        """Gives the confidence below which this intent is in doubt."""
        return _moved(self._low, self._shift[intent])

    def direct(self, intent: Intent) -> float:
        """Gives the confidence from which on this intent is settled."""
        return _moved(self._direct, self._shift[intent])

    def record(self, intent: Intent, confidence: float, *, right: bool) -> None:
        """Takes a verdict on a classification as feedback."""
        verdicts = self._verdicts[intent]
        verdicts.append(_Verdict(confidence, right))
        excess = sum(verdict.confidence - verdict.right for verdict in verdicts)
        self._shift[intent] = excess / (len(verdicts) + BELIEF)
        self.revision += 1


def _moved(start: float, shift: float) -> float:
    """Moves a threshold within bounds that never exclude where it was set."""
    return min(max(MOST, start), max(min(LEAST, start), start + shift))
