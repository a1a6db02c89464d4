"""Commands about the cache of answers: warm, invalidate, stats."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls
from muxer_grpc.cli.calls import DATA, Target
from muxer_grpc.cli.progress import STDIO, Progress
from muxer_grpc.cli.rendering import print_json, usd

if TYPE_CHECKING:
    from muxer_grpc.cli.warming import Warmed

app = typer.Typer(help="Answers that are kept and given again.", no_args_is_help=True)

MOST_AT_ONCE = 256
STATS_SECONDS = 5.0


@app.command("warm")
def warm(
    file: Annotated[Path, typer.Argument(help="JSON lines: prompts, or specs as in the contract; - is stdin.")],
    concurrency: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, help="Requests at once.")] = 8,
    refresh: Annotated[bool, typer.Option("--refresh", help="Asks anew what is kept already, too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stops at the first line that fails.")] = False,
    target: Target = DATA,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 300.0,
    as_json: AsJson = False,
) -> int:
    """Asks each line of a file, so that its answer is kept. Costs what the answers cost, and says how much.

    Lines that fail are told on stderr and passed over; then the exit code is 1.
    """
    with ExitStack() as stack:
        lines = sys.stdin if file == STDIO else stack.enter_context(file.open(encoding="utf-8"))
        _check_there_is_a_cache(admin_target, api_key)
        advance = stack.enter_context(Progress("warming", file))
        warmed = asyncio.run(
            _warm(lines, target, api_key, timeout, advance, concurrency=concurrency, refresh=refresh, strict=strict)
        )
    if as_json:
        print_json(asdict(warmed))
    else:
        counts = f"{warmed.made} answers made, {warmed.there} were there"
        counts += f", {warmed.not_kept} not whole and not kept" if warmed.not_kept else ""
        counts += f", {warmed.failed} lines failed" if warmed.failed else ""
        sys.stdout.write(f"{counts}; cost {usd(warmed.cost_nano_usd)}\n")
    return 1 if warmed.failed else 0


async def _warm(lines: Any, target: str, api_key: str, timeout: float, advance: Any, **how: Any) -> Warmed:
    from muxer_client import AsyncMuxerClient

    from muxer_grpc.cli.warming import Warmer

    async with AsyncMuxerClient(target, api_key=api_key or None, timeout=timeout) as client:
        warmer = Warmer(client, advance, **how)
        await warmer.run(lines)
    return warmer.warmed


def _check_there_is_a_cache(admin_target: str, api_key: str) -> None:
    """Raises ValueError where all would be paid for and nothing kept; whoever may not look is let through."""
    from muxer_client import MuxerError

    try:
        stats = _stats(admin_target, api_key, STATS_SECONDS)
    except MuxerError as error:
        sys.stderr.write(f"muxer: whether there is a cache is not known ({error.reason})\n")
        return
    if not stats.enabled:
        msg = "the service keeps no answers: set MUXER_CACHE__ENABLED=true"
        raise ValueError(msg)


@app.command("invalidate")
def invalidate(
    model: Annotated[str, typer.Option(help="Those of this model, by its full name.")] = "",
    label: Annotated[str, typer.Option(help="Those of requests with this label, as key=value.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All.")] = False,
    tenant: Annotated[str, typer.Option(help="Of this tenant alone; default: of all that you may act in.")] = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Forgets answers: those of a model, those with a label, or all."""
    from muxer.v1 import cache_service_pb2 as pb

    if sum((bool(model), bool(label), everything)) != 1:
        msg = "give one of --model, --label and --all"
        raise typer.BadParameter(msg)
    request = pb.InvalidateCacheRequest(tenant_id=tenant)
    if model:
        request.model = model
    elif label:
        key, separator, value = label.partition("=")
        if not separator:
            msg = f"--label {label!r} is not key=value"
            raise ValueError(msg)
        request.label.key, request.label.value = key, value
    else:
        request.everything = True
    with _cache(admin_target, api_key, timeout) as call:
        reply = call("InvalidateCache", request)
    if as_json:
        print_json(reply)
    else:
        typer.echo(f"{reply.answers} answers forgotten" if reply.HasField("answers") else "forgotten")


@app.command("stats")
def stats(
    admin_target: AdminTarget = ADMIN, api_key: ApiKey = "", timeout: Seconds = 10.0, as_json: AsJson = False
) -> None:
    """Shows what the cache did for the process that answers, since its start."""
    told = _stats(admin_target, api_key, timeout)
    if as_json:
        print_json(told)
        return
    if not told.enabled:
        typer.echo("there is no cache")
        return
    asked = told.hits + told.shared_hits + told.misses
    share = f" ({100 * (told.hits + told.shared_hits) / asked:.1f} %)" if asked else ""
    typer.echo(f"{told.backend}{', away' if told.away else ''}, of process {told.instance_id}")
    typer.echo(f"{asked} asked: {told.hits} hits, {told.shared_hits} shared{share}, {told.misses} misses")
    typer.echo(f"{told.stored} stored, {told.evicted} evicted, {told.failures} failures")
    if told.HasField("answers"):
        typer.echo(f"{told.answers} answers held, {told.held_bytes:,} of {told.max_bytes:,} bytes")
    typer.echo(f"{usd(told.saved_nano_usd)} saved")


def _stats(admin_target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import cache_service_pb2 as pb

    with _cache(admin_target, api_key, timeout) as call:
        return call("GetCacheStats", pb.GetCacheStatsRequest()).stats


def _cache(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import cache_service_pb2_grpc

    return admin_calls(cache_service_pb2_grpc.CacheServiceStub, target, api_key, timeout)
