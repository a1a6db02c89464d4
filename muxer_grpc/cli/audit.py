"""`muxer audit`: who changed what."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import print_json, print_table
from muxer_grpc.cli.times import read_duration, time_text

MOST_IN_A_PAGE = 1_000


def audit(
    tenant: Annotated[str, typer.Option(help="Only in this tenant; default: all that you may see.")] = "",
    principal: Annotated[str, typer.Option(help="Only by this principal.")] = "",
    action: Annotated[str, typer.Option(help="Only this, as CreateKey.")] = "",
    resource: Annotated[str, typer.Option(help="Only to this, as tenants/acme/users/ann.")] = "",
    since: Annotated[str | None, typer.Option(help="Only of so long ago at most, as 7d.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="Shows so many, the latest.")] = 100,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows who changed what, the latest first."""
    from itertools import islice

    from muxer.v1 import audit_service_pb2 as pb
    from muxer.v1 import audit_service_pb2_grpc

    request = pb.ListAuditEntriesRequest(
        page_size=min(most, MOST_IN_A_PAGE), tenant_id=tenant, principal=principal, action=action, resource=resource
    )
    if since is not None:
        from datetime import UTC, datetime

        request.since.FromDatetime(datetime.now(UTC) - read_duration("--since", since))
    with admin_calls(audit_service_pb2_grpc.AuditServiceStub, admin_target, api_key, timeout) as call:
        found = list(islice(pages(call, "ListAuditEntries", request, "entries"), most))
    if as_json:
        print_json([_plain(entry) for entry in found])
        return
    rows = [
        [time_text(entry.create_time), entry.principal, entry.action, entry.resource, _difference(entry)]
        for entry in found
    ]
    print_table("", ["when", "who", "what", "to", "before and after"], rows)


def _plain(entry: Any) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "create_time": entry.create_time.ToJsonString(),
        "tenant_id": entry.tenant_id,
        "principal": entry.principal,
        "action": entry.action,
        "resource": entry.resource,
        "before": json.loads(entry.before_json) if entry.before_json else None,
        "after": json.loads(entry.after_json) if entry.after_json else None,
    }


def _difference(entry: Any) -> str:
    """Writes the fields that changed; nothing where there was nothing before, or is nothing after."""
    if not entry.before_json or not entry.after_json:
        return ""
    before, after = json.loads(entry.before_json), json.loads(entry.after_json)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name) and name != "revision"]
    return ", ".join(f"{name}: {_word(before.get(name))} -> {_word(after.get(name))}" for name in names)


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
