"""A pipeline in small: it looks answers up, and makes those that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from muxer.v1 import muxer_service_pb2

from muxer_grpc.cache.memory import MemoryCache
from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.chat import Message, Role, TextPart
from muxer_grpc.domain.completion import Attempt, Completion, FinishReason, Outcome, Replay, Summary
from muxer_grpc.domain.money import Cost, Usage
from muxer_grpc.domain.routing.policy import CacheWish, CompletionRequest
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.domain.tenancy import Principal, Subject
from muxer_grpc.domain.tenancy import Role as PrincipalRole
from muxer_grpc.pipeline.response_cache import Answers, CacheRules
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.documents import WireDocuments, whole_reply
from tests.rpc.service import Clock, model
from tests.unit.test_routing import asked, decided

SMALL = model("acme/small", Tier.ECONOMY)
ACME = Principal(Subject("acme", "ann"), PrincipalRole.CALLER, "ann")
OTHER = Principal(Subject("other", "ann"), PrincipalRole.CALLER, "ann")
COST = Cost(input_pico=7_000, output_pico=5_000)


def request(
    content: str = "one", wish: CacheWish | None = None, labels: Mapping[str, str] | None = None
) -> CompletionRequest:
    cache = replace(wish or CacheWish(), content=content.encode().ljust(32))
    return CompletionRequest(asked("hi"), cache=cache, labels=labels or {})


def completion(text: str = "Hello", outcome: Outcome = Outcome.COMPLETE, intent: Intent | None = None) -> Completion:
    decision = decided(asked("hi"))
    if intent is not None:
        decision = replace(decision, classification=decision.classification._replace(intent=intent))
    usage = Usage(input_tokens=10, output_tokens=5)
    attempt = Attempt(1, SMALL, outcome, usage, COST, 0.5, 0.1)
    summary = Summary(
        "cmp_1", decision, outcome, usage, COST, (attempt,), 0.5, 0.1, FinishReason.STOP, answered_by=SMALL
    )
    return Completion(decision, Message(Role.ASSISTANT, (TextPart(text),)), summary)


def limit_of(principal: Principal = ACME, seconds: float = 60.0) -> TimeLimit:
    return TimeLimit(asyncio.get_running_loop().time() + seconds, principal)


@dataclass
class Service:
    """Answers as the pipeline does: looks up, else makes an answer of its own and stores it."""

    rules: CacheRules = field(default_factory=CacheRules)
    clock: Clock = field(default_factory=Clock)
    made: int = 0

    def __post_init__(self) -> None:
        self.store = MemoryCache(10**9, self.clock)
        self.answers = Answers(self.store, WireDocuments(), self.rules, self.clock)
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def ask(
        self,
        asked_for: CompletionRequest | None = None,
        principal: Principal = ACME,
        outcome: Outcome = Outcome.COMPLETE,
        intent: Intent | None = None,
    ) -> str:
        """Gives `hit` or `made`, and the text."""
        found = await self.answers.lookup(asked_for or request(), limit_of(principal))
        if isinstance(found, Replay):
            return f"hit {reply_of(found).message.parts[0].text}"
        try:
            self.made += 1
            number = self.made
            await self.go_on.wait()
            found.store(completion(f"answer {number}", outcome, intent))
            return f"made answer {number}"
        finally:
            found.close()
            await self.stored()

    async def stored(self) -> None:
        """Waits until all answers are where they are kept, as the way to a caller and back takes longer."""
        await asyncio.gather(*self.answers._storing)


def reply_of(replay: Replay) -> muxer_service_pb2.CompleteResponse:
    return muxer_service_pb2.CompleteResponse.FromString(whole_reply(replay).content)


async def until_waiting() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
