"""A disk that is full under SQLite: typed refusals, no corruption, and recovery when there is space again."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from muxer_grpc.storage.database import Database
from tests.fakes.provider import fake_provider
from tests.process.callers import Seen, check_calls, connected, keep_calling
from tests.process.replicas import Replica, replica, variables
from tests.services import shared
from tests.services.server import Session
from tests.storage.reckoning import differences, read_books
from tests.storage.records import add_budget, budget

CALLERS = 10
# SQLite takes its log over into the database when it has about 4 MB: it must not get there before the space ends.
SPACE = 3_000_000
SHORT = {"MUXER_STORAGE__PATIENCE_SECONDS": "0.5", "MUXER_STORAGE__SETTLE_SECONDS": "1"}


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """Mounts a disk that soon is full; gives what makes room on it."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    ballast = folder / "ballast"
    options = f"size={4 * SPACE}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        ballast.write_bytes(bytes(3 * SPACE))
        yield ballast.unlink
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def bounded_files(running: Replica) -> Callable[[], None]:
    """Bounds the size of files that a replica may write; gives what takes the bound away."""
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (SPACE // 2, resource.RLIM_INFINITY))
    return lambda: resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)  # type: ignore[func-returns-value]


def sound(file: Path) -> bool:
    """Asks SQLite whether a database is as it should be."""
    with sqlite3.connect(file) as connection:
        [(said,)] = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return bool(said == "ok")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("end", ["of the disk", "of what a file may hold"])
async def test_calls_are_refused_while_there_is_no_space_and_answered_when_there_is(
    services: Session, tmp_path: Path, end: str
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if end == "of the disk":
        with small_disk(folder) as make_room:
            await run_out_of_space(shared.migrated_sqlite(services, folder / "muxer.db"), tmp_path, make_room)
    else:
        await run_out_of_space(shared.migrated_sqlite(services, folder / "muxer.db"), tmp_path, None)


async def run_out_of_space(url: str, tmp_path: Path, make_room: Callable[[], None] | None) -> None:
    database, file = Database(url), tmp_path / "disk" / "muxer.db"
    await add_budget(database, budget(10**15))
    await database.aclose()
    seen = Seen()
    async with fake_provider() as provider:
        settings = variables(url, f"{provider.url}/v1", "plain", **SHORT)
        async with replica(tmp_path / "replica", **settings) as running, connected(running.target) as stub:
            make_room = make_room or bounded_files(running)
            calling = [
                asyncio.create_task(keep_calling(stub, ["plain"], seen, random.Random(caller)))
                for caller in range(CALLERS)
            ]
            while seen.reasons["STORAGE_UNAVAILABLE"] < 3 * CALLERS:
                await asyncio.sleep(0.01)
            assert seen.complete
            assert sound(file)
            make_room()
            before = len(seen.complete)
            while len(seen.complete) < before + CALLERS:
                await asyncio.sleep(0.01)
            seen.over = True
            await asyncio.gather(*calling)
            while (await asyncio.to_thread(read_books, database)).reservations:
                await asyncio.sleep(0.05)
            assert await running.stopped() == 0
        assert sound(file)
        books = read_books(database)
        assert differences(books) == []
        check_calls(books, seen, provider)
    assert seen.reasons.keys() == {"STORAGE_UNAVAILABLE"}
    # Cancelled are those whose provider was called when their promise could not be settled as it ended.
    assert {row["outcome"] for row in books.entries} - {"cancelled"} == {"complete"}
