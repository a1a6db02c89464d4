"""Figures on the wire: reads what is asked, writes what was counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from muxer.v1 import metrics_pb2, muxer_service_pb2

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.figure_counts import CacheCounts, GroupFigures
from muxer_grpc.domain.figure_slots import FiguresWindow
from muxer_grpc.domain.figures import Dimension, FiguresQuery, FiguresScope, ReportRow
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.resilience.health_state import HealthState
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.domain.spreads import Spread
from muxer_grpc.rpc.admin_fields import check_filter, check_tenant_id
from muxer_grpc.rpc.enums import (
    BREAKER_STATES,
    DIMENSION_OF,
    FAILURE_CLASSES,
    HEALTH_STATES,
    INTENT_OF,
    METRICS_SCOPE_OF,
    METRICS_WINDOW_OF,
)
from muxer_grpc.rpc.ledger_fields import intent_number
from muxer_grpc.rpc.replies import duration_message, timestamp_message, usage_message
from muxer_grpc.rpc.violations import Violations, quote

# Names that one filter may hold.
MAX_NAMES = 100


@dataclass(frozen=True, slots=True)
class FiguresRequest:
    """What GetMetrics is asked for. `tenant_id` is empty in the scope of the process."""

    query: FiguresQuery
    window: FiguresWindow
    scope: FiguresScope
    tenant_id: str


def read_figures_request(
    request: muxer_service_pb2.GetMetricsRequest, catalogue: Catalogue, *, everywhere: bool
) -> FiguresRequest:
    """Reads what is asked; without a scope, by those who act `everywhere` the process, by others the fleet.

    Raises InvalidRequest on unknown names, and on a tenant outside the fleet's scope.
    """
    violations = Violations()
    scope = METRICS_SCOPE_OF.get(request.scope)
    if not request.scope and not everywhere:
        scope = FiguresScope.FLEET
    violations.check(scope is not None, "scope", "unknown", f"{request.scope} is not a scope")
    window = METRICS_WINDOW_OF.get(request.window)
    violations.check(window is not None, "window", "unknown", f"{request.window} is not a window")
    if request.tenant_id:
        fleet = scope is FiguresScope.FLEET
        violations.check(fleet, "tenant_id", "unused", "a process does not count by tenant: ask for the fleet")
        check_tenant_id(request.tenant_id, "tenant_id", violations)
    query = _read_query(request, catalogue, violations, known=scope is not FiguresScope.FLEET)
    violations.raise_if_any()
    return FiguresRequest(query, window or FiguresWindow.SINCE_START, scope or FiguresScope.PROCESS, request.tenant_id)


def _read_query(
    request: muxer_service_pb2.GetMetricsRequest, catalogue: Catalogue, violations: Violations, *, known: bool
) -> FiguresQuery:
    """Reads filters and grouping. `known` says that there are models and providers of this catalogue only."""
    for name in ("models", "providers", "strategies", "intents", "group_by"):
        fits = len(getattr(request, name)) <= MAX_NAMES
        violations.check(fits, name, "too_many", f"give at most {MAX_NAMES}")
    for index, name in enumerate(request.providers):
        found = not known or name in catalogue.providers
        violations.check(found, f"providers[{index}]", "unknown", f"{quote(name)} is not a provider")
        check_filter(name, f"providers[{index}]", violations)
    for index, name in enumerate(request.strategies):
        found = name in known_strategies()
        violations.check(found, f"strategies[{index}]", "unknown", f"{quote(name)} is not a strategy")
    for index, number in enumerate(request.intents):
        violations.check(number in INTENT_OF, f"intents[{index}]", "unknown", f"{number} is not an intent")
    for index, dimension in enumerate(request.group_by):
        violations.check(dimension in DIMENSION_OF, f"group_by[{index}]", "unknown", f"{dimension} is not a dimension")
    return FiguresQuery(
        providers=frozenset(request.providers),
        models=frozenset(_read_models(request, catalogue, violations, known=known)),
        intents=frozenset(INTENT_OF[number] for number in request.intents if number in INTENT_OF),
        strategies=frozenset(request.strategies),
        group_by=tuple(DIMENSION_OF[number] for number in request.group_by if number in DIMENSION_OF),
    )


def _read_models(
    request: muxer_service_pb2.GetMetricsRequest, catalogue: Catalogue, violations: Violations, *, known: bool
) -> Iterator[str]:
    for index, name in enumerate(request.models):
        path = f"models[{index}]"
        check_filter(name, path, violations)
        model = catalogue.resolve(name)
        if model is not None:
            yield model.name
        elif known or not all(name.partition("/")):
            violations.add(path, "unknown", f"{quote(name)} is not a model of the catalogue")
        else:
            # The ledger knows models of other processes, and of before.
            yield name


def row_message(
    row: ReportRow, breaker: BreakerState | None = None, health: HealthState | None = None
) -> metrics_pb2.MetricsRow:
    """Converts the figures of one group, with how its model or provider does."""
    message = figures_message(row.figures)
    message.provider = row.group.get(Dimension.PROVIDER, "")
    message.model = row.group.get(Dimension.MODEL, "")
    message.strategy = row.group.get(Dimension.STRATEGY, "")
    message.intent = intent_number(row.group.get(Dimension.INTENT, ""))  # type: ignore[assignment]
    if breaker is not None:
        message.breaker = BREAKER_STATES[breaker]  # type: ignore[assignment]
    if health is not None:
        message.health = HEALTH_STATES[health]  # type: ignore[assignment]
    return message


def figures_message(figures: GroupFigures) -> metrics_pb2.MetricsRow:
    """Converts figures without their group."""
    numbers = [
        (0 if failure is None else FAILURE_CLASSES[failure], count) for failure, count in figures.failures.items()
    ]
    return metrics_pb2.MetricsRow(
        requests=figures.requests,
        successes=figures.successes,
        cancelled=figures.cancelled,
        failures=[
            metrics_pb2.FailureCount(failure_class=number, count=count)  # type: ignore[arg-type]
            for number, count in sorted(numbers)
        ],
        consecutive_failures=figures.consecutive_failures,
        usage=usage_message(figures.usage),
        cost_nano_usd=figures.cost_nano_usd,
        latency=_spread_message(figures.latency),
        time_to_first_token=_spread_message(figures.first_token),
        last_request_time=None if figures.last_at is None else timestamp_message(figures.last_at),
        success_rate=figures.success_rate,
        output_tokens_per_second=figures.output_tokens_per_second,
        cost_per_1k_tokens_nano_usd=figures.cost_per_1k_nano_usd,
        cache=None if figures.cache is None else _cache_message(figures.cache),
    )


def _cache_message(counts: CacheCounts) -> metrics_pb2.CacheFigures:
    return metrics_pb2.CacheFigures(
        hits=counts.hits,
        shared_hits=counts.shared,
        misses=counts.misses,
        hit_rate=counts.hit_rate,
        saved_nano_usd=counts.saved_nano_usd,
    )


def _spread_message(spread: Spread | None) -> metrics_pb2.LatencySummary | None:
    if spread is None:
        return None
    return metrics_pb2.LatencySummary(
        samples=spread.samples,
        p50=duration_message(spread.p50),
        p90=duration_message(spread.p90),
        p95=duration_message(spread.p95),
        p99=duration_message(spread.p99),
    )
