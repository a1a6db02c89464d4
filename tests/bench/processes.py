"""The processes of a benchmark: the servers on one core, the fake upstream and the load on the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc

from muxer_grpc.rpc import health_messages

ROOT = Path(__file__).parents[2]
SERVER_CORE, LOAD_CORE = (0, 1) if (os.cpu_count() or 1) > 1 else (0, 0)
TICKS = os.sysconf("SC_CLK_TCK")

# After a rest, until a service sees by itself that its event loop is not late any more, and before one; in seconds.
WAKE_SECONDS = 0.5

# Twenty models of three tiers, as a company might have; the first alone is the small fleet.
FLEET = [
    {
        "name": "plain" if number == 0 else f"plain-{number:02}",
        "tier": ("balanced", "economy", "premium")[number % 3],
        "context_window": 128000,
        "max_output_tokens": 4096,
        "quality": 0.9 - number / 50,
        "input_usd_per_million": str(1 + number),
        "output_usd_per_million": str(2 + number),
    }
    for number in range(20)
]
STREAMED = {**FLEET[0], "name": "tokens-200"}


@dataclass
class Server:
    """A server under measurement. While it rests, it takes nothing from those with which it shares the core."""

    process: subprocess.Popen[str]
    target: str

    def rest(self) -> None:
        """Stops the process until it is measured."""
        self.process.send_signal(signal.SIGSTOP)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Lets the process run for as long as it is measured."""
        self.process.send_signal(signal.SIGCONT)
        time.sleep(WAKE_SECONDS)
        try:
            yield
        finally:
            # What the load left under way when its time was up ends by itself.
            time.sleep(WAKE_SECONDS)
            self.rest()

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def pin(core: int) -> None:
    os.sched_setaffinity(0, {core})


def environment(upstream: str = "", models: int = 1) -> dict[str, str]:
    """Gives an environment without keys; with an upstream, the service has that many models on it."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("MUXER_") and not n.endswith("_API_KEY")}
    kept |= {
        "PYTHONPATH": str(ROOT),
        "MUXER_SERVER__LISTEN": "127.0.0.1:0",
        "MUXER_SERVER__ADMIN_LISTEN": "127.0.0.1:0",
        "MUXER_LOG__LEVEL": "warning",
    }
    if upstream:
        kept |= {
            "MUXER_PROVIDERS__BENCH__ADAPTER": "compatible",
            "MUXER_PROVIDERS__BENCH__BASE_URL": upstream,
            "MUXER_PROVIDERS__BENCH__MODELS": json.dumps([*FLEET[:models], STREAMED]),
        }
    return kept


@contextmanager
def started(
    core: int, *arguments: str, variables: Mapping[str, str], stderr: IO[str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Starts a Python module on a core; gives the process and its first line."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env=dict(variables),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            preexec_fn=lambda: pin(core),  # noqa: PLW1509 (no thread runs here yet)
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{arguments[0]} did not start"
            yield process, line.strip()
        finally:
            process.kill()
            process.wait()


@contextmanager
def muxer(
    upstream: str, models: int, program: str = "muxer_grpc", stderr: IO[str] | None = None, **more: str
) -> Iterator[Server]:
    variables = environment(upstream, models) | more
    with started(SERVER_CORE, program, "serve", "--json", variables=variables, stderr=stderr) as (process, line):
        yield Server(process, json.loads(line)["data"][0])


@contextmanager
def bare(upstream: str, reply_bytes: int) -> Iterator[Server]:
    arguments = ("tests.bench.ceilings", "--upstream", upstream, "--reply-bytes", str(reply_bytes))
    with started(SERVER_CORE, *arguments, variables=environment()) as (process, line):
        yield Server(process, json.loads(line)["data"][0])


@contextmanager
def fake_upstream() -> Iterator[str]:
    with started(LOAD_CORE, "tests.fakes.provider", variables=environment()) as (_, line):
        yield f"http://127.0.0.1:{line}/v1"


def cold_start_seconds() -> float:
    """Measures from the start of the program to the first SERVING."""
    began = time.perf_counter()
    with started(SERVER_CORE, "muxer_grpc", "serve", "--json", variables=environment()) as (_, line):
        with grpc.insecure_channel(json.loads(line)["data"][0]) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            reply = check(health_messages.HealthCheckRequest().SerializeToString(), timeout=5)
            assert health_messages.HealthCheckResponse.FromString(reply).status == health_messages.SERVING
        return time.perf_counter() - began
