"""What telemetry costs: the same service with it off, with metrics alone, and with traces to a live receiver."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

from rich.table import Table

from tests.bench import load
from tests.bench.processes import LOAD_CORE, Server, environment, muxer, started

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
# The most that may be lost of Complete per core: all calls traced, and one of twenty.
GOALS = {"1.0": 0.12, "0.05": 0.04}


@dataclass
class Observed:
    """One kind of telemetry; `goal` is the share of Complete per core that it may cost (0: none is set).

    `rounds` holds the CPU of a call without telemetry and with it, measured in turns; in microseconds.
    """

    name: str
    goal: float = 0.0
    rounds: list[tuple[float, float]] = field(default_factory=list)

    @property
    def cpu_us(self) -> float:
        return median(mine for _, mine in self.rounds)

    @property
    def cpu_us_without(self) -> float:
        return median(off for off, _ in self.rounds)

    @property
    def lost(self) -> float:
        """Gives the share of calls that a core does not do for it: the median over the rounds."""
        return median(1 - off / mine for off, mine in self.rounds)


@contextmanager
def sink() -> Iterator[str]:
    """Runs a receiver that reads everything and keeps nothing."""
    with started(LOAD_CORE, "tests.bench.observed", variables=environment()) as (_, line):
        yield f"http://127.0.0.1:{line}"


@contextmanager
def observed(upstream: str, models: int, receiver: str, ratio: str) -> Iterator[Server]:
    """Runs a service that sends metrics, and a share of its traces."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": ratio,
        # Six times as often as the standard has it.
        "OTEL_METRIC_EXPORT_INTERVAL": "10000",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
    }
    with muxer(upstream, models, **variables) as server:
        yield server


def measure(upstream: str, method: str, message: bytes, rounds: int, seconds: float) -> list[Observed]:
    """Measures the service with each kind of telemetry beside one without, in turns.

    Each round has processes of its own: two of the same program differ by some percent for as long as they live.
    """
    found = {"metrics": Observed("metrics alone")}
    found |= {ratio: Observed(f"metrics, and traces of a share of {ratio}", goal) for ratio, goal in GOALS.items()}
    found["lines"] = Observed("a line for each call")
    with sink() as receiver, open(os.devnull, "w") as nowhere:
        for _ in range(rounds):
            with ExitStack() as stack:
                kinds = {
                    "metrics": muxer(upstream, 20, MUXER_OPS__LISTEN="127.0.0.1:0"),
                    **{ratio: observed(upstream, 20, receiver, ratio) for ratio in GOALS},
                    "lines": muxer(upstream, 20, stderr=nowhere, MUXER_LOG__LEVEL="info", MUXER_LOG__FORMAT="json"),
                }
                off = stack.enter_context(muxer(upstream, 20))
                off.rest()
                for name, kind in kinds.items():
                    with kind as server:
                        server.rest()
                        without, mine = load.in_turns([off, server], method, message, seconds)
                        found[name].rounds.append((without, mine))
    return list(found.values())


def shown(found: list[Observed]) -> Table:
    """Shows what each kind costs."""
    table = Table(title="What telemetry costs Complete", title_justify="left", box=None, pad_edge=False)
    for column in ("", "CPU µs", "without", "fewer per core", "at most", ""):
        table.add_column(column, justify="left" if not column else "right")
    for each in found:
        goal, met = "", ""
        if each.goal:
            goal, met = f"{each.goal:.0%}", "met" if each.lost <= each.goal else "missed"
        table.add_row(each.name, f"{each.cpu_us:,.0f}", f"{each.cpu_us_without:,.0f}", f"{each.lost:.1%}", goal, met)
    return table


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            found = _LENGTH.search(head)
            await reader.readexactly(int(found[1]) if found else 0)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.transport.abort()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
