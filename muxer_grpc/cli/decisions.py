"""Commands about the history of routing decisions: list and get."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Annotated, Any

import typer

from muxer_grpc.cli import spans
from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import enum_word, print_decision, print_json, print_table
from muxer_grpc.cli.times import time_text

app = typer.Typer(help="What was decided, and why, for as long as it is kept.", no_args_is_help=True)

MOST_IN_A_PAGE = 1_000


@app.command("list")
def list_decisions(
    tenant: spans.Tenant = "",
    user: spans.User = "",
    strategy: spans.Strategy = "",
    intent: spans.Intent = "",
    model: spans.Model = "",
    dry_runs: Annotated[
        bool | None, typer.Option("--dry-runs/--answered", help="Only those of Route alone, or only those answered.")
    ] = None,
    since: spans.From = None,
    until: spans.To = None,
    time_zone: spans.TimeZone = "UTC",
    most: spans.Most = 50,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 60.0,
    as_json: AsJson = False,
) -> None:
    """Lists decisions, the latest first."""
    from muxer.v1 import decision_service_pb2 as pb
    from muxer.v1 import routing_pb2

    request = pb.ListDecisionsRequest(
        page_size=min(most, MOST_IN_A_PAGE),
        tenant_id=tenant,
        user_id=user,
        strategy=strategy,
        intent=spans.enum_number("--intent", intent, routing_pb2.Intent, "INTENT_"),  # type: ignore[arg-type]
        selected_model=model,
        dry_run=dry_runs,
        since=spans.moment("--from", since, time_zone),
        until=spans.moment("--to", until, time_zone),
    )
    with _decisions(admin_target, api_key, timeout) as call:
        found = list(islice(pages(call, "ListDecisions", request, "decisions"), most))
    if as_json:
        from google.protobuf import json_format

        print_json([json_format.MessageToDict(each, preserving_proto_field_name=True) for each in found])
        return
    rows = [
        [
            time_text(each.create_time),
            f"{each.tenant_id}/{each.user_id}",
            enum_word(each, "intent"),
            each.strategy,
            each.selected_model,
            each.decision_id,
            each.completion_id or "dry run",
        ]
        for each in found
    ]
    print_table("", ["when", "for", "intent", "strategy", "model", "decision", "completion"], rows)


@app.command("get")
def get(
    decision: Annotated[str, typer.Argument(help="Id of the decision.")],
    tenant: spans.Tenant = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows one decision whole."""
    from muxer.v1 import decision_service_pb2 as pb

    with _decisions(admin_target, api_key, timeout) as call:
        found = call("GetDecision", pb.GetDecisionRequest(tenant_id=tenant, decision_id=decision)).decision
    if as_json:
        print_json(found)
        return
    answered = f"completion {found.completion_id}" if found.completion_id else "a dry run"
    whose = f"{found.tenant_id}/{found.user_id}"
    sys.stdout.write(f"{time_text(found.create_time)} for {whose}, {answered}\n\n")
    print_decision(found.decision)


def _decisions(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import decision_service_pb2_grpc

    return admin_calls(decision_service_pb2_grpc.DecisionServiceStub, target, api_key, timeout)
