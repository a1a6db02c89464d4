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
_FAMILY_AND_VERSION = re.compile(r"claude-([a-z]+)-(\d+)(?:-(\d{1,2}))?(?:-|$)")
# From this version on, models choose their own amount of thinking and refuse a token budget.
_ADAPTIVE_SINCE = (4, 6)
# From this version on, models refuse temperature, top_p and top_k.
_NO_SAMPLING_SINCE = (4, 7)
# Models that always think refuse to be forced to call a tool.
_FAMILIES_THAT_CANNOT_BE_FORCED = frozenset({"fable", "mythos"})
_CANNOT_BE_FORCED_SINCE = {"opus": (5, 5), "sonnet": (5, 5)}

_JSON_INSTRUCTION = "Answer with one JSON object and nothing else."
_ANY_TOOL_INSTRUCTION = "Call at least one of the tools before you answer."
_ONE_TOOL_INSTRUCTION = "Call the tool {name} before you answer."


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
    asked = _forces_a_tool(conversation) and not _can_be_forced(request.model.vendor_model)
    if asked:
        name = conversation.tool_choice.tool_name
        system.append(_ONE_TOOL_INSTRUCTION.format(name=name) if name else _ANY_TOOL_INSTRUCTION)
    if system:
        body["system"] = "\n\n".join(system)
    _add_thinking(body, request)
    if "thinking" not in body and _version(request.model.vendor_model) < _NO_SAMPLING_SINCE:
        _add_sampling(body, conversation.sampling)
    if conversation.stop:
        body["stop_sequences"] = list(conversation.stop)
    if conversation.tools:
        _add_tools(body, conversation, forced=not asked)
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
    # A model that thinks on demand does not do so in a call that forces a tool.
    forced = _forces_a_tool(request.conversation) and _can_be_forced(request.model.vendor_model)
    if _version(request.model.vendor_model) >= _ADAPTIVE_SINCE:
        if effort is not chat.ReasoningEffort.MINIMAL and not forced:
            body["thinking"] = {"type": "adaptive"}
        body["output_config"] = {"effort": _EFFORT[effort]}
        return
    budget = int(request.max_output_tokens * _THINKING_SHARE[effort])
    messages = request.conversation.messages
    # An answer that is begun is continued without thinking, or not at all.
    begun = messages[-1].role is chat.Role.ASSISTANT
    if budget >= MIN_THINKING_TOKENS and not forced and not begun and not _resumes_without_proof(messages):
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _version(vendor_model: str) -> tuple[int, int]:
    """Reads a model's version from its name; (0, 0) where it stands elsewhere, as in those before 4."""
    found = _FAMILY_AND_VERSION.search(vendor_model)
    return (0, 0) if found is None else (int(found[2]), int(found[3] or 0))


def _can_be_forced(vendor_model: str) -> bool:
    found = _FAMILY_AND_VERSION.search(vendor_model)
    if found is None:
        return True
    since = _CANNOT_BE_FORCED_SINCE.get(found[1])
    refuses = found[1] in _FAMILIES_THAT_CANNOT_BE_FORCED or (since is not None and _version(vendor_model) >= since)
    return not refuses


def _forces_a_tool(conversation: chat.Conversation) -> bool:
    forcing = (chat.ToolChoiceMode.REQUIRED, chat.ToolChoiceMode.TOOL)
    return bool(conversation.tools) and conversation.tool_choice.mode in forcing


def _resumes_without_proof(messages: tuple[chat.Message, ...]) -> bool:
    """Tells whether the last answer called tools without signed thinking, as another model's does.

    A model with a thinking budget refuses to go on from there with thinking; without, it goes on.
    """
    last = next((m for m in reversed(messages) if m.role is chat.Role.ASSISTANT), None)
    if last is None or not any(isinstance(part, chat.ToolCallPart) for part in last.parts):
        return False
    return not any(isinstance(part, chat.ReasoningPart) and part.signature for part in last.parts)


def _add_sampling(body: dict[str, Any], sampling: chat.Sampling) -> None:
    """Adds sampling. Anthropic knows no seed and no penalties."""
    if sampling is chat.NO_SAMPLING:
        return
    if sampling.temperature is not None:
        body["temperature"] = min(1.0, sampling.temperature)
    elif sampling.top_p is not None:
        # Newer models refuse both at once; the temperature counts.
        body["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k


def _add_tools(body: dict[str, Any], conversation: chat.Conversation, *, forced: bool) -> None:
    """Adds the tools and the choice; a choice that the model cannot be forced to becomes a free one."""
    body["tools"] = [_tool(tool) for tool in conversation.tools]
    choice = conversation.tool_choice
    kinds = {
        chat.ToolChoiceMode.AUTO: "auto",
        chat.ToolChoiceMode.NONE: "none",
        chat.ToolChoiceMode.REQUIRED: "any",
        chat.ToolChoiceMode.TOOL: "tool",
    }
    mode = choice.mode if forced else chat.ToolChoiceMode.AUTO
    wanted: dict[str, Any] = {"type": kinds[mode]}
    if mode is chat.ToolChoiceMode.TOOL:
        wanted["name"] = choice.tool_name
    if choice.parallel is not None and mode is not chat.ToolChoiceMode.NONE:
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
    last = turns[-1]["content"][-1] if turns and turns[-1]["role"] == "assistant" else {}
    if last.get("type") == "text":
        # A begun answer must not end with blanks.
        last["text"] = last["text"].rstrip()
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
