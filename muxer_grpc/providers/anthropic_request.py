"""The request body of Anthropic's Messages API.

References: https://docs.claude.com/en/api/messages, .../build-with-claude/extended-thinking, .../structured-outputs.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import orjson

from muxer_grpc.domain import chat
from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.completion import ProviderRequest

OWN_FIELDS = frozenset({"model", "messages", "stream", "max_tokens"})

MIN_THINKING_TOKENS = 1_024
_THINKING_SHARE = {
    chat.ReasoningEffort.MINIMAL: 0.0,
    chat.ReasoningEffort.LOW: 0.25,
    chat.ReasoningEffort.MEDIUM: 0.5,
    chat.ReasoningEffort.HIGH: 0.8,
}
_EFFORT = {
    chat.ReasoningEffort.MINIMAL: "low",
    chat.ReasoningEffort.LOW: "low",
    chat.ReasoningEffort.MEDIUM: "medium",
    chat.ReasoningEffort.HIGH: "high",
}
_VERSION = re.compile(r"claude-[a-z]+-(\d+)(?:-(\d{1,2}))?(?:-|$)")
# From this version on, models choose their own amount of thinking and refuse a token budget.
_ADAPTIVE_SINCE = (4, 6)

_JSON_INSTRUCTION = "Answer with one JSON object and nothing else."


def request_body(request: ProviderRequest, provider: str) -> bytes:
    """Writes the body of a call."""
    conversation = request.conversation
    body: dict[str, Any] = {
        "model": request.model.vendor_model,
        "max_tokens": request.max_output_tokens,
        "messages": _messages(conversation.messages),
    }
    system = [m.text for m in conversation.messages if m.role is chat.Role.SYSTEM]
    if isinstance(conversation.response_format, chat.JsonFormat):
        system.append(_JSON_INSTRUCTION)
    if system:
        body["system"] = "\n\n".join(system)
    _add_thinking(body, request)
    _add_sampling(body, conversation, thinking="thinking" in body)
    if conversation.stop:
        body["stop_sequences"] = list(conversation.stop)
    if conversation.tools:
        _add_tools(body, conversation)
    if isinstance(conversation.response_format, chat.JsonSchemaFormat):
        schema = orjson.Fragment(conversation.response_format.schema_json)
        body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}
    if request.stream:
        body["stream"] = True
    options = conversation.vendor_options.get(provider)
    if options:
        body.update({name: value for name, value in options.items() if name not in OWN_FIELDS})
    return orjson.dumps(body)


def _add_thinking(body: dict[str, Any], request: ProviderRequest) -> None:
    effort = request.conversation.reasoning_effort
    if effort is None or Feature.REASONING not in request.model.features:
        return
    if _is_adaptive(request.model.vendor_model):
        if effort is not chat.ReasoningEffort.MINIMAL:
            body["thinking"] = {"type": "adaptive"}
        body["output_config"] = {"effort": _EFFORT[effort]}
        return
    budget = int(request.max_output_tokens * _THINKING_SHARE[effort])
    if budget >= MIN_THINKING_TOKENS:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _is_adaptive(vendor_model: str) -> bool:
    found = _VERSION.search(vendor_model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= _ADAPTIVE_SINCE


def _add_sampling(body: dict[str, Any], conversation: chat.Conversation, *, thinking: bool) -> None:
    """Adds sampling; a thinking model takes none. Anthropic knows no seed and no penalties."""
    sampling = conversation.sampling
    if sampling is chat.NO_SAMPLING or thinking:
        return
    if sampling.temperature is not None:
        body["temperature"] = min(1.0, sampling.temperature)
    elif sampling.top_p is not None:
        # Newer models refuse both at once; the temperature counts.
        body["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k


def _add_tools(body: dict[str, Any], conversation: chat.Conversation) -> None:
    body["tools"] = [_tool(tool) for tool in conversation.tools]
    choice = conversation.tool_choice
    kinds = {
        chat.ToolChoiceMode.AUTO: "auto",
        chat.ToolChoiceMode.NONE: "none",
        chat.ToolChoiceMode.REQUIRED: "any",
        chat.ToolChoiceMode.TOOL: "tool",
    }
    wanted: dict[str, Any] = {"type": kinds[choice.mode]}
    if choice.mode is chat.ToolChoiceMode.TOOL:
        wanted["name"] = choice.tool_name
    if choice.parallel is not None and choice.mode is not chat.ToolChoiceMode.NONE:
        wanted["disable_parallel_tool_use"] = not choice.parallel
    if wanted != {"type": "auto"}:
        body["tool_choice"] = wanted


def _tool(tool: chat.Tool) -> dict[str, Any]:
    schema: Any = {"type": "object", "properties": {}}
    if tool.parameters_schema_json:
        schema = orjson.Fragment(tool.parameters_schema_json)
    written: dict[str, Any] = {"name": tool.name, "input_schema": schema}
    if tool.description:
        written["description"] = tool.description
    if tool.strict:
        written["strict"] = True
    return written


def _messages(messages: tuple[chat.Message, ...]) -> list[dict[str, Any]]:
    """Writes the turns; neighbours of one speaker are joined, since tool results count as the user's."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role is chat.Role.SYSTEM:
            continue
        role = "assistant" if message.role is chat.Role.ASSISTANT else "user"
        blocks = [block for part in message.parts if (block := _block(part)) is not None]
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _block(part: chat.ContentPart) -> dict[str, Any] | None:
    """Writes one block; empty text and reasoning without its proof are left out, since the API refuses both."""
    if isinstance(part, chat.TextPart | chat.RefusalPart):
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, chat.ImagePart):
        return {"type": "image", "source": _image_source(part)}
    if isinstance(part, chat.ToolCallPart):
        arguments = orjson.Fragment(part.arguments_json or "{}")
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments}
    if isinstance(part, chat.ToolResultPart):
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.tool_call_id, "content": part.content}
        return {**block, "is_error": True} if part.is_error else block
    if not part.signature:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _image_source(part: chat.ImagePart) -> dict[str, Any]:
    if part.url:
        return {"type": "url", "url": part.url}
    return {"type": "base64", "media_type": part.media_type, "data": base64.b64encode(part.data).decode()}
