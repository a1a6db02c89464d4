"""The providers under contract, and how to call each against the fake."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from muxer_grpc.domain.catalogue import Feature, Model, Tier
from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ModelReported,
    ProviderEvent,
    ProviderRequest,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from muxer_grpc.domain.money import FREE, Usage
from muxer_grpc.domain.ports import Provider
from muxer_grpc.providers.registry import Connection, Timeouts, adapters
from tests.fakes.dialects import ANTHROPIC, OLLAMA, OPENAI, Dialect


@dataclass(frozen=True)
class Case:
    """A provider under contract: its wire dialect, and the facts in which vendors differ."""

    name: str
    dialect: Dialect
    path: str
    key_header: tuple[str, str]
    # Once these bytes of a stream have come, the vendor has said why it stopped.
    finish_mark: bytes
    counts_cached: bool = True
    counts_reasoning: bool = True
    # What a refusal is to the vendor: OpenAI marks the model's own, Anthropic's classifier ends the answer.
    refusal: FinishReason = FinishReason.REFUSAL

    @property
    def is_openai(self) -> bool:
        return self.dialect is OPENAI


def _openai(name: str) -> Case:
    return Case(name, OPENAI, "/chat/completions", ("authorization", "Bearer key-1"), b'"finish_reason":"stop"')


CASES = {
    case.name: case
    for case in (
        *(_openai(name) for name in ("openai", "mistral", "xai", "litellm", "compatible")),
        Case(
            "anthropic",
            ANTHROPIC,
            "/v1/messages",
            ("x-api-key", "key-1"),
            b'"stop_reason":"end_turn"',
            counts_reasoning=False,
            refusal=FinishReason.CONTENT_FILTER,
        ),
        Case(
            "ollama",
            OLLAMA,
            "/api/chat",
            ("authorization", "Bearer key-1"),
            b'"done_reason":"stop"',
            counts_cached=False,
            counts_reasoning=False,
            refusal=FinishReason.STOP,
        ),
    )
}

# These call nobody, so there is nothing to send and no line to break: they keep the order of events alone.
SIMULATED = frozenset({"sandbox"})

USER = Message(Role.USER, (TextPart("hi"),))
PLAIN = Conversation((USER,))
QUICK = Timeouts(connect=2.0, pool=2.0, first_byte=2.0, gap=2.0)


def model_of(provider: str, name: str = "m1", **changes: Any) -> Model:
    facts: dict[str, Any] = {
        "name": f"{provider}/{name}",
        "provider": provider,
        "vendor_model": name,
        "tier": Tier.BALANCED,
        "context_window": 100_000,
        "max_output_tokens": 1_000,
        "features": frozenset(Feature) - {Feature.REASONING},
        "price": FREE,
        **changes,
    }
    return Model(**facts)


def request_of(
    provider: str, conversation: Conversation = PLAIN, *, stream: bool, model: str = "m1", **changes: Any
) -> ProviderRequest:
    return ProviderRequest(conversation, model_of(provider, model, **changes), max_output_tokens=500, stream=stream)


@asynccontextmanager
async def opened(name: str, url: str, timeouts: Timeouts = QUICK) -> AsyncGenerator[Provider, None]:
    provider = adapters()[name].build(Connection(name, url, "key-1", timeouts))
    try:
        yield provider
    finally:
        await provider.aclose()


@dataclass(frozen=True)
class Heard:
    """What an answer said, checked for the order that every adapter keeps."""

    events: tuple[ProviderEvent, ...]

    def __post_init__(self) -> None:
        kinds = [type(event) for event in self.events]
        assert kinds.count(ModelReported) <= 1
        assert kinds[-1] is Finished
        assert kinds.count(Finished) == 1
        assert kinds.count(UsageReported) == 1
        assert kinds[-2] is UsageReported

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, ReasoningDelta))

    @property
    def refusal(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, RefusalDelta))

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        calls: dict[int, list[str]] = {}
        for event in self.events:
            if isinstance(event, ToolCallDelta):
                call = calls.setdefault(event.index, ["", "", ""])
                call[0] += event.id
                call[1] += event.name
                call[2] += event.arguments_json_fragment
        assert list(calls) == list(range(len(calls)))
        return [(call[0], call[1], call[2]) for call in calls.values()]

    @property
    def reported_models(self) -> list[str]:
        return [e.reported_model for e in self.events if isinstance(e, ModelReported)]

    @property
    def usage(self) -> Usage:
        return next(e.usage for e in self.events if isinstance(e, UsageReported))

    @property
    def finish(self) -> Finished:
        finished = self.events[-1]
        assert isinstance(finished, Finished)
        return finished


async def heard(provider: Provider, request: ProviderRequest) -> Heard:
    async with aclosing(provider.stream(request)) as events:
        return Heard(tuple([event async for event in events]))


def with_fields(conversation: Conversation = PLAIN, **changes: Any) -> Conversation:
    return replace(conversation, **changes)
