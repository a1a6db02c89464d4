"""How a process of the service stands, as plain values: what the status page shows, and what `/status.json` gives.

Nothing here is content of prompts or answers. Durations are in seconds, times in seconds since the epoch, money in
nano-USD, rates and shares 0 to 1; None: not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from muxer_grpc.domain.budgeting import BudgetSpending
from muxer_grpc.domain.figure_counts import GroupFigures
from muxer_grpc.domain.figure_slots import FiguresWindow
from muxer_grpc.domain.figures import Dimension, Figures, FiguresQuery, FiguresReport
from muxer_grpc.domain.overrides import OverrideKind
from muxer_grpc.domain.resilience.health_state import health_state
from muxer_grpc.ops.budget_watch import UNKNOWN, BudgetWatch, KnownBudgets
from muxer_grpc.ops.recent import RecentDecision, RecentDecisions
from muxer_grpc.pipeline.health_reports import HealthReport, HealthReports

WINDOWS = (FiguresWindow.FIVE_MINUTES, FiguresWindow.HOUR)
MOST_MODELS = 50
# A rate is per minute: what began a moment ago is not blown up to one.
MINUTE = 60.0
# Making the figures takes at most about so large a share of the event loop's time, however many look.
KEPT_FACTOR = 20.0
BY_MODEL = FiguresQuery()


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """The process that answers. `worker` counts from 1 among `workers` processes; each tells of itself alone."""

    version: str
    instance_id: str
    process_id: int
    worker: int
    workers: int
    started_at: float
    uptime_seconds: float
    draining: bool
    default_strategy: str
    price_book_version: str


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """What it is at now. `ledger_queue` counts changes that wait to be written; shed calls are those since the start.

    The cache's counts are those since the start; None where nothing is cached.
    """

    calls: int
    streams: int
    completions: int
    shed_calls: int
    shed_streams: int
    event_loop_lag_seconds: float
    ledger_queue: int | None
    cache_hits: int | None
    cache_misses: int | None
    cache_saved_nano_usd: int | None


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """What requests of a time came to; a request that was tried at several models counts at each of them."""

    requests: int
    requests_per_minute: float
    success_rate: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class ProbeStatus:
    """What the last probe of a provider came to; `failure` is empty where it went well."""

    at: float
    seconds: float
    failure: str


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """How a provider does. Rate and latency are those of its last 100 requests."""

    name: str
    health: str
    breaker: str
    consecutive_failures: int
    success_rate: float | None
    p95_seconds: float | None
    last_request_at: float | None
    next_attempt_at: float | None
    probe: ProbeStatus | None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """How a model does that was called in the last hour."""

    name: str
    health: str
    breaker: str
    consecutive_failures: int
    five_minutes: WindowFigures
    hour: WindowFigures


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget's present period. `share` is what is spent of the limit; None where the limit is 0."""

    tenant_id: str
    tenant_name: str
    user_id: str
    key_id: str
    period: str
    hard: bool
    limit_nano_usd: int
    spent_nano_usd: int
    reserved_nano_usd: int
    share: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """All of it. `models` are the busiest of the last hour, `more_models` counts the others; `budgets` may be None."""

    at: float
    process: ProcessStatus
    load: LoadStatus
    five_minutes: WindowFigures
    hour: WindowFigures
    providers: list[ProviderStatus]
    models: list[ModelStatus]
    more_models: int
    budgets: list[BudgetStatus] | None
    decisions: list[RecentDecision]


@dataclass(slots=True)
class StatusSources:
    """What a status is made of. `now` gives seconds since the epoch, `clock` those of the event loop's clock."""

    process: Callable[[], ProcessStatus]
    load: Callable[[], LoadStatus]
    figures: Figures
    reports: HealthReports
    recent: RecentDecisions
    budgets: BudgetWatch | None
    now: Callable[[], float]
    clock: Callable[[], float]


class StatusBoard:
    """Makes the status for whoever looks; all who look at about the same time see the same."""

    def __init__(self, sources: StatusSources) -> None:
        self._sources = sources
        self._made: _Standing | None = None
        self._holds_until = 0.0

    async def look(self) -> Status:
        """Tells how things stand, within the bounded wait for budgets."""
        sources = self._sources
        known = UNKNOWN if sources.budgets is None else await sources.budgets.look()
        process = sources.process()
        standing = self._standing(process.started_at)
        return Status(
            at=sources.now(),
            process=process,
            load=sources.load(),
            five_minutes=standing.five_minutes,
            hour=standing.hour,
            providers=standing.providers,
            models=standing.models[:MOST_MODELS],
            more_models=max(0, len(standing.models) - MOST_MODELS),
            budgets=_budgets(known),
            decisions=sources.recent.latest(),
        )

    async def aclose(self) -> None:
        """Ends what is still being asked for."""
        if self._sources.budgets is not None:
            await self._sources.budgets.aclose()

    def _standing(self, started_at: float) -> _Standing:
        """Gives what is made of figures, which is made anew at most as often as making it is worth."""
        sources, began = self._sources, self._sources.clock()
        if self._made is None or began >= self._holds_until:
            at = sources.now()
            windows = _Windows(at, *(sources.figures.report(BY_MODEL, each, at, started_at) for each in WINDOWS))
            self._made = _Standing(
                windows.recent(windows.recent_report.total),
                windows.hour(windows.hour_report.total),
                _providers(sources.reports, windows.recent_report),
                _models(sources.reports, windows, began),
            )
            ended = sources.clock()
            self._holds_until = ended + KEPT_FACTOR * (ended - began)
        return self._made


class _Standing(NamedTuple):
    """What is made of figures."""

    five_minutes: WindowFigures
    hour: WindowFigures
    providers: list[ProviderStatus]
    models: list[ModelStatus]


class _Windows(NamedTuple):
    """The figures of the last five minutes and of the last hour, as they were at a time."""

    at: float
    recent_report: FiguresReport
    hour_report: FiguresReport

    def recent(self, figures: GroupFigures) -> WindowFigures:
        """Sums up figures of the last five minutes."""
        return _window(figures, self.at - self.recent_report.since)

    def hour(self, figures: GroupFigures) -> WindowFigures:
        """Sums up figures of the last hour."""
        return _window(figures, self.at - self.hour_report.since)


def _window(figures: GroupFigures, seconds: float) -> WindowFigures:
    latency = figures.latency
    return WindowFigures(
        requests=figures.requests,
        requests_per_minute=round(figures.requests * MINUTE / max(seconds, MINUTE), 3),
        success_rate=figures.success_rate,
        p50_seconds=None if latency is None else latency.p50,
        p95_seconds=None if latency is None else latency.p95,
        cost_nano_usd=figures.cost_nano_usd,
    )


def _providers(reports: HealthReports, recent: FiguresReport) -> list[ProviderStatus]:
    """Tells of the providers that can be called."""
    sums: dict[str, GroupFigures] = {}
    for row in recent.rows:
        name = row.group[Dimension.PROVIDER]
        so_far = sums.get(name, GroupFigures())
        failures = Counter(so_far.failures)
        failures.update(row.figures.failures)
        sums[name] = GroupFigures(so_far.requests + row.figures.requests, failures=failures)
    names = [name for name in reports.names() if name.kind is OverrideKind.PROVIDER]
    return [_provider(report, sums.get(report.provider, GroupFigures())) for report in reports.of(names)]


def _provider(report: HealthReport, figures: GroupFigures) -> ProviderStatus:
    state, failures, probe = report.sign.state, report.sign.consecutive_failures, report.probe
    told = None
    if probe is not None:
        told = ProbeStatus(probe.at, probe.latency_seconds, probe.failure_class.value if probe.failure_class else "")
    return ProviderStatus(
        name=report.provider,
        health=health_state(state, failures, figures).value,
        breaker=state.value,
        consecutive_failures=failures,
        success_rate=report.success_share,
        p95_seconds=report.p95_seconds,
        last_request_at=report.last_request_at,
        next_attempt_at=report.next_attempt_at,
        probe=told,
    )


def _models(reports: HealthReports, windows: _Windows, clock: float) -> list[ModelStatus]:
    """Tells of the models that were called in the last hour, the busiest of the last five minutes first."""
    latest = {row.group[Dimension.MODEL]: row.figures for row in windows.recent_report.rows}
    found = []
    for row in windows.hour_report.rows:
        name, figures = row.group[Dimension.MODEL], row.figures
        if not figures.requests:
            continue
        state = reports.health.state_of(name, row.group[Dimension.PROVIDER], clock)
        [told] = reports.health.of_models([name], clock)
        found.append(
            ModelStatus(
                name=name,
                health=health_state(state, told.consecutive_failures, latest.get(name, GroupFigures())).value,
                breaker=state.value,
                consecutive_failures=told.consecutive_failures,
                five_minutes=windows.recent(latest.get(name, GroupFigures())),
                hour=windows.hour(figures),
            )
        )
    found.sort(key=lambda each: (-each.five_minutes.requests, -each.hour.requests, each.name))
    return found


def _budgets(known: KnownBudgets) -> list[BudgetStatus] | None:
    return None if known.spending is None else [_budget(each) for each in known.spending]


def _budget(each: BudgetSpending) -> BudgetStatus:
    budget = each.budget
    return BudgetStatus(
        tenant_id=budget.tenant_id,
        tenant_name=each.tenant_name,
        user_id=budget.user_id,
        key_id=budget.key_id,
        period=budget.period.value,
        hard=budget.hard,
        limit_nano_usd=budget.limit_nano_usd,
        spent_nano_usd=each.spent_nano_usd,
        reserved_nano_usd=each.reserved_nano_usd,
        share=each.spent_nano_usd / budget.limit_nano_usd if budget.limit_nano_usd else None,
    )
