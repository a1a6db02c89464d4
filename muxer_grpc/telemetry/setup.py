"""Starts and stops what sends telemetry away, as the standard `OTEL_*` variables ask for it, and nothing else.

Without an endpoint nothing of OpenTelemetry's SDK is loaded and no thread is started.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.calls import CallTelemetry
from muxer_grpc.telemetry.completions import Tracing
from muxer_grpc.telemetry.content import captures_content
from muxer_grpc.telemetry.exposition import otlp_data
from muxer_grpc.telemetry.instruments import Instruments
from muxer_grpc.telemetry.ledger import LedgerMetrics

if TYPE_CHECKING:  # what is not configured is not loaded
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricsData
    from opentelemetry.sdk.resources import Resource

_log = logging.getLogger(__name__)

SERVICE = "muxer"
DISABLED = "OTEL_SDK_DISABLED"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
INTERVAL_MS = 60_000.0
HTTP = "http/protobuf"
# How long the last of it may take on a stop, in seconds: a receiver that is gone holds no process up.
FLUSH_SECONDS = 2.0


class TelemetryMisconfigured(ValueError):
    """A standard variable asks for something that there is not; the message names it."""


def sends(signal: str, environment: Mapping[str, str]) -> bool:
    """Tells whether a signal (`traces`, `metrics`) is to be sent: an endpoint is set, and it is not switched off."""
    if environment.get(DISABLED, "").strip().lower() == "true":
        return False
    exporter = environment.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip() or "otlp"
    if exporter == "none":
        return False
    if exporter != "otlp":
        msg = f"OTEL_{signal.upper()}_EXPORTER is {exporter!r}: it must be otlp or none"
        raise TelemetryMisconfigured(msg)
    return bool(environment.get(ENDPOINT) or environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"))


def _check_protocol(signal: str, environment: Mapping[str, str]) -> None:
    """Raises TelemetryMisconfigured on a protocol that there is not.

    OTLP over gRPC would be a second user of gRPC's threads in the process, and some receivers take HTTP alone.
    """
    chosen = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL") or environment.get(PROTOCOL) or HTTP
    if chosen != HTTP:
        msg = f"{PROTOCOL} is {chosen!r}: it must be {HTTP}"
        raise TelemetryMisconfigured(msg)


@dataclass(slots=True)
class Telemetry:
    """What follows calls, and what is measured; `instruments` is None where nobody wants metrics."""

    calls: CallTelemetry
    instruments: Instruments | None = None
    ledger: LedgerMetrics | None = None
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TelemetryWishes:
    """What is wanted beside what the standard variables say.

    `scraped`: metrics are read by Prometheus. `endpoints` and `propagating` are those of providers; see Tracing.
    """

    instance_id: str
    version: str
    scraped: bool = False
    writes_lines: bool = True
    endpoints: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    propagating: frozenset[str] = frozenset()


@asynccontextmanager
async def open_telemetry(
    wishes: TelemetryWishes, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Telemetry, None]:
    """Starts telemetry, and sends the last of it on leaving, for two seconds at most.

    Raises TelemetryMisconfigured on variables that ask for what there is not.
    """
    given = os.environ if environment is None else environment
    sends_spans, sends_metrics = sends("traces", given), sends("metrics", given)
    profile = names.profile_of(given)
    instruments = Instruments() if wishes.scraped or sends_metrics else None
    resource = _resource(wishes) if sends_spans or sends_metrics else None
    async with contextlib.AsyncExitStack() as stack:
        tracing = None
        if sends_spans and resource is not None:
            tracing = await stack.enter_async_context(_traced(resource, wishes, given))
            if instruments is not None:
                instruments.observe(names.SPANS, tracing.spans.queue.figures, grows=True)
        if sends_metrics and resource is not None and instruments is not None:
            collect = partial(otlp_data, instruments, resource, wishes.version)
            await stack.enter_async_context(_pushed(collect, given))
        calls = CallTelemetry(instruments, tracing, writes_lines=wishes.writes_lines, profile=profile)
        ledger = None if instruments is None else LedgerMetrics(instruments)
        yield Telemetry(calls, instruments, ledger)


def _resource(wishes: TelemetryWishes) -> Resource:
    from muxer_grpc.telemetry.otlp import resource_of

    return resource_of(
        {
            "service.name": SERVICE,
            "service.version": wishes.version,
            # Two workers of one identity would corrupt each other's sums.
            "service.instance.id": wishes.instance_id,
        }
    )


@asynccontextmanager
async def _traced(
    resource: Resource, wishes: TelemetryWishes, environment: Mapping[str, str]
) -> AsyncGenerator[Tracing, None]:
    """Sends spans, and the last of them on leaving."""
    from muxer_grpc.telemetry.otlp import open_spans

    _check_protocol("traces", environment)
    spans, exporter = open_spans(resource, wishes.version, environment)
    try:
        yield Tracing(spans, wishes.endpoints, wishes.propagating, captures_content(environment))
    finally:
        await _within(FLUSH_SECONDS, spans.queue.stop)
        # It ends whatever is still being tried.
        await _within(FLUSH_SECONDS, exporter.shutdown)


async def _within(seconds: float, work: Callable[[], None]) -> None:
    """Does work in a thread and waits for it, for some seconds at most; one that hangs holds no process up."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        try:
            work()
        except Exception:
            _log.exception("the last of telemetry could not be sent")
        finally:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(done.set)

    Thread(target=run, name="muxer-telemetry-stop", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()


class MetricSender:
    """Sends metrics from a thread of its own. One message waits at most: sums are cumulative, the next tells all."""

    def __init__(self, exporter: MetricExporter) -> None:
        self._exporter = exporter
        self._waiting: SimpleQueue[MetricsData | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="muxer-metrics", daemon=True)
        self._thread.start()

    def send(self, data: MetricsData) -> None:
        """Sends metrics, unless others wait already."""
        if self._waiting.empty():
            self._waiting.put(data)

    def stop(self, last: MetricsData | None) -> None:
        """Sends the last metrics, whatever waits; waits until all is sent, and closes the connection."""
        if last is not None:
            self._waiting.put(last)
        self._waiting.put(None)
        self._thread.join(FLUSH_SECONDS)
        self._exporter.shutdown()

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            try:
                self._exporter.export(data)
            except Exception:
                _log.exception("metrics could not be sent")


@asynccontextmanager
async def _pushed(collect: Callable[[], MetricsData], environment: Mapping[str, str]) -> AsyncGenerator[None, None]:
    """Sends the metrics at the standard interval, and once more on leaving."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    _check_protocol("metrics", environment)
    sender = MetricSender(OTLPMetricExporter())

    def read() -> MetricsData | None:
        try:
            return collect()
        except Exception:
            _log.exception("metrics could not be read")
            return None

    async def push() -> None:
        while True:
            await asyncio.sleep(_interval(environment))
            data = read()
            if data is not None:
                sender.send(data)

    pushing = asyncio.create_task(push())
    try:
        yield
    finally:
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
        await _within(FLUSH_SECONDS, partial(sender.stop, read()))


def _interval(environment: Mapping[str, str]) -> float:
    """Gives the standard interval in seconds; what is no number is the default, as everywhere in OpenTelemetry."""
    try:
        milliseconds = float(environment.get(INTERVAL, "") or INTERVAL_MS)
    except ValueError:
        milliseconds = INTERVAL_MS
    return max(milliseconds, 100.0) / 1000
