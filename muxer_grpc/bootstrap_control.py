"""Puts together what changes while the service runs: settings, breakers by hand, probes, and whoever watches health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from muxer_grpc.bootstrap_discovery import Discovery
from muxer_grpc.bootstrap_rate_limits import default_limits
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.figures import Figures
from muxer_grpc.domain.load import LoadRules
from muxer_grpc.domain.overrides import Overrides, OverridesInMemory
from muxer_grpc.domain.resilience.attempts import AttemptRules
from muxer_grpc.domain.resilience.breaker import BreakerRules
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.runtime import RuntimeSettings
from muxer_grpc.identity.rate_limits import RateLimits
from muxer_grpc.pipeline.failover import Resilience
from muxer_grpc.pipeline.health_reports import HealthReports
from muxer_grpc.pipeline.override_feed import OverrideFeed
from muxer_grpc.pipeline.probing import ProbeClocks, Probes
from muxer_grpc.pipeline.runtime_control import ManualBreakers, Orders, RuntimeControl
from muxer_grpc.rpc.listener import Servicer
from muxer_grpc.rpc.servicers import control as control_service
from muxer_grpc.rpc.servicers import fleet_health
from muxer_grpc.settings import Settings
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.overrides import OverrideTable


@dataclass(slots=True)
class Control:
    """What changes while the service runs, and through what."""

    runtime: RuntimeControl
    feed: OverrideFeed
    reports: HealthReports
    thresholds: Thresholds
    limits: RateLimits | None = None
    probes: Probes | None = None

    def reconfigure(self, settings: Settings) -> None:
        """Puts another configuration in force, as far as it needs no restart."""
        self.runtime.reconfigure(runtime_settings(settings))
        self.thresholds.follow(settings.classifier.low_confidence, settings.classifier.direct_confidence)
        if self.limits is not None:
            self.limits.follow(default_limits(settings.rate_limits))
        if self.probes is not None:
            self.probes.follow(settings.resilience.probe_seconds)

    def services(self, instance_id: str, now: Callable[[], float]) -> dict[str, Servicer]:
        """Gives the admin services, by full name."""
        return {
            control_service.SERVICE: control_service.ControlServicer(self.runtime, self.feed, now),
            fleet_health.SERVICE: fleet_health.FleetHealthServicer(self.reports, self.feed, instance_id, now),
        }


def control_of(
    settings: Settings,
    fleet: Fleet,
    resilience: Resilience,
    figures: Figures,
    thresholds: Thresholds,
    *,
    database: Database | None = None,
    now: Callable[[], float] = time.time,
) -> Control:
    """Builds it; without a database, what operators set is of this process, and forgotten with it."""
    runtime = RuntimeControl(runtime_settings(settings), fleet, resilience)
    breakers = ManualBreakers(resilience.health)
    overrides: Overrides = OverridesInMemory() if database is None else OverrideTable(database)
    feed = OverrideFeed(overrides, Orders(runtime, breakers))
    reports = HealthReports(fleet, resilience.health, figures, breakers, now=now)
    return Control(runtime, feed, reports, thresholds)


@asynccontextmanager
async def followed(feed: OverrideFeed) -> AsyncGenerator[None, None]:
    """Takes up what operators have set, and goes on to. Raises StorageUnavailable."""
    await feed.refresh()
    watch = asyncio.create_task(feed.watch())
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


@asynccontextmanager
async def probed(
    control: Control, discovery: Discovery, seconds: float, jitter: Callable[[], float]
) -> AsyncGenerator[None, None]:
    """Probes providers in the background, about every so many seconds, and takes up what models they list."""
    clocks = ProbeClocks(jitter, control.reports.now)
    probes = Probes(discovery.targets, control.reports.health, discovery.found, clocks)
    control.probes = control.reports.probes = probes
    probes.follow(seconds)
    try:
        yield
    finally:
        await probes.aclose()


def runtime_settings(settings: Settings) -> RuntimeSettings:
    """Reads how models are chosen and failures survived."""
    chosen, breaker = settings.resilience, settings.resilience.breaker
    return RuntimeSettings(
        default_strategy=settings.routing.default_strategy,
        breakers=BreakerRules(
            consecutive_failures=breaker.consecutive_failures,
            failure_share=breaker.failure_share,
            least_calls=breaker.least_calls,
            window_seconds=breaker.window_seconds,
            open_seconds=breaker.open_seconds,
            most_open_seconds=breaker.most_open_seconds,
        ),
        breakers_enabled=breaker.enabled,
        attempts=AttemptRules(
            most_attempts=chosen.max_attempts,
            most_at_one_model=chosen.max_attempts_per_model,
            first_wait=chosen.first_wait_seconds,
            most_wait=chosen.most_wait_seconds,
            first_token_seconds=chosen.first_token_seconds,
            gap_seconds=chosen.gap_seconds,
        ),
        retry_share=chosen.retry_share,
        hedge_share=chosen.hedge_share,
    )


def load_rules(settings: Settings) -> LoadRules:
    """Reads when load is shed."""
    chosen = settings.load
    return LoadRules(
        unary_lag_seconds=chosen.unary_lag_seconds,
        stream_lag_seconds=chosen.stream_lag_seconds,
        crowded_share=chosen.crowded_share,
        tenant_factor=chosen.tenant_factor,
    )
