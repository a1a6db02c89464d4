"""Commands about budgets. Amounts are typed in USD, and read exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import enum_word, print_json, print_table, usd
from muxer_grpc.cli.steering import nano_usd
from muxer_grpc.cli.times import time_text

if TYPE_CHECKING:
    from muxer.v1 import budget_service_pb2

app = typer.Typer(help="Who may spend how much.", no_args_is_help=True)

BudgetId = Annotated[str, typer.Argument(help="Id of the budget.")]
Tenant = Annotated[str, typer.Option(help="Its tenant; default: any that you may see.")]
Amount = Annotated[str | None, typer.Option(help="Limit in USD.")]
Revision = Annotated[int, typer.Option(help="Revision that must be current; default: whichever is.")]


@app.command("set")
def set_budgets(
    tenant: Annotated[str, typer.Option(help="Who pays; default: your own tenant.")] = "",
    user: Annotated[str, typer.Option(help="Only what this user spends.")] = "",
    key: Annotated[str, typer.Option(help="Only what is spent by this key.")] = "",
    daily: Amount = None,
    monthly: Amount = None,
    total: Amount = None,
    time_zone: Annotated[str | None, typer.Option(help="Where days begin, as Europe/Berlin; default: UTC.")] = None,
    soft: Annotated[bool | None, typer.Option("--soft/--hard", help="Warns alone, or refuses; default: hard.")] = None,
    alert_at: Annotated[str | None, typer.Option(help="Percents to alert at; default: 50,80,100.")] = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Makes budgets of a tenant, a user or a key, or changes those that are there; what is not given stays."""
    from muxer.v1 import budget_service_pb2 as pb

    amounts = {
        pb.BUDGET_PERIOD_DAILY: None if daily is None else nano_usd("--daily", daily),
        pb.BUDGET_PERIOD_MONTHLY: None if monthly is None else nano_usd("--monthly", monthly),
        pb.BUDGET_PERIOD_TOTAL: None if total is None else nano_usd("--total", total),
    }
    wanted = [
        pb.Budget(
            tenant_id=tenant,
            user_id=user,
            key_id=key,
            period=period,
            limit_nano_usd=amount,
            time_zone=time_zone or "",
            soft=bool(soft),
            alert_shares=() if alert_at is None else _shares(alert_at),
        )
        for period, amount in amounts.items()
        if amount is not None
    ]
    if not wanted:
        msg = "give at least one of --daily, --monthly and --total"
        raise ValueError(msg)
    changes = ["limit_nano_usd"]
    changes += [] if soft is None else ["soft"]
    changes += [] if alert_at is None else ["alert_shares"]
    with _budgets(admin_target, api_key, timeout) as call:
        found = [_put(call, each, changes) for each in wanted]
    _print(found, as_json=as_json, listed=True)


@app.command("list")
def list_budgets(
    tenant: Annotated[str, typer.Option(help="Only of this tenant; default: all that you may see.")] = "",
    user: Annotated[str, typer.Option(help="Only of this user.")] = "",
    key: Annotated[str, typer.Option(help="Only of this key.")] = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Lists budgets, and what is left of each."""
    from muxer.v1 import budget_service_pb2 as pb

    request = pb.ListBudgetsRequest(page_size=1_000, tenant_id=tenant, user_id=user, key_id=key)
    with _budgets(admin_target, api_key, timeout) as call:
        found = list(pages(call, "ListBudgets", request, "budgets"))
    _print(found, as_json=as_json, listed=True)


@app.command("get")
def get(
    budget: BudgetId,
    tenant: Tenant = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows a budget, and what is left of it."""
    from muxer.v1 import budget_service_pb2 as pb

    with _budgets(admin_target, api_key, timeout) as call:
        found = call("GetBudget", pb.GetBudgetRequest(tenant_id=tenant, budget_id=budget)).budget
    _print([found], as_json=as_json)


@app.command("delete")
def delete(
    budget: BudgetId,
    tenant: Tenant = "",
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
) -> None:
    """Deletes a budget; the ledger stays."""
    from muxer.v1 import budget_service_pb2 as pb

    request = pb.DeleteBudgetRequest(tenant_id=tenant, budget_id=budget, revision=revision)
    with _budgets(admin_target, api_key, timeout) as call:
        call("DeleteBudget", request)


def _budgets(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import budget_service_pb2_grpc

    return admin_calls(budget_service_pb2_grpc.BudgetServiceStub, target, api_key, timeout)


def _put(call: Any, wanted: budget_service_pb2.Budget, changes: list[str]) -> budget_service_pb2.Budget:
    """Makes a budget, or changes the one of the same subject and period. Raises ValueError for another time zone."""
    from google.protobuf.field_mask_pb2 import FieldMask
    from muxer.v1 import budget_service_pb2 as pb
    from muxer_client import MuxerError

    try:
        made: pb.Budget = call("CreateBudget", pb.CreateBudgetRequest(budget=wanted)).budget
    except MuxerError as error:
        if error.reason != "RESOURCE_EXISTS":
            raise
        there = error.metadata["resource"]
    else:
        return made
    before = call("GetBudget", pb.GetBudgetRequest(tenant_id=wanted.tenant_id, budget_id=there)).budget
    if wanted.time_zone not in ("", before.time_zone):
        msg = f"the days of budget {there} begin in {before.time_zone}, which stays: delete it to make another"
        raise ValueError(msg)
    wanted.id = there
    changed: pb.Budget = call(
        "UpdateBudget", pb.UpdateBudgetRequest(budget=wanted, update_mask=FieldMask(paths=changes))
    ).budget
    return changed


def _shares(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        msg = f"--alert-at {text!r} is not a list of percents like 50,80,100"
        raise ValueError(msg) from None


def _print(found: list[Any], *, as_json: bool, listed: bool = False) -> None:
    from google.protobuf import json_format

    if as_json:
        plain = [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in found]
        print_json(plain if listed else plain[0])
        return
    rows = [
        [
            each.id,
            each.tenant_id,
            each.user_id,
            each.key_id,
            enum_word(each, "period"),
            "soft" if each.soft else "hard",
            usd(each.limit_nano_usd),
            usd(each.spent_nano_usd),
            usd(each.reserved_nano_usd),
            usd(each.left_nano_usd),
            time_text(each.reset_time),
        ]
        for each in found
    ]
    columns = ["budget", "tenant", "user", "key", "period", "", ">limit", ">spent", ">reserved", ">left", "begins anew"]
    print_table("", columns, rows)
