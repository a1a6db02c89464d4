"""Commands about the ledger: list, get, export, check, reconcile."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from muxer_grpc.cli import spans
from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.exporting import Format, whole_file, write_entries
from muxer_grpc.cli.rendering import counted, enum_word, input_tokens, print_json, print_table, usd
from muxer_grpc.cli.serving import Config
from muxer_grpc.cli.times import time_text

app = typer.Typer(help="What was paid for what, and whether the books balance.", no_args_is_help=True)

MOST_IN_A_PAGE = 1_000
DIFFERENCES_FOUND = 1


@app.command("list")
def list_entries(
    tenant: spans.Tenant = "",
    user: spans.User = "",
    key: spans.Key = "",
    model: spans.Model = "",
    provider: spans.Provider = "",
    intent: spans.Intent = "",
    strategy: spans.Strategy = "",
    outcome: spans.Outcome = "",
    label: spans.Label = None,
    since: spans.From = None,
    until: spans.To = None,
    time_zone: spans.TimeZone = "UTC",
    most: spans.Most = 50,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 60.0,
    as_json: AsJson = False,
) -> None:
    """Lists entries, the latest first."""
    from muxer.v1 import ledger_service_pb2 as pb

    wanted = spans.ledger_filter(
        tenant=tenant,
        user=user,
        key=key,
        model=model,
        provider=provider,
        intent=intent,
        strategy=strategy,
        outcome=outcome,
        labels=label,
        since=since,
        until=until,
        zone=time_zone,
    )
    request = pb.ListEntriesRequest(page_size=min(most, MOST_IN_A_PAGE), filter=wanted)
    with _ledger(admin_target, api_key, timeout) as call:
        found = list(islice(pages(call, "ListEntries", request, "entries"), most))
    _print_entries(found, as_json=as_json)


@app.command("get")
def get(
    completion: Annotated[str, typer.Argument(help="Id of the completion.")],
    tenant: spans.Tenant = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows what the ledger holds of one completion."""
    from muxer.v1 import ledger_service_pb2 as pb

    with _ledger(admin_target, api_key, timeout) as call:
        reply = call("GetCompletion", pb.GetCompletionRequest(tenant_id=tenant, completion_id=completion))
    if as_json:
        print_json(reply)
    elif reply.entries:
        _print_entries(reply.entries, as_json=False)
        sys.stdout.write(f"\n{usd(reply.cost_nano_usd)} in all\n")
    else:
        sys.stdout.write(f"under way, {usd(reply.reserved_nano_usd)} reserved\n")


@app.command("export")
def export(
    form: Annotated[Format, typer.Option("--format", help="csv, or jsonl: one JSON object a line.")] = Format.CSV,
    output: Annotated[Path | None, typer.Option(help="A file, there when it is whole; default: stdout.")] = None,
    tenant: spans.Tenant = "",
    user: spans.User = "",
    key: spans.Key = "",
    model: spans.Model = "",
    provider: spans.Provider = "",
    intent: spans.Intent = "",
    strategy: spans.Strategy = "",
    outcome: spans.Outcome = "",
    label: spans.Label = None,
    since: spans.From = None,
    until: spans.To = None,
    time_zone: spans.TimeZone = "UTC",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 60.0,
) -> None:
    """Writes all entries, the earliest first, with every field."""
    from muxer.v1 import ledger_service_pb2 as pb

    wanted = spans.ledger_filter(
        tenant=tenant,
        user=user,
        key=key,
        model=model,
        provider=provider,
        intent=intent,
        strategy=strategy,
        outcome=outcome,
        labels=label,
        since=since,
        until=until,
        zone=time_zone,
    )
    request = pb.ListEntriesRequest(page_size=MOST_IN_A_PAGE, filter=wanted, oldest_first=True)
    with _ledger(admin_target, api_key, timeout) as call:
        entries = pages(call, "ListEntries", request, "entries")
        if output is None:
            write_entries(sys.stdout, entries, form)
            return
        with whole_file(output) as file:
            count = write_entries(file, entries, form)
    sys.stderr.write(f"{counted(count, 'entry', 'entries')} in {output}\n")


@app.command("check")
def check(
    tenant: Annotated[str, typer.Option(help="Only the books of this tenant; default: all.")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Sums the ledger anew, in the configured database itself, and ends with 1 where budgets count something else.

    Notes tell of hard budgets that are over their limits, which is no difference.

    No service needs to run, and one that does is not disturbed.
    """
    import asyncio

    from muxer_grpc.bootstrap_reports import check_books
    from muxer_grpc.settings_loading import load_settings

    found = asyncio.run(check_books(load_settings(config), tenant or None))
    size = found.size
    if as_json:
        differences = [
            {
                "imbalance": each.kind.value,
                "resource": each.resource,
                "expected": each.expected,
                "found": each.found,
                "detail": each.detail,
            }
            for each in found.differences
        ]
        sizes = {name: getattr(size, name) for name in size.__slots__}
        overruns = [
            {name: getattr(each, name) for name in ("resource", "limit_nano_usd", "spent_nano_usd", "detail")}
            for each in found.overruns
        ]
        print_json({"balanced": not differences, "differences": differences, "overruns": overruns, **sizes})
    else:
        sys.stdout.write(
            f"{counted(size.budgets, 'budget')}, {counted(size.counters, 'counter')}, "
            f"{counted(size.entries, 'entry', 'entries')} of {counted(size.completions, 'completion')}\n"
            f"{usd(size.spent_nano_usd)} spent, {usd(size.reserved_nano_usd)} reserved by "
            f"{counted(size.open_reservations, 'call')} under way, {usd(size.held_nano_usd)} held by "
            f"{counted(size.open_leases, 'lease')} of money\n"
        )
        for each in found.differences:
            sys.stdout.write(f"{each.resource}: {each.detail}\n")
        for overrun in found.overruns:
            sys.stdout.write(f"note: {overrun.resource}: {overrun.detail}\n")
        balance = counted(len(found.differences), "difference") if found.differences else "the books balance"
        sys.stdout.write(f"{balance}\n")
    return DIFFERENCES_FOUND if found.differences else 0


@app.command("reconcile")
def reconcile(
    invoice: Annotated[Path, typer.Option(help="CSV of a provider, with columns date, model, cost_usd, maybe tokens.")],
    provider: Annotated[str, typer.Option(help="Provider whose invoice it is; default: any.")] = "",
    name: Annotated[
        list[str] | None, typer.Option(help="What a model of the invoice is here, as gpt-x-2026=openai/gpt-x.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Time zone of the invoice's days.")] = "UTC",
    tolerance: Annotated[str, typer.Option(help="USD by which a model's day may differ.")] = "0.01",
    tolerance_percent: Annotated[str, typer.Option(help="Percent of the invoice by which it may differ.")] = "0",
    everything: Annotated[bool, typer.Option("--all", help="Shows what agrees too.")] = False,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 60.0,
    as_json: AsJson = False,
) -> int:
    """Compares the ledger with a provider's invoice, by model and day; ends with 1 where they differ too much.

    Tokens are shown where the invoice has them; costs alone decide.
    """
    from muxer_grpc.cli import reconciling

    allowed = reconciling.read_tolerance(tolerance, tolerance_percent)
    names = reconciling.read_names(name)
    lines = reconciling.read_invoice(invoice)
    booked = reconciling.booked_lines(lines, provider, time_zone, admin_target, api_key, timeout)
    return reconciling.tell(
        lines, booked, allowed, provider=provider, names=names, everything=everything, as_json=as_json
    )


def _ledger(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import ledger_service_pb2_grpc

    return admin_calls(ledger_service_pb2_grpc.LedgerServiceStub, target, api_key, timeout)


def _print_entries(entries: Any, *, as_json: bool) -> None:
    if as_json:
        from google.protobuf import json_format

        print_json([json_format.MessageToDict(each, preserving_proto_field_name=True) for each in entries])
        return
    rows = [
        [
            time_text(each.create_time),
            f"{each.tenant_id}/{each.user_id}",
            each.model,
            enum_word(each, "outcome"),
            f"{input_tokens(each.usage)} + {each.usage.output_tokens + each.usage.reasoning_tokens}",
            usd(each.cost_nano_usd),
            f"{each.completion_id} {each.attempt}",
        ]
        for each in entries
    ]
    print_table("", ["when", "who", "model", "outcome", ">tokens", ">cost", "completion and attempt"], rows)
