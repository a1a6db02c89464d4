"""FleetHealthService: how models and providers do, and their breakers by hand."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf import duration_pb2
from muxer.v1 import fleet_health_service_pb2 as pb

from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.overrides import Document, OverrideKind, OverrideName
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.pipeline.health_reports import HealthReport, HealthReports
from muxer_grpc.pipeline.override_feed import OverrideFeed
from muxer_grpc.pipeline.runtime_control import DISABLED, RESETS
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import check_revision_given
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import BREAKER_STATES, FAILURE_CLASSES
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.replies import duration_message, timestamp_message
from muxer_grpc.rpc.tenant_access import Now, actor_of, check_everywhere
from muxer_grpc.rpc.violations import Violations, quote

SERVICE = "muxer.v1.FleetHealthService"


def _disable(before: Document) -> Document:
    return {**before, DISABLED: True}


def _enable(before: Document) -> Document:
    return {**before, DISABLED: False} if before.get(DISABLED) else before


def _reset(before: Document) -> Document:
    return {**before, RESETS: int(before.get(RESETS, 0)) + 1}


_ACTIONS: dict[int, Callable[[Document], Document]] = {
    pb.BREAKER_ACTION_DISABLE: _disable,
    pb.BREAKER_ACTION_ENABLE: _enable,
    pb.BREAKER_ACTION_RESET: _reset,
}


class FleetHealthServicer:
    """Serves the admin listener. `now` gives the seconds since the epoch."""

    def __init__(self, reports: HealthReports, feed: OverrideFeed, instance_id: str, now: Now = time.time) -> None:
        self._reports = reports
        self._feed = feed
        self._instance_id = instance_id
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "ListHealth": calls.unary(pb.ListHealthRequest, self.list_health),
            "WatchHealth": calls.server_stream(pb.WatchHealthRequest, self.watch_health),
            "SetBreaker": calls.unary(pb.SetBreakerRequest, self.set_breaker),
        }

    async def list_health(self, request: pb.ListHealthRequest, _limit: TimeLimit) -> pb.ListHealthResponse:
        """Lists how providers and models do."""
        violations = Violations()
        self._check_provider(request.provider, violations)
        listing = ("health", request.provider)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=2)
        violations.raise_if_any()
        # Providers come before models.
        keyed = [(str(name.kind is OverrideKind.MODEL), name) for name in self._reports.names(request.provider)]
        rest = [name for kind, name in keyed if (kind, name.name) > paging.after]
        page, following = paging.cut(rest, lambda name: (str(name.kind is OverrideKind.MODEL), name.name))
        targets = [_message(report) for report in self._reports.of(page)]
        return pb.ListHealthResponse(targets=targets, next_page_token=following, instance_id=self._instance_id)

    async def watch_health(
        self, request: pb.WatchHealthRequest, limit: TimeLimit
    ) -> AsyncGenerator[pb.WatchHealthResponse, None]:
        """Tells how providers and models do, and what changes, until the call's time is over or the process drains."""
        violations = Violations()
        self._check_provider(request.provider, violations)
        violations.raise_if_any()
        async with aclosing(self._reports.watch(request.provider, limit.deadline)) as changes:
            async for change in changes:
                yield pb.WatchHealthResponse(
                    targets=[_message(report) for report in change.reports],
                    snapshot=change.snapshot,
                    gone_models=change.gone,
                    instance_id=self._instance_id,
                )

    async def set_breaker(self, request: pb.SetBreakerRequest, limit: TimeLimit) -> pb.SetBreakerResponse:
        """Opens or closes a breaker by hand."""
        check_everywhere(limit.principal, "open and close breakers")
        violations = Violations()
        field = request.WhichOneof("target") or ""
        given = getattr(request, field) if field else ""
        violations.check(bool(given), field or "target", "required", "name a model or a provider")
        action = _ACTIONS.get(request.action)
        known = "DISABLE, ENABLE, RESET"
        violations.check(action is not None, "action", "unknown", f"{request.action} is not one of {known}")
        revision = check_revision_given(request.revision, "revision", violations)
        violations.raise_if_any()
        name = OverrideName(OverrideKind(field), given)
        if action is None or not self._reports.knows(name):
            raise ResourceNotFound(field.capitalize(), given[:200])
        actor = actor_of(limit.principal, self._now)
        await limit.wait(lambda: self._feed.change(name, revision, action, actor, action="SetBreaker"))
        return pb.SetBreakerResponse(target=_message(self._reports.of([name])[0]))

    def _check_provider(self, provider: str, violations: Violations) -> None:
        known = not provider or self._reports.knows(OverrideName(OverrideKind.PROVIDER, provider))
        violations.check(known, "provider", "unknown", f"{quote(provider)} is not a provider")


def _message(report: HealthReport) -> pb.TargetHealth:
    sign = report.sign
    at: dict[str, float | None] = {
        "next_attempt_time": report.next_attempt_at,
        "last_request_time": report.last_request_at,
    }
    times: dict[str, Any] = {name: timestamp_message(each) for name, each in at.items() if each is not None}
    message = pb.TargetHealth(
        provider=report.provider,
        model=report.model,
        breaker=BREAKER_STATES[sign.state],  # type: ignore[arg-type]
        consecutive_failures=sign.consecutive_failures,
        disabled=sign.state is BreakerState.DISABLED,
        revision=sign.revision,
        success_rate=report.success_share,
        p50_latency=_duration(report.p50_seconds),
        p95_latency=_duration(report.p95_seconds),
        next_probe_time=None if report.next_probe_at is None else timestamp_message(report.next_probe_at),
        **times,
    )
    probe = report.probe
    if probe is not None:
        message.last_probe.CopyFrom(
            pb.ProbeOutcome(
                time=timestamp_message(probe.at),
                ok=probe.failure_class is None,
                latency=duration_message(probe.latency_seconds),
                failure_class=None if probe.failure_class is None else FAILURE_CLASSES[probe.failure_class],  # type: ignore[arg-type]
            )
        )
    return message


def _duration(seconds: float | None) -> duration_pb2.Duration | None:
    return None if seconds is None else duration_message(seconds)
