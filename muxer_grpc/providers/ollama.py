"""Ollama, by its own API. https://docs.ollama.com/api/chat"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from muxer_grpc.domain import chat
from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ModelReported,
    ProviderEvent,
    ProviderRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
    merge_adjacent,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.providers.failures import failure_in_stream, failure_of
from muxer_grpc.providers.http import HttpReply, HttpTransport
from muxer_grpc.providers.probing import probe_models
from muxer_grpc.providers.registry import Adapter, Connection
from muxer_grpc.providers.sse import LineParser

CHAT = "/api/chat"
TAGS = "/api/tags"

OWN_FIELDS = frozenset({"model", "messages", "stream"})

# These take a level instead of yes or no.
_FAMILIES_WITH_LEVELS = ("gpt-oss",)


class Ollama:
    """A connection to an Ollama server."""

    def __init__(self, connection: Connection) -> None:
        self._name = connection.name
        headers = {"authorization": f"Bearer {connection.api_key}"} if connection.api_key else {}
        self._transport = HttpTransport(connection, headers)

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Calls the model; see the port."""
        reader = _ReplyReader()
        async with self._transport.post(CHAT, request_body(request, self._name), request.headers) as reply:
            if reply.status != 200:
                raise failure_of(reply.status, await reply.read_error(), reply.headers, time.time())
            if reply.media_type not in ("application/json", "application/x-ndjson"):
                raise ProviderFailure(FailureClass.PROTOCOL, "a reply that is no JSON lines")
            async with aclosing(self._lines(reply, reader)) as events:
                async for event in events:
                    yield event
            for last in reader.ending():
                yield last

    async def probe(self) -> ProbeResult:
        """Lists the models that were pulled; see the port."""
        return await probe_models(self._transport, TAGS, "models", "name")

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()

    async def _lines(self, reply: HttpReply, reader: _ReplyReader) -> AsyncGenerator[ProviderEvent, None]:
        """Reads line by line; a whole reply is a stream of one line that may lack its end."""
        parser = LineParser()
        try:
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    found = [each for line in parser.feed(chunk) for each in reader.read_line(line)]
                    for event in merge_adjacent(found):
                        yield event
                    if reader.finished:
                        break
            if reader.finished:
                await reply.drain()
                return
            for event in reader.read_line(parser.finish()):
                yield event
        except ProviderFailure as failure:
            if not reader.finished or failure.failure_class is not FailureClass.TRANSIENT:
                raise


class _ReplyReader:
    """Reads the lines of one reply; keeps usage and the end for `ending()`."""

    def __init__(self) -> None:
        self._reported_model = False
        self._calls = 0
        # Older servers give calls no ids. Ours must differ from those of earlier answers in the same conversation.
        self._call_prefix = f"call_{secrets.token_hex(6)}"
        self._last: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        return self._last is not None

    def read_line(self, line: bytes) -> list[ProviderEvent]:
        if not line.strip():
            return []
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ProviderFailure(FailureClass.PROTOCOL, "a line that is no JSON") from error
        if not isinstance(value, dict):
            raise ProviderFailure(FailureClass.PROTOCOL, "a line that is no object")
        if value.get("error"):
            raise failure_in_stream(value["error"])
        try:
            return self._events(value)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProviderFailure(FailureClass.PROTOCOL, "a line of another shape than documented") from error

    def _events(self, value: dict[str, Any]) -> list[ProviderEvent]:
        events: list[ProviderEvent] = []
        if value.get("model") and not self._reported_model:
            self._reported_model = True
            events.append(ModelReported(str(value["model"])))
        message = value.get("message") or {}
        if message.get("thinking"):
            events.append(ReasoningDelta(str(message["thinking"])))
        if message.get("content"):
            events.append(TextDelta(str(message["content"])))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            arguments = orjson.dumps(function.get("arguments") or {}).decode()
            call_id = str(call.get("id") or f"{self._call_prefix}_{self._calls}")
            events.append(ToolCallDelta(self._calls, call_id, str(function["name"]), arguments))
            self._calls += 1
        if value.get("done"):
            self._last = value
        return events

    def ending(self) -> list[ProviderEvent]:
        if self._last is None:
            raise ProviderFailure(FailureClass.TRANSIENT, "the answer ended before it was done")
        usage = Usage(
            input_tokens=int(self._last.get("prompt_eval_count") or 0),
            output_tokens=int(self._last.get("eval_count") or 0),
            source=UsageSource.PROVIDER,
        )
        vendor_reason = str(self._last.get("done_reason") or "stop")
        reason = FinishReason.LENGTH if vendor_reason == "length" else FinishReason.STOP
        if self._calls and reason is FinishReason.STOP:
            reason = FinishReason.TOOL_CALLS
        return [UsageReported(usage), Finished(reason, vendor_reason)]


def request_body(request: ProviderRequest, provider: str) -> bytes:
    """Writes the body of a call. Raises ProviderFailure (CALLER_FAULT) for pictures by address, which Ollama lacks."""
    conversation = request.conversation
    body: dict[str, Any] = {
        "model": request.model.vendor_model,
        "messages": _messages(conversation.messages),
        "stream": request.stream,
        # By default, a prompt over the server's context loses its beginning, and the answer is still a success.
        "truncate": False,
        "shift": False,
        "options": _options(request),
    }
    if conversation.tools and conversation.tool_choice.mode is not chat.ToolChoiceMode.NONE:
        # Ollama cannot be told to call a tool; it offers them and the model decides.
        body["tools"] = [_tool(tool) for tool in conversation.tools]
    if isinstance(conversation.response_format, chat.JsonFormat):
        body["format"] = "json"
    elif isinstance(conversation.response_format, chat.JsonSchemaFormat):
        body["format"] = orjson.Fragment(conversation.response_format.schema_json)
    effort = conversation.reasoning_effort
    if effort is not None and Feature.REASONING in request.model.features:
        body["think"] = _think(effort, request.model.vendor_model)
    options = conversation.vendor_options.get(provider)
    if options:
        inner = options.get("options")
        if isinstance(inner, dict):
            body["options"] = {**inner, **body["options"]}
        body.update({n: value for n, value in options.items() if n not in OWN_FIELDS and n != "options"})
    return orjson.dumps(body)


def _think(effort: chat.ReasoningEffort, vendor_model: str) -> bool | str:
    if vendor_model.rpartition("/")[2].startswith(_FAMILIES_WITH_LEVELS):
        return "low" if effort is chat.ReasoningEffort.MINIMAL else effort.value
    return effort is not chat.ReasoningEffort.MINIMAL


def _options(request: ProviderRequest) -> dict[str, Any]:
    sampling = request.conversation.sampling
    values = {
        "num_predict": request.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "stop": list(request.conversation.stop) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _tool(tool: chat.Tool) -> dict[str, Any]:
    schema: Any = {"type": "object", "properties": {}}
    if tool.parameters_schema_json:
        schema = orjson.Fragment(tool.parameters_schema_json)
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": schema},
    }


def _messages(messages: tuple[chat.Message, ...]) -> list[dict[str, Any]]:
    """Writes the turns; results name their tool, since Ollama matches them by name."""
    items: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role is chat.Role.TOOL:
            items += [_result(part, names) for part in message.parts if isinstance(part, chat.ToolResultPart)]
            continue
        names.update((part.id, part.name) for part in message.parts if isinstance(part, chat.ToolCallPart))
        items.append(_message(message))
    return items


def _result(part: chat.ToolResultPart, names: dict[str, str]) -> dict[str, Any]:
    item = {"role": "tool", "content": f"Error: {part.content}" if part.is_error else part.content}
    name = names.get(part.tool_call_id)
    return {**item, "tool_name": name} if name else item


def _message(message: chat.Message) -> dict[str, Any]:
    # A refusal is the content that an answer had instead.
    refusal = "".join(part.text for part in message.parts if isinstance(part, chat.RefusalPart))
    item: dict[str, Any] = {"role": message.role.value, "content": message.text or refusal}
    # Reasoning goes back to the model that called tools in it; what is signed came from another vendor.
    thinking = "".join(p.text for p in message.parts if isinstance(p, chat.ReasoningPart) and not p.signature)
    if thinking:
        item["thinking"] = thinking
    images = [_image(part) for part in message.parts if isinstance(part, chat.ImagePart)]
    if images:
        item["images"] = images
    calls = [
        {"function": {"name": part.name, "arguments": orjson.Fragment(part.arguments_json or "{}")}}
        for part in message.parts
        if isinstance(part, chat.ToolCallPart)
    ]
    if calls:
        item["tool_calls"] = calls
    return item


def _image(part: chat.ImagePart) -> str:
    if part.url:
        raise ProviderFailure(FailureClass.CALLER_FAULT, "Ollama takes pictures by value only")
    return base64.b64encode(part.data).decode()


ADAPTER = Adapter(
    name="ollama",
    build=Ollama,
    default_base_url="http://127.0.0.1:11434",
    key_variable="OLLAMA_API_KEY",
    base_url_variable="OLLAMA_BASE_URL",
    needs_key=False,
    vendor_options=frozenset({"keep_alive", "options"}),
    discovers_models=True,
    discovered_models_are_free=True,
    found_without_configuration=True,
)
