"""From the wire to a CompletionRequest: every rule of the contract is held here and in conversations.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import struct_pb2
from muxer.v1 import chat_pb2, routing_pb2

from muxer_grpc.domain.catalogue import Catalogue, Model
from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.errors import ModelNotFound
from muxer_grpc.domain.routing.policy import (
    AUTOMATIC,
    NO_CACHE_WISH,
    NO_RULES,
    CompletionRequest,
    RequestId,
    RoutingPolicy,
    StreamRecovery,
)
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.rpc.aims import read_max_latency, read_quality_target, read_weight, read_weights
from muxer_grpc.rpc.caching import plain_cache_wish, read_cache_wish
from muxer_grpc.rpc.conversations import read_conversation, read_plain_conversation
from muxer_grpc.rpc.enums import FEATURE_OF, PRIORITY_OF, STREAM_RECOVERY_OF
from muxer_grpc.rpc.violations import Violations, quote

MAX_LABELS = 32
MAX_LABEL_KEY_CHARACTERS = 64
MAX_LABEL_VALUE_CHARACTERS = 256
MAX_POLICY_NAMES = 200
MAX_REQUEST_ID_CHARACTERS = 128
_TOO_LONG = f"give at most {MAX_REQUEST_ID_CHARACTERS} characters"

# PostgreSQL holds every text but one with this character.
_NO_NUL = "give no NUL character"

_AUTO = "auto"
_MODEL_FIELD = "spec.requested_model"


def read_request(
    spec: chat_pb2.CompletionSpec, catalogue: Catalogue, *, keeps_content: bool = False, caches: bool = False
) -> CompletionRequest:
    """Reads a request; with `keeps_content` it holds the spec itself too, with `caches` what the cache knows it by.

    Raises InvalidRequest with all violations, or ModelNotFound when an unknown requested model is the only one.
    """
    plain = _read_plain(spec, catalogue)
    if plain is None:
        return _read_any(spec, catalogue, keeps_content=keeps_content, caches=caches)
    conversation, model = plain
    return CompletionRequest(
        conversation,
        NO_RULES,
        model,
        document=spec.SerializeToString(deterministic=True) if keeps_content else b"",
        cache=plain_cache_wish(spec) if caches else NO_CACHE_WISH,
    )


def _read_plain(spec: chat_pb2.CompletionSpec, catalogue: Catalogue) -> tuple[Conversation, str] | None:
    """Reads what most requests are: right messages of plain text, perhaps for a known model, perhaps with a bound.

    None for all others. Each look at a field costs most where it is not set, and there are twenty.
    """
    messages: Any = ()
    model, bound = AUTOMATIC, None
    for field, value in spec.ListFields():
        name = field.name
        if name == "messages":
            messages = value
        elif name == "max_output_tokens":
            bound = value
        elif name == "requested_model":
            known = None if value == _AUTO else catalogue.resolve(value)
            if known is None and value != _AUTO:
                return None
            model = AUTOMATIC if known is None else known.name
        else:
            return None
    conversation = read_plain_conversation(messages, bound)
    return None if conversation is None else (conversation, model)


def _read_any(
    spec: chat_pb2.CompletionSpec, catalogue: Catalogue, *, keeps_content: bool, caches: bool
) -> CompletionRequest:
    """Reads any request, and notes all that is wrong with it."""
    violations = Violations()
    requested = _read_requested_model(spec, catalogue, violations)
    policy = _read_policy(spec.routing, catalogue, violations) if spec.HasField("routing") else NO_RULES
    if requested is not None:
        _check_contradictions(requested, policy, violations)
    options = _read_vendor_options(spec, catalogue, violations) if spec.HasField("vendor_options") else {}
    conversation = read_conversation(spec, options, violations)
    labels = read_labels(spec.labels, "spec.labels", violations) if spec.labels else {}
    found = violations.found
    if len(found) == 1 and found[0].field == _MODEL_FIELD and found[0].rule == "unknown":
        raise ModelNotFound(spec.requested_model[:200], catalogue.nearest(spec.requested_model))
    if spec.request_id or spec.money_lease:
        for path, name in (("spec.request_id", spec.request_id), ("spec.money_lease", spec.money_lease)):
            violations.check(len(name) <= MAX_REQUEST_ID_CHARACTERS, path, "length", _TOO_LONG)
            violations.check("\0" not in name, path, "characters", _NO_NUL)
    if spec.stream_recovery not in STREAM_RECOVERY_OF:
        violations.add("spec.stream_recovery", "unknown", f"{spec.stream_recovery} is not a stream recovery")
    if spec.priority not in PRIORITY_OF:
        violations.add("spec.priority", "unknown", f"{spec.priority} is not a priority")
    cache = read_cache_wish(spec, violations, caches=caches)
    violations.raise_if_any()
    return CompletionRequest(
        conversation,
        policy,
        AUTOMATIC if requested is None else requested.name,
        labels,
        _read_request_id(spec) if spec.request_id else None,
        spec.money_lease,
        spec.SerializeToString(deterministic=True) if keeps_content else b"",
        STREAM_RECOVERY_OF.get(spec.stream_recovery, StreamRecovery.RESTART),
        cache,
    )


def _read_request_id(spec: chat_pb2.CompletionSpec) -> RequestId:
    content = _content_of(spec)
    return RequestId(
        spec.request_id,
        hashlib.blake2b(content, digest_size=16).digest(),
        hashlib.blake2b(content, digest_size=32, person=b"muxer answer").digest(),
    )


def fingerprint_of(spec: chat_pb2.CompletionSpec) -> bytes:
    """Gives a hash by which two specs can be told to be the same; how they are paid for and hurried does not count."""
    return hashlib.blake2b(_content_of(spec), digest_size=16).digest()


def _content_of(spec: chat_pb2.CompletionSpec) -> bytes:
    if spec.request_id or spec.money_lease or spec.priority:
        bare = chat_pb2.CompletionSpec()
        bare.CopyFrom(spec)
        for name in ("request_id", "money_lease", "priority"):
            bare.ClearField(name)
        spec = bare
    return spec.SerializeToString(deterministic=True)


def _read_requested_model(spec: chat_pb2.CompletionSpec, catalogue: Catalogue, violations: Violations) -> Model | None:
    name = spec.requested_model
    if not name or name == _AUTO:
        return None
    return _known_model(name, _MODEL_FIELD, catalogue, violations)


def _known_model(name: str, path: str, catalogue: Catalogue, violations: Violations) -> Model | None:
    model = catalogue.resolve(name)
    if model is None:
        nearest = catalogue.nearest(name)
        hint = f"; did you mean {nearest}?" if nearest else ""
        violations.add(path, "unknown", f"{quote(name)} is not a model of the catalogue{hint}")
    return model


def _read_policy(routing: routing_pb2.RoutingPolicy, catalogue: Catalogue, violations: Violations) -> RoutingPolicy:
    path = "spec.routing"
    if routing.strategy and routing.strategy not in known_strategies():
        known = ", ".join(sorted(known_strategies()))
        violations.add(f"{path}.strategy", "unknown", f"{quote(routing.strategy)} is not one of {known}")
    ceiling = routing.max_cost_nano_usd if routing.HasField("max_cost_nano_usd") else None
    violations.check(ceiling is None or ceiling >= 0, f"{path}.max_cost_nano_usd", "range", "give at least 0")
    features = set()
    for index, number in enumerate(routing.required_features):
        feature = FEATURE_OF.get(number)
        if feature is None:
            violations.add(f"{path}.required_features[{index}]", "unknown", f"{number} is not a feature")
        else:
            features.add(feature)
    policy = RoutingPolicy(
        strategy=routing.strategy,
        allowed_models=read_models(routing.allowed_models, f"{path}.allowed_models", catalogue, violations),
        denied_models=read_models(routing.denied_models, f"{path}.denied_models", catalogue, violations),
        allowed_providers=read_providers(routing.allowed_providers, f"{path}.allowed_providers", catalogue, violations),
        denied_providers=read_providers(routing.denied_providers, f"{path}.denied_providers", catalogue, violations),
        allowed_regions=frozenset(routing.allowed_regions),
        required_features=frozenset(features),
        max_cost_nano_usd=ceiling,
        max_latency_seconds=read_max_latency(routing, path, violations),
        weights=read_weights(routing, path, violations),
        quality_target=read_quality_target(routing, path, violations),
        model_weights=_read_model_weights(routing, path, catalogue, violations),
        fall_back=routing.fall_back,
        hedge=routing.hedge,
    )
    for both, name in (
        (policy.allowed_models & policy.denied_models, "models"),
        (policy.allowed_providers & policy.denied_providers, "providers"),
    ):
        if both:
            violations.add(f"{path}.denied_{name}", "contradiction", f"{sorted(both)[0]} is also in allowed_{name}")
    return policy


def _read_model_weights(
    routing: routing_pb2.RoutingPolicy, path: str, catalogue: Catalogue, violations: Violations
) -> tuple[tuple[str, float], ...]:
    weights: dict[str, float] = {}
    before = len(violations.found)
    for name in _bounded(sorted(routing.model_weights), f"{path}.model_weights", violations):
        field = f"{path}.model_weights[{quote(name)}]"
        model = _known_model(name, field, catalogue, violations)
        weight = read_weight(routing.model_weights[name], field, violations)
        if model is not None:
            weights[model.name] = weights.get(model.name, 0.0) + weight
    if weights and len(violations.found) == before:
        fits = any(weights.values())
        violations.check(fits, f"{path}.model_weights", "required", "give at least one weight above 0")
    return tuple(sorted(weights.items()))


def read_models(names: Iterable[str], path: str, catalogue: Catalogue, violations: Violations) -> frozenset[str]:
    """Reads names of models, full or bare; gives the full ones."""
    found = set()
    for index, name in enumerate(_bounded(names, path, violations)):
        model = _known_model(name, f"{path}[{index}]", catalogue, violations)
        if model is not None:
            found.add(model.name)
    return frozenset(found)


def read_providers(names: Iterable[str], path: str, catalogue: Catalogue, violations: Violations) -> frozenset[str]:
    """Reads names of providers."""
    kept = _bounded(names, path, violations)
    for index, name in enumerate(kept):
        if name not in catalogue.providers:
            known = ", ".join(catalogue.providers)
            violations.add(f"{path}[{index}]", "unknown", f"{quote(name)} is not one of {known}")
    return frozenset(kept)


def _bounded(names: Iterable[str], path: str, violations: Violations) -> list[str]:
    kept = list(names)
    violations.check(len(kept) <= MAX_POLICY_NAMES, path, "too_many", f"give at most {MAX_POLICY_NAMES} names")
    return kept[:MAX_POLICY_NAMES]


def _check_contradictions(requested: Model, policy: RoutingPolicy, violations: Violations) -> None:
    """A model that is asked for by name must not be one that the same request rules out."""
    ruled_out = (
        (requested.name in policy.denied_models, "is also in routing.denied_models"),
        (
            bool(policy.allowed_models) and requested.name not in policy.allowed_models,
            "is not in routing.allowed_models",
        ),
        (requested.provider in policy.denied_providers, "is of a provider in routing.denied_providers"),
        (
            bool(policy.allowed_providers) and requested.provider not in policy.allowed_providers,
            "is of no provider in routing.allowed_providers",
        ),
    )
    for holds, why in ruled_out:
        violations.check(not holds, _MODEL_FIELD, "contradiction", f"{requested.name} {why}")


def _read_vendor_options(
    spec: chat_pb2.CompletionSpec, catalogue: Catalogue, violations: Violations
) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for name, value in spec.vendor_options.fields.items():
        path = f"spec.vendor_options.{name[:64]}"
        provider = catalogue.providers.get(name)
        if provider is None:
            known = ", ".join(catalogue.providers)
            violations.add(path, "unknown", f"{quote(name)} is not one of {known}")
            continue
        if value.WhichOneof("kind") != "struct_value":
            violations.add(path, "object", "give an object of the vendor's parameters")
            continue
        for option in value.struct_value.fields:
            if option not in provider.vendor_options:
                allowed = ", ".join(sorted(provider.vendor_options)) or "nothing"
                violations.add(f"{path}.{option[:64]}", "not_allowed", f"{name} passes through {allowed}")
        options[name] = {key: _plain(item) for key, item in value.struct_value.fields.items()}
    return options


def _plain(value: struct_pb2.Value) -> Any:
    """Gives the Python value; whole numbers become integers, since Struct knows doubles only."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {key: _plain(item) for key, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return None if kind in (None, "null_value") else getattr(value, kind)


def read_labels(given: Mapping[str, str], path: str, violations: Violations) -> dict[str, str]:
    """Reads labels."""
    labels = dict(given)
    violations.check(len(labels) <= MAX_LABELS, path, "too_many", f"give at most {MAX_LABELS} labels")
    for key, value in list(labels.items())[:MAX_LABELS]:
        at = f"{path}[{quote(key)}]"
        holds = 0 < len(key) <= MAX_LABEL_KEY_CHARACTERS
        violations.check(holds, at, "length", f"give keys of 1 to {MAX_LABEL_KEY_CHARACTERS} characters")
        short = len(value) <= MAX_LABEL_VALUE_CHARACTERS
        violations.check(short, at, "length", f"give values of up to {MAX_LABEL_VALUE_CHARACTERS} characters")
        violations.check("\0" not in key + value, at, "characters", _NO_NUL)
    return labels
