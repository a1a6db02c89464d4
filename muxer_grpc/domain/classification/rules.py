"""What rules say of a conversation: all of it when the learned part is off, and what is certain in any case."""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

from muxer_grpc.domain.classification.signals import Signals
from muxer_grpc.domain.decision import Signal
from muxer_grpc.domain.tasks import Capability, Intent

# A question of up to this many words, or any prompt of up to the second number, is simple unless a word says otherwise.
SIMPLE_QUESTION_WORDS = 12
SHORT_PROMPT_WORDS = 3

# Where no rule holds, small talk is a guess, and right for about one prompt in five.
NO_RULE_CONFIDENCE = 0.2

SIMPLE = 0.15
ORDINARY = 0.45
CODE = 0.7
HARD = 0.8


class Certain(NamedTuple):
    """What a rule is certain of: facts of the request, not of its words."""

    intent: Intent
    confidence: float


def certain_of(*, images: bool, structured: bool) -> Certain | None:
    """Gives what is certain: pictures are looked at, and an asked schema is filled."""
    if images:
        return Certain(Intent.VISION, 1.0)
    return Certain(Intent.JSON_EXTRACT, 0.95) if structured else None


def is_code(signals: Signals) -> bool:
    """Tells whether the prompt is about code: fences, inline code, or programming words."""
    return signals.code_fence or signals.inline_code or signals.programming_words > 0


def is_simple(signals: Signals) -> bool:
    """Tells whether the prompt is a short question or a few words."""
    return is_short(signals.words, question=signals.question)


def is_short(words: int, *, question: bool) -> bool:
    """Tells whether so many words are few, for a question or for anything else."""
    return words <= SHORT_PROMPT_WORDS or (question and words <= SIMPLE_QUESTION_WORDS)


def intent_of(signals: Signals) -> tuple[Intent, float]:
    """Takes the first rule that holds; certain rules stand first."""
    certain = certain_of(images=signals.images > 0, structured=signals.structured_output)
    if certain is not None:
        return certain
    rules = (
        (signals.harm_phrases > 0, Intent.SAFETY_RISK, 0.6),
        (signals.translation_words > 0, Intent.TRANSLATION, 0.8),
        (signals.code_fence or signals.inline_code, Intent.CODE_GEN, 0.85),
        (signals.extraction_words >= 2, Intent.JSON_EXTRACT, 0.6),
        (signals.programming_words > 0, Intent.CODE_GEN, 0.7),
        (signals.complexity_words > 0, Intent.DEEP_REASON, 0.65),
        (is_simple(signals), Intent.CHAT_LITE, 0.75),
        (signals.math_words >= 2, Intent.DEEP_REASON, 0.5),
    )
    for holds, intent, confidence in rules:
        if holds:
            return intent, confidence
    return Intent.CHAT_LITE, NO_RULE_CONFIDENCE


def complexity_of(signals: Signals) -> float:
    """Rates how hard the task is."""
    return complexity(hard=signals.complexity_words > 0, code=is_code(signals), simple=is_simple(signals))


def complexity(*, hard: bool, code: bool, simple: bool) -> float:
    """Rates how hard a task is: code and complexity words are hard, short and simple prompts are easy."""
    if hard:
        return HARD
    if code:
        return CODE
    return SIMPLE if simple else ORDINARY


def capabilities_of(signals: Signals) -> tuple[tuple[Capability, float], ...]:
    """Lists what an answer calls for, strongest first; a question about nothing special calls for facts."""
    found = [
        (Capability.CODE, 0.9 if is_code(signals) else 0.0),
        (Capability.LOGICAL, min(1.0, 0.6 + 0.1 * signals.complexity_words) if signals.complexity_words else 0.0),
        (Capability.MATHEMATICAL, 0.8 if signals.arithmetic or signals.math_words else 0.0),
        (Capability.CREATIVE, 0.8 if signals.creative_words else 0.0),
        (
            Capability.CONVERSATIONAL,
            0.5 if signals.conversation_words and signals.words <= SIMPLE_QUESTION_WORDS else 0.0,
        ),
    ]
    kept = [(capability, score) for capability, score in found if score > 0]
    if not kept or signals.question:
        kept.append((Capability.FACTUAL, 0.55))
    return tuple(sorted(kept, key=lambda pair: -pair[1]))


_SHOWN = (
    "images",
    "structured_output",
    "code_fence",
    "inline_code",
    "programming_words",
    "complexity_words",
    "math_words",
    "arithmetic",
    "creative_words",
    "translation_words",
    "extraction_words",
    "harm_phrases",
    "question",
    "words",
)
_shown_values = attrgetter(*_SHOWN)


def shown(signals: Signals) -> tuple[Signal, ...]:
    """Lists the signals that speak, for the caller."""
    values = zip(_SHOWN, _shown_values(signals), strict=True)
    return tuple([Signal(name, float(value)) for name, value in values if value])
