"""`make bench`: our hot paths beside the bare ceilings, in one run, in rounds that take turns.

The server has one core, the load and the fake upstream share the other; servers that wait for their turn are stopped.
Read ratios, not absolute figures: machines differ, and drift. A ratio is the median of those of the rounds, since a row
and its ceiling are measured seconds apart there. Nothing but loopback is called.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import grpc
from muxer.v1 import chat_pb2, muxer_service_pb2, muxer_service_pb2_grpc
from rich.console import Console
from rich.table import Table

from tests.bench import accounts, decisions, load, observed
from tests.bench.accounts import Alone
from tests.bench.load import Measured
from tests.bench.processes import Server, bare, cold_start_seconds, fake_upstream, muxer

PROMPT = (
    "Tell me about the effects of climate change on the coastal towns of northern Europe over the coming decades, "
    "and about what their councils plan to do, in three short paragraphs."
)
SERVICE = "/muxer.v1.MuxerService/"


@dataclass
class Row:
    """One thing that is measured; `ceiling` names the row it is held against, `goal` the least ratio or rate."""

    name: str
    measure: Callable[[float], Measured]
    ceiling: str = ""
    goal_ratio: float = 0.0
    goal_rate: float = 0.0
    rounds: list[Measured] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(each.per_second for each in self.rounds)

    @property
    def cpu_us(self) -> float:
        return median(each.cpu_us for each in self.rounds)

    def ratio(self, ceiling: Row) -> float:
        return median(mine.per_second / most.per_second for mine, most in zip(self.rounds, ceiling.rounds, strict=True))


# Callers who bound their answers are asked for in one piece; answers that may take longer than a silent model is waited
# for come from the provider as a stream, which is read piece by piece.
BOUND = 400


def request(model: str = "", bound: int | None = BOUND) -> chat_pb2.CompletionSpec:
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.ContentPart(text=PROMPT)])
    return chat_pb2.CompletionSpec(messages=[message], requested_model=model, max_output_tokens=bound)


def checked_reply_bytes(target: str) -> int:
    """Makes one call of each kind, checks it, and gives the size of Complete's reply."""
    with grpc.insecure_channel(target) as channel:
        stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
        decision = stub.Route(muxer_service_pb2.RouteRequest(spec=request()), timeout=10).decision
        assert decision.selected_model.startswith("bench/plain"), decision
        reply = stub.Complete(muxer_service_pb2.CompleteRequest(spec=request()), timeout=10)
        assert reply.message.parts[0].text, reply
        return reply.ByteSize()


@dataclass(frozen=True)
class Servers:
    """What is measured: our service in several forms (`shared` on PostgreSQL, where there is one), and the ceilings."""

    one: Server
    twenty: Server
    unaccounted: Server
    unwritten: Server
    caching: Server
    shared: Server | None
    floor: Server


def servers(stack: ExitStack) -> Servers:
    upstream = stack.enter_context(fake_upstream())
    url = stack.enter_context(accounts.postgresql())
    ours = {
        "one": muxer(upstream, 1),
        "twenty": muxer(upstream, 20),
        "unaccounted": muxer(upstream, 20, accounts.__name__, **{accounts.KEPT: "none"}),
        "unwritten": muxer(upstream, 20, accounts.__name__, **{accounts.KEPT: "unwritten"}),
        "caching": muxer(upstream, 20, MUXER_CACHE__ENABLED="true"),
    }
    if url:
        ours["shared"] = muxer(upstream, 20, MUXER_STORAGE__URL=url)
    found = {name: stack.enter_context(each) for name, each in ours.items()}
    reply_bytes = [checked_reply_bytes(server.target) for server in found.values()]
    floor = stack.enter_context(bare(upstream, reply_bytes[1]))
    for server in (*found.values(), floor):
        server.rest()
    return Servers(**{"shared": None, **found, "floor": floor})  # type: ignore[arg-type]


def rows(to: Servers) -> list[Row]:
    """Lists what is done for 64 callers at once."""
    route = muxer_service_pb2.RouteRequest(spec=request()).SerializeToString()
    complete = muxer_service_pb2.CompleteRequest(spec=request()).SerializeToString()
    unbounded = muxer_service_pb2.CompleteRequest(spec=request(bound=None)).SerializeToString()
    stream = muxer_service_pb2.StreamCompleteRequest(spec=request("tokens-200")).SerializeToString()

    def routing(name: str, server: Server) -> Row:
        return Row(name, partial(load.unary, server, f"{SERVICE}Route", route), "bare echo", 0.60)

    def completing(name: str, server: Server, ceiling: str = "bare grpc.aio + aiohttp", goal: float = 0.0) -> Row:
        return Row(name, partial(load.unary, server, f"{SERVICE}Complete", complete), ceiling, goal)

    found = [
        Row("bare echo", partial(load.unary, to.floor, "/bare.Bare/Echo", route)),
        routing("Route, 1 model", to.one),
        routing("Route, 20 models", to.twenty),
        completing("Complete from the cache", to.caching, "bare echo", 0.60),
        Row("bare grpc.aio + aiohttp", partial(load.unary, to.floor, "/bare.Bare/Call", complete)),
        completing("Complete, 1 model", to.one, goal=0.55),
        completing("Complete, 20 models", to.twenty, goal=0.55),
        # What the classifier and the router keep of prompts and choices serves the rows above, as it serves templates
        # and agents; here, nothing was seen before.
        Row(
            "Complete, each prompt new",
            partial(load.fresh, to.twenty, f"{SERVICE}Complete", decisions.prompts()[::3]),
            "bare grpc.aio + aiohttp",
        ),
        completing("Complete without accounts", to.unaccounted),
        Row(
            "Complete of any length",
            partial(load.unary, to.twenty, f"{SERVICE}Complete", unbounded),
            "bare grpc.aio + aiohttp",
        ),
    ]
    if to.shared is not None:
        found.append(completing("Complete on PostgreSQL", to.shared))
    return [
        *found,
        Row("bare stream, 200 messages", partial(load.streams, to.floor, "/bare.Bare/Stream", stream)),
        Row(
            "StreamComplete, 200 tokens",
            partial(load.streams, to.twenty, f"{SERVICE}StreamComplete", stream),
            "bare stream, 200 messages",
            goal_rate=200,
        ),
    ]


def lone_callers(to: Servers) -> list[Alone]:
    """Lists what a lone caller waits for: a service without accounts, and those that keep them; bare ones first."""
    complete = muxer_service_pb2.CompleteRequest(spec=request()).SerializeToString()
    bare, ours = "bare grpc.aio + aiohttp", "Complete with accounts, but for their two commits"
    found = [
        Alone(bare, partial(load.alone, to.floor, "/bare.Bare/Call", complete)),
        Alone("the same with two bare commits", partial(load.alone, to.floor, "/bare.Bare/Booked", complete), bare),
        Alone("Complete without accounts", partial(load.alone, to.unaccounted, f"{SERVICE}Complete", complete)),
        Alone(ours, partial(load.alone, to.unwritten, f"{SERVICE}Complete", complete)),
    ]
    for where, server in (("SQLite", to.twenty), ("PostgreSQL", to.shared)):
        if server is not None:
            measure = partial(load.alone, server, f"{SERVICE}Complete", complete)
            found.append(Alone(f"Complete on {where}", measure, ours, accounts.GOAL_ADDED_US))
    return found


def shown(found: list[Row], cold: float, resident: float) -> Table:
    by_name = {row.name: row for row in found}
    table = Table(
        title="One core for the server; medians of the rounds", title_justify="left", box=None, pad_edge=False
    )
    for column in ("", "per second", "min to max", "CPU µs", "of ceiling", "goal", ""):
        table.add_column(column, justify="left" if not column else "right")
    for row in found:
        rates = [each.per_second for each in row.rounds]
        ratio = row.ratio(by_name[row.ceiling]) if row.ceiling else None
        goal, met = "", ""
        if row.goal_ratio and ratio is not None:
            goal, met = f"{row.goal_ratio:.2f}", "met" if ratio >= row.goal_ratio else "missed"
        elif row.goal_rate:
            goal, met = f"{row.goal_rate:.0f}/s", "met" if row.rate >= row.goal_rate else "missed"
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        cells = (f"{row.rate:,.0f}", spread, f"{row.cpu_us:,.0f}", "" if ratio is None else f"{ratio:.2f}", goal, met)
        table.add_row(row.name, *cells)
    table.add_row("cold start to SERVING", f"{cold:.2f} s", "", "", "", "1.50 s", "met" if cold < 1.5 else "missed")
    table.add_row(
        "memory of a worker", f"{resident:.0f} MiB", "", "", "", "120 MB", "met" if resident < 114 else "missed"
    )
    return table


def alone_shown(found: list[Alone]) -> Table:
    """Shows what the two commits of an account add where nothing else is done at the time."""
    by_name = {each.name: each for each in found}
    table = Table(title="A lone caller; medians of the rounds", title_justify="left", box=None, pad_edge=False)
    for column in ("", "p50 µs", "added by two commits", "goal", ""):
        table.add_column(column, justify="left" if not column else "right")
    for each in found:
        added, goal, met = "", "", ""
        if each.beside:
            more = each.added_us(by_name[each.beside])
            added = f"{more:,.0f}"
            if each.goal_us:
                goal, met = f"{each.goal_us:,.0f}", "met" if more < each.goal_us else "missed"
        table.add_row(each.name, f"{each.p50_us:,.0f}", added, goal, met)
    return table


def decisions_shown(found: list[decisions.Spread], per_second: float) -> Table:
    table = Table(title="A decision, in one process on one core", title_justify="left", box=None, pad_edge=False)
    for column in ("", "p50 µs", "p99 µs", "goal p50", "goal p99", ""):
        table.add_column(column, justify="left" if not column else "right")
    for each in found:
        goals = [f"{goal:,.0f}" if goal else "" for goal in (each.goal_p50, each.goal_p99)]
        met = ("met" if each.met else "missed") if each.goal_p50 else ""
        table.add_row(each.name, f"{each.p50:,.0f}", f"{each.p99:,.0f}", *goals, met)
    met = "met" if per_second >= 3_000 else "missed"
    table.add_row("muxer classify", f"{per_second:,.0f}/s", "", "3,000/s", "", met)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help="rows whose name holds this, and their ceilings")
    parser.add_argument("--output", type=Path, default=Path("bench-result.json"))
    arguments = parser.parse_args()
    load.need_h2load()
    console = Console(width=None if sys.stdout.isatty() else 120)
    decided, classified = decisions.measure(arguments.rounds), decisions.classified_per_second()
    console.print(decisions_shown(decided, classified))
    cold = median(cold_start_seconds() for _ in range(arguments.rounds))
    with ExitStack() as stack:
        to = servers(stack)
        found = [row for row in rows(to) if arguments.only in row.name or row.name.startswith("bare")]
        lone = lone_callers(to)
        for _ in range(arguments.rounds):
            for row in found:
                row.rounds.append(row.measure(arguments.seconds))
            for each in lone:
                each.rounds.append(each.measure(arguments.seconds))
    message = muxer_service_pb2.CompleteRequest(spec=request()).SerializeToString()
    with fake_upstream() as upstream:
        telemetry = observed.measure(upstream, f"{SERVICE}Complete", message, arguments.rounds, arguments.seconds)
    resident = max(each.resident_mib for row in found if row.ceiling for each in row.rounds)
    console.print(shown(found, cold, resident))
    console.print(alone_shown(lone))
    if to.shared is None:
        console.print(f"Complete on PostgreSQL: {accounts.NO_POSTGRESQL}")
    console.print(observed.shown(telemetry))
    result = {
        "python": platform.python_version(),
        "grpcio": grpc.__version__,
        "machine": platform.machine(),
        "cold_start_seconds": cold,
        "resident_mib": resident,
        "decisions": [asdict(each) for each in decided],
        "classified_per_second": classified,
        "rows": {row.name: [asdict(each) for each in row.rounds] for row in found},
        "alone_us": {each.name: each.rounds for each in lone},
        "telemetry": {each.name: each.rounds for each in telemetry},
    }
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
