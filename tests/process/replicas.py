"""Replicas: processes of the service that share a database, and can be started by the dozen.

Each is `muxer serve` as users run it. It is forked from a process that has loaded the libraries, where a start of its
own would take seconds; nothing of gRPC runs before the fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.process.running import clean_environment

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        *("muxer_grpc.server", "muxer_grpc.cli.app", "muxer_grpc.cli.serving", "psycopg", "aiosqlite", "uvloop"),
        *(f"muxer_grpc.providers.{name}" for name in ("anthropic", "litellm", "mistral", "ollama", "sandbox", "xai")),
    ]
)

# The long form of what shows that nothing is lost: see `make endure`.
LONG = bool(os.environ.get("TEST_LONG"))

MODEL = {
    "tier": "balanced",
    "context_window": 100_000,
    "max_output_tokens": 4_000,
    "input_usd_per_million": "1",
    "output_usd_per_million": "2",
}


@dataclass
class Replica:
    """A running process of the service."""

    process: Any
    target: str
    log: Path
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def kill(self) -> None:
        """Kills it with SIGKILL, wherever it is."""
        self.process.kill()

    async def stopped(self) -> int:
        """Asks it to end in order; gives the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        await self.ended.wait()
        self.process.join()
        return int(self.process.exitcode)


@asynccontextmanager
async def replica(folder: Path, **variables: str) -> AsyncGenerator[Replica, None]:
    """Runs a process of the service in a folder of its own until the block is left, which kills it."""
    folder.mkdir(exist_ok=True)
    log = folder / "muxer.log"
    ours, theirs = _context.Pipe(duplex=False)
    environment = clean_environment(MUXER_SERVER__ADMIN_LISTEN="", **variables)
    process = _context.Process(target=_serve, args=(str(folder), str(log), environment, theirs))
    # Not in a thread: what is cancelled there would start all the same, and stay.
    process.start()
    theirs.close()
    loop = asyncio.get_running_loop()
    running = Replica(process, "", log)
    loop.add_reader(process.sentinel, running.ended.set)
    try:
        running.target = await _ready(ours, running)
        yield running
    finally:
        loop.remove_reader(process.sentinel)
        ours.close()
        process.kill()
        process.join()
        process.close()


async def _ready(told: Connection, running: Replica) -> str:
    """Waits until the process says where it listens."""
    said = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(told.fileno(), said.set)
    try:
        await said.wait()
    finally:
        loop.remove_reader(told.fileno())
    try:
        return str(json.loads(told.recv())["data"][0])
    except EOFError:
        raise AssertionError(running.log.read_text()[-4_000:]) from None


def _serve(folder: str, log: str, environment: dict[str, str], told: Connection) -> None:
    """Is the whole life of a process."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(errors, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.stdout = _Lines(told)  # type: ignore[assignment]
    from muxer_grpc.cli.app import main

    sys.argv = ["muxer", "serve", "--json"]
    main()


class _Lines:
    """A standard output whose first line goes to whoever started the process."""

    def __init__(self, told: Connection) -> None:
        self._told = told
        self._begun = ""

    def write(self, text: str) -> int:
        self._begun += text
        if "\n" in self._begun:
            line, _, self._begun = self._begun.partition("\n")
            with contextlib.suppress(OSError):
                self._told.send(line)
        return len(text)

    def flush(self) -> None:
        """Holds nothing back but a line that has not ended."""

    def isatty(self) -> bool:
        return False


def variables(url: str, upstream: str, *models: str, **changes: str) -> dict[str, str]:
    """Gives the settings of a replica on a database, with models of the fake provider; leases are short."""
    return {
        "MUXER_STORAGE__URL": url,
        "MUXER_STORAGE__LEASE_SECONDS": "1",
        "MUXER_PROVIDERS__FAKE__ADAPTER": "compatible",
        "MUXER_PROVIDERS__FAKE__BASE_URL": upstream,
        "MUXER_PROVIDERS__FAKE__MODELS": json.dumps([{"name": name, **MODEL} for name in models]),
        "MUXER_LOG__LEVEL": "info",
        # What fails here is meant to, and is to be asked again at once.
        "MUXER_RESILIENCE__BREAKER__ENABLED": "false",
        "MUXER_RESILIENCE__FIRST_WAIT_SECONDS": "0.01",
        # Replicas and callers have the machine to themselves by turns: they are late, and shed nobody for it.
        "MUXER_LOAD__UNARY_LAG_SECONDS": "0",
        "MUXER_LOAD__STREAM_LAG_SECONDS": "0",
        **changes,
    }
