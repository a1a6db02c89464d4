"""Load: h2load for calls that are all alike, a grpc.aio client for streams and for prompts that come once.

Every answer is counted, and only right ones count.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from statistics import median
from typing import Any

import grpc.aio
import uvloop
from muxer.v1 import chat_pb2, muxer_service_pb2

from tests.bench.processes import LOAD_CORE, ROOT, Server, environment

CONNECTIONS = 8
CONCURRENT = 64
TURN_SECONDS = 0.5
# Of a message on the wire; and the bytes that the smallest right answer has more than.
FRAME_HEAD, LEAST_REPLY = 5, 100


@dataclass(frozen=True)
class Measured:
    """One round: calls per second, CPU of the server per call in microseconds, and its resident memory."""

    per_second: float
    cpu_us: float
    resident_mib: float


def need_h2load() -> None:
    """Installs h2load where that can be done, else says what is missing."""
    if shutil.which("h2load"):
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "-qq", "nghttp2-client"], check=True, stdout=subprocess.DEVNULL)
        return
    sys.exit("muxer: make bench needs h2load (apt-get install nghttp2-client)")


def unary(server: Server, method: str, message: bytes, seconds: float) -> Measured:
    """Drives a unary method with h2load for a while."""
    with server.awake():
        cpu, began = server.cpu_seconds(), time.perf_counter()
        done = _h2load(server, method, message, seconds, ["-c", str(CONNECTIONS), "-m", str(CONCURRENT // CONNECTIONS)])
        taken, used = time.perf_counter() - began, server.cpu_seconds() - cpu
        return Measured(done / taken, used / done * 1e6, server.resident_mib())


def alone(server: Server, method: str, message: bytes, seconds: float) -> float:
    """Calls a unary method one call after the other for a while; gives the median time of a call in microseconds."""
    with server.awake(), tempfile.NamedTemporaryFile() as log:
        _h2load(server, method, message, seconds, ["-c", "1", "-m", "1", f"--log-file={log.name}"])
        return median(int(line.split()[2]) for line in Path(log.name).read_text().splitlines())


def in_turns(servers: Sequence[Server], method: str, message: bytes, seconds: float) -> list[float]:
    """Drives a unary method of several servers for so long each; gives the CPU of each per call in microseconds.

    They take turns of half a second: so what the machine does meanwhile, by which its speed changes by a third within
    seconds, meets them all alike. It is the load that waits for its turn, since a server that is stopped is late.
    """
    options = ["-c", str(CONNECTIONS), "-m", str(CONCURRENT // CONNECTIONS)]
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(server.awake())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        before = [server.cpu_seconds() for server in servers]
        loads = [
            subprocess.Popen(
                _command(server, method, message, seconds * len(servers), options, folder / str(number)),
                stdout=subprocess.PIPE,
                text=True,
            )
            for number, server in enumerate(servers)
        ]
        turns = cycle(loads)
        for waiting in loads:
            waiting.send_signal(signal.SIGSTOP)
        ends = time.perf_counter() + seconds * len(servers)
        while time.perf_counter() < ends - TURN_SECONDS:
            running = next(turns)
            running.send_signal(signal.SIGCONT)
            time.sleep(TURN_SECONDS)
            running.send_signal(signal.SIGSTOP)
        for waiting in loads:
            waiting.send_signal(signal.SIGCONT)
        done = [_done(load.communicate()[0]) for load in loads]
        used = [server.cpu_seconds() - was for server, was in zip(servers, before, strict=True)]
    return [each / calls * 1e6 for each, calls in zip(used, done, strict=True)]


def _h2load(server: Server, method: str, message: bytes, seconds: float, options: list[str]) -> int:
    """Runs h2load; gives how many calls succeeded, which all must have."""
    with tempfile.TemporaryDirectory() as folder:
        command = _command(server, method, message, seconds, options, Path(folder) / "body")
        return _done(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _command(
    server: Server, method: str, message: bytes, seconds: float, options: list[str], body: Path
) -> Sequence[str]:
    body.write_bytes(struct.pack(">BI", 0, len(message)) + message)
    return [
        *("taskset", "-c", str(LOAD_CORE), "h2load", f"--duration={max(1, round(seconds))}", *options),
        *("-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"),
        f"http://{server.target}{method}",
    ]


def _done(output: str) -> int:
    """Reads from what h2load tells how many calls succeeded, which all must have."""
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", output)
    data = re.search(r"\((\d+)\) data\n", output)
    assert found is not None and data is not None, output
    done = int(found[1])
    assert done, output
    assert not int(found[2]), output
    # A call that was refused says so in its trailers, which h2load does not read; but it answers with no data.
    assert int(data[1]) >= done * (FRAME_HEAD + LEAST_REPLY), output
    return done


def streams(server: Server, method: str, message: bytes, seconds: float) -> Measured:
    """Drives a streaming method with a client process for a while."""
    return _by_client(server, {"method": method, "message": message.hex()}, seconds)


def fresh(server: Server, method: str, prompts: Sequence[str], seconds: float) -> Measured:
    """Drives Complete with a client process for a while; no two calls have the same prompt."""
    return _by_client(server, {"method": method, "prompts": prompts, "first": next(_FIRST_NUMBERS)}, seconds)


# So many prompts no round takes.
_FIRST_NUMBERS = count(0, 1_000_000)


def _by_client(server: Server, job: dict[str, Any], seconds: float) -> Measured:
    """Gives a client process something to do for a while."""
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "tests.bench.load"]
    job |= {"target": server.target, "seconds": seconds}
    with server.awake():
        cpu = server.cpu_seconds()
        output = subprocess.run(
            [*command, json.dumps(job)], capture_output=True, text=True, check=True, cwd=ROOT, env=environment()
        ).stdout
        told = json.loads(output)
        used = server.cpu_seconds() - cpu
    return Measured(told["done"] / told["seconds"], used / told["done"] * 1e6, server.resident_mib())


async def _done_in(job: dict[str, Any]) -> dict[str, float]:
    """Does for a while what a job says, with many calls at once; gives how many were done, in how many seconds."""
    done = 0
    async with grpc.aio.insecure_channel(job["target"]) as channel:
        once = _fresh_calls(channel, job) if "prompts" in job else _streamed_calls(channel, job)
        ends = time.perf_counter() + job["seconds"]

        async def one_after_another() -> None:
            nonlocal done
            while time.perf_counter() < ends:
                await once()
                done += 1

        began = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(CONCURRENT)))
        return {"done": done, "seconds": time.perf_counter() - began}


def _streamed_calls(channel: grpc.aio.Channel, job: dict[str, Any]) -> Callable[[], Awaitable[None]]:
    call, message = channel.unary_stream(job["method"]), bytes.fromhex(job["message"])

    async def once() -> None:
        last = b""
        async for reply in call(message):
            last = reply
        if job["method"].startswith("/muxer"):
            summary = muxer_service_pb2.StreamCompleteResponse.FromString(last).summary
            assert summary.usage.output_tokens == 200, summary

    return once


def _fresh_calls(channel: grpc.aio.Channel, job: dict[str, Any]) -> Callable[[], Awaitable[None]]:
    call, prompts, numbers = channel.unary_unary(job["method"]), job["prompts"], count(job["first"])

    async def once() -> None:
        number = next(numbers)
        text = f"{prompts[number % len(prompts)]} ({number})"
        message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.ContentPart(text=text)])
        spec = chat_pb2.CompletionSpec(messages=[message], max_output_tokens=400)
        reply = await call(muxer_service_pb2.CompleteRequest(spec=spec).SerializeToString())
        assert len(reply) > LEAST_REPLY, reply

    return once


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_done_in(json.loads(sys.argv[1])))))
