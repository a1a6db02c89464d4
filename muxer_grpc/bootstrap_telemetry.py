"""Connects telemetry with what it tells of: the figures of other parts are asked for when metrics are read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping

from muxer_grpc import __version__
from muxer_grpc.bootstrap import App
from muxer_grpc.domain.budgeting import DEFAULT_ALERT_SHARES
from muxer_grpc.domain.errors import Reason
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.resilience.health import TargetHealth
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.settings import Settings
from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.instruments import Instruments, Values
from muxer_grpc.telemetry.setup import Telemetry, TelemetryWishes

Seen = Iterator[tuple[Values, float]]


def telemetry_wishes(settings: Settings, instance_id: str, endpoints: dict[str, tuple[str, int]]) -> TelemetryWishes:
    """Reads what is wanted of telemetry; `endpoints` is filled in when the providers are known."""
    return TelemetryWishes(
        instance_id=instance_id,
        version=__version__,
        scraped=bool(settings.ops.listen),
        writes_lines=settings.log.calls,
        endpoints=endpoints,
        propagating=frozenset(name for name, chosen in settings.providers.items() if chosen.propagate_trace),
    )


def connect(telemetry: Telemetry, app: App, calls: Calls) -> None:
    """Has telemetry told of what goes on in the service."""
    calls.observer = telemetry.calls
    if app.storage is not None:
        app.storage.writer.observer = telemetry.ledger
    if telemetry.instruments is not None:
        _begin_at_none(telemetry.instruments)
        _observe(telemetry.instruments, app, calls)


def _begin_at_none(instruments: Instruments) -> None:
    """Shows rare events before they happen: Prometheus sees no increase in a series that begins with one."""
    for reason in Reason:
        instruments.counters[names.REFUSALS.name].add((reason.value,), 0)
    instruments.counters[names.COMMIT_FAILURES.name].add((), 0)


def _observe(instruments: Instruments, app: App, calls: Calls) -> None:
    instruments.observe(names.BUILD, lambda: [((__version__,), 1)])
    instruments.observe(names.BOOK, lambda: [((app.prices.book.version,), 1)])
    instruments.observe(names.LOOP_LAG, lambda: [((), calls.lag.seconds)])
    instruments.observe(names.IN_FLIGHT, lambda: _under_way(calls))
    instruments.observe(names.SHED, lambda: [((kind,), count) for kind, count in calls.shed.items()], grows=True)
    instruments.observe(names.BREAKER, lambda: _breakers(app))
    instruments.observe(names.LAST_PROBE, lambda: _probe_ages(app))
    storage, answers = app.storage, app.answers
    if storage is not None:
        told = storage.alerts_told
        instruments.observe(names.QUEUE, lambda: [((), storage.writer.backlog)])
        instruments.observe(
            names.ALERTS, lambda: [((str(share),), count) for share, count in _alerts(told.counts)], grows=True
        )
    if answers is not None:
        instruments.observe(names.CACHE_BYTES, lambda: [((), answers.figures().store.held_bytes or 0)])
        instruments.observe(names.CACHE_SAVED, lambda: [((), answers.figures().saved_nano_usd)], grows=True)
        instruments.observe(names.CACHE_ANSWERS, lambda: _looked_up(app), grows=True)


def _alerts(counts: Mapping[int, int]) -> Iterable[tuple[int, int]]:
    return {**dict.fromkeys(DEFAULT_ALERT_SHARES, 0), **counts}.items()


def _under_way(calls: Calls) -> Seen:
    streams = calls.streams_under_way
    yield ("unary",), calls.under_way - streams
    yield ("stream",), streams


def _looked_up(app: App) -> Seen:
    if app.answers is not None:
        figures = app.answers.figures()
        yield ("hit",), figures.hits
        yield ("shared",), figures.shared
        yield ("miss",), figures.misses


def _breakers(app: App) -> Seen:
    """Tells the state of each breaker, of providers and of models."""
    health, now = app.control.reports.health, asyncio.get_running_loop().time()
    catalogue = app.control.reports.fleet.catalogue
    for target in health.of_providers(sorted(catalogue.providers), now):
        yield from _states("provider", target)
    for target in health.of_models(sorted(catalogue.models), now):
        yield from _states("model", target)


def _states(scope: str, target: TargetHealth) -> Seen:
    for state in BreakerState:
        yield (scope, target.name, state.value), float(state is target.state)


def _probe_ages(app: App) -> Seen:
    """Tells how old the news of each provider are that is probed; one that answers calls is not probed meanwhile."""
    probes, health = app.control.probes, app.control.reports.health
    if probes is None:
        return
    for name in sorted(app.control.reports.fleet.catalogue.providers):
        if probes.due_at(name) is None or health.is_disabled(name):
            continue
        outcome, answered = probes.outcome(name), health.last_answer_at(name)
        ages = [] if outcome is None else [time.time() - outcome.at]
        if answered is not None:
            ages.append(asyncio.get_running_loop().time() - answered)
        if ages:
            yield (name,), max(0.0, min(ages))
