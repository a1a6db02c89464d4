"""Commands about tenants: those with accounts of their own, and what their requests may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import enum_word, print_json, print_table
from muxer_grpc.cli.steering import numbers
from muxer_grpc.cli.times import time_text

if TYPE_CHECKING:
    from muxer.v1 import tenant_service_pb2

app = typer.Typer(help="Tenants, and what their requests may do.", no_args_is_help=True)

TenantId = Annotated[str, typer.Argument(help="Id of the tenant.")]
Name = Annotated[str | None, typer.Option("--name", help="Name for people.")]
Suspended = Annotated[bool | None, typer.Option("--suspend/--resume", help="Refuses all its users and keys, or not.")]
Requests = Annotated[int | None, typer.Option("--requests-per-minute", help="Bound on requests.")]
Tokens = Annotated[int | None, typer.Option("--tokens-per-minute", help="Bound on tokens.")]
AllowProvider = Annotated[list[str] | None, typer.Option(help="Only these providers; may be repeated.")]
DenyProvider = Annotated[list[str] | None, typer.Option(help="Not these providers; may be repeated.")]
AllowModel = Annotated[list[str] | None, typer.Option(help="Only these models; may be repeated.")]
DenyModel = Annotated[list[str] | None, typer.Option(help="Not these models; may be repeated.")]
AllowRegion = Annotated[list[str] | None, typer.Option(help="Only models in these regions; may be repeated.")]
Strategy = Annotated[str | None, typer.Option(help="Ranking strategy where a request names none.")]
Weights = Annotated[list[str] | None, typer.Option(help="Weights where a request has none: quality=0.6,cost=0.4.")]
Safety = Annotated[str | None, typer.Option(help="What becomes of safety risks: allow, flag or block.")]
Content = Annotated[str | None, typer.Option(help="What is kept of prompts and answers: off, hashed or kept.")]
ContentDays = Annotated[int | None, typer.Option(help="For how many days text is kept.")]
Clear = Annotated[
    list[str] | None, typer.Option(help="Field to empty, as rate_limit or policy.denied_models; may be repeated.")
]
Revision = Annotated[int, typer.Option(help="Revision that must be current; default: whichever is.")]


@app.command("create")
def create(
    tenant: TenantId,
    name: Name = None,
    suspended: Suspended = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    allow_provider: AllowProvider = None,
    deny_provider: DenyProvider = None,
    allow_model: AllowModel = None,
    deny_model: DenyModel = None,
    allow_region: AllowRegion = None,
    strategy: Strategy = None,
    weights: Weights = None,
    safety: Safety = None,
    content: Content = None,
    content_days: ContentDays = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Makes a tenant."""
    from muxer.v1 import tenant_service_pb2 as pb

    given = pb.Tenant(id=tenant)
    _fill(given, name, suspended, requests_per_minute, tokens_per_minute)
    _fill_policy(
        given.policy,
        allowed_providers=allow_provider,
        denied_providers=deny_provider,
        allowed_models=allow_model,
        denied_models=deny_model,
        allowed_regions=allow_region,
        default_strategy=strategy,
        weights=weights,
        safety_action=safety,
        content_storage=content,
        content_days=content_days,
    )
    with _tenants(admin_target, api_key, timeout) as call:
        made = call("CreateTenant", pb.CreateTenantRequest(tenant=given)).tenant
    _print([made], as_json=as_json)


@app.command("list")
def list_tenants(
    suspended: Annotated[bool | None, typer.Option("--suspended/--active", help="Only such.")] = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Lists the tenants."""
    from muxer.v1 import tenant_service_pb2 as pb

    request = pb.ListTenantsRequest(page_size=1_000, suspended=suspended)
    with _tenants(admin_target, api_key, timeout) as call:
        found = list(pages(call, "ListTenants", request, "tenants"))
    _print(found, as_json=as_json, listed=True)


@app.command("get")
def get(
    tenant: TenantId,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows a tenant with its policy."""
    from muxer.v1 import tenant_service_pb2 as pb

    with _tenants(admin_target, api_key, timeout) as call:
        found = call("GetTenant", pb.GetTenantRequest(tenant_id=tenant)).tenant
    _print([found], as_json=as_json)


@app.command("update")
def update(
    tenant: TenantId,
    name: Name = None,
    suspended: Suspended = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    allow_provider: AllowProvider = None,
    deny_provider: DenyProvider = None,
    allow_model: AllowModel = None,
    deny_model: DenyModel = None,
    allow_region: AllowRegion = None,
    strategy: Strategy = None,
    weights: Weights = None,
    safety: Safety = None,
    content: Content = None,
    content_days: ContentDays = None,
    clear: Clear = None,
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Changes what is given of a tenant; lists take the place of those before."""
    from google.protobuf.field_mask_pb2 import FieldMask
    from muxer.v1 import tenant_service_pb2 as pb

    given = pb.Tenant(id=tenant, revision=revision)
    named = _fill_policy(
        given.policy,
        allowed_providers=allow_provider,
        denied_providers=deny_provider,
        allowed_models=allow_model,
        denied_models=deny_model,
        allowed_regions=allow_region,
        default_strategy=strategy,
        weights=weights,
        safety_action=safety,
        content_storage=content,
        content_days=content_days,
    )
    with _tenants(admin_target, api_key, timeout) as call:
        if (requests_per_minute is None) != (tokens_per_minute is None):
            # The other bound stays, and both are told together: as they are at the revision that was read.
            before = call("GetTenant", pb.GetTenantRequest(tenant_id=tenant)).tenant
            given.rate_limit.CopyFrom(before.rate_limit)
            given.revision = revision or before.revision
        paths = _fill(given, name, suspended, requests_per_minute, tokens_per_minute)
        paths += [f"policy.{field}" for field in named] + (clear or [])
        changed = call("UpdateTenant", pb.UpdateTenantRequest(tenant=given, update_mask=FieldMask(paths=paths))).tenant
    _print([changed], as_json=as_json)


@app.command("delete")
def delete(
    tenant: TenantId,
    revision: Revision = 0,
    force: Annotated[bool, typer.Option("--force", help="Deletes its users and keys as well.")] = False,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
) -> None:
    """Deletes a tenant that nothing was ever booked for."""
    from muxer.v1 import tenant_service_pb2 as pb

    with _tenants(admin_target, api_key, timeout) as call:
        call("DeleteTenant", pb.DeleteTenantRequest(tenant_id=tenant, revision=revision, force=force))


def _tenants(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import tenant_service_pb2_grpc

    return admin_calls(tenant_service_pb2_grpc.TenantServiceStub, target, api_key, timeout)


def _fill(
    tenant: tenant_service_pb2.Tenant,
    name: str | None,
    suspended: bool | None,
    requests: int | None,
    tokens: int | None,
) -> list[str]:
    """Takes over what was given; lists the fields that were."""
    paths = []
    if name is not None:
        tenant.display_name = name
        paths.append("display_name")
    if suspended is not None:
        tenant.suspended = suspended
        paths.append("suspended")
    if requests is not None:
        tenant.rate_limit.requests_per_minute = requests
    if tokens is not None:
        tenant.rate_limit.tokens_per_minute = tokens
    if requests is not None or tokens is not None:
        paths.append("rate_limit")
    return paths


def _fill_policy(policy: tenant_service_pb2.TenantPolicy, **given: Any) -> list[str]:
    """Takes over what was given; lists the fields that were. Raises ValueError on words that are none."""
    from muxer.v1 import routing_pb2

    named = [field for field, value in given.items() if value is not None and value != []]
    for field in named:
        value = given[field]
        if isinstance(value, list) and field != "weights":
            getattr(policy, field).extend(value)
        elif field == "weights":
            factors = numbers("--weights", value) or {}
            known = [each.name for each in routing_pb2.RoutingWeights.DESCRIPTOR.fields]
            for factor in factors:
                if factor not in known:
                    msg = f"{factor!r} is not a factor; known are {', '.join(known)}"
                    raise ValueError(msg)
            policy.weights.CopyFrom(routing_pb2.RoutingWeights(**factors))
        elif field in ("safety_action", "content_storage"):
            setattr(policy, field, _enum_number(field, value))
        else:
            setattr(policy, field, value)
    return named


def _enum_number(field: str, word: str) -> int:
    """Finds the value of an enum by its word: `block` is SAFETY_ACTION_BLOCK. Raises ValueError."""
    from muxer.v1 import tenant_service_pb2 as pb

    enum, option = {
        "safety_action": (pb.SafetyAction, "--safety"),
        "content_storage": (pb.ContentStorage, "--content"),
    }[field]
    words = {name.removeprefix(f"{field.upper()}_").lower(): number for name, number in enum.items() if number}
    if word not in words:
        msg = f"{option} {word!r} is not one of {', '.join(words)}"
        raise ValueError(msg)
    return int(words[word])


def _print(found: list[Any], *, as_json: bool, listed: bool = False) -> None:
    from google.protobuf import json_format

    if as_json:
        plain = [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in found]
        print_json(plain if listed else plain[0])
        return
    rows = [
        [
            each.id,
            each.display_name,
            "suspended" if each.suspended else "",
            _bound(each.rate_limit, "requests_per_minute"),
            _bound(each.rate_limit, "tokens_per_minute"),
            _policy_words(each.policy),
            str(each.revision),
            time_text(each.update_time),
        ]
        for each in found
    ]
    columns = ["tenant", "name", "", ">requests/min", ">tokens/min", "policy", ">revision", "changed"]
    print_table("", columns, rows)


def _bound(limit: Any, field: str) -> str:
    return f"{getattr(limit, field):,}" if limit.HasField(field) else ""


def _policy_words(policy: Any) -> str:
    """Writes a policy in a line."""
    words = []
    for descriptor, value in policy.ListFields():
        name = descriptor.name
        if descriptor.enum_type is not None:
            told = enum_word(policy, name)
        elif descriptor.message_type is not None:
            told = ",".join(f"{factor.name}={weight:g}" for factor, weight in value.ListFields())
        else:
            told = str(value) if isinstance(value, int | str) else ",".join(value)
        words.append(f"{name}: {told}")
    return "; ".join(words)
