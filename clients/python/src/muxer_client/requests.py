"""From plain Python to a CompletionSpec."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from google.protobuf import json_format
from muxer.v1 import chat_pb2, routing_pb2

ROLES = {
    "system": chat_pb2.ROLE_SYSTEM,
    "user": chat_pb2.ROLE_USER,
    "assistant": chat_pb2.ROLE_ASSISTANT,
}

# A prompt, whole messages, pairs of role and text, or a ready spec.
Prompt = str | chat_pb2.CompletionSpec | Sequence[chat_pb2.Message | tuple[str, str]]


class SpecOptions(TypedDict, total=False):
    """What a completion can be asked for, by name; see CompletionSpec in chat.proto."""

    model: str
    system: str
    tools: Iterable[chat_pb2.Tool]
    tool_choice: chat_pb2.ToolChoice
    json_schema: Mapping[str, Any] | str
    json_output: bool
    temperature: float
    top_p: float
    top_k: int
    seed: int
    stop: Iterable[str]
    max_output_tokens: int
    reasoning_effort: str
    routing: routing_pb2.RoutingPolicy
    labels: Mapping[str, str]
    vendor_options: Mapping[str, Mapping[str, Any]]


def message(role: str, text: str) -> chat_pb2.Message:
    """Makes a message of text. Raises ValueError for a role that is not system, user or assistant."""
    if role not in ROLES:
        msg = f"{role!r} is not one of {', '.join(ROLES)}"
        raise ValueError(msg)
    return chat_pb2.Message(role=ROLES[role], parts=[chat_pb2.ContentPart(text=text)])


def build_spec(prompt: Prompt, **options: Unpack[SpecOptions]) -> chat_pb2.CompletionSpec:
    """Makes a spec; options are added to a ready one. Raises TypeError on an unknown option."""
    spec = chat_pb2.CompletionSpec()
    if isinstance(prompt, chat_pb2.CompletionSpec):
        spec.CopyFrom(prompt)
    elif isinstance(prompt, str):
        spec.messages.append(message("user", prompt))
    else:
        spec.messages.extend(m if isinstance(m, chat_pb2.Message) else message(*m) for m in prompt)
    for name, value in options.items():
        if name not in _WRITERS:
            msg = f"unknown option {name!r}; known are {', '.join(sorted(_WRITERS))}"
            raise TypeError(msg)
        if value is not None:
            _WRITERS[name](spec, value)
    return spec


def _set_json_schema(spec: chat_pb2.CompletionSpec, schema: Mapping[str, Any] | str) -> None:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    spec.response_format.json_schema.schema_json = text


def _set_json_output(spec: chat_pb2.CompletionSpec, wanted: bool) -> None:
    if wanted:
        spec.response_format.json.SetInParent()


def _set_sampling(name: str) -> Any:
    def write(spec: chat_pb2.CompletionSpec, value: float) -> None:
        setattr(spec.sampling, name, value)

    return write


def _set_effort(spec: chat_pb2.CompletionSpec, effort: str) -> None:
    spec.reasoning_effort = chat_pb2.ReasoningEffort.Value(f"REASONING_EFFORT_{effort.upper()}")  # type: ignore[assignment]


def _set_vendor_options(spec: chat_pb2.CompletionSpec, options: Mapping[str, Mapping[str, Any]]) -> None:
    json_format.ParseDict({name: dict(value) for name, value in options.items()}, spec.vendor_options)


_WRITERS: dict[str, Any] = {
    "model": lambda spec, name: setattr(spec, "requested_model", name),
    "system": lambda spec, text: spec.messages.insert(0, message("system", text)),
    "tools": lambda spec, tools: spec.tools.extend(tools),
    "tool_choice": lambda spec, choice: spec.tool_choice.CopyFrom(choice),
    "json_schema": _set_json_schema,
    "json_output": _set_json_output,
    "temperature": _set_sampling("temperature"),
    "top_p": _set_sampling("top_p"),
    "top_k": _set_sampling("top_k"),
    "seed": _set_sampling("seed"),
    "stop": lambda spec, stops: spec.stop.extend(stops),
    "max_output_tokens": lambda spec, bound: setattr(spec, "max_output_tokens", bound),
    "reasoning_effort": _set_effort,
    "routing": lambda spec, policy: spec.routing.CopyFrom(policy),
    "labels": lambda spec, labels: spec.labels.update(labels),
    "vendor_options": _set_vendor_options,
}
