"""`muxer usage`: what was spent, by whatever it is asked."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muxer_grpc.cli import spans
from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls
from muxer_grpc.cli.rendering import enum_word, input_tokens, print_json, print_table, usd

if TYPE_CHECKING:
    from muxer.v1 import usage_service_pb2 as pb

BUCKETS = ("hour", "day", "month")
DIMENSIONS = ("tenant", "user", "key", "model", "provider", "intent", "strategy", "outcome")
LABEL = "label:"
KINDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
_FORMATS = {"hour": "%Y-%m-%dT%H:%M%z", "day": "%Y-%m-%d", "month": "%Y-%m"}
_NAMES = {"tenant": "tenant_id", "user": "user_id", "key": "key_id"}

GroupBy = Annotated[
    str,
    typer.Option(help=f"What to group by, with commas: {', '.join(DIMENSIONS)}, {', '.join(BUCKETS)}, label:KEY."),
]


def usage(
    group_by: GroupBy = "model",
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
    as_csv: Annotated[bool, typer.Option("--csv", help="Prints CSV, with every kind of token.")] = False,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 60.0,
    as_json: AsJson = False,
) -> None:
    """Sums what was spent, by model unless something else is asked for."""
    from muxer.v1 import usage_service_pb2 as pb
    from muxer.v1 import usage_service_pb2_grpc

    words = [word.strip() for word in group_by.split(",") if word.strip()]
    request = query(words, time_zone)
    request.filter.CopyFrom(
        spans.ledger_filter(
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
    )
    total = pb.UsageSums()
    with admin_calls(usage_service_pb2_grpc.UsageServiceStub, admin_target, api_key, timeout) as call:
        groups = list(_groups(call, request, total))
    if as_json:
        print_json({"groups": [_plain(group) for group in groups], "total": _plain(total)})
    elif as_csv:
        _print_csv(words, groups, time_zone)
    else:
        _print(words, groups, total, time_zone)


def query(words: list[str], time_zone: str) -> pb.QueryUsageRequest:
    """Makes the request for groups. Raises ValueError for what nothing is grouped by."""
    from muxer.v1 import usage_service_pb2 as pb

    request = pb.QueryUsageRequest(page_size=1_000)
    for word in words:
        if word in BUCKETS:
            if request.bucket:
                msg = "--group-by names two buckets of time: give one"
                raise ValueError(msg)
            request.bucket = pb.TimeBucket.Value(f"TIME_BUCKET_{word.upper()}")  # type: ignore[assignment]
            request.time_zone = time_zone
        elif word in DIMENSIONS:
            number = pb.UsageDimension.Value(f"USAGE_DIMENSION_{word.upper()}")
            request.group_by.append(number)  # type: ignore[arg-type]
        elif word.startswith(LABEL):
            request.group_by_labels.append(word.removeprefix(LABEL))
        else:
            msg = f"--group-by {word!r} is not one of {', '.join((*DIMENSIONS, *BUCKETS))}, label:KEY"
            raise ValueError(msg)
    return request


def bucket_text(group: Any, size: str, time_zone: str) -> str:
    """Writes the beginning of a group's bucket as the zone's clocks show it."""
    from datetime import UTC
    from zoneinfo import ZoneInfo

    at = group.start_time.ToDatetime(tzinfo=UTC).astimezone(ZoneInfo(time_zone))
    return str(at.strftime(_FORMATS[size]))


def all_tokens(sums: Any) -> int:
    """Sums the tokens of all kinds."""
    return sum(getattr(sums.usage, kind) for kind in KINDS)


def _groups(call: Any, request: Any, total: Any) -> Iterator[Any]:
    while True:
        reply = call("QueryUsage", request)
        if reply.HasField("total"):
            total.CopyFrom(reply.total)
        yield from reply.groups
        if not reply.next_page_token:
            return
        request.page_token = reply.next_page_token


def _plain(message: Any) -> Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _values(words: list[str], group: Any, time_zone: str) -> list[str]:
    values = []
    for word in words:
        if word in BUCKETS:
            values.append(bucket_text(group, word, time_zone))
        elif word.startswith(LABEL):
            values.append(group.labels[word.removeprefix(LABEL)])
        elif word in ("intent", "outcome"):
            known = getattr(group, word)
            values.append(enum_word(group, word) if known else "")
        else:
            values.append(getattr(group, _NAMES.get(word, word)))
    return values


def _print(words: list[str], groups: list[Any], total: Any, time_zone: str) -> None:
    rows = [[*_values(words, group, time_zone), *_cells(group.sums)] for group in groups]
    if words:
        rows.append(["total", *[""] * (len(words) - 1), *_cells(total)])
    columns = [">cost", ">completions", ">attempts", ">failed", ">input", ">output"]
    print_table("", [*words, *columns], rows)


def _cells(sums: Any) -> list[str]:
    output = sums.usage.output_tokens + sums.usage.reasoning_tokens
    counts = (sums.completions, sums.attempts, sums.failures, input_tokens(sums.usage), output)
    return [usd(sums.cost_nano_usd), *(f"{count:,}" for count in counts)]


def _print_csv(words: list[str], groups: list[Any], time_zone: str) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    counted = ("cost_nano_usd", "reserved_nano_usd", "completions", "attempts", "failures")
    writer.writerow([*words, *counted, *KINDS])
    for group in groups:
        sums = group.sums
        row = [*_values(words, group, time_zone), *(getattr(sums, name) for name in counted)]
        writer.writerow([*row, *(getattr(sums.usage, kind) for kind in KINDS)])
