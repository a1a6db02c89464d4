"""GetMetrics: figures of this process, or of all that share the ledger, within what the caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from muxer.v1 import metrics_pb2, muxer_service_pb2

from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.figures import Dimension, Figures, FiguresReport, FiguresScope, ReportRow
from muxer_grpc.domain.refusals import PermissionDenied, PreconditionFailed
from muxer_grpc.domain.reporting import FleetFigures
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.resilience.health_state import HealthState, health_state
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.enums import METRICS_SCOPES, METRICS_WINDOWS
from muxer_grpc.rpc.figures import FiguresRequest, figures_message, read_figures_request, row_message
from muxer_grpc.rpc.replies import timestamp_message
from muxer_grpc.rpc.tenant_access import tenants_meant


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What GetMetrics says of the process; `started_at` is in seconds since the epoch."""

    version: str
    instance_id: str
    started_at: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """Answers GetMetrics. Without `ledger` there are no figures of all processes. `now` is the figures' own clock."""

    fleet: Fleet
    figures: Figures
    facts: ProcessFacts
    health: Health
    now: Callable[[], float]
    ledger: FleetFigures | None = None

    async def get(
        self, request: muxer_service_pb2.GetMetricsRequest, limit: TimeLimit
    ) -> muxer_service_pb2.GetMetricsResponse:
        """Shows figures. Raises InvalidRequest, PermissionDenied, PreconditionFailed, StorageUnavailable."""
        everywhere = limit.principal.everywhere
        asked = read_figures_request(request, self.fleet.catalogue, everywhere=everywhere)
        if asked.scope is FiguresScope.PROCESS and not everywhere:
            msg = "a process tells of all tenants together: only those who act on all tenants may see that"
            raise PermissionDenied(msg)
        now = self.now()
        tenant_id: str | None = None
        if asked.scope is FiguresScope.FLEET:
            tenant_id = tenants_meant(limit.principal, asked.tenant_id)
            report = await self._of_fleet(asked, tenant_id, now, limit)
        else:
            report = self.figures.report(asked.query, asked.window, now, self.facts.started_at)
        return muxer_service_pb2.GetMetricsResponse(
            scope=METRICS_SCOPES[asked.scope],  # type: ignore[arg-type]
            window=METRICS_WINDOWS[asked.window],  # type: ignore[arg-type]
            start_time=timestamp_message(report.since),
            end_time=timestamp_message(now),
            tenant_id=tenant_id or "",
            rows=[row_message(row, *self._condition(row)) for row in report.rows],
            total=figures_message(report.total),
            process=metrics_pb2.ProcessStatus(
                version=self.facts.version,
                start_time=timestamp_message(self.facts.started_at),
                completions_in_flight=self.figures.in_flight,
                instance_id=self.facts.instance_id,
            ),
        )

    async def _of_fleet(
        self, asked: FiguresRequest, tenant_id: str | None, now: float, limit: TimeLimit
    ) -> FiguresReport:
        if self.ledger is None:
            msg = "this service keeps no ledger: ask for the figures of the process"
            raise PreconditionFailed(msg)
        seconds = asked.window.seconds
        since = self.facts.started_at if seconds is None else now - seconds
        times = int(since * MICROSECONDS), int(now * MICROSECONDS)
        return await limit.wait(partial(self.ledger.report, asked.query, tenant_id, *times))

    def _condition(self, row: ReportRow) -> tuple[BreakerState | None, HealthState | None]:
        """Tells how a row's model or provider does; None where it is of neither."""
        name, provider = row.group.get(Dimension.MODEL, ""), row.group.get(Dimension.PROVIDER, "")
        if not name and not provider:
            return None, None
        known = self.fleet.catalogue.models.get(name)
        if known is not None:
            provider = known.provider
        now = asyncio.get_running_loop().time()
        breaker = self.health.state_of(name, provider, now)
        [told] = self.health.of_models([name], now) if name else self.health.of_providers([provider], now)
        return breaker, health_state(breaker, told.consecutive_failures, row.figures)
