"""The service and the fake provider as processes of their own, as they run for users."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

MODELS = [
    {"name": name, "tier": tier, "context_window": 100000, "input_usd_per_million": "1", "output_usd_per_million": "2"}
    for name, tier in (("plain", "economy"), ("tokens-200", "balanced"), ("stall-20", "premium"))
]


@dataclass
class Process:
    """A running program."""

    process: asyncio.subprocess.Process
    told: dict[str, object]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def target(self) -> str:
        addresses = self.told["data"]
        assert isinstance(addresses, list)
        return str(addresses[0])

    @property
    def admin_target(self) -> str:
        addresses = self.told["admin"]
        assert isinstance(addresses, list)
        return str(addresses[0])

    async def ready(self) -> None:
        """Waits until it serves."""
        assert self.process.stdout is not None
        async with asyncio.timeout(90):
            line = await self.process.stdout.readline()
        assert line, self.log.read_text()
        self.told = json.loads(line)

    def resident_kib(self) -> int:
        """Gives the resident memory in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def open_files(self) -> int:
        """Counts the open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    async def stopped(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Sends a signal, and gives the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(seconds):
            return await self.process.wait()


def clean_environment(**variables: str) -> dict[str, str]:
    """Gives an environment without the machine's own keys and settings."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("MUXER_") and not n.endswith("_API_KEY")}
    return {**kept, "PYTHONPATH": str(ROOT), "MUXER_SERVER__LISTEN": "127.0.0.1:0", **variables}


@asynccontextmanager
async def launched(folder: Path, *options: str, **variables: str) -> AsyncGenerator[Process, None]:
    """Starts `muxer serve` in an empty folder, and waits for nothing; it is killed when the block is left."""
    log = folder / "muxer.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "muxer_grpc", "serve", "--json", *options),
            cwd=folder,
            env=clean_environment(**variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    try:
        yield Process(process, {}, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def muxer(folder: Path, *options: str, upstream: str = "", **variables: str) -> AsyncGenerator[Process, None]:
    """Runs `muxer serve` in an empty folder until the block is left."""
    variables = {"MUXER_SERVER__ADMIN_LISTEN": "127.0.0.1:0", **variables}
    if upstream:
        variables["MUXER_PROVIDERS__FAKE__ADAPTER"] = "compatible"
        variables["MUXER_PROVIDERS__FAKE__BASE_URL"] = upstream
        variables["MUXER_PROVIDERS__FAKE__MODELS"] = json.dumps(MODELS)
    async with launched(folder, *options, **variables) as service:
        await service.ready()
        yield service


@asynccontextmanager
async def upstream_process() -> AsyncGenerator[str, None]:
    """Runs the fake provider; gives its base URL in OpenAI's dialect."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.provider", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        await process.wait()
