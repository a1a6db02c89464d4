"""Measures what the ledger's writer does; see LedgerObserver."""

from __future__ import annotations

from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.instruments import Instruments


class LedgerMetrics:
    """Measures transactions. Called from the writer's thread."""

    def __init__(self, instruments: Instruments) -> None:
        self._durations = instruments.histograms[names.COMMIT_DURATION.name]
        self._changes = instruments.histograms[names.COMMIT_CHANGES.name]
        self._failures = instruments.counters[names.COMMIT_FAILURES.name]
        self._reserved = instruments.counters[names.RESERVED.name]
        self._settled = instruments.counters[names.SETTLED.name]

    def committed(self, seconds: float, changes: int, reserved_nano_usd: int, settled_nano_usd: int) -> None:
        """Takes a transaction that was committed."""
        self._durations.record((), seconds)
        self._changes.record((), changes)
        self._reserved.add((), reserved_nano_usd)
        self._settled.add((), settled_nano_usd)

    def failed(self) -> None:
        """Takes a transaction that failed."""
        self._failures.add(())
