"""Classifies conversations: signals first, then the learned part, and rules where they are certain or alone."""

from __future__ import annotations

from enum import Enum

from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.classification import rules
from muxer_grpc.domain.classification.evidence import Evidence, evidence_of
from muxer_grpc.domain.classification.features import GROUP_NAMES, SIGNAL_NAMES
from muxer_grpc.domain.classification.learned import INTENTS, Learned, Verdict
from muxer_grpc.domain.classification.reading import Reading, read
from muxer_grpc.domain.classification.signals import read_signals
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.decision import Classification, Signal
from muxer_grpc.domain.tasks import Intent

RULES_VERSION = "rules-1"

# Instructions over the conversation count this much against the last turn. They are few and come again and again, so
# what was said of them is kept.
INSTRUCTIONS_SHARE = 0.35
MAX_INSTRUCTIONS = 256
# Prompts come again: with each step of an agent, from each user of a template, with each retry. What was said of the
# last ones is kept, unless they are long: 4 µs in place of 280, the median of 400 prompts on a busy machine.
MOST_KEPT = 1_024
MOST_CHARACTERS_KEPT = 8_000
# Tools make a task one of several steps, and a long conversation is seldom small talk.
TOOLS_COMPLEXITY = 0.1
DEEP_CONVERSATION = 6
DEPTH_COMPLEXITY = 0.05


class Parts(Enum):
    """Names which parts of the classifier decide."""

    ALL = "all"
    MODEL_ONLY = "model_only"
    RULES_ONLY = "rules_only"


class Classifier:
    """Says what kind of task a conversation is: deterministic, and never failing on any text.

    Without a learned part, rules decide alone. `thresholds` says when an intent is settled.
    """

    def __init__(self, learned: Learned | None, thresholds: Thresholds | None = None, parts: Parts = Parts.ALL) -> None:
        self._learned = None if parts is Parts.RULES_ONLY else learned
        self._thresholds = thresholds or Thresholds()
        self._certain = parts is not Parts.MODEL_ONLY
        self._instructions: dict[str, Verdict] = {}
        self._known: dict[tuple[Evidence, int], Classification] = {}
        self.version = RULES_VERSION if self._learned is None else self._learned.version

    def classify(self, conversation: Conversation) -> Classification:
        """Classifies a conversation (at least one message)."""
        if self._learned is None:
            return self._by_rules(conversation)
        evidence = evidence_of(conversation)
        if len(evidence.text) + len(evidence.before) + len(evidence.instructions) > MOST_CHARACTERS_KEPT:
            return self._by_evidence(evidence, self._learned)
        key = (evidence, self._thresholds.revision)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_KEPT:
                del self._known[next(iter(self._known))]
            known = self._known[key] = self._by_evidence(evidence, self._learned)
        return known

    def _by_evidence(self, evidence: Evidence, learned: Learned) -> Classification:
        reading = read(evidence.text)
        verdict = learned.judge(reading)
        if evidence.before and verdict.confidence < self._thresholds.direct(verdict.intent):
            verdict = learned.judge(read(f"{evidence.before}\n{evidence.text}"))
        intent, confidence = verdict.intent, verdict.confidence
        if evidence.instructions:
            intent, confidence = self._with_instructions(verdict, evidence.instructions)
        certain = (
            rules.certain_of(images=evidence.images > 0, structured=evidence.structured) if self._certain else None
        )
        if certain is not None and intent is not Intent.SAFETY_RISK:
            intent, confidence = certain
        complexity = verdict.complexity
        if evidence.tools or evidence.depth >= DEEP_CONVERSATION:
            more = TOOLS_COMPLEXITY * (evidence.tools > 0) + DEPTH_COMPLEXITY * (evidence.depth >= DEEP_CONVERSATION)
            complexity = min(1.0, complexity + more)
        return Classification(
            intent=intent,
            confidence=confidence,
            capabilities=verdict.capabilities,
            complexity=complexity,
            signals=signals_of(evidence, reading, verdict),
            classifier_version=self.version,
            gain=verdict.gain,
            settled=confidence >= self._thresholds.direct(intent),
            difficulty=_difficulty(complexity, verdict, evidence, len(reading.tokens)),
            runners_up=_runners_up(intent, verdict),
        )

    def _by_rules(self, conversation: Conversation) -> Classification:
        signals = read_signals(conversation)
        intent, confidence = rules.intent_of(signals)
        complexity = rules.complexity_of(signals)
        return Classification(
            intent=intent,
            confidence=confidence,
            capabilities=rules.capabilities_of(signals),
            complexity=complexity,
            signals=rules.shown(signals),
            classifier_version=self.version,
            # Rules know no gain of their own: hard tasks are those where a strong model gains.
            gain=complexity,
            settled=confidence >= self._thresholds.direct(intent),
            difficulty=complexity,
        )

    def _with_instructions(self, verdict: Verdict, instructions: str) -> tuple[Intent, float]:
        """Mixes what the instructions say into what the turn says; a risk in the turn stands."""
        if verdict.intent is Intent.SAFETY_RISK or self._learned is None:
            return verdict.intent, verdict.confidence
        over = self._instructions.get(instructions)
        if over is None:
            if len(self._instructions) >= MAX_INSTRUCTIONS:
                del self._instructions[next(iter(self._instructions))]
            over = self._instructions[instructions] = self._learned.judge(read(instructions))
        mixed = [
            turn * (1 - INSTRUCTIONS_SHARE) + above * INSTRUCTIONS_SHARE
            for turn, above in zip(verdict.intents, over.intents, strict=True)
        ]
        best = max(range(len(mixed)), key=mixed.__getitem__)
        if INTENTS[best] is verdict.intent:
            return verdict.intent, verdict.confidence
        return INTENTS[best], min(verdict.confidence, mixed[best])


# Shares of the three views on how able a model must be, on the scale of models' qualities. Chosen so that small talk
# and look-ups suit cheap models, explanations balanced ones, and code and analysis strong ones.
_COMPLEXITY_SHARE, _GAIN_SHARE, _RULES_SHARE, _LEAST_DIFFICULTY = 0.44, 0.44, 0.37, 0.03
_JUDGE, _REASON, _ASK = (GROUP_NAMES.index(name) for name in ("judge", "reason_word", "ask"))


def with_complexity(classification: Classification, complexity: float) -> Classification:
    """Gives the classification of a prompt that is harder or easier and else the same; `complexity` is 0 to 1."""
    # Rules and judges know no other difficulty than the complexity itself.
    alone = classification.difficulty == classification.complexity
    moved = (complexity - classification.complexity) * (1.0 if alone else _COMPLEXITY_SHARE)
    return classification._replace(
        complexity=complexity, difficulty=min(1.0, max(0.0, classification.difficulty + moved))
    )


MOST_RUNNERS_UP = 2


def _runners_up(intent: Intent, verdict: Verdict) -> tuple[tuple[Intent, float], ...]:
    """Lists the intents that the learned part holds likeliest, but for the one that was taken."""
    chances = [*zip(INTENTS, verdict.intents, strict=True), (Intent.SAFETY_RISK, verdict.safety_risk)]
    others = sorted([(-chance, other.value, other) for other, chance in chances if other is not intent])
    return tuple([(other, -chance) for chance, _, other in others[:MOST_RUNNERS_UP]])


def _difficulty(complexity: float, verdict: Verdict, evidence: Evidence, words: int) -> float:
    """Sums up how able a model must be."""
    counts = verdict.groups
    by_rules = rules.complexity(
        hard=counts[_JUDGE] + counts[_REASON] > 0,
        code=verdict.intent is Intent.CODE_GEN or "```" in evidence.text,
        simple=rules.is_short(words, question=counts[_ASK] > 0),
    )
    sum_of_views = _COMPLEXITY_SHARE * complexity + _GAIN_SHARE * verdict.gain + _RULES_SHARE * by_rules
    return min(1.0, _LEAST_DIFFICULTY + sum_of_views)


_QUESTION_MARKS = frozenset("?？")


def signals_of(evidence: Evidence, reading: Reading, verdict: Verdict) -> tuple[Signal, ...]:
    """Lists what the classification rests on, for the caller."""
    found = [Signal(name, value) for name, value in zip(SIGNAL_NAMES, verdict.signals, strict=True) if value]
    if evidence.images:
        found.append(Signal("images", float(evidence.images)))
    if evidence.structured:
        found.append(Signal("structured_output", 1.0))
    if evidence.tools:
        found.append(Signal("tools", float(evidence.tools)))
    if evidence.depth > 1:
        found.append(Signal("turns", float(evidence.depth)))
    if "```" in evidence.text:
        found.append(Signal("code_fence", 1.0))
    if not _QUESTION_MARKS.isdisjoint(reading.tokens[-2:]):
        found.append(Signal("question", 1.0))
    if reading.tokens:
        found.append(Signal("words", float(len(reading.tokens))))
    # Never quite nothing.
    found.append(Signal("safety_risk", max(0.0001, round(verdict.safety_risk, 4))))
    return tuple(found)
