"""A chain of attempts in small: played models, and what a caller of it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from muxer_grpc.domain.catalogue import Feature, Model
from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.completion import (
    AttemptSwitched,
    Delta,
    Finished,
    FinishReason,
    Folding,
    ProviderEvent,
    ProviderRequest,
    TextDelta,
    UsageReported,
)
from muxer_grpc.domain.decision import Candidate
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Price, Usage, UsageSource
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.domain.resilience.attempts import AttemptRules
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.resilience.retry_budget import RetryBudget
from muxer_grpc.domain.routing.policy import CompletionRequest, StreamRecovery
from muxer_grpc.pipeline.attempt import AttemptRun
from muxer_grpc.pipeline.failover import AttemptChain, Resilience
from muxer_grpc.pipeline.time_limit import TimeLimit
from tests.unit.domain.fleet_of import candidate
from tests.unit.test_routing import asked, decided

# One USD per million tokens of either kind.
PRICE = Price.from_usd_per_million("1", "1")
PREFILL = frozenset({Feature.PREFILL})
ENDS = (
    UsageReported(Usage(input_tokens=10, output_tokens=5, source=UsageSource.PROVIDER)),
    Finished(FinishReason.STOP),
)

Step = ProviderEvent | ProviderFailure | asyncio.Event
# What calls of a model get, one after the other; the last one stays. A step may be made of the request.
Plays = dict[str, list[list[Step] | Callable[[ProviderRequest], list[Step]]]]


def failing(failure_class: FailureClass = FailureClass.TRANSIENT, **changes: Any) -> ProviderFailure:
    return ProviderFailure(failure_class, f"played {failure_class.value}", **changes)


def saying(*texts: str) -> list[Step]:
    """Plays a whole answer."""
    return [*(TextDelta(text) for text in texts), *ENDS]


@dataclass
class Stage:
    """Plays all models, and keeps what they were asked."""

    plays: Plays
    requests: list[ProviderRequest] = field(default_factory=list)
    open: int = 0

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        self.requests.append(request)
        plays = self.plays[request.model.name]
        play = plays.pop(0) if len(plays) > 1 else plays[0]
        self.open += 1
        try:
            for step in play(request) if callable(play) else play:
                if isinstance(step, ProviderFailure):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
        finally:
            self.open -= 1

    async def probe(self) -> ProbeResult:
        return ProbeResult(ok=True, latency_seconds=0.0)

    async def aclose(self) -> None:
        """Holds nothing open."""

    @property
    def asked(self) -> list[str]:
        return [request.model.name for request in self.requests]


RULES = AttemptRules(first_wait=0.0)
ONE, TWO, THREE = (candidate(name, price=PRICE, features=PREFILL) for name in ("a/one", "b/two", "c/three"))


@dataclass
class Chain:
    """One completion under way over a stage."""

    stage: Stage
    candidates: tuple[Candidate, ...] = (ONE, TWO, THREE)
    rules: AttemptRules = RULES
    recovery: StreamRecovery = StreamRecovery.RESTART
    stream: bool = True
    health: Health = field(default_factory=Health)
    retries: RetryBudget = field(default_factory=RetryBudget)
    bound: Callable[[Model, int], int | None] = lambda _model, _spent: 1_000
    conversation: Conversation = field(default_factory=lambda: asked("hi"))
    seconds: float = 3_600.0
    folding: Folding = field(default_factory=Folding)

    def __post_init__(self) -> None:
        decision = replace(decided(asked("hi")), candidates=self.candidates, fallbacks=self.candidates[1:])
        self.chain = AttemptChain(
            CompletionRequest(self.conversation, recovery=self.recovery),
            decision,
            Resilience(self.rules, self.health, self.retries),
            lambda number, request: AttemptRun(number, self.stage, request, 10),
            self.bound,
            stream=self.stream,
        )
        self.limit = TimeLimit(asyncio.get_running_loop().time() + self.seconds)
        self.events: list[Delta | AttemptSwitched] = []

    async def run(self) -> list[Delta | AttemptSwitched]:
        """Runs to the end; raises what the chain raises. What came before stays in `events`."""
        try:
            async with aclosing(self.chain.deltas(self.limit)) as deltas:
                async for delta in deltas:
                    self.events.append(delta)
                    self.folding.add(delta)
        finally:
            self.chain.leave()
            self.limit.close()
        return self.events

    @property
    def text(self) -> str:
        """Gives the text that a caller has who heeds the switches."""
        parts = self.folding._parts
        return "".join(part.text for part in parts if isinstance(part, TextPart))

    @property
    def switches(self) -> list[AttemptSwitched]:
        return [event for event in self.events if isinstance(event, AttemptSwitched)]


def continued_text(request: ProviderRequest) -> str:
    """Gives the begun answer that a request ends with; empty where it ends with the caller."""
    last: Message = request.conversation.messages[-1]
    return last.text if last.role is Role.ASSISTANT else ""
