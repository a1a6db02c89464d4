"""Commands about budgets of which a share is spent: list and watch."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from muxer_grpc.cli import spans
from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import print_json, print_table, shown, usd
from muxer_grpc.cli.times import time_text

app = typer.Typer(help="Budgets of which a share is spent.", no_args_is_help=True)

MOST_IN_A_PAGE = 1_000
AGAIN_SECONDS = 1.0


@app.command("list")
def list_alerts(
    tenant: spans.Tenant = "",
    budget: Annotated[str, typer.Option(help="Only of this budget.")] = "",
    user: spans.User = "",
    key: spans.Key = "",
    since: spans.From = None,
    until: spans.To = None,
    time_zone: spans.TimeZone = "UTC",
    most: spans.Most = 50,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Lists alerts, the latest first."""
    from muxer.v1 import alert_service_pb2 as pb

    request = pb.ListAlertsRequest(
        page_size=min(most, MOST_IN_A_PAGE),
        tenant_id=tenant,
        budget_id=budget,
        user_id=user,
        key_id=key,
        since=spans.moment("--from", since, time_zone),
        until=spans.moment("--to", until, time_zone),
    )
    with _alerts(admin_target, api_key, timeout) as call:
        found = list(islice(pages(call, "ListAlerts", request, "alerts"), most))
    if as_json:
        print_json([_plain(each) for each in found])
        return
    rows = [
        [
            time_text(each.create_time),
            _whose(each),
            f"{each.share} %",
            usd(each.spent_nano_usd),
            usd(each.limit_nano_usd),
            each.budget_id,
            time_text(each.period_start_time) or "all time",
        ]
        for each in found
    ]
    print_table("", ["when", "who", ">share", ">spent", ">limit", "budget", "period from"], rows)


@app.command("watch")
def watch(
    tenant: spans.Tenant = "",
    after: Annotated[int | None, typer.Option(help="Begins after this number; default: with what comes now.")] = None,
    most: Annotated[int | None, typer.Option("--limit", min=1, help="Ends after so many; default: never.")] = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    as_json: Annotated[bool, typer.Option("--json", help="Prints JSON, one alert a line.")] = False,
) -> None:
    """Prints alerts as they come, until Ctrl-C; connects again where the service goes away for a while."""
    from muxer.v1 import alert_service_pb2 as pb

    request = pb.WatchAlertsRequest(tenant_id=tenant, after_sequence=after)
    for alert in islice(_followed(request, admin_target, api_key), most):
        if as_json:
            line = json.dumps(_plain(alert), ensure_ascii=False)
        else:
            spent = f"{usd(alert.spent_nano_usd)} of {usd(alert.limit_nano_usd)}"
            line = shown(f"{time_text(alert.create_time)} {_whose(alert)}: {alert.share} % spent, {spent}")
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _followed(request: Any, target: str, api_key: str) -> Iterator[Any]:
    """Yields alerts for ever, each once: a stream that ends is opened again where it ended."""
    from muxer_client import MuxerError
    from muxer_client.errors import typed_errors

    while True:
        try:
            with typed_errors():
                yield from _watched(request, target, api_key)
        except MuxerError as error:
            # Before it began to watch, there is nothing to go on with.
            if not request.HasField("after_sequence") or error.code.name != "UNAVAILABLE":
                raise
        # A service that drains ends every stream at once.
        time.sleep(AGAIN_SECONDS)


def _watched(request: Any, target: str, api_key: str) -> Iterator[Any]:
    """Yields the alerts of one stream, and notes in the request how far it came."""
    # Without a deadline of its own, a stream lasts as long as the service lets it.
    with _alerts(target, api_key, None) as call:
        for reply in call("WatchAlerts", request):
            request.after_sequence = reply.sequence
            if reply.HasField("alert"):
                yield reply.alert


def _alerts(target: str, api_key: str, timeout: float | None) -> Any:
    from muxer.v1 import alert_service_pb2_grpc

    return admin_calls(alert_service_pb2_grpc.AlertServiceStub, target, api_key, timeout)


def _whose(alert: Any) -> str:
    user, key = alert.user_id, alert.key_id
    return f"{alert.tenant_id}{f'/{user}' if user else ''}{f' key {key}' if key else ''}"


def _plain(alert: Any) -> Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(alert, preserving_proto_field_name=True)
