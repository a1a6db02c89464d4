"""The service as a process: it starts, drains on a signal with every answer told, and shares a port among workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import grpc
import grpc.aio
import pytest
from muxer.v1 import completion_pb2, muxer_service_pb2, muxer_service_pb2_grpc
from muxer_client import AsyncMuxerClient, MuxerError

from tests.process.running import muxer, upstream_process
from tests.services.server import free_port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_service_stops_at_once_and_with_success(tmp_path: Path, number: signal.Signals) -> None:
    async with muxer(tmp_path) as service:
        assert await service.stopped(number, seconds=30) == 0


async def test_without_a_key_the_sandbox_answers_and_says_so(tmp_path: Path) -> None:
    async with muxer(tmp_path) as service, AsyncMuxerClient(service.target) as client:
        answer = await client.complete("What is 2+2?")
    assert "simulated" in answer.text
    assert answer.summary.simulated
    assert answer.cost.nano_usd > 0


async def test_a_drain_lets_a_short_answer_finish(tmp_path: Path) -> None:
    async with muxer(tmp_path) as service, AsyncMuxerClient(service.target) as client:
        async with client.stream("tell me something that is long enough to stream for a while") as stream:
            events = aiter(stream)
            await anext(events)
            service.process.send_signal(signal.SIGTERM)
            async for _ in events:
                pass
        assert stream.summary is not None
        assert stream.summary.outcome == completion_pb2.OUTCOME_COMPLETE
        assert await service.process.wait() == 0


async def test_a_drain_ends_what_does_not_finish_with_a_summary_and_a_reason(tmp_path: Path) -> None:
    grace = {"MUXER_SERVER__DRAIN_GRACE_SECONDS": "5"}
    async with (
        upstream_process() as upstream,
        muxer(tmp_path, upstream=upstream, **grace) as service,
        AsyncMuxerClient(service.target) as client,
    ):
        stalled = [client.stream("x", model="stall-20") for _ in range(20)]
        iterators = [aiter(stream) for stream in stalled]
        for events in iterators:
            await anext(events)
            await anext(events)
        service.process.send_signal(signal.SIGTERM)

        async def rest(position: int) -> str:
            try:
                async for _ in iterators[position]:
                    pass
            except MuxerError as error:
                return error.reason
            return "none"

        reasons = await asyncio.gather(*(rest(position) for position in range(20)))
        assert set(reasons) == {"DRAINING"}
        for stream in stalled:
            assert stream.summary is not None
            assert stream.summary.outcome == completion_pb2.OUTCOME_FAILED
            assert stream.summary.usage.output_tokens > 0
        assert await service.process.wait() == 0


async def test_a_taken_port_is_told_in_one_line_and_the_exit_code_is_1(tmp_path: Path) -> None:
    async with muxer(tmp_path) as first:
        environment = {"MUXER_SERVER__LISTEN": first.target}
        with pytest.raises(AssertionError) as raised:
            async with muxer(tmp_path, **environment):
                pass
    assert "cannot listen on" in str(raised.value)
    assert "Traceback" not in str(raised.value)


async def instances(target: str, calls: int) -> set[str]:
    """Asks over fresh connections which processes answer."""
    seen = set()
    for number in range(calls):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.lookahead_bytes", 1024 + number)]
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
            reply = await stub.GetMetrics(muxer_service_pb2.GetMetricsRequest(), timeout=10)
            seen.add(reply.process.instance_id)
    return seen


async def test_workers_share_a_port_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    environment = {"MUXER_SERVER__LISTEN": f"127.0.0.1:{free_port()}", "MUXER_SERVER__ADMIN_LISTEN": ""}
    async with muxer(tmp_path, "--workers", "2", **environment) as service:
        before = await instances(service.target, 30)
        assert len(before) == 2
        children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        async with asyncio.timeout(90):
            while True:
                # What waits in the killed worker's queue is reset, as on any machine that dies.
                with contextlib.suppress(grpc.aio.AioRpcError):
                    after = await instances(service.target, 20)
                    if len(after) == 2 and after != before:
                        break
                await asyncio.sleep(0.1)
        assert await service.stopped(seconds=20) == 0


async def test_who_asks_for_the_contract_leaves_a_line_in_the_log_like_any_other(tmp_path: Path) -> None:
    async with muxer(tmp_path, MUXER_LOG__LEVEL="info", MUXER_LOG__FORMAT="json") as service:
        async with grpc.aio.insecure_channel(service.target) as channel:
            call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")()
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
        assert await service.stopped() == 0
    log = service.log.read_text()
    assert "Logging error" not in log
    assert '"message":"ServerReflectionInfo OK"' in log
