"""Requests cancelled at random points leave nothing behind: ten thousand in the long form."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from statistics import median

import grpc.aio
import pytest
from muxer.v1 import muxer_service_pb2, muxer_service_pb2_grpc
from muxer_client import AsyncMuxerClient

from tests.process.replicas import LONG
from tests.process.running import Process, muxer, upstream_process
from tests.rpc.service import spec

REQUESTS = 10_000 if LONG else 2_400
AT_ONCE = 100
SAMPLES = 20 if LONG else 12


async def cancel_many(client: AsyncMuxerClient, count: int, seed: int) -> None:
    """Begins requests and cancels each at a random point: before its headers, in its stream, or after its end."""
    chance = random.Random(seed)
    stub = muxer_service_pb2_grpc.MuxerServiceStub(client._open(grpc.aio, client._target))
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(model: str, pause: float, unary: bool) -> None:
        async with gate:
            prompt = spec("x", requested_model=model)
            if unary:
                call = stub.Complete(muxer_service_pb2.CompleteRequest(spec=prompt), timeout=30)
            else:
                call = stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=prompt), timeout=30)
                if pause > 0.002:
                    reading = asyncio.create_task(call.read())
                    await asyncio.wait([reading], timeout=pause)
                    reading.cancel()
            await asyncio.sleep(pause)
            call.cancel()

    models = ("fake/stall-20", "fake/tokens-200", "fake/plain")
    await asyncio.gather(
        *(one(chance.choice(models), chance.random() ** 2 * 0.25, chance.random() < 0.3) for _ in range(count))
    )


async def until_idle(client: AsyncMuxerClient) -> muxer_service_pb2.GetMetricsResponse:
    async with asyncio.timeout(20):
        while True:
            reply = await client.metrics()
            if not reply.process.completions_in_flight:
                return reply
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_cancelled_requests_leave_no_memory_no_connection_and_no_call(tmp_path: Path) -> None:
    async with (
        upstream_process() as upstream,
        muxer(tmp_path, upstream=upstream) as service,
        AsyncMuxerClient(service.target) as client,
    ):
        await client.complete("x", model="fake/plain")
        resident: list[int] = []
        for part in range(SAMPLES):
            await cancel_many(client, REQUESTS // SAMPLES, seed=part)
            await until_idle(client)
            resident.append(service.resident_kib())
        figures = await until_idle(client)
        # The points were random: many were cut in the middle, and many ended first.
        assert figures.total.cancelled > REQUESTS // 50
        assert figures.total.successes > REQUESTS // 50
        await check_nothing_is_left(service, client)
        half = resident[SAMPLES // 2 :]
        grown = median(half[-3:]) / median(half[:3])
        assert grown < 1.05, f"resident memory grew by {grown:.3f} over the last half: {resident} KiB"
        assert await service.stopped() == 0


async def check_nothing_is_left(service: Process, client: AsyncMuxerClient) -> None:
    # Connections that were in use when their calls were cancelled are closed; those left are idle and few.
    async with asyncio.timeout(20):
        while service.open_files() > 60 + AT_ONCE:
            await asyncio.sleep(0.05)
    answers = await asyncio.gather(*(client.complete("x", model="fake/plain") for _ in range(100)))
    assert {answer.text for answer in answers} == {"Hello wörld 🌍."}
    log = service.log.read_text()
    assert "Traceback" not in log
    assert "incident" not in log
