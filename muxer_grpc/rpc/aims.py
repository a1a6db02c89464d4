"""From the wire to what a ranking should reach: weights, quality target, latency ceiling."""

from __future__ import annotations

from math import isfinite

from muxer.v1 import control_service_pb2, decision_service_pb2, routing_pb2, tenant_service_pb2

from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.rpc.violations import Violations

MAX_WEIGHT = 1e6
# The longest google.protobuf.Duration: ten thousand years.
MAX_LATENCY_SECONDS = 315_576_000_000


def read_weights(
    routing: routing_pb2.RoutingPolicy
    | tenant_service_pb2.TenantPolicy
    | control_service_pb2.RuntimeSettings
    | decision_service_pb2.ReplayPolicy,
    path: str,
    violations: Violations,
) -> Weights | None:
    """Reads the weights of factors; None where there are none."""
    if not routing.HasField("weights"):
        return None
    told = routing.weights
    before = len(violations.found)
    weights = Weights(
        quality=read_weight(told.quality, f"{path}.weights.quality", violations),
        cost=read_weight(told.cost, f"{path}.weights.cost", violations),
        performance=read_weight(told.performance, f"{path}.weights.performance", violations),
        availability=read_weight(told.availability, f"{path}.weights.availability", violations),
    )
    if len(violations.found) > before:
        return None
    fits = weights.total > 0
    violations.check(fits, f"{path}.weights", "required", "give at least one weight above 0")
    return weights if fits else None


def read_weight(weight: float, path: str, violations: Violations) -> float:
    """Reads one weight; 0 in place of one that breaks the rule."""
    fits = isfinite(weight) and 0 <= weight <= MAX_WEIGHT
    violations.check(fits, path, "range", f"give 0 to {MAX_WEIGHT:,.0f}")
    return weight if fits else 0.0


def read_quality_target(
    routing: routing_pb2.RoutingPolicy | decision_service_pb2.ReplayPolicy, path: str, violations: Violations
) -> float | None:
    """Reads the quality that an answer should reach; None where there is no target."""
    if not routing.HasField("quality_target"):
        return None
    target = routing.quality_target
    violations.check(0 <= target <= 1, f"{path}.quality_target", "range", "give 0 to 1")
    # A negative zero would be told as such.
    return abs(target)


def read_max_latency(routing: routing_pb2.RoutingPolicy, path: str, violations: Violations) -> float | None:
    """Reads the ceiling on the estimated latency in seconds; None where there is none."""
    if not routing.HasField("max_latency"):
        return None
    told = routing.max_latency
    fits = 0 <= told.seconds <= MAX_LATENCY_SECONDS and 0 <= told.nanos < 1_000_000_000 and (told.seconds or told.nanos)
    violations.check(bool(fits), f"{path}.max_latency", "range", f"give more than 0 s, to {MAX_LATENCY_SECONDS:,} s")
    return told.seconds + told.nanos / 1e9
