"""The HTTP listener of operators: metrics as Prometheus reads them, and health."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc.aio
import pytest
from muxer.v1 import muxer_service_pb2, muxer_service_pb2_grpc
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.server import RunningServer, running_server
from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.exposition import prometheus_name
from tests.fakes.provider import fake_provider
from tests.process.running import muxer
from tests.rpc.service import spec
from tests.telemetry.receiver import service_settings, traced

Scrape = dict[str, list[tuple[dict[str, str], float]]]


@asynccontextmanager
async def operated(folder: Path, *models: str, **variables: str) -> AsyncGenerator[RunningServer, None]:
    async with fake_provider() as provider:
        settings = service_settings(folder, f"{provider.url}/v1", *models, MUXER_OPS__LISTEN="127.0.0.1:0", **variables)
        async with running_server(settings) as server:
            yield server


async def get(address: str, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.request(method, f"http://{address}{path}") as reply:
        return reply.status, await reply.text(), {name.lower(): value for name, value in reply.headers.items()}


async def scrape(address: str) -> Scrape:
    """Reads the metrics as Prometheus does: samples by name, with their labels."""
    status, text, headers = await get(address, "/metrics")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
    found: Scrape = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def of(server: RunningServer) -> str:
    assert server.ops is not None
    return server.ops.address


async def complete(target: str, model: str, times: int = 1) -> int:
    """Calls a model some times; gives what it cost."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
        asked = muxer_service_pb2.CompleteRequest(spec=spec("hello", requested_model=model))
        return sum([(await stub.Complete(asked, timeout=20)).summary.cost.total_nano_usd for _ in range(times)])


async def test_prometheus_reads_what_was_counted(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain") as server:
        cost = await complete(server.data.addresses[0], "fake/plain", 3)
        found = await scrape(of(server))
    labels = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "fake", "gen_ai_request_model": "plain"}
    assert found["gen_ai_client_operation_duration_seconds_count"] == [({**labels, "error_type": ""}, 3.0)]
    buckets = [v for _, v in found["gen_ai_client_operation_duration_seconds_bucket"]]
    assert (len(buckets), buckets[-1], buckets == sorted(buckets)) == (15, 3.0, True)
    assert [value for _, value in found["muxer_cost_total"]] == [cost]
    assert found["muxer_build"] == [({"muxer_version": "0.1.0"}, 1.0)]
    open_breakers = [v for labels, v in found["muxer_breaker_state"] if labels["muxer_state"] != "closed"]
    assert open_breakers
    assert set(open_breakers) == {0.0}


async def test_every_metric_of_the_table_has_a_family_or_tells_that_nothing_was_asked_yet(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain", MUXER_CACHE__ENABLED="true") as server:
        await complete(server.data.addresses[0], "fake/plain")
        _, text, _ = await get(of(server), "/metrics")
    typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    counters = {metric.name for metric in names.COUNTERS} | {
        each.metric.name
        for each in server.telemetry.instruments.observed
        if each.grows  # type: ignore[union-attr]
    }
    # Spans are counted where they are sent.
    for metric in (*names.HISTOGRAMS, *names.COUNTERS, *names.OBSERVED):
        if metric is not names.SPANS:
            ending = "_total" if metric.name in counters else ""
            assert prometheus_name(metric) + ending in typed


async def test_openmetrics_leads_from_a_slow_bucket_to_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, monkeypatch, "plain", MUXER_OPS__LISTEN="127.0.0.1:0") as service:
        await complete(service.server.data.addresses[0], "fake/plain")
        accept = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{of(service.server)}/metrics", headers=accept) as reply,
        ):
            text, kind = await reply.text(), reply.headers["content-type"]
        await service.receiver.until(lambda: bool(service.receiver.named("chat plain")))
        (span,) = service.receiver.named("chat plain")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    exemplars = [
        sample.exemplar
        for family in openmetrics_families(text)
        if family.name == "gen_ai_client_operation_duration_seconds"
        for sample in family.samples
        if sample.exemplar
    ]
    assert [each.labels["trace_id"] for each in exemplars] == [span.trace_id.hex()]


async def test_health_is_told_apart_from_readiness_and_a_drain_ends_the_latter(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain", MUXER_SERVER__DRAIN_ANNOUNCE_SECONDS="1") as server:
        assert [(await get(of(server), path))[:2] for path in ("/healthz", "/readyz")] == [(200, "ok\n")] * 2
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        assert (await get(of(server), "/readyz"))[:2] == (503, "draining\n")
        assert (await get(of(server), "/healthz"))[0] == 200
        await draining


async def test_a_drain_waits_for_what_a_call_does_when_it_has_ended(tmp_path: Path) -> None:
    async with operated(tmp_path, "plain") as server:
        limit = TimeLimit(asyncio.get_running_loop().time() + 60)
        server.calls._unary.add(limit)
        draining = asyncio.create_task(server.drain())
        await asyncio.wait({draining}, timeout=0.3)
        assert not draining.done()
        server.calls._unary.discard(limit)
        await draining


@pytest.mark.parametrize(("path", "method", "status"), [("/nowhere", "GET", 404), ("/metrics", "POST", 405)])
async def test_anything_else_is_refused(tmp_path: Path, path: str, method: str, status: int) -> None:
    async with operated(tmp_path, "plain") as server:
        found, _, headers = await get(of(server), path, method)
    assert (found, headers["x-content-type-options"]) == (status, "nosniff")


async def test_without_an_address_and_an_endpoint_there_is_no_listener_no_instrument_and_no_thread_of_telemetry(
    tmp_path: Path,
) -> None:
    """In a process of its own, whose modules and threads no other test has touched."""
    async with muxer(tmp_path, MUXER_STORAGE__URL=f"sqlite:///{tmp_path}/muxer.db") as service:
        maps = Path(f"/proc/{service.pid}/task")
        threads = [(maps / each.name / "comm").read_text().strip() for each in maps.iterdir()]
        assert service.told["ops"] == ""
    assert not [name for name in threads if name.startswith(("muxer-metrics", "OtelBatch"))]


async def test_each_worker_has_a_port_of_its_own_and_their_sums_are_right(tmp_path: Path) -> None:
    ports = await free_pair()
    listen = {
        "MUXER_SERVER__LISTEN": f"127.0.0.1:{ports[2]}",
        "MUXER_SERVER__ADMIN_LISTEN": "",
        "MUXER_OPS__LISTEN": f"127.0.0.1:{ports[0]}",
        "MUXER_STORAGE__URL": f"sqlite:///{tmp_path}/muxer.db",
    }
    async with muxer(tmp_path, "--workers", "2", **listen) as service:
        assert service.told["ops"] == f"127.0.0.1:{ports[0]}"
        for _ in range(12):  # each on a connection of its own, which the kernel gives to one of the workers
            await complete(service.target, "sandbox/sandbox-economy")
        sums = [
            sum(value for _, value in (await scrape(f"127.0.0.1:{port}")).get("muxer_completions_total", []))
            for port in ports[:2]
        ]
        assert sum(sums) == 12
        told = [json.loads((await get(f"127.0.0.1:{port}", "/status.json"))[1])["process"] for port in ports[:2]]
        assert [(each["worker"], each["workers"]) for each in told] == [(1, 2), (2, 2)]
        assert told[0]["process_id"] != told[1]["process_id"]
        assert await service.stopped() == 0


async def free_pair() -> tuple[int, int, int]:
    """Finds two neighbouring ports that are free, and a third."""
    while True:
        # Not the same ones as another run of the tests at this moment.
        port = random.SystemRandom().randint(21_000, 31_000)
        try:
            servers = [
                await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port + step) for step in range(3)
            ]
        except OSError:
            continue
        for server in servers:
            server.close()
            await server.wait_closed()
        return port, port + 1, port + 2
