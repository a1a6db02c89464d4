"""What a soak runs on: the service as a process, and fake providers that are killed and come back."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.process.running import ROOT, Process, clean_environment, muxer
from tests.soak.descriptors import open_files

PROVIDERS = ("alpha", "beta", "gamma")
MODELS = ("small", "large")


class Vendor:
    """A fake provider as a process that always has the same port."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0
        self.kills = 0

    async def start(self) -> None:
        """Starts it; it takes calls when this returns."""
        self._seed += 1
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.soak.provider", "--port", str(self.port), "--seed", str(self._seed)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(await self._process.stdout.readline())

    async def kill(self) -> None:
        """Kills it with SIGKILL, where it runs."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
            self.kills += 1


@asynccontextmanager
async def vendors(seed: int) -> AsyncGenerator[tuple[Vendor, ...], None]:
    """Runs the fake providers until the block is left."""
    made = tuple(Vendor(seed + 1_000 * number) for number, _ in enumerate(PROVIDERS))
    async with AsyncExitStack() as stack:
        for each in made:
            await each.start()
            stack.push_async_callback(each.kill)
        yield made


async def kill_at_random(them: Sequence[Vendor], chance: random.Random, every: float, over: asyncio.Event) -> None:
    """Kills one of them after `every` seconds on average, starts it a while later, and so on until it is over."""
    while not await _set_within(over, every * chance.uniform(0.5, 1.5)):
        one = chance.choice(them)
        await one.kill()
        await _set_within(over, every * chance.uniform(0.05, 0.4))
        await one.start()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Waits for an event for so long; tells whether it has come."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def variables(database_url: str, them: Sequence[Vendor]) -> dict[str, str]:
    """Gives the settings of the service: timers short enough that most faults end within a call's time."""
    found = {
        "MUXER_STORAGE__URL": database_url,
        "MUXER_RESILIENCE__FIRST_TOKEN_SECONDS": "1",
        "MUXER_RESILIENCE__GAP_SECONDS": "1",
        "MUXER_RESILIENCE__PROBE_SECONDS": "5",
        "MUXER_RESILIENCE__HEDGE_SHARE": "0.2",
        "MUXER_RESILIENCE__BREAKER__OPEN_SECONDS": "1",
        "MUXER_RESILIENCE__BREAKER__MOST_OPEN_SECONDS": "4",
        "MUXER_LOG__LEVEL": "warning",
        "MUXER_LOG__FORMAT": "json",
    }
    timeouts = {"connect_seconds": 1, "first_byte_seconds": 2, "gap_seconds": 2}
    for name, vendor in zip(PROVIDERS, them, strict=True):
        prefix = f"MUXER_PROVIDERS__{name.upper()}__"
        found[f"{prefix}ADAPTER"] = "compatible"
        found[f"{prefix}BASE_URL"] = f"http://127.0.0.1:{vendor.port}/v1"
        found[f"{prefix}MODELS"] = json.dumps([_model(model) for model in MODELS])
        for timer, seconds in timeouts.items():
            found[f"{prefix}TIMEOUTS__{timer.upper()}"] = str(seconds)
    return found


def _model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "tier": "economy" if name == "small" else "premium",
        "context_window": 100_000,
        "max_output_tokens": 4_000,
        "features": ["prefill"],
        "input_usd_per_million": "1",
        "output_usd_per_million": "2" if name == "small" else "8",
    }


@dataclass
class Ground:
    """A running service and its providers."""

    service: Process
    vendors: tuple[Vendor, ...]
    folder: Path
    settings: dict[str, str]

    def open_files(self) -> int:
        """Counts what the service has open, beside its database."""
        return open_files(self.service.pid, self.settings["MUXER_STORAGE__URL"])

    async def ledger_check(self) -> tuple[int, dict[str, Any]]:
        """Runs `muxer ledger check`; gives its exit code and what it found."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "muxer_grpc", "ledger", "check", "--json"),
            cwd=self.folder,
            env=clean_environment(**self.settings),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, json.loads(said)


@asynccontextmanager
async def ground(folder: Path, database_url: str, seed: int) -> AsyncGenerator[Ground, None]:
    """Runs providers and a service until the block is left."""
    async with vendors(seed) as them:
        settings = variables(database_url, them)
        async with muxer(folder, **settings) as service:
            yield Ground(service, them, folder, settings)
