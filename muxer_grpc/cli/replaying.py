"""`muxer replay`: decisions of the past made again under another policy or other prices."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from muxer_grpc.cli import spans
from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls
from muxer_grpc.cli.rendering import enum_word, print_json, print_table, usd
from muxer_grpc.cli.times import time_text

MOST = 10_000
SHOWN = 20
WEIGHTS = ("quality", "cost", "performance", "availability")


def replay(
    since: Annotated[
        str | None, typer.Option("--since", "--from", help=f"Only from this time on: {spans.MOMENT}.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", "--to", help="Only before this time.")] = None,
    time_zone: spans.TimeZone = "UTC",
    tenant: spans.Tenant = "",
    most: Annotated[int, typer.Option("--limit", min=1, max=MOST, help="Replays so many, the latest.")] = 1_000,
    strategy: Annotated[str, typer.Option(help="Ranks by this strategy instead.")] = "",
    weights: Annotated[str, typer.Option(help="Weighs so instead, as cost=0.5,performance=0.3.")] = "",
    quality_target: Annotated[float | None, typer.Option(help="Sets the quality to reach, 0 to 1.")] = None,
    prices: Annotated[Path | None, typer.Option(help="TOML file of prices, as `muxer prices set` takes.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Keeps only this model, whatever rules said; may be repeated.")
    ] = None,
    deny: Annotated[list[str] | None, typer.Option(help="Drops this model; may be repeated.")] = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 120.0,
    as_json: AsJson = False,
) -> None:
    """Makes decisions of the past again, with today's models, and tells what would have been different."""
    from muxer.v1 import decision_service_pb2 as pb
    from muxer.v1 import decision_service_pb2_grpc

    from muxer_grpc.cli.prices import price_request

    request = pb.ReplayDecisionsRequest(
        tenant_id=tenant,
        since=spans.moment("--since", since, time_zone),
        until=spans.moment("--until", until, time_zone),
        limit=most,
        policy=pb.ReplayPolicy(
            strategy=strategy,
            weights=_weights(weights),
            quality_target=quality_target,
            allowed_models=allow or [],
            denied_models=deny or [],
        ),
        prices=[] if prices is None else price_request(prices).prices,
    )
    with admin_calls(decision_service_pb2_grpc.DecisionServiceStub, admin_target, api_key, timeout) as call:
        found = call("ReplayDecisions", request)
    if as_json:
        print_json(found)
        return
    _print_total(found)
    if found.total.decisions:
        _print_intents(found)
    if found.shifts:
        _print_shifts(found.shifts)
    if found.exclusions:
        _print_exclusions(found.exclusions)


def _weights(text: str) -> Any:
    """Reads weights like cost=0.5,performance=0.3; None where none are given. Raises ValueError."""
    from muxer.v1 import routing_pb2

    if not text:
        return None
    message = routing_pb2.RoutingWeights()
    for part in text.split(","):
        name, _, amount = part.strip().partition("=")
        try:
            if name not in WEIGHTS:
                raise ValueError
            setattr(message, name, float(amount))
        except ValueError:
            msg = f"--weights {part.strip()!r} is not one of {', '.join(WEIGHTS)} with a number, as cost=0.5"
            raise ValueError(msg) from None
    return message


def _print_total(found: Any) -> None:
    total = found.total
    since = f" since {time_text(found.earliest_time)}" if found.HasField("earliest_time") else ""
    told = [f"{total.decisions:,} decisions{since} made again, {total.changed:,} choose another model"]
    if total.decisions:
        before, after = total.cost_before_nano_usd, total.cost_after_nano_usd
        rests = f"of {total.measured:,} by the ledger's tokens, of {total.decisions - total.measured:,} estimated"
        told += [
            f"cost {usd(before)} -> {usd(after)} ({_percent(before, after)}): {rests}",
            f"expected quality {total.quality_before:.3f} -> {total.quality_after:.3f}",
        ]
    if total.pinned:
        told.append(f"{total.pinned:,} asked for a model by name, which no strategy changes")
    if found.refused:
        told.append(f"{found.refused:,} more would be refused: no model is left for them")
    if found.skipped:
        told.append(f"{found.skipped:,} more cannot be made again: what they were made from is not kept")
    if found.truncated:
        told.append(f"there are more: go on with --until {found.earliest_time.ToJsonString()}")
    told.append(f"prices {found.price_book_version}, fleet {found.fleet_version}")
    sys.stdout.write("\n".join(told) + "\n")


def _print_intents(found: Any) -> None:
    rows = [_row(enum_word(each, "intent"), each.sums) for each in found.intents]
    columns = ["kind of task", ">decisions", ">changed", ">cost", ">would cost", ">change", ">quality", ">would be"]
    sys.stdout.write("\n")
    print_table("", columns, rows)


def _row(name: str, sums: Any) -> list[str]:
    return [
        name,
        f"{sums.decisions:,}",
        f"{sums.changed:,}",
        usd(sums.cost_before_nano_usd),
        usd(sums.cost_after_nano_usd),
        _percent(sums.cost_before_nano_usd, sums.cost_after_nano_usd),
        f"{sums.quality_before:.3f}",
        f"{sums.quality_after:.3f}",
    ]


def _print_shifts(shifts: Any) -> None:
    rows = [
        [
            each.model_before,
            _became(each),
            f"{each.decisions:,}",
            usd(each.cost_before_nano_usd),
            usd(each.cost_after_nano_usd) if each.model_after else "",
        ]
        for each in shifts[:SHOWN]
    ]
    sys.stdout.write("\n")
    print_table("", ["model", "would be", ">decisions", ">cost", ">would cost"], rows)
    if len(shifts) > SHOWN:
        sys.stdout.write(f"and {len(shifts) - SHOWN} more: see --json\n")


def _became(shift: Any) -> str:
    if not shift.model_after:
        return "none is left"
    return "the same" if shift.model_after == shift.model_before else str(shift.model_after)


def _print_exclusions(exclusions: Any) -> None:
    rows = [[enum_word(each, "reason"), f"{each.before:,}", f"{each.after:,}"] for each in exclusions]
    sys.stdout.write("\n")
    print_table("", ["models excluded for", ">times", ">would be"], rows)


def _percent(before: int, after: int) -> str:
    """Writes a change in percent; nothing where there is no share of nothing."""
    return f"{(after - before) / before:+.1%}" if before else "-"
