"""A receiver of OTLP over HTTP, as a collector is one, and a service that sends to it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict
from muxer.v1 import muxer_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from muxer_grpc.server import RunningServer, running_server
from muxer_grpc.settings import Settings
from muxer_grpc.settings_loading import load_settings
from tests.fakes.provider import FakeProvider, fake_provider


def value_of(pair: KeyValue) -> Any:
    """Gives the value of an attribute as Python has it."""
    kind = pair.value.WhichOneof("value")
    if kind == "array_value":
        return [getattr(each, each.WhichOneof("value") or "string_value") for each in pair.value.array_value.values]
    return getattr(pair.value, kind or "string_value")


def attributes(pairs: Any) -> dict[str, Any]:
    found = {pair.key: value_of(pair) for pair in pairs}
    assert len(found) == len(pairs), "a name comes once"
    return found


@dataclass
class Receiver:
    """What came. `status` is what it answers; `hangs` lets it take requests and answer none."""

    spans: list[Span] = field(default_factory=list)
    metrics: dict[str, Metric] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    requests: int = 0
    bodies: list[bytes] = field(default_factory=list)
    status: int = 200
    hangs: bool = False
    port: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until(self, holds: Callable[[], bool], seconds: float = 20) -> None:
        """Waits until something holds of what came."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(holds)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def points(self, metric: str) -> list[tuple[dict[str, Any], Any]]:
        """Lists the points of a metric with their attributes, as they came last."""
        found = self.metrics.get(metric)
        if found is None:
            return []
        kind = getattr(found, found.WhichOneof("data") or "gauge")
        return [(attributes(point.attributes), point) for point in kind.data_points]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").lower().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
                body = await reader.readexactly(int(headers["content-length"]))
                if self.hangs:
                    await asyncio.Event().wait()
                async with self.changed:
                    self.requests += 1
                    if self.status == 200:
                        self.bodies.append(gzip.decompress(body) if "content-encoding" in headers else body)
                        self._take(lines[0], self.bodies[-1])
                    self.changed.notify_all()
                writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: 0\r\n\r\n".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    def _take(self, line: str, body: bytes) -> None:
        if "/v1/traces" in line:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resource = attributes(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
        else:
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope_metrics in measured.scope_metrics:
                    self.metrics.update((metric.name, metric) for metric in scope_metrics.metrics)


@asynccontextmanager
async def receiver(port: int = 0) -> AsyncGenerator[Receiver, None]:
    """Runs a receiver."""
    found = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await found.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@dataclass
class Traced:
    """A running service that sends to a receiver."""

    receiver: Receiver
    provider: FakeProvider
    server: RunningServer
    stub: muxer_service_pb2_grpc.MuxerServiceAsyncStub


def model_row(name: str, tier: str = "balanced") -> dict[str, str | int]:
    return {
        "name": name,
        "tier": tier,
        "context_window": 100_000,
        "input_usd_per_million": "1",
        "output_usd_per_million": "2",
    }


def service_settings(folder: Path, url: str, *models: str, **variables: str) -> Settings:
    """Gives the settings of a service whose models play what their names say."""
    return load_settings(
        None,
        None,
        {
            "MUXER_STORAGE__URL": f"sqlite:///{folder}/muxer.db",
            "MUXER_SERVER__LISTEN": "127.0.0.1:0",
            "MUXER_SERVER__ADMIN_LISTEN": "127.0.0.1:0",
            "MUXER_PROVIDERS__FAKE__ADAPTER": "compatible",
            "MUXER_PROVIDERS__FAKE__BASE_URL": url,
            "MUXER_PROVIDERS__FAKE__MODELS": json.dumps([model_row(name) for name in models]),
            "MUXER_PROVIDERS__OLLAMA__ENABLED": "false",
            "MUXER_PROVIDERS__LITELLM__ENABLED": "false",
            "MUXER_RESILIENCE__MAX_ATTEMPTS_PER_MODEL": "1",
            **variables,
        },
    )


def point_at(found: Receiver, monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    """Sets the standard variables so that telemetry goes to a receiver, and soon."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def traced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *models: str, **variables: str
) -> AsyncGenerator[Traced, None]:
    """Runs a service that sends all it has to a receiver. `OTEL_...` variables go to the environment."""
    standard = {name: value for name, value in variables.items() if name.startswith("OTEL_")}
    own = {name: value for name, value in variables.items() if name not in standard}
    async with receiver() as found, fake_provider() as provider:
        point_at(found, monkeypatch, **standard)
        settings = service_settings(folder, f"{provider.url}/v1", *models, **own)
        async with running_server(settings) as server, grpc.aio.insecure_channel(server.data.addresses[0]) as channel:
            stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
            yield Traced(found, provider, server, stub)  # type: ignore[arg-type]


def as_dict(message: Any) -> dict[str, Any]:
    """Writes a message for a failing test to show."""
    return MessageToDict(message)
