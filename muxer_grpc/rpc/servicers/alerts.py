"""AlertService: budgets of which a share is spent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
from muxer.v1 import alert_service_pb2 as pb

from muxer_grpc.domain.budgeting import ALWAYS
from muxer_grpc.domain.reporting import AlertFilter, AlertLog, AlertRecord
from muxer_grpc.pipeline.alert_feed import AlertFeed
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import check_made_id, check_tenant_id, time_message
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.ledger_fields import check_subject
from muxer_grpc.rpc.listings import check_numbers, named, read_span
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.tenant_access import tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.AlertService"


class AlertServicer:
    """Serves the admin listener."""

    def __init__(self, alerts: AlertLog, feed: AlertFeed) -> None:
        self._alerts = alerts
        self._feed = feed

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "ListAlerts": calls.unary(pb.ListAlertsRequest, self.list_alerts),
            "WatchAlerts": calls.server_stream(pb.WatchAlertsRequest, self.watch_alerts),
        }

    async def list_alerts(self, request: pb.ListAlertsRequest, limit: TimeLimit) -> pb.ListAlertsResponse:
        """Lists alerts, the latest first."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        if request.budget_id:
            check_made_id(request.budget_id, "budget_id", violations)
        check_subject(request.user_id, request.key_id, "", violations)
        since = request.since if request.HasField("since") else None
        until = request.until if request.HasField("until") else None
        since_us, until_us = read_span(since, until, "", violations)
        wanted = AlertFilter(tenant_id, request.budget_id, request.user_id, request.key_id, since_us, until_us)
        paging = Paging(request.page_size, request.page_token, named("alerts", wanted), violations, keys=1)
        check_numbers(paging, 1, violations)
        violations.raise_if_any()
        found = await limit.wait(lambda: self._alerts.page(wanted, paging.request))
        page, following = paging.cut(found, lambda record: (str(record.sequence),))
        return pb.ListAlertsResponse(alerts=[_message(each) for each in page], next_page_token=following)

    async def watch_alerts(
        self, request: pb.WatchAlertsRequest, limit: TimeLimit
    ) -> AsyncGenerator[pb.WatchAlertsResponse, None]:
        """Tells of alerts as they come, until the call's time is over or the process drains.

        Only the end of its time bounds it, so that who watches proves anew, every so often, that they may.
        """
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        violations.check(request.after_sequence >= 0, "after_sequence", "range", "give at least 0")
        violations.raise_if_any()
        told = request.HasField("after_sequence")
        after = request.after_sequence if told else await limit.wait(self._feed.last)
        yield pb.WatchAlertsResponse(sequence=after)
        async with aclosing(self._feed.watch(after, tenant_id, limit.deadline)) as alerts:
            async for alert in alerts:
                yield pb.WatchAlertsResponse(alert=_message(alert), sequence=alert.sequence)


def _message(record: AlertRecord) -> pb.Alert:
    return pb.Alert(
        sequence=record.sequence,
        tenant_id=record.tenant_id,
        budget_id=record.budget_id,
        user_id=record.user_id,
        key_id=record.key_id,
        share=record.share,
        spent_nano_usd=record.spent_nano_usd,
        limit_nano_usd=record.limit_nano_usd,
        period_start_time=None if record.period_start_us == ALWAYS else time_message(record.period_start_us),
        create_time=time_message(record.created_us),
    )
