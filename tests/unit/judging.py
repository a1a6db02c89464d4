"""A judge on a provider that plays what a test writes, and a doubtful classification for it to settle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from muxer_grpc.domain.catalogue import Model, Tier
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ProviderEvent,
    ProviderRequest,
    TextDelta,
    UsageReported,
)
from muxer_grpc.domain.decision import Classification, Signal
from muxer_grpc.domain.money import Usage, UsageSource, cost_of
from muxer_grpc.domain.tasks import Capability, Intent
from muxer_grpc.pipeline.judge import Judge, JudgeRules
from muxer_grpc.pipeline.judge_question import most_of, question_of
from muxer_grpc.pipeline.time_limit import TimeLimit
from tests.rpc.service import Clock, PlayedProvider, Script, model
from tests.unit.test_routing import asked

PRICED = model("acme/judge", Tier.ECONOMY, "1", "2")
USAGE = Usage(input_tokens=300, output_tokens=20, source=UsageSource.PROVIDER)
DOUBT = Classification(
    intent=Intent.CHAT_LITE,
    confidence=0.2,
    capabilities=((Capability.FACTUAL, 0.5),),
    complexity=0.3,
    signals=(Signal("words", 3.0),),
    classifier_version="rules-1",
    settled=False,
    difficulty=0.3,
)
VERDICT = '{"intent": "deep_reason", "complexity": 0.9}'


def saying(text: str) -> tuple[ProviderEvent, ...]:
    """Gives the events of a whole answer."""
    return TextDelta(text), UsageReported(USAGE), Finished(FinishReason.STOP, "stop")


def price_of(judge_model: Model) -> tuple[int, int]:
    """Gives what is taken for a question of 8 characters, and what an answer with USAGE costs, in nano-USD."""
    assert judge_model.price is not None
    most = most_of(question_of("prompt 1", judge_model), judge_model.price)
    return most, cost_of(USAGE, judge_model.price).total_nano


def gated(gate: asyncio.Event, text: str = VERDICT) -> Script:
    """Makes a script that answers once the gate is open."""

    async def script(_request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        await gate.wait()
        for event in saying(text):
            yield event

    return script


@dataclass
class Court:
    """A judge with all that it knows."""

    script: Script
    rules: JudgeRules = field(default_factory=lambda: JudgeRules(timeout_seconds=30.0))
    judge_model: Model = PRICED
    thresholds: Thresholds = field(default_factory=Thresholds)
    clock: Clock = field(default_factory=Clock)
    provider: PlayedProvider = field(init=False)
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.provider = PlayedProvider(self.script)
        self.judge = Judge(self.judge_model, self.provider, self.rules, self.thresholds, self.clock)

    @property
    def questions(self) -> int:
        return len(self.provider.requests)

    async def settle(
        self, text: str = "prompt 1", classification: Classification = DOUBT, limit: TimeLimit | None = None
    ) -> Classification:
        limit = limit or TimeLimit(asyncio.get_running_loop().time() + 300)
        try:
            return await self.judge.settle(asked(text), classification, limit)
        finally:
            limit.close()

    def begin(self, text: str = "prompt 1") -> asyncio.Task[Classification]:
        return asyncio.create_task(self.settle(text))


async def until(holds: Callable[[], bool]) -> None:
    """Lets other tasks run until something holds, and fails when it never does."""
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError


def asked_text_of(request: ProviderRequest) -> str:
    """Reads the prompt out of a question."""
    told = json.loads(request.conversation.messages[-1].text)
    assert list(told) == ["text"]
    return str(told["text"])
