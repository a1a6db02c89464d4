"""Replicas that start at once where there is no database yet."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from muxer_grpc.storage.database import Database
from muxer_grpc.storage.migrating import SchemaState, state_of
from tests.process.replicas import replica, variables


async def test_processes_that_start_together_make_the_tables_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    settings = variables(url, "http://127.0.0.1:9/v1", "plain")
    async with AsyncExitStack() as stack:
        starting = (stack.enter_async_context(replica(tmp_path / str(number), **settings)) for number in range(6))
        replicas = await asyncio.gather(*starting)
        assert state_of(Database(url))[0] is SchemaState.CURRENT
        assert [await each.stopped() for each in replicas] == [0] * 6
