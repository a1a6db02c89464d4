"""Puts together the HTTP listener of operators."""

from __future__ import annotations

from collections.abc import Callable

from muxer_grpc.ops.listener import OpsListener
from muxer_grpc.settings import Settings
from muxer_grpc.telemetry.exposition import prometheus_text
from muxer_grpc.telemetry.setup import Telemetry


def ops_listener(settings: Settings, telemetry: Telemetry, draining: Callable[[], bool]) -> OpsListener | None:
    """Builds it; None where the settings name no address."""
    instruments = telemetry.instruments
    if not settings.ops.listen or instruments is None:
        return None
    return OpsListener(
        settings.ops.listen,
        ready=lambda: "draining" if draining() else "",
        metrics=lambda: prometheus_text(instruments, telemetry.labels),
    )
