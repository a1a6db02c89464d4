"""Mixed faults at steady load, with providers that are killed at random: does the service stay as it was?

Prints a table, writes soak-result.json, and ends with 1 where anything is not as it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muxer_client import AsyncMuxerClient

from muxer_grpc.domain.budgeting import Period
from muxer_grpc.storage.database import Database
from tests.services import shared
from tests.soak.callers import EXPECTED_REASONS, Told, keep_calling
from tests.soak.ground import Ground, ground, kill_at_random
from tests.soak.watch import Result, Watch, open_files_at_rest
from tests.storage.records import add_budget, budget

RESULT = Path("soak-result.json")
CALLERS = 16
# A share of the time, for all that is made once and kept: only after it are the open files counted for the first time.
WARM_SHARE = 0.15


async def soak(folder: Path, database_url: str, seconds: float, *, callers: int = CALLERS, seed: int = 1) -> Result:
    """Runs a soak; its load lasts for so many seconds."""
    kill_every = min(15.0, seconds / 8)
    database = Database(database_url)
    for period in (Period.DAILY, Period.TOTAL):
        # More than is ever spent: so the books have counters that must be right.
        await add_budget(database, budget(10**15, period))
    await database.aclose()
    told, watch = Told(), Watch()
    async with ground(folder, database_url, seed) as running, AsyncMuxerClient(running.service.target) as client:
        await _load(running, client, Told(), WARM_SHARE * seconds, callers=callers, seed=seed)
        _, before = await _at_rest(running, client)
        for vendor in running.vendors:
            await vendor.start()
            vendor.kills = 0
        over = asyncio.Event()
        watching = asyncio.create_task(watch.keep(running.service, running.open_files))
        killing = asyncio.create_task(kill_at_random(running.vendors, random.Random(seed), kill_every, over))
        began = time.monotonic()
        await _load(running, client, told, seconds, callers=callers, seed=seed + 1_000)
        seconds = time.monotonic() - began
        over.set()
        await killing
        watching.cancel()
        await asyncio.wait([watching])
        kills = sum(vendor.kills for vendor in running.vendors)
        in_flight, after = await _at_rest(running, client, before)
        exit_code = await running.service.stopped()
        ledger_exit_code, ledger = await running.ledger_check()
        complaints = _complaints(running.service.log)
    if not watching.cancelled():
        watching.result()
    return Result(
        seconds=seconds,
        told=told,
        watch=watch,
        kills=kills,
        files_before=before,
        files_after=after,
        in_flight=in_flight,
        ledger_exit_code=ledger_exit_code,
        ledger=ledger,
        exit_code=exit_code,
        complaints=complaints,
    )


async def _load(
    running: Ground, client: AsyncMuxerClient, told: Told, seconds: float, *, callers: int, seed: int
) -> None:
    """Lets callers call for so long, and waits for their last calls; ends early with the error of one of them."""
    calling = [asyncio.create_task(keep_calling(client, told, random.Random(seed + n))) for n in range(callers)]
    await asyncio.wait(calling, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    told.over = True
    await asyncio.gather(*calling)
    assert running.service.process.returncode is None, running.service.log.read_text()[-4_000:]


async def _at_rest(running: Ground, client: AsyncMuxerClient, most: int | None = None) -> tuple[int, int]:
    """Takes the providers away, so that no connection to them can stay, and waits for rest."""
    for vendor in running.vendors:
        await vendor.kill()
    return await open_files_at_rest(running.open_files, client, most)


def _complaints(log: Path) -> list[str]:
    """Lists what the service logged of defects: errors that are no provider's, and what is no line of a log at all."""
    found = []
    for line in log.read_text().splitlines():
        told = json.loads(line) if line.startswith("{") else {"level": "error"}
        if told["level"] in {"error", "critical"} and told.get("reason") not in EXPECTED_REASONS:
            found.append(line[:2_000])
    return found


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    """Makes a database with all tables; gives its URL."""
    session = shared.begin(os.environ)
    try:
        if kind == "sqlite":
            yield shared.migrated_sqlite(session, folder / "muxer.db")
        else:
            with shared.migrated_postgresql(session) as url:
                yield url
    finally:
        shared.end(session, os.environ)


def main() -> int:
    """Runs a soak as it is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long the load lasts; 5 is the short form")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _database(arguments.database, Path(folder)) as url:
        seconds = 60.0 * arguments.minutes
        result = asyncio.run(soak(Path(folder), url, seconds, callers=arguments.callers, seed=arguments.seed))
    print(result.table(), flush=True)
    RESULT.write_text(json.dumps(result.record(), indent=1) + "\n")
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
