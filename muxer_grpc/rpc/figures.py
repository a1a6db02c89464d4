"""Figures on the wire: reads what is asked, writes what was counted."""

from __future__ import annotations

from muxer.v1 import metrics_pb2, muxer_service_pb2

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.figures import Dimension, FiguresQuery, FiguresRow, Tally, percentile
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.rpc.enums import BREAKER_STATES, DIMENSION_OF, FAILURE_CLASSES, INTENT_OF, INTENTS
from muxer_grpc.rpc.replies import duration_message, timestamp_message, usage_message
from muxer_grpc.rpc.violations import Violations, quote


def read_figures_query(request: muxer_service_pb2.GetMetricsRequest, catalogue: Catalogue) -> FiguresQuery:
    """Reads what is asked. Raises InvalidRequest on unknown names."""
    violations = Violations()
    models = set()
    for index, name in enumerate(request.models):
        model = catalogue.resolve(name)
        if model is None:
            violations.add(f"models[{index}]", "unknown", f"{quote(name)} is not a model of the catalogue")
        else:
            models.add(model.name)
    for index, name in enumerate(request.providers):
        known = name in catalogue.providers
        violations.check(known, f"providers[{index}]", "unknown", f"{quote(name)} is not a provider")
    for index, name in enumerate(request.strategies):
        known = name in known_strategies()
        violations.check(known, f"strategies[{index}]", "unknown", f"{quote(name)} is not a strategy")
    for index, number in enumerate(request.intents):
        violations.check(number in INTENT_OF, f"intents[{index}]", "unknown", f"{number} is not an intent")
    for index, dimension in enumerate(request.group_by):
        violations.check(dimension in DIMENSION_OF, f"group_by[{index}]", "unknown", f"{dimension} is not a dimension")
    violations.raise_if_any()
    return FiguresQuery(
        providers=frozenset(request.providers),
        models=frozenset(models),
        intents=frozenset(INTENT_OF[number] for number in request.intents),
        strategies=frozenset(request.strategies),
        group_by=tuple(DIMENSION_OF[number] for number in request.group_by),
    )


def row_message(row: FiguresRow, breaker: BreakerState | None = None) -> metrics_pb2.MetricsRow:
    """Converts the figures of one group, with the state of the breaker of its model or provider."""
    message = tally_message(row.tally)
    message.provider = row.group.get(Dimension.PROVIDER, "")
    message.model = row.group.get(Dimension.MODEL, "")
    message.strategy = row.group.get(Dimension.STRATEGY, "")
    if Dimension.INTENT in row.group:
        message.intent = INTENTS[Intent(row.group[Dimension.INTENT])]  # type: ignore[assignment]
    if breaker is not None:
        message.breaker = BREAKER_STATES[breaker]  # type: ignore[assignment]
    return message


def tally_message(tally: Tally) -> metrics_pb2.MetricsRow:
    """Converts figures without their group."""
    failures = [
        metrics_pb2.FailureCount(failure_class=FAILURE_CLASSES[failure], count=count)  # type: ignore[arg-type]
        for failure, count in sorted(tally.failures.items(), key=lambda item: item[0].value)
    ]
    return metrics_pb2.MetricsRow(
        requests=tally.requests,
        successes=tally.successes,
        cancelled=tally.cancelled,
        failures=failures,
        consecutive_failures=tally.consecutive_failures,
        usage=usage_message(tally.usage),
        cost_nano_usd=tally.cost_nano_usd,
        latency=_latency_message(tally.latencies()),
        time_to_first_token=_latency_message(tally.first_token_times()),
        last_request_time=timestamp_message(tally.last_at) if tally.requests else None,
    )


def _latency_message(ordered: list[float]) -> metrics_pb2.LatencySummary | None:
    if not ordered:
        return None
    return metrics_pb2.LatencySummary(
        samples=len(ordered),
        p50=duration_message(percentile(ordered, 0.50)),
        p90=duration_message(percentile(ordered, 0.90)),
        p95=duration_message(percentile(ordered, 0.95)),
        p99=duration_message(percentile(ordered, 0.99)),
    )
