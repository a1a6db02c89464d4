"""A caller whose service dies hears of it at once, also where its stream has told nothing yet."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from muxer_client import AsyncMuxerClient, MuxerClient, MuxerError

from tests.process.running import MODELS, Process, launched, upstream_process

# Its first byte takes twenty seconds.
SLOW = "delay-20000"


async def until_called(service: Process) -> None:
    """Waits until a call of a provider is under way: its promise is the first thing to be written."""
    wal = service.log.parent / "muxer.db-wal"
    before = wal.stat().st_size
    while wal.stat().st_size == before:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_stream_that_has_told_nothing_ends_with_its_service(tmp_path: Path, kind: str) -> None:
    def read(target: str) -> None:
        with MuxerClient(target) as client, client.stream("x", model=f"fake/{SLOW}") as stream:
            list(stream)

    async def read_async(target: str) -> None:
        async with AsyncMuxerClient(target) as client, client.stream("x", model=f"fake/{SLOW}") as stream:
            async for _ in stream:
                pass

    async with upstream_process() as upstream:
        models = json.dumps([{**MODELS[0], "name": SLOW}])
        variables = {"BASE_URL": upstream, "ADAPTER": "compatible", "MODELS": models}
        given = {f"MUXER_PROVIDERS__FAKE__{name}": value for name, value in variables.items()}
        async with launched(tmp_path, MUXER_SERVER__ADMIN_LISTEN="", **given) as service:
            await service.ready()
            reading = asyncio.ensure_future(
                asyncio.to_thread(read, service.target) if kind == "sync" else read_async(service.target)
            )
            await until_called(service)
            assert not reading.done()
            os.kill(service.pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                with pytest.raises(MuxerError) as raised:
                    await reading
    assert raised.value.reason == "UNAVAILABLE"
