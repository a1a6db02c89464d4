"""The request body of OpenAI's Chat Completions, and what vendors who speak it do differently.

Reference: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from muxer_grpc.domain import chat
from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.completion import ProviderRequest

# Fields that decide what is called and how its answer is read: a caller's vendor options never replace them.
OWN_FIELDS = frozenset({"model", "messages", "stream", "stream_options", "n"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a vendor does differently. The defaults are OpenAI's own ways of old, which most servers copied."""

    max_tokens_field: str = "max_tokens"
    seed_field: str = "seed"
    required_tool_choice: str = "required"
    sends_stream_options: bool = True
    sends_top_k: bool = False
    sends_penalties: bool = True
    sends_image_detail: bool = True
    strict_tools: bool = True
    # Reasoning models of some vendors refuse sampling parameters altogether.
    reasoning_models_refuse_sampling: bool = False
    reasoning_efforts: frozenset[str] = frozenset({"minimal", "low", "medium", "high"})
    reports_reasoning_apart: bool = False
    # The tier that the catalogue's prices are those of, where a vendor has several.
    service_tier: str = ""
    # An answer that the conversation ends with must be marked to be continued, and comes back with the rest.
    marks_prefix: bool = False


def request_body(request: ProviderRequest, provider: str, dialect: Dialect) -> bytes:
    """Writes the body of a call."""
    conversation = request.conversation
    body: dict[str, Any] = {
        "model": request.model.vendor_model,
        "messages": [item for message in conversation.messages for item in _message(message, dialect)],
        dialect.max_tokens_field: request.max_output_tokens,
    }
    if begun_answer(conversation, dialect):
        body["messages"][-1]["prefix"] = True
    _add_sampling(body, request, dialect)
    if conversation.stop:
        body["stop"] = list(conversation.stop)
    if conversation.tools:
        _add_tools(body, conversation, dialect)
    if conversation.response_format is not None:
        body["response_format"] = _response_format(conversation.response_format)
    effort = conversation.reasoning_effort
    if effort is not None and Feature.REASONING in request.model.features:
        body["reasoning_effort"] = effort.value if effort.value in dialect.reasoning_efforts else "low"
    if request.stream:
        body["stream"] = True
        if dialect.sends_stream_options:
            body["stream_options"] = {"include_usage": True}
    if dialect.service_tier:
        body["service_tier"] = dialect.service_tier
    options = conversation.vendor_options.get(provider)
    if options:
        body.update({name: value for name, value in options.items() if name not in OWN_FIELDS})
    return orjson.dumps(body)


def begun_answer(conversation: chat.Conversation, dialect: Dialect) -> str:
    """Gives the text of the answer that is to be continued and comes back; empty where there is none."""
    last = conversation.messages[-1]
    if not dialect.marks_prefix or last.role is not chat.Role.ASSISTANT:
        return ""
    return "" if any(isinstance(part, chat.ToolCallPart) for part in last.parts) else last.text


def _add_sampling(body: dict[str, Any], request: ProviderRequest, dialect: Dialect) -> None:
    sampling = request.conversation.sampling
    if sampling is chat.NO_SAMPLING:
        return
    if sampling.seed is not None:
        body[dialect.seed_field] = sampling.seed
    if dialect.reasoning_models_refuse_sampling and Feature.REASONING in request.model.features:
        return
    values = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    if dialect.sends_top_k:
        values["top_k"] = sampling.top_k
    if dialect.sends_penalties:
        values["frequency_penalty"] = sampling.frequency_penalty
        values["presence_penalty"] = sampling.presence_penalty
    body.update((name, value) for name, value in values.items() if value is not None)


def _add_tools(body: dict[str, Any], conversation: chat.Conversation, dialect: Dialect) -> None:
    body["tools"] = [_tool(tool, dialect) for tool in conversation.tools]
    choice = conversation.tool_choice
    if choice.mode is chat.ToolChoiceMode.TOOL:
        body["tool_choice"] = {"type": "function", "function": {"name": choice.tool_name}}
    elif choice.mode is chat.ToolChoiceMode.REQUIRED:
        body["tool_choice"] = dialect.required_tool_choice
    elif choice.mode is chat.ToolChoiceMode.NONE:
        body["tool_choice"] = "none"
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel


def _tool(tool: chat.Tool, dialect: Dialect) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_schema_json:
        function["parameters"] = orjson.Fragment(tool.parameters_schema_json)
    if tool.strict and dialect.strict_tools:
        function["strict"] = True
    return {"type": "function", "function": function}


def _response_format(wanted: chat.JsonFormat | chat.JsonSchemaFormat) -> dict[str, Any]:
    if isinstance(wanted, chat.JsonFormat):
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": orjson.Fragment(wanted.schema_json), "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}


def _message(message: chat.Message, dialect: Dialect) -> list[dict[str, Any]]:
    """Writes one message; a tool message becomes one per result."""
    return _MESSAGE_WRITERS[message.role](message, dialect)


def _system(message: chat.Message, _dialect: Dialect) -> list[dict[str, Any]]:
    return [{"role": "system", "content": message.text}]


def _user(message: chat.Message, dialect: Dialect) -> list[dict[str, Any]]:
    parts = message.parts
    if len(parts) == 1 and isinstance(parts[0], chat.TextPart):
        return [{"role": "user", "content": parts[0].text}]
    content: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, chat.TextPart):
            content.append({"type": "text", "text": part.text})
        elif isinstance(part, chat.ImagePart):
            content.append({"type": "image_url", "image_url": _image(part, dialect)})
    return [{"role": "user", "content": content}]


def _image(part: chat.ImagePart, dialect: Dialect) -> dict[str, Any]:
    url = part.url or f"data:{part.media_type};base64,{base64.b64encode(part.data).decode()}"
    image = {"url": url}
    if dialect.sends_image_detail and part.detail is not chat.ImageDetail.AUTO:
        image["detail"] = part.detail.value
    return image


def _assistant(message: chat.Message, _dialect: Dialect) -> list[dict[str, Any]]:
    # Reasoning stays out: Chat Completions takes none back.
    item: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    calls = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": part.arguments_json or "{}"},
        }
        for part in message.parts
        if isinstance(part, chat.ToolCallPart)
    ]
    if calls:
        item["tool_calls"] = calls
    refusals = [part.text for part in message.parts if isinstance(part, chat.RefusalPart)]
    if item["content"] is None and not calls:
        # No server takes an assistant message without content; a refusal is the content it had.
        item["content"] = "".join(refusals)
    return [item]


def _tool_results(message: chat.Message, _dialect: Dialect) -> list[dict[str, Any]]:
    return [
        {
            "role": "tool",
            "tool_call_id": part.tool_call_id,
            "content": f"Error: {part.content}" if part.is_error else part.content,
        }
        for part in message.parts
        if isinstance(part, chat.ToolResultPart)
    ]


_MESSAGE_WRITERS: dict[chat.Role, Callable[[chat.Message, Dialect], list[dict[str, Any]]]] = {
    chat.Role.SYSTEM: _system,
    chat.Role.USER: _user,
    chat.Role.ASSISTANT: _assistant,
    chat.Role.TOOL: _tool_results,
}
