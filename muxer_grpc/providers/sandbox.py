"""A provider in this process, for trying everything without a key: deterministic, and honest about being simulated."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator

import orjson

from muxer_grpc.domain import chat
from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ModelReported,
    ProviderEvent,
    ProviderRequest,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.providers.registry import Adapter, Connection
from muxer_grpc.providers.sandbox_values import example_of

# Slow enough for a person to see it stream, quick enough for nobody to wait.
SECONDS_PER_TOKEN = 0.01

_TOKEN = re.compile(r"\s*\S+|\s+")
_QUOTED_CHARACTERS = 120


class Sandbox:
    """Answers with a fixed text about the request. The same request always gets the same answer."""

    def __init__(self, connection: Connection, seconds_per_token: float = SECONDS_PER_TOKEN) -> None:
        self._name = connection.name
        self._seconds_per_token = seconds_per_token

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Answers; see the port."""
        yield ModelReported(f"{request.model.vendor_model} (simulated)")
        conversation = request.conversation
        input_tokens = sum(count_tokens(_text_of(part)) for m in conversation.messages for part in m.parts)
        call = _tool_call(conversation)
        if call is not None:
            yield call
            yield UsageReported(_usage(input_tokens, count_tokens(call.arguments_json_fragment) + 1))
            yield Finished(FinishReason.TOOL_CALLS, "tool_calls")
            return
        text, stopped = _until_stop(_answer(request), conversation.stop)
        tokens = _TOKEN.findall(text)
        kept = tokens[: request.max_output_tokens]
        if request.stream:
            for token in kept:
                await asyncio.sleep(self._seconds_per_token)
                yield TextDelta(token)
        elif kept:
            yield TextDelta("".join(kept))
        yield UsageReported(_usage(input_tokens, len(kept)))
        if len(kept) < len(tokens):
            yield Finished(FinishReason.LENGTH, "length")
        else:
            yield Finished(FinishReason.STOP, "stop_sequence" if stopped else "stop")

    async def probe(self) -> ProbeResult:
        """Is always alive; see the port."""
        began = time.perf_counter()
        return ProbeResult(True, time.perf_counter() - began)

    async def aclose(self) -> None:
        """Holds nothing open."""


def count_tokens(text: str) -> int:
    """Counts the sandbox's tokens: words with the space before them."""
    return len(_TOKEN.findall(text))


def _usage(input_tokens: int, output_tokens: int) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, source=UsageSource.COUNTED)


def _text_of(part: chat.ContentPart) -> str:
    if isinstance(part, chat.ImagePart):
        return "image"
    if isinstance(part, chat.ToolCallPart):
        return f"{part.name} {part.arguments_json}"
    return part.content if isinstance(part, chat.ToolResultPart) else part.text


def _answer(request: ProviderRequest) -> str:
    conversation = request.conversation
    if isinstance(conversation.response_format, chat.JsonSchemaFormat):
        return orjson.dumps(example_of(orjson.loads(conversation.response_format.schema_json))).decode()
    if isinstance(conversation.response_format, chat.JsonFormat):
        return orjson.dumps({"simulated": True, "model": request.model.name}).decode()
    last = conversation.messages[-1]
    said = " ".join(_text_of(part) for part in last.parts if not isinstance(part, chat.ImagePart)).split()
    quoted = " ".join(said)[:_QUOTED_CHARACTERS]
    images = sum(isinstance(part, chat.ImagePart) for part in last.parts)
    seen = f" It came with {images} picture(s), which nobody looked at." if images else ""
    return (
        f"This is a simulated answer of {request.model.name}; no real model was called. "
        f"The last message had {len(said)} words and began: {quoted!r}.{seen} "
        "Set a provider's key to get real answers."
    )


def _until_stop(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """Cuts the text before the first stop string."""
    positions = [position for stop in stops if (position := text.find(stop)) >= 0]
    return (text[: min(positions)], True) if positions else (text, False)


def _tool_call(conversation: chat.Conversation) -> ToolCallDelta | None:
    """Calls a tool when one must be called and no result is in yet, with arguments that fit its schema."""
    choice = conversation.tool_choice
    must = choice.mode in (chat.ToolChoiceMode.REQUIRED, chat.ToolChoiceMode.TOOL)
    if not must or conversation.messages[-1].role is chat.Role.TOOL:
        return None
    tool = next((t for t in conversation.tools if t.name == choice.tool_name), conversation.tools[0])
    schema = orjson.loads(tool.parameters_schema_json or "{}")
    arguments = example_of({"type": "object", **schema})
    # Numbered through the conversation: the same request gets the same id, and no two calls share one.
    earlier = sum(isinstance(part, chat.ToolCallPart) for m in conversation.messages for part in m.parts)
    return ToolCallDelta(0, f"call_sandbox_{earlier}", tool.name, orjson.dumps(arguments).decode())


ADAPTER = Adapter(name="sandbox", build=Sandbox, needs_key=False, simulated=True)
