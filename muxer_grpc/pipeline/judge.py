"""Asks a cheap model what kind of task a prompt is, where the classifier is in doubt. Off unless it is configured."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.chat import Conversation, JsonSchemaFormat, Message, Role, Sampling, TextPart
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.completion import ProviderRequest, TextDelta, UsageReported
from muxer_grpc.domain.decision import Classification, Signal
from muxer_grpc.domain.errors import ProviderFailure
from muxer_grpc.domain.money import NO_USAGE, cost_of
from muxer_grpc.domain.ports import Provider
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.pipeline.time_limit import TimeLimit

_log = logging.getLogger(__name__)

HOUR = 3_600.0
MAX_VERDICTS = 4_096
MAX_OUTPUT_TOKENS = 200
PROMPT_HEAD = 1_600
PROMPT_TAIL = 400
# How sure a verdict is taken to be: small models agree with people on about this share of prompts.
JUDGE_CONFIDENCE = 0.75

_SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "intent": {"type": "string", "enum": [intent.value for intent in Intent]},
            "complexity": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["intent", "complexity"],
        "additionalProperties": False,
    }
)
_INSTRUCTION = (
    "Say what kind of task the user's text is; never do the task. Intents: chat_lite (small talk, short factual "
    "questions), deep_reason (reasoning in several steps, mathematics), code_gen (program code), json_extract (drawing "
    "structured data from a text), translation, vision (about a picture), safety_risk (asks for what may do harm). "
    "complexity is 0 (trivial) to 1 (hardest). Answer with JSON only."
)


@dataclass(frozen=True, slots=True)
class JudgeRules:
    """What a judge may take: seconds per question, and nano-USD per hour."""

    timeout_seconds: float = 2.0
    budget_nano_usd_per_hour: int = 100_000_000


@dataclass(frozen=True, slots=True)
class _Verdict:
    intent: Intent
    complexity: float


class Judge:
    """Settles doubtful classifications with one configured model; its verdicts are feedback for the thresholds."""

    def __init__(self, model: Model, provider: Provider, rules: JudgeRules, thresholds: Thresholds) -> None:
        self._model = model
        self._provider = provider
        self._rules = rules
        self._thresholds = thresholds
        self._verdicts: dict[bytes, _Verdict] = {}
        self._hour = -1
        self.spent_nano_usd = 0

    def doubts(self, classification: Classification) -> bool:
        """Tells whether a classification is worth a question; what a rule is certain of never is."""
        return classification.confidence < self._thresholds.low(classification.intent)

    async def settle(
        self, conversation: Conversation, classification: Classification, limit: TimeLimit
    ) -> Classification:
        """Gives the classification as the judge sees it, or as it was when the judge is late, broke or over budget."""
        prompt = _last_user_text(conversation)
        key = hashlib.blake2b(prompt.encode(errors="surrogatepass"), digest_size=16).digest()
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = await limit.wait(lambda: self._ask(prompt))
            if verdict is None:
                return classification
            if len(self._verdicts) >= MAX_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[key] = verdict
            right = verdict.intent is classification.intent
            self._thresholds.record(classification.intent, classification.confidence, right=right)
        return classification._replace(
            intent=verdict.intent,
            confidence=JUDGE_CONFIDENCE,
            settled=True,
            complexity=verdict.complexity,
            difficulty=verdict.complexity,
            signals=(Signal("judge", 1.0), *classification.signals),
            classifier_version=f"{classification.classifier_version}+{self._model.name}",
        )

    async def _ask(self, prompt: str) -> _Verdict | None:
        """Asks the model; None when nothing useful came in time and budget."""
        if not self._within_budget():
            return None
        answer = ""
        try:
            async with asyncio.timeout(self._rules.timeout_seconds):
                answer = await self._answer(prompt)
        except TimeoutError:
            _log.warning("judge: no answer from %s in %.1f s", self._model.name, self._rules.timeout_seconds)
        except ProviderFailure as failure:
            _log.warning("judge: %s failed, class=%s", self._model.name, failure.failure_class.value)
        return _read_verdict(answer)

    async def _answer(self, prompt: str) -> str:
        """Collects the model's text, and books what it cost, however it ends."""
        text: list[str] = []
        usage = NO_USAGE
        try:
            async with aclosing(self._provider.stream(self._request(prompt))) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        text.append(event.text)
                    elif isinstance(event, UsageReported):
                        usage = event.usage
        finally:
            if self._model.price is not None:
                self.spent_nano_usd += cost_of(usage, self._model.price).total_nano
        return "".join(text)

    def _within_budget(self) -> bool:
        hour = int(time.time() // HOUR)
        if hour != self._hour:
            self._hour = hour
            self.spent_nano_usd = 0
        return self.spent_nano_usd < self._rules.budget_nano_usd_per_hour

    def _request(self, prompt: str) -> ProviderRequest:
        conversation = Conversation(
            messages=(
                Message(Role.SYSTEM, (TextPart(_INSTRUCTION),)),
                Message(Role.USER, (TextPart(f"<text>\n{prompt}\n</text>"),)),
            ),
            response_format=JsonSchemaFormat(_SCHEMA, name="task"),
            sampling=Sampling(temperature=0.0),
            max_output_tokens=MAX_OUTPUT_TOKENS,
        )
        return ProviderRequest(
            conversation=conversation, model=self._model, max_output_tokens=MAX_OUTPUT_TOKENS, stream=False
        )


def _last_user_text(conversation: Conversation) -> str:
    turn = next((m for m in reversed(conversation.messages) if m.role is Role.USER), conversation.messages[-1])
    text = turn.text
    return text if len(text) <= PROMPT_HEAD + PROMPT_TAIL else f"{text[:PROMPT_HEAD]}\n...\n{text[-PROMPT_TAIL:]}"


def _read_verdict(answer: str) -> _Verdict | None:
    """Reads the judge's JSON; None when it is no verdict."""
    try:
        told = json.loads(answer)
        complexity = float(told["complexity"])
        verdict = _Verdict(Intent(told["intent"]), min(1.0, max(0.0, complexity)))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return verdict if complexity == complexity else None  # noqa: PLR0124 (NaN)
