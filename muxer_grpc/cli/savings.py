"""`muxer savings`: what tenants would save by which change."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from muxer_grpc.cli import spans
from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls
from muxer_grpc.cli.rendering import enum_word, print_json, print_table, usd

# Below this share what is reserved in vain is nothing to advise about.
WORTH_SAYING = 0.5


def savings(
    tenant: spans.Tenant = "",
    since: spans.From = "30d",
    until: spans.To = None,
    time_zone: spans.TimeZone = "UTC",
    tolerance: Annotated[
        float | None, typer.Option(help="How much lower a rating may be and still count as equal, 0 to 1.")
    ] = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 60.0,
    as_json: AsJson = False,
) -> None:
    """Estimates what tenants would save by which change, from what the ledger has of the last 30 days."""
    from muxer.v1 import savings_service_pb2 as pb
    from muxer.v1 import savings_service_pb2_grpc

    request = pb.GetSavingsRequest(
        tenant_id=tenant,
        since=spans.moment("--from", since or None, time_zone),
        until=spans.moment("--to", until, time_zone),
        quality_tolerance=tolerance,
    )
    with admin_calls(savings_service_pb2_grpc.SavingsServiceStub, admin_target, api_key, timeout) as call:
        found = call("GetSavings", request)
    if as_json:
        print_json(found)
        return
    if not found.tenants:
        sys.stdout.write("nothing was spent\n")
    for each in found.tenants:
        _print(each)


def _print(tenant: Any) -> None:
    sys.stdout.write(f"{tenant.tenant_id}: {usd(tenant.spent_nano_usd)} spent\n\n")
    if tenant.cheaper_models:
        rows = [
            [
                enum_word(each, "intent"),
                each.present_model,
                each.model,
                usd(each.present_cost_nano_usd),
                usd(each.cost_nano_usd),
                usd(each.saved_nano_usd),
                f"{each.requested_completions:,}",
            ]
            for each in tenant.cheaper_models
        ]
        columns = ["kind of task", "model", "would do", ">cost", ">would cost", ">saved", ">asked for by name"]
        print_table("the same tokens on a model whose rating is no lower", columns, rows)
        sys.stdout.write("\n")
    _print_repeats(tenant.cached_repeats)
    vain = [each for each in tenant.unused_reservations if each.unused_share >= WORTH_SAYING]
    for each in vain:
        sys.stdout.write(
            f"{each.model} used {usd(each.spent_nano_usd)} of {usd(each.reserved_nano_usd)} reserved: callers that set "
            f"max_output_tokens (the longest answer had {each.longest_answer_tokens:,}) leave room in budgets for "
            "others\n"
        )
    sys.stdout.write("\n")


def _print_repeats(repeats: Any) -> None:
    if repeats.known_completions:
        sys.stdout.write(
            f"a cache of answers would have saved {usd(repeats.saved_nano_usd)}: {repeats.repeats:,} of "
            f"{repeats.known_completions:,} requests repeat another. Estimated from those of which a digest is known, "
            f"of {repeats.completions:,} in all\n"
        )
    elif repeats.completions:
        sys.stdout.write(
            "what a cache of answers would have saved is not known: of no request is there a digest (there is of those "
            "that were routed first, that have a request id, or whose content is kept)\n"
        )
