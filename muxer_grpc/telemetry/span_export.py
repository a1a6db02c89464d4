"""Sends spans in batches, and counts what became of them: a receiver that is down costs spans, never memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from opentelemetry.sdk.environment_variables import OTEL_BSP_MAX_QUEUE_SIZE
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

USUAL_QUEUE = 2_048


class _CountingExporter(SpanExporter):
    """Passes batches on, and counts them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.taken = 0
        self.sent = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch."""
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self.sent += len(spans)
            else:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        """Closes the connection."""
        self._exporter.shutdown()


class CountedSpans(BatchSpanProcessor):
    """The SDK's own processor; queue and batches are as the standard `OTEL_BSP_*` variables say."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._counting = _CountingExporter(exporter)
        self._most = _queue_size()
        self._ended = 0
        self._dropped = 0
        super().__init__(self._counting)

    def on_end(self, span: ReadableSpan) -> None:
        """Queues a span; when the queue is full the oldest one is lost."""
        context = span.context
        if context is not None and context.trace_flags.sampled:
            self._ended += 1
            if self._ended - self._dropped - self._counting.taken > self._most:
                self._dropped += 1
        super().on_end(span)

    def figures(self) -> Iterable[tuple[tuple[str, ...], float]]:
        """Counts spans by what became of them: sent, failed (refused, nobody there), dropped (the queue was full)."""
        counting = self._counting
        return [(("sent",), counting.sent), (("failed",), counting.failed), (("dropped",), self._dropped)]


def _queue_size() -> int:
    """Gives the size of the queue, as the SDK reads it."""
    try:
        return int(os.environ.get(OTEL_BSP_MAX_QUEUE_SIZE, "") or USUAL_QUEUE)
    except ValueError:
        return USUAL_QUEUE
