"""Runtime settings, read from the wire by field and written to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from google.protobuf import duration_pb2, field_mask_pb2
from muxer.v1 import control_service_pb2 as pb

from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.domain.runtime import DEFAULT_STRATEGY_PATH, PATHS, RANGES, WEIGHTS_PATH, RuntimeSettings
from muxer_grpc.rpc.admin_fields import read_mask
from muxer_grpc.rpc.aims import read_weights
from muxer_grpc.rpc.replies import duration_message
from muxer_grpc.rpc.violations import Violations, quote

GROUPS = ("breaker", "attempts")
NANOS = 1_000_000_000


def read_paths(mask: field_mask_pb2.FieldMask, violations: Violations) -> list[str]:
    """Reads which fields to change; a group stands for all that is in it."""
    found: list[str] = []
    for path in read_mask(mask, (*GROUPS, *PATHS), (), violations):
        inner = [each for each in PATHS if each.startswith(f"{path}.")] if path in GROUPS else [path]
        found += [each for each in inner if each not in found]
    return found


def read_values(settings: pb.RuntimeSettings, paths: Iterable[str], violations: Violations) -> dict[str, Any]:
    """Reads the named fields as plain values; None of one that is not set."""
    return {path: _read(settings, path, violations) for path in paths if path in PATHS}


def _read(settings: pb.RuntimeSettings, path: str, violations: Violations) -> Any:
    told = f"settings.{path}"
    if path == WEIGHTS_PATH:
        weights = read_weights(settings, "settings", violations)
        return None if weights is None else asdict(weights)
    group, _, name = path.rpartition(".")
    holder = getattr(settings, group) if group else settings
    if (group and not settings.HasField(group)) or not holder.HasField(name):
        return None
    value = getattr(holder, name)
    if path == DEFAULT_STRATEGY_PATH:
        known = ", ".join(sorted(known_strategies()))
        violations.check(value in known_strategies(), told, "unknown", f"{quote(value)} is not one of {known}")
    if isinstance(value, duration_pb2.Duration):
        value = value.seconds + value.nanos / NANOS if value.seconds >= 0 and 0 <= value.nanos < NANOS else -1.0
    allowed = RANGES.get(path)
    if allowed is not None:
        violations.check(allowed.holds(value), told, "range", allowed.told)
    return value


def settings_message(settings: RuntimeSettings) -> pb.RuntimeSettings:
    """Writes settings; all fields are set but the weights, where a strategy has its own."""
    message = pb.RuntimeSettings()
    for path, value in settings.values().items():
        group, _, name = path.rpartition(".")
        holder = getattr(message, group) if group else message
        if path == WEIGHTS_PATH:
            if value is not None:
                message.weights.SetInParent()
                for factor, weight in value.items():
                    setattr(message.weights, factor, weight)
        elif isinstance(getattr(holder, name), duration_pb2.Duration):
            getattr(holder, name).CopyFrom(duration_message(value))
        else:
            setattr(holder, name, value)
    return message


def mask_message(overridden: Mapping[str, Any] | Sequence[str]) -> field_mask_pb2.FieldMask:
    """Names fields."""
    return field_mask_pb2.FieldMask(paths=sorted(overridden))
