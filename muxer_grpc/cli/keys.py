"""Commands about API keys, whose secrets are told once. The first one is made without a service: `--local`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import enum_word, print_json, print_table
from muxer_grpc.cli.times import duration_message, expiry_message, time_text
from muxer_grpc.cli.users import role_number

app = typer.Typer(help="API keys of users.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="Id of the key.")]
Tenant = Annotated[str, typer.Option(help="Its tenant; default: any that you may see.")]
Name = Annotated[str | None, typer.Option("--name", help="Name for people.")]
Expires = Annotated[str | None, typer.Option(help="Ends it after a duration, as 90d; default: never.")]
Requests = Annotated[int | None, typer.Option("--requests-per-minute", help="Bound on requests.")]
Tokens = Annotated[int | None, typer.Option("--tokens-per-minute", help="Bound on tokens.")]
Revision = Annotated[int, typer.Option(help="Revision that must be current; default: whichever is.")]


@app.command("create")
def create(
    user: Annotated[str, typer.Option(help="Whose key it is.")] = "",
    tenant: Annotated[str, typer.Option(help="The user's tenant; default: your own.")] = "",
    role: Annotated[str | None, typer.Option(help="caller, viewer or admin; default: the user's.")] = None,
    expires: Expires = None,
    name: Name = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local", help="Writes into the configured database, without a service; default: an admin of everything."
        ),
    ] = False,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with settings, for --local.")] = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Makes a key: the key on stdout, once, and what it is on stderr."""
    from muxer.v1 import key_service_pb2 as pb

    given = pb.ApiKey(tenant_id=tenant, user_id=user, role=role_number(role), display_name=name or "")  # type: ignore[arg-type]
    if expires is not None:
        given.expire_time.CopyFrom(expiry_message("--expires", expires))
    _fill_limit(given, requests_per_minute, tokens_per_minute)
    if local:
        from muxer_grpc.cli.local_keys import create_local

        reply = create_local(given, config)
    else:
        with _keys(admin_target, api_key, timeout) as call:
            reply = call("CreateKey", pb.CreateKeyRequest(key=given))
    _print_fresh(reply, as_json=as_json)


@app.command("list")
def list_keys(
    tenant: Annotated[str, typer.Option(help="Only of this tenant; default: all that you may see.")] = "",
    user: Annotated[str, typer.Option(help="Only of this user.")] = "",
    usable: Annotated[bool, typer.Option("--usable", help="Only those that open something now.")] = False,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Lists keys, without their secrets."""
    from muxer.v1 import key_service_pb2 as pb

    request = pb.ListKeysRequest(page_size=1_000, tenant_id=tenant, user_id=user, usable_only=usable)
    with _keys(admin_target, api_key, timeout) as call:
        found = list(pages(call, "ListKeys", request, "keys"))
    _print(found, as_json=as_json, listed=True)


@app.command("get")
def get(
    key: KeyId,
    tenant: Tenant = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows a key, without its secret."""
    from muxer.v1 import key_service_pb2 as pb

    with _keys(admin_target, api_key, timeout) as call:
        found = call("GetKey", pb.GetKeyRequest(tenant_id=tenant, key_id=key)).key
    _print([found], as_json=as_json)


@app.command("update")
def update(
    key: KeyId,
    tenant: Tenant = "",
    name: Name = None,
    expires: Annotated[str | None, typer.Option(help="Ends it after a duration from now, as 90d; or `never`.")] = None,
    requests_per_minute: Requests = None,
    tokens_per_minute: Tokens = None,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="Takes its rate limit away.")] = False,
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Changes what is given of a key."""
    from google.protobuf.field_mask_pb2 import FieldMask
    from muxer.v1 import key_service_pb2 as pb

    given = pb.ApiKey(id=key, tenant_id=tenant, revision=revision)
    paths = []
    if name is not None:
        given.display_name = name
        paths.append("display_name")
    if expires is not None:
        paths.append("expire_time")
        if expires != "never":
            given.expire_time.CopyFrom(expiry_message("--expires", expires))
    if unlimited or requests_per_minute is not None or tokens_per_minute is not None:
        paths.append("rate_limit")
    with _keys(admin_target, api_key, timeout) as call:
        if not unlimited and (requests_per_minute is None) != (tokens_per_minute is None):
            # The other bound stays, and both are told together: as they are at the revision that was read.
            before = call("GetKey", pb.GetKeyRequest(tenant_id=tenant, key_id=key)).key
            given.rate_limit.CopyFrom(before.rate_limit)
            given.revision = revision or before.revision
        _fill_limit(given, requests_per_minute, tokens_per_minute)
        changed = call("UpdateKey", pb.UpdateKeyRequest(key=given, update_mask=FieldMask(paths=paths))).key
    _print([changed], as_json=as_json)


@app.command("rotate")
def rotate(
    key: KeyId,
    tenant: Tenant = "",
    overlap: Annotated[str, typer.Option(help="How long both keys open the same, as 24h; at most 30d.")] = "0s",
    expires: Annotated[str | None, typer.Option(help="Ends the new key; default: after as long as the old.")] = None,
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Makes a key that takes over from another: the key on stdout, once, and what it is on stderr."""
    from muxer.v1 import key_service_pb2 as pb

    request = pb.RotateKeyRequest(
        tenant_id=tenant, key_id=key, overlap=duration_message("--overlap", overlap), revision=revision
    )
    if expires is not None:
        request.expire_time.CopyFrom(expiry_message("--expires", expires))
    with _keys(admin_target, api_key, timeout) as call:
        reply = call("RotateKey", request)
    if not as_json:
        sys.stderr.write(f"key {reply.replaced.id} is refused from {time_text(reply.replaced.revoke_time)} on\n")
    _print_fresh(reply, as_json=as_json)


@app.command("revoke")
def revoke(
    key: KeyId,
    tenant: Tenant = "",
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Revokes a key: within seconds it is refused everywhere."""
    from muxer.v1 import key_service_pb2 as pb

    with _keys(admin_target, api_key, timeout) as call:
        revoked = call("RevokeKey", pb.RevokeKeyRequest(tenant_id=tenant, key_id=key, revision=revision)).key
    _print([revoked], as_json=as_json)


def _keys(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import key_service_pb2_grpc

    return admin_calls(key_service_pb2_grpc.KeyServiceStub, target, api_key, timeout)


def _fill_limit(key: Any, requests: int | None, tokens: int | None) -> None:
    if requests is not None:
        key.rate_limit.requests_per_minute = requests
    if tokens is not None:
        key.rate_limit.tokens_per_minute = tokens


def _print_fresh(reply: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(reply)
        return
    key = reply.key
    ends = f", until {time_text(key.expire_time)}" if key.HasField("expire_time") else ""
    told = f"key {key.id} of {key.tenant_id}/{key.user_id}, {enum_word(key, 'role')}{ends}; it is shown this once:"
    sys.stderr.write(f"{told}\n")
    sys.stderr.flush()
    sys.stdout.write(f"{reply.secret}\n")


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
            enum_word(each, "role"),
            each.display_name,
            each.prefix,
            "yes" if each.usable else "no",
            time_text(each.expire_time),
            time_text(each.revoke_time),
        ]
        for each in found
    ]
    columns = ["key", "tenant", "user", "role", "name", "begins with", "usable", "expires", "revoked"]
    print_table("", columns, rows)
