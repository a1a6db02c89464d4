"""`muxer metrics`: what models did and cost, as a table, as JSON, or on a screen that stays up to date."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muxer_grpc.cli import spans
from muxer_grpc.cli.calls import DATA, AsJson, Seconds, Target, client_of
from muxer_grpc.cli.interrupts import deferred_interrupts
from muxer_grpc.cli.rendering import enum_word, input_tokens, print_json, print_table, table_of, usd
from muxer_grpc.cli.times import time_text

if TYPE_CHECKING:
    from muxer.v1 import metrics_pb2, muxer_service_pb2

WINDOWS = {"1m": "MINUTE", "5m": "FIVE_MINUTES", "1h": "HOUR", "start": "SINCE_START"}
SCOPES = ("process", "fleet")
DIMENSIONS = ("provider", "model", "intent", "strategy")
# A watch goes on over these: the service may be back at the next look.
PASSING = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")

Show = Callable[["muxer_service_pb2.GetMetricsResponse | None", str], None]


def metrics(
    window: Annotated[str, typer.Option(help=f"How far back: {', '.join(WINDOWS)} (since the start).")] = "start",
    group_by: Annotated[str, typer.Option(help=f"Groups of rows, with commas: {', '.join(DIMENSIONS)}.")] = "",
    scope: Annotated[str, typer.Option(help="process: the one that answers; fleet: all, from the ledger.")] = "process",
    tenant: spans.Tenant = "",
    provider: Annotated[list[str] | None, typer.Option(help="Only of this provider; may be repeated.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only of this model; may be repeated.")] = None,
    intent: Annotated[list[str] | None, typer.Option(help="Only of this kind of task; may be repeated.")] = None,
    strategy: Annotated[list[str] | None, typer.Option(help="Only of this strategy; may be repeated.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Stays and looks again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks of --watch.")] = 2.0,
    target: Target = DATA,
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows what models did and cost: requests, failures, latency, tokens, money, the cache, and their health."""
    request = metrics_request(
        window=window,
        group_by=group_by,
        scope=scope,
        tenant=tenant,
        providers=provider,
        models=model,
        intents=intent,
        strategies=strategy,
    )
    words = [word.strip() for word in group_by.split(",") if word.strip()]
    with client_of(target, timeout=timeout) as client:
        if watch:
            with _screen(words, as_json=as_json) as show:
                _watch(lambda: client.metrics(request), show, every)
        figures = client.metrics(request)
    if as_json:
        print_json(figures)
        return
    print_table(headline(figures), *cells(figures, words))


def metrics_request(
    *,
    window: str = "start",
    group_by: str = "",
    scope: str = "process",
    tenant: str = "",
    providers: list[str] | None = None,
    models: list[str] | None = None,
    intents: list[str] | None = None,
    strategies: list[str] | None = None,
) -> muxer_service_pb2.GetMetricsRequest:
    """Makes the request. Raises ValueError on a word that names nothing."""
    from muxer.v1 import muxer_service_pb2, routing_pb2

    dimensions = [word.strip() for word in group_by.split(",") if word.strip()]
    known = {name.removeprefix("INTENT_").lower(): number for name, number in routing_pb2.Intent.items() if number}
    _check("--window", [window], WINDOWS)
    _check("--scope", [scope], SCOPES)
    _check("--group-by", dimensions, DIMENSIONS)
    _check("--intent", intents or [], known)
    return muxer_service_pb2.GetMetricsRequest(
        providers=providers or [],
        models=models or [],
        intents=[known[word] for word in intents or []],  # type: ignore[misc]
        strategies=strategies or [],
        group_by=[f"METRICS_DIMENSION_{word.upper()}" for word in dimensions],
        window=f"METRICS_WINDOW_{WINDOWS[window]}",
        scope=f"METRICS_SCOPE_{scope.upper()}",
        tenant_id=tenant,
    )


def headline(figures: muxer_service_pb2.GetMetricsResponse) -> str:
    """Says what figures are about, in a line."""
    process = figures.process
    start, end = (time_text(stamp) for stamp in (figures.start_time, figures.end_time))
    if enum_word(figures, "scope") == "fleet":
        whose = f"tenant {figures.tenant_id}" if figures.tenant_id else "all tenants"
        return f"fleet, {whose}, {start} to {end}"
    under_way = f"{process.completions_in_flight} under way"
    return f"process {process.instance_id}, version {process.version}, {start} to {end}, {under_way}"


def cells(figures: muxer_service_pb2.GetMetricsResponse, words: list[str]) -> tuple[list[str], list[list[str]]]:
    """Gives the columns and the rows of a table, the total last; rows are grouped by `words`."""
    # A model's name begins with its provider's.
    words = words or ["model"]
    every = [*figures.rows, figures.total]
    names = [[_name(row, word) for word in words] for row in figures.rows]
    names.append(["all", *[""] * (len(words) - 1)])
    columns: dict[str, list[str]] = {word: [each[n] for each in names] for n, word in enumerate(words)}
    columns |= {
        ">requests": [f"{row.requests:,}" for row in every],
        ">success": [_percent(row, "success_rate") for row in every],
        ">p50 / p90 / p95 / p99 ms": [_times(row.latency) for row in every],
        ">first token ms": [_times(row.time_to_first_token) for row in every],
        ">tokens/s": [_pace(row) for row in every],
        ">tokens": [_tokens(row) for row in every],
        ">cost": [usd(row.cost_nano_usd) for row in every],
        ">per 1K": [_per_1k(row) for row in every],
        ">cache": [_cache(row) for row in every],
        "health": [_health(row) for row in every],
        "failures": [_failures(row) for row in every],
    }
    # Nothing to tell of, no column.
    told = {name: column for name, column in columns.items() if any(column) or name in words}
    return list(told), [list(row) for row in zip(*told.values(), strict=True)]


def _check(option: str, words: list[str], known: Any) -> None:
    for word in words:
        if word not in known:
            msg = f"{option} {word!r} is not one of {', '.join(known)}"
            raise ValueError(msg)


def _watch(look: Callable[[], muxer_service_pb2.GetMetricsResponse], show: Show, every: float) -> None:
    """Looks again and again, until Ctrl-C. Raises what the first look raises, and what does not pass."""
    from muxer_client import MuxerError

    figures = None
    with deferred_interrupts() as interrupts:
        while True:
            trouble = ""
            try:
                with interrupts.calling():
                    figures = look()
            except MuxerError as error:
                if figures is None or error.code.name not in PASSING:
                    raise
                trouble = f"{error.reason}: the figures are old; trying again"
            show(figures, trouble)
            time.sleep(every)


@contextmanager
def _screen(words: list[str], *, as_json: bool) -> Iterator[Show]:
    """Gives what shows figures: on a terminal a screen of its own, else tables or lines of JSON."""
    if as_json or not sys.stdout.isatty():
        yield lambda figures, trouble: _print_once(figures, trouble, words, as_json=as_json)
        return
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(screen=True, auto_refresh=False) as live:

        def show(figures: muxer_service_pb2.GetMetricsResponse | None, trouble: str) -> None:
            if figures is None:
                return
            table = table_of("", *cells(figures, words))
            lines = Text(headline(figures), style="dim"), Text(""), table, Text(trouble, style="bold red")
            live.update(Group(*lines), refresh=True)

        yield show


def _print_once(
    figures: muxer_service_pb2.GetMetricsResponse | None, trouble: str, words: list[str], *, as_json: bool
) -> None:
    if trouble:
        sys.stderr.write(f"muxer: {trouble}\n")
    elif figures is not None and as_json:
        from google.protobuf import json_format

        told = json_format.MessageToDict(figures, preserving_proto_field_name=True)
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    elif figures is not None:
        print_table(headline(figures), *cells(figures, words))
        sys.stdout.write("\n")
    sys.stdout.flush()


def _name(row: metrics_pb2.MetricsRow, word: str) -> str:
    name = enum_word(row, "intent") if word == "intent" else str(getattr(row, word))
    return name if name and name != "unspecified" else "-"


def _percent(message: Any, field: str) -> str:
    return f"{100 * getattr(message, field):.1f} %" if message.HasField(field) else ""


def _times(summary: metrics_pb2.LatencySummary) -> str:
    if not summary.samples:
        return ""
    shares = (summary.p50, summary.p90, summary.p95, summary.p99)
    return " / ".join(f"{share.ToTimedelta().total_seconds() * 1000:,.0f}" for share in shares)


def _pace(row: metrics_pb2.MetricsRow) -> str:
    return f"{row.output_tokens_per_second:,.1f}" if row.HasField("output_tokens_per_second") else ""


def _tokens(row: metrics_pb2.MetricsRow) -> str:
    return f"{input_tokens(row.usage):,} + {row.usage.output_tokens + row.usage.reasoning_tokens:,}"


def _per_1k(row: metrics_pb2.MetricsRow) -> str:
    return usd(row.cost_per_1k_tokens_nano_usd) if row.HasField("cost_per_1k_tokens_nano_usd") else ""


def _cache(row: metrics_pb2.MetricsRow) -> str:
    if not row.HasField("cache"):
        return ""
    return f"{100 * row.cache.hit_rate:.0f} %, {usd(row.cache.saved_nano_usd)} saved"


def _health(row: metrics_pb2.MetricsRow) -> str:
    if not row.health:
        return ""
    word = enum_word(row, "health")
    in_a_row = f", {row.consecutive_failures} failed in a row" if row.consecutive_failures else ""
    return f"{word}{in_a_row}"


def _failures(row: metrics_pb2.MetricsRow) -> str:
    told = [f"{enum_word(f, 'failure_class').replace('unspecified', 'unknown')} {f.count}" for f in row.failures]
    if row.cancelled:
        told.append(f"cancelled {row.cancelled}")
    return ", ".join(told)
