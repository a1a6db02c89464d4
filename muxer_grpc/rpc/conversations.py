"""From the wire to a Conversation, noting every violation on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from muxer.v1 import chat_pb2

from muxer_grpc.domain import chat
from muxer_grpc.rpc.enums import IMAGE_DETAIL_OF, REASONING_EFFORT_OF, ROLE_OF, TOOL_CHOICE_MODE_OF
from muxer_grpc.rpc.json_schemas import json_object_problem, json_schema_problem
from muxer_grpc.rpc.violations import Violations, quote

MAX_MESSAGES = 1_000
MAX_PARTS = 1_000
MAX_TEXT_CHARACTERS = 2_000_000
MAX_TOOLS = 128
MAX_STOPS = 4
MAX_STOP_CHARACTERS = 256
MAX_NAME_CHARACTERS = 256
MAX_URL_CHARACTERS = 2_048
MEDIA_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

# Which parts a message of each role may hold.
_ALLOWED_PARTS = {
    chat.Role.SYSTEM: frozenset({"text"}),
    chat.Role.USER: frozenset({"text", "image"}),
    chat.Role.ASSISTANT: frozenset({"text", "tool_call", "reasoning", "refusal"}),
    chat.Role.TOOL: frozenset({"tool_result"}),
}


def read_conversation(
    spec: chat_pb2.CompletionSpec, vendor_options: Mapping[str, Mapping[str, Any]], violations: Violations
) -> chat.Conversation:
    """Reads all that a model is given. With violations noted, the result must not be used."""
    tools = _read_tools(spec, violations)
    return chat.Conversation(
        messages=_read_messages(spec, violations),
        tools=tools,
        tool_choice=_read_tool_choice(spec, tools, violations),
        response_format=_read_response_format(spec, violations),
        sampling=_read_sampling(spec, violations),
        stop=_read_stop(spec, violations),
        max_output_tokens=_read_max_output_tokens(spec, violations),
        reasoning_effort=_read_reasoning_effort(spec, violations),
        vendor_options=vendor_options,
    )


def read_plain_conversation(
    messages: Sequence[chat_pb2.Message], max_output_tokens: int | None
) -> chat.Conversation | None:
    """Reads messages that are all right and of one text each; None for any others."""
    if not 0 < len(messages) <= MAX_MESSAGES or (max_output_tokens is not None and max_output_tokens < 1):
        return None
    read = []
    asks = False
    for message in messages:
        plain = _read_plain_message(message)
        if plain is None:
            return None
        asks = asks or plain.role is not chat.Role.SYSTEM
        read.append(plain)
    return chat.Conversation(tuple(read), max_output_tokens=max_output_tokens) if asks else None


def _read_messages(spec: chat_pb2.CompletionSpec, violations: Violations) -> tuple[chat.Message, ...]:
    violations.check(bool(spec.messages), "spec.messages", "required", "give at least one message")
    if len(spec.messages) > MAX_MESSAGES:
        violations.add("spec.messages", "too_many", f"give at most {MAX_MESSAGES} messages")
        return ()
    messages = []
    tool_calls: set[str] = set()
    for index, message in enumerate(spec.messages):
        plain = _read_plain_message(message)
        messages.append(plain or _read_message(message, f"spec.messages[{index}]", tool_calls, violations))
    asks = any(message.role in (chat.Role.USER, chat.Role.TOOL) for message in messages)
    if messages and not asks and all(message.role is chat.Role.SYSTEM for message in messages):
        violations.add("spec.messages", "user_message_required", "give a user message; system messages ask nothing")
    return tuple(messages)


def _read_plain_message(message: chat_pb2.Message) -> chat.Message | None:
    """Reads a message of one right text, which most are; None for any other."""
    parts = message.parts
    role = ROLE_OF.get(message.role)
    if role is None or role is chat.Role.TOOL or len(parts) != 1:
        return None
    text = parts[0].text
    return chat.Message(role, (chat.TextPart(text),)) if 0 < len(text) <= MAX_TEXT_CHARACTERS else None


def _read_message(message: chat_pb2.Message, path: str, tool_calls: set[str], violations: Violations) -> chat.Message:
    role = ROLE_OF.get(message.role)
    if role is None:
        violations.add(f"{path}.role", "unknown", f"{message.role} is not a role; use SYSTEM, USER, ASSISTANT or TOOL")
    if not message.parts:
        violations.add(f"{path}.parts", "required", "give at least one part")
    if len(message.parts) > MAX_PARTS:
        violations.add(f"{path}.parts", "too_many", f"give at most {MAX_PARTS} parts")
        return chat.Message(role or chat.Role.USER, ())
    parts = []
    for index, part in enumerate(message.parts):
        part_path = f"{path}.parts[{index}]"
        kind = part.WhichOneof("part")
        if kind is None:
            violations.add(part_path, "unknown_part", "set one known kind of part")
            continue
        if role is not None and kind not in _ALLOWED_PARTS[role]:
            violations.add(f"{part_path}.{kind}", "part_not_allowed", f"a {role.value} message holds no {kind}")
        parts.append(_PART_READERS[kind](part, f"{part_path}.{kind}", tool_calls, violations))
    if role is not chat.Role.ASSISTANT and parts and all(p == chat.TextPart("") for p in parts):
        violations.add(f"{path}.parts", "empty", "give some content; all parts are empty text")
    return chat.Message(role or chat.Role.USER, tuple(parts))


def _check_text(text: str, path: str, violations: Violations) -> None:
    if len(text) > MAX_TEXT_CHARACTERS:
        violations.add(path, "too_long", f"give at most {MAX_TEXT_CHARACTERS} characters, not {len(text)}")


def _check_id(value: str, path: str, violations: Violations) -> None:
    holds = 0 < len(value) <= MAX_NAME_CHARACTERS
    violations.check(holds, path, "length", f"give 1 to {MAX_NAME_CHARACTERS} characters")


def _read_text(part: chat_pb2.ContentPart, path: str, _calls: set[str], violations: Violations) -> chat.ContentPart:
    _check_text(part.text, path, violations)
    return chat.TextPart(part.text)


def _read_refusal(part: chat_pb2.ContentPart, path: str, _calls: set[str], violations: Violations) -> chat.ContentPart:
    _check_text(part.refusal, path, violations)
    return chat.RefusalPart(part.refusal)


def _read_reasoning(
    part: chat_pb2.ContentPart, path: str, _calls: set[str], violations: Violations
) -> chat.ContentPart:
    _check_text(part.reasoning.text, f"{path}.text", violations)
    return chat.ReasoningPart(part.reasoning.text, part.reasoning.signature)


def _read_image(part: chat_pb2.ContentPart, path: str, _calls: set[str], violations: Violations) -> chat.ContentPart:
    image = part.image
    if bool(image.data) == bool(image.url):
        said = "both are set" if image.url else "neither is set"
        violations.add(path, "one_source", f"set exactly one of data and url; {said}")
    if image.data and image.media_type not in MEDIA_TYPES:
        allowed = ", ".join(sorted(MEDIA_TYPES))
        violations.add(f"{path}.media_type", "unknown", f"{quote(image.media_type)} is not one of {allowed}")
    if image.url:
        _check_url(image.url, f"{path}.url", violations)
    detail = IMAGE_DETAIL_OF.get(image.detail)
    if detail is None:
        violations.add(f"{path}.detail", "unknown", f"{image.detail} is not a level of detail")
    return chat.ImagePart(image.data, image.url, image.media_type, detail or chat.ImageDetail.AUTO)


def _check_url(url: str, path: str, violations: Violations) -> None:
    """The service hands the address on and never fetches it; https without credentials is all that a vendor needs."""
    try:
        parts = urlsplit(url)
        holds = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        holds = False
    if not holds or len(url) > MAX_URL_CHARACTERS:
        violations.add(path, "url", f"give an https address of at most {MAX_URL_CHARACTERS} characters")


def _read_tool_call(part: chat_pb2.ContentPart, path: str, calls: set[str], violations: Violations) -> chat.ContentPart:
    call = part.tool_call
    _check_id(call.id, f"{path}.id", violations)
    _check_id(call.name, f"{path}.name", violations)
    if call.id in calls:
        violations.add(f"{path}.id", "duplicate", f"{quote(call.id)} names an earlier call already")
    calls.add(call.id)
    if call.arguments_json:
        problem = json_object_problem(call.arguments_json)
        violations.check(not problem, f"{path}.arguments_json", "json", problem)
    return chat.ToolCallPart(call.id, call.name, call.arguments_json)


def _read_tool_result(
    part: chat_pb2.ContentPart, path: str, calls: set[str], violations: Violations
) -> chat.ContentPart:
    result = part.tool_result
    if result.tool_call_id not in calls:
        violations.add(f"{path}.tool_call_id", "call_missing", f"no earlier tool call is {quote(result.tool_call_id)}")
    _check_text(result.content, f"{path}.content", violations)
    return chat.ToolResultPart(result.tool_call_id, result.content, result.is_error)


_PART_READERS = {
    "text": _read_text,
    "image": _read_image,
    "tool_call": _read_tool_call,
    "tool_result": _read_tool_result,
    "reasoning": _read_reasoning,
    "refusal": _read_refusal,
}


def _read_tools(spec: chat_pb2.CompletionSpec, violations: Violations) -> tuple[chat.Tool, ...]:
    if not spec.tools:
        return ()
    violations.check(len(spec.tools) <= MAX_TOOLS, "spec.tools", "too_many", f"give at most {MAX_TOOLS} tools")
    tools = []
    names: set[str] = set()
    for index, tool in enumerate(spec.tools[:MAX_TOOLS]):
        path = f"spec.tools[{index}]"
        if not _NAME.match(tool.name):
            violations.add(f"{path}.name", "name", "give 1 to 64 of letters, digits, _ and -")
        violations.check(tool.name not in names, f"{path}.name", "duplicate", f"{quote(tool.name)} is used twice")
        names.add(tool.name)
        _check_text(tool.description, f"{path}.description", violations)
        if tool.parameters_schema_json:
            problem = json_schema_problem(tool.parameters_schema_json)
            violations.check(not problem, f"{path}.parameters_schema_json", "json_schema", problem)
        tools.append(chat.Tool(tool.name, tool.description, tool.parameters_schema_json, tool.strict))
    return tuple(tools)


def _read_tool_choice(
    spec: chat_pb2.CompletionSpec, tools: tuple[chat.Tool, ...], violations: Violations
) -> chat.ToolChoice:
    if not spec.HasField("tool_choice"):
        return chat.AUTOMATIC_TOOL_CHOICE
    choice = spec.tool_choice
    path = "spec.tool_choice"
    mode = TOOL_CHOICE_MODE_OF.get(choice.mode)
    if mode is None:
        violations.add(f"{path}.mode", "unknown", f"{choice.mode} is not a mode of tool choice")
        mode = chat.ToolChoiceMode.AUTO
    if mode in (chat.ToolChoiceMode.REQUIRED, chat.ToolChoiceMode.TOOL) and not tools:
        violations.add(f"{path}.mode", "tools_missing", f"{mode.value} needs tools; none is given")
    if mode is chat.ToolChoiceMode.TOOL:
        known = any(tool.name == choice.tool_name for tool in tools)
        violations.check(known, f"{path}.tool_name", "unknown", f"no tool is named {quote(choice.tool_name)}")
    elif choice.tool_name:
        violations.add(f"{path}.tool_name", "contradiction", "a tool name goes with the mode TOOL only")
    parallel = choice.parallel_tool_calls if choice.HasField("parallel_tool_calls") else None
    return chat.ToolChoice(mode, choice.tool_name, parallel)


def _read_response_format(spec: chat_pb2.CompletionSpec, violations: Violations) -> chat.ResponseFormat:
    kind = spec.response_format.WhichOneof("format") if spec.HasField("response_format") else None
    if kind == "json":
        return chat.JsonFormat()
    if kind != "json_schema":
        return None
    wanted = spec.response_format.json_schema
    path = "spec.response_format.json_schema"
    if wanted.name and not _NAME.match(wanted.name):
        violations.add(f"{path}.name", "name", "give 1 to 64 of letters, digits, _ and -")
    problem = json_schema_problem(wanted.schema_json) if wanted.schema_json else "give a schema"
    violations.check(not problem, f"{path}.schema_json", "json_schema", problem)
    strict = wanted.strict if wanted.HasField("strict") else True
    return chat.JsonSchemaFormat(wanted.schema_json, wanted.name or "answer", strict)


# Field, lowest and highest value, and whether the lowest itself is out.
_SAMPLING_RANGES = (
    ("temperature", 0.0, 2.0, False),
    ("top_p", 0.0, 1.0, True),
    ("frequency_penalty", -2.0, 2.0, False),
    ("presence_penalty", -2.0, 2.0, False),
)


def _read_sampling(spec: chat_pb2.CompletionSpec, violations: Violations) -> chat.Sampling:
    if not spec.HasField("sampling"):
        return chat.NO_SAMPLING
    sampling = spec.sampling
    values: dict[str, float | None] = {}
    for name, lowest, highest, open_below in _SAMPLING_RANGES:
        values[name] = value = getattr(sampling, name) if sampling.HasField(name) else None
        # Written so that NaN fails.
        holds = value is None or ((value > lowest or (value == lowest and not open_below)) and value <= highest)
        bound = "above" if open_below else "from"
        violations.check(holds, f"spec.sampling.{name}", "range", f"give a number {bound} {lowest:g} to {highest:g}")
    top_k = sampling.top_k if sampling.HasField("top_k") else None
    violations.check(top_k is None or top_k >= 1, "spec.sampling.top_k", "range", "give at least 1")
    return chat.Sampling(
        temperature=values["temperature"],
        top_p=values["top_p"],
        top_k=top_k,
        seed=sampling.seed if sampling.HasField("seed") else None,
        frequency_penalty=values["frequency_penalty"],
        presence_penalty=values["presence_penalty"],
    )


def _read_stop(spec: chat_pb2.CompletionSpec, violations: Violations) -> tuple[str, ...]:
    if not spec.stop:
        return ()
    violations.check(len(spec.stop) <= MAX_STOPS, "spec.stop", "too_many", f"give at most {MAX_STOPS} strings")
    for index, stop in enumerate(spec.stop[:MAX_STOPS]):
        holds = 0 < len(stop) <= MAX_STOP_CHARACTERS
        violations.check(holds, f"spec.stop[{index}]", "length", f"give 1 to {MAX_STOP_CHARACTERS} characters")
    return tuple(spec.stop)


def _read_max_output_tokens(spec: chat_pb2.CompletionSpec, violations: Violations) -> int | None:
    if not spec.HasField("max_output_tokens"):
        return None
    violations.check(spec.max_output_tokens >= 1, "spec.max_output_tokens", "range", "give at least 1")
    return spec.max_output_tokens


def _read_reasoning_effort(spec: chat_pb2.CompletionSpec, violations: Violations) -> chat.ReasoningEffort | None:
    if not spec.reasoning_effort:
        return None
    effort = REASONING_EFFORT_OF.get(spec.reasoning_effort)
    if effort is None:
        violations.add("spec.reasoning_effort", "unknown", f"{spec.reasoning_effort} is not a reasoning effort")
    return effort
