"""ControlService: settings that change while the service runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import grpc
from muxer.v1 import control_service_pb2 as pb

from muxer_grpc.domain.overrides import RUNTIME, Document
from muxer_grpc.domain.refusals import PreconditionFailed
from muxer_grpc.domain.runtime import RuntimeSettings
from muxer_grpc.pipeline.override_feed import OverrideFeed
from muxer_grpc.pipeline.runtime_control import RuntimeControl
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import check_revision_given, time_message
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.runtime_fields import mask_message, read_paths, read_values, settings_message
from muxer_grpc.rpc.tenant_access import Now, actor_of, check_everywhere
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.ControlService"

_OPEN_TIME, _MOST_OPEN_TIME = "breaker.open_time", "breaker.most_open_time"


class ControlServicer:
    """Serves the admin listener. `now` gives the seconds since the epoch."""

    def __init__(self, control: RuntimeControl, feed: OverrideFeed, now: Now = time.time) -> None:
        self._control = control
        self._feed = feed
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "GetRuntimeSettings": calls.unary(pb.GetRuntimeSettingsRequest, self.get_runtime_settings),
            "UpdateRuntimeSettings": calls.unary(pb.UpdateRuntimeSettingsRequest, self.update_runtime_settings),
        }

    async def get_runtime_settings(
        self, _request: pb.GetRuntimeSettingsRequest, _limit: TimeLimit
    ) -> pb.GetRuntimeSettingsResponse:
        """Shows the settings."""
        return pb.GetRuntimeSettingsResponse(status=self._status())

    async def update_runtime_settings(
        self, request: pb.UpdateRuntimeSettingsRequest, limit: TimeLimit
    ) -> pb.UpdateRuntimeSettingsResponse:
        """Changes settings; what begins from then on follows them."""
        check_everywhere(limit.principal, "change how the service works")
        violations = Violations()
        revision = check_revision_given(request.revision, "revision", violations)
        values = read_values(request.settings, read_paths(request.update_mask, violations), violations)
        violations.raise_if_any()
        configured = self._control.configured

        def change(before: Document) -> Document:
            merged = {**before, **values}
            after = {path: value for path, value in merged.items() if value is not None}
            _check_fit(_overridden(configured, after), values)
            return after

        actor = actor_of(limit.principal, self._now)
        await limit.wait(lambda: self._feed.change(RUNTIME, revision, change, actor, action="UpdateRuntimeSettings"))
        return pb.UpdateRuntimeSettingsResponse(status=self._status())

    def _status(self) -> pb.RuntimeSettingsStatus:
        control = self._control
        kept = control.kept
        return pb.RuntimeSettingsStatus(
            settings=settings_message(control.in_force),
            configured=settings_message(control.configured),
            overridden=mask_message(control.overridden),
            revision=kept.revision,
            update_time=time_message(kept.updated_us) if kept.revision else None,
        )


def _overridden(configured: RuntimeSettings, values: Document) -> RuntimeSettings:
    """Gives the settings that would hold. Raises PreconditionFailed where what was set before cannot be read here."""
    try:
        return configured.overridden(values)
    except (ValueError, TypeError):
        msg = "another version of the service has set what this one does not know: change it there"
        raise PreconditionFailed(msg) from None


def _check_fit(settings: RuntimeSettings, changed: Mapping[str, Any]) -> None:
    """Raises InvalidRequest where settings do not fit together, old and new."""
    violations = Violations()
    if _OPEN_TIME in changed or _MOST_OPEN_TIME in changed:
        fits = settings.breakers.open_seconds <= settings.breakers.most_open_seconds
        least = f"give at least the open_time of {settings.breakers.open_seconds:g} s"
        violations.check(fits, f"settings.{_MOST_OPEN_TIME}", "range", least)
    violations.raise_if_any()
