"""Classifies by rules: each names the intent, and how sure it is."""

from __future__ import annotations

from operator import attrgetter

from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.classification.signals import Signals, read_signals
from muxer_grpc.domain.decision import Classification, Signal
from muxer_grpc.domain.tasks import Capability, Intent

CLASSIFIER_VERSION = "rules-1"

# A question of up to this many words, or any prompt of up to the second number, is simple unless a word says otherwise.
SIMPLE_QUESTION_WORDS = 12
SHORT_PROMPT_WORDS = 3

SIMPLE = 0.15
ORDINARY = 0.45
CODE = 0.7
HARD = 0.8


def classify(conversation: Conversation) -> Classification:
    """Classifies a conversation (at least one message). Deterministic; never fails."""
    signals = read_signals(conversation)
    intent, confidence = _intent_of(signals)
    return Classification(
        intent=intent,
        confidence=confidence,
        capabilities=_capabilities_of(signals),
        complexity=_complexity_of(signals),
        signals=_shown(signals),
        classifier_version=CLASSIFIER_VERSION,
    )


def is_code(signals: Signals) -> bool:
    """Tells whether the prompt is about code: fences, inline code, or programming words."""
    return signals.code_fence or signals.inline_code or signals.programming_words > 0


def is_simple(signals: Signals) -> bool:
    """Tells whether the prompt is a short question or a few words."""
    return signals.words <= SHORT_PROMPT_WORDS or (signals.question and signals.words <= SIMPLE_QUESTION_WORDS)


def _intent_of(signals: Signals) -> tuple[Intent, float]:
    """Takes the first rule that holds; certain rules stand first."""
    rules = (
        (signals.images > 0, Intent.VISION, 1.0),
        (signals.structured_output, Intent.JSON_EXTRACT, 0.95),
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
    return Intent.CHAT_LITE, 0.4


def _complexity_of(signals: Signals) -> float:
    """Rates how hard the task is: code and complexity words are hard, short and simple prompts are easy."""
    if signals.complexity_words:
        return HARD
    if is_code(signals):
        return CODE
    if is_simple(signals):
        return SIMPLE
    return ORDINARY


def _capabilities_of(signals: Signals) -> tuple[tuple[Capability, float], ...]:
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


def _shown(signals: Signals) -> tuple[Signal, ...]:
    """Lists the signals that speak, for the caller."""
    values = zip(_SHOWN, _shown_values(signals), strict=True)
    return tuple([Signal(name, float(value)) for name, value in values if value])
