"""From plain Python to a CompletionSpec."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypedDict, Unpack

from google.protobuf import json_format
from muxer.v1 import chat_pb2, routing_pb2

ROLES = {
    "system": chat_pb2.ROLE_SYSTEM,
    "user": chat_pb2.ROLE_USER,
    "assistant": chat_pb2.ROLE_ASSISTANT,
}

FACTORS = tuple(field.name for field in routing_pb2.RoutingWeights.DESCRIPTOR.fields)
FEATURES = {
    name.removeprefix("MODEL_FEATURE_").lower(): number
    for name, number in routing_pb2.ModelFeature.items()
    if number != routing_pb2.MODEL_FEATURE_UNSPECIFIED
}
CACHE_MODES = {
    name.removeprefix("CACHE_MODE_").lower(): number
    for name, number in chat_pb2.CacheMode.items()
    if number != chat_pb2.CACHE_MODE_UNSPECIFIED
}
STREAM_RECOVERIES = {
    name.removeprefix("STREAM_RECOVERY_").lower(): number
    for name, number in chat_pb2.StreamRecovery.items()
    if number != chat_pb2.STREAM_RECOVERY_UNSPECIFIED
}

# A prompt, whole messages, pairs of role and text, or a ready spec.
Prompt = str | chat_pb2.CompletionSpec | Sequence[chat_pb2.Message | tuple[str, str]]


class SpecOptions(TypedDict, total=False):
    """What a completion can be asked for, by name; see CompletionSpec in chat.proto.

    `cache` says how the service's cache of answers is used (default, off or refresh), `cache_ttl` how long this answer
    is kept there, in seconds. `stream_recovery` says what becomes of a stream that is cut: fail, restart or continue.

    Those from `strategy` on are the fields of RoutingPolicy in routing.proto, and are added to `routing` where both are
    given: `weights` by factor (quality, cost, performance, availability), `max_latency` in seconds,
    `required_features` by name (vision, tools, json, json_schema, reasoning).
    """

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
    labels: Mapping[str, str]
    request_id: str
    vendor_options: Mapping[str, Mapping[str, Any]]
    cache: str
    cache_ttl: float | timedelta
    stream_recovery: str
    routing: routing_pb2.RoutingPolicy
    strategy: str
    weights: Mapping[str, float] | routing_pb2.RoutingWeights
    quality_target: float
    max_latency: float | timedelta
    max_cost_nano_usd: int
    model_weights: Mapping[str, float]
    allowed_models: Iterable[str]
    denied_models: Iterable[str]
    allowed_providers: Iterable[str]
    denied_providers: Iterable[str]
    allowed_regions: Iterable[str]
    required_features: Iterable[str]
    fall_back: bool
    hedge: bool


def message(role: str, text: str) -> chat_pb2.Message:
    """Makes a message of text. Raises ValueError for a role that is not system, user or assistant."""
    if role not in ROLES:
        msg = f"{role!r} is not one of {', '.join(ROLES)}"
        raise ValueError(msg)
    return chat_pb2.Message(role=ROLES[role], parts=[chat_pb2.ContentPart(text=text)])


def build_spec(prompt: Prompt, **options: Unpack[SpecOptions]) -> chat_pb2.CompletionSpec:
    """Makes a spec; options are added to a ready one.

    Raises TypeError on an unknown option, and ValueError on a value that no spec can hold.
    """
    spec = chat_pb2.CompletionSpec()
    if isinstance(prompt, chat_pb2.CompletionSpec):
        spec.CopyFrom(prompt)
    elif isinstance(prompt, str):
        spec.messages.append(message("user", prompt))
    else:
        spec.messages.extend(m if isinstance(m, chat_pb2.Message) else message(*m) for m in prompt)
    unknown = sorted(options.keys() - _WRITERS.keys())
    if unknown:
        msg = f"unknown option {unknown[0]!r}; known are {', '.join(sorted(_WRITERS))}"
        raise TypeError(msg)
    for name, write in _WRITERS.items():
        value = options.get(name)
        if value is not None:
            write(spec, value)
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


def _set_cache(spec: chat_pb2.CompletionSpec, mode: str) -> None:
    _check_known("mode of the cache", mode, CACHE_MODES)
    spec.cache.mode = CACHE_MODES[mode]  # type: ignore[assignment]


def _set_cache_ttl(spec: chat_pb2.CompletionSpec, ttl: float | timedelta) -> None:
    spec.cache.ttl.FromTimedelta(_duration("cache_ttl", ttl))


def _set_stream_recovery(spec: chat_pb2.CompletionSpec, wanted: str) -> None:
    _check_known("way to recover a stream", wanted, STREAM_RECOVERIES)
    spec.stream_recovery = STREAM_RECOVERIES[wanted]  # type: ignore[assignment]


def _set_weights(spec: chat_pb2.CompletionSpec, weights: Mapping[str, float] | routing_pb2.RoutingWeights) -> None:
    if not isinstance(weights, routing_pb2.RoutingWeights):
        for factor in weights:
            _check_known("factor", factor, FACTORS)
        weights = routing_pb2.RoutingWeights(**weights)
    spec.routing.weights.CopyFrom(weights)


def _set_max_latency(spec: chat_pb2.CompletionSpec, longest: float | timedelta) -> None:
    spec.routing.max_latency.FromTimedelta(_duration("max_latency", longest))


def _duration(name: str, given: float | timedelta) -> timedelta:
    if isinstance(given, timedelta):
        return given
    try:
        return timedelta(seconds=given)
    except (OverflowError, ValueError):
        msg = f"{name}: {given} is no number of seconds"
        raise ValueError(msg) from None


def _set_model_weights(spec: chat_pb2.CompletionSpec, weights: Mapping[str, float]) -> None:
    spec.routing.model_weights.clear()
    spec.routing.model_weights.update(weights)


def _set_features(spec: chat_pb2.CompletionSpec, names: Iterable[str]) -> None:
    wanted = _listed(names)
    for name in wanted:
        _check_known("feature", name, FEATURES)
    spec.routing.required_features[:] = [FEATURES[name] for name in wanted]  # type: ignore[misc]


def _check_known(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        msg = f"{name!r} is not a {kind}; known are {', '.join(known)}"
        raise ValueError(msg)


def _set_rule(name: str) -> Any:
    def write(spec: chat_pb2.CompletionSpec, value: Any) -> None:
        setattr(spec.routing, name, value)

    return write


def _set_rule_names(name: str) -> Any:
    def write(spec: chat_pb2.CompletionSpec, names: Iterable[str]) -> None:
        getattr(spec.routing, name)[:] = _listed(names)

    return write


def _listed(names: Iterable[str]) -> list[str]:
    """Takes one string for a list of one, not for its letters."""
    return [names] if isinstance(names, str) else list(names)


# In the order in which they are written: a whole policy comes before what is added to it.
_WRITERS: dict[str, Any] = {
    "model": lambda spec, name: setattr(spec, "requested_model", name),
    "system": lambda spec, text: spec.messages.insert(0, message("system", text)),
    "tools": lambda spec, tools: spec.tools.extend(tools),
    "tool_choice": lambda spec, choice: spec.tool_choice.CopyFrom(choice),
    "json_output": _set_json_output,
    "json_schema": _set_json_schema,
    "temperature": _set_sampling("temperature"),
    "top_p": _set_sampling("top_p"),
    "top_k": _set_sampling("top_k"),
    "seed": _set_sampling("seed"),
    "stop": lambda spec, stops: spec.stop.extend(_listed(stops)),
    "max_output_tokens": lambda spec, bound: setattr(spec, "max_output_tokens", bound),
    "reasoning_effort": _set_effort,
    "labels": lambda spec, labels: spec.labels.update(labels),
    "request_id": lambda spec, name: setattr(spec, "request_id", name),
    "vendor_options": _set_vendor_options,
    "cache": _set_cache,
    "cache_ttl": _set_cache_ttl,
    "stream_recovery": _set_stream_recovery,
    "routing": lambda spec, policy: spec.routing.CopyFrom(policy),
    "strategy": _set_rule("strategy"),
    "weights": _set_weights,
    "quality_target": _set_rule("quality_target"),
    "max_latency": _set_max_latency,
    "max_cost_nano_usd": _set_rule("max_cost_nano_usd"),
    "model_weights": _set_model_weights,
    "allowed_models": _set_rule_names("allowed_models"),
    "denied_models": _set_rule_names("denied_models"),
    "allowed_providers": _set_rule_names("allowed_providers"),
    "denied_providers": _set_rule_names("denied_providers"),
    "allowed_regions": _set_rule_names("allowed_regions"),
    "required_features": _set_features,
    "fall_back": _set_rule("fall_back"),
    "hedge": _set_rule("hedge"),
}
