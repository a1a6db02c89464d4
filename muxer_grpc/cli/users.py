"""Commands about users: the people and services of tenants."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from muxer_grpc.cli.administering import ADMIN, AdminTarget, ApiKey, AsJson, Seconds, admin_calls, pages
from muxer_grpc.cli.rendering import enum_word, print_json, print_table
from muxer_grpc.cli.times import time_text

app = typer.Typer(help="Users of tenants.", no_args_is_help=True)

UserId = Annotated[str, typer.Argument(help="Id of the user.")]
Tenant = Annotated[str, typer.Option(help="Its tenant; default: your own.")]
Role = Annotated[str | None, typer.Option(help="caller, viewer or admin.")]
Name = Annotated[str | None, typer.Option("--name", help="Name for people.")]
Suspended = Annotated[bool | None, typer.Option("--suspend/--resume", help="Refuses it and its keys, or not.")]
Revision = Annotated[int, typer.Option(help="Revision that must be current; default: whichever is.")]


def role_number(role: str | None) -> int:
    """Finds the value of a role by its word; that of no role for None. Raises ValueError."""
    from muxer.v1 import principals_pb2

    prefix = "PRINCIPAL_ROLE_"
    words = {n.removeprefix(prefix).lower(): number for n, number in principals_pb2.PrincipalRole.items() if number}
    if role is None:
        return principals_pb2.PRINCIPAL_ROLE_UNSPECIFIED
    if role not in words:
        msg = f"--role {role!r} is not one of {', '.join(words)}"
        raise ValueError(msg)
    return int(words[role])


@app.command("create")
def create(
    user: UserId,
    tenant: Tenant = "",
    role: Role = None,
    name: Name = None,
    suspended: Suspended = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Makes a user, with the default budgets; a caller, unless a role is given."""
    from muxer.v1 import user_service_pb2 as pb

    given = pb.User(
        tenant_id=tenant,
        id=user,
        role=role_number(role),  # type: ignore[arg-type]
        display_name=name or "",
        suspended=bool(suspended),
    )
    with _users(admin_target, api_key, timeout) as call:
        made = call("CreateUser", pb.CreateUserRequest(user=given)).user
    _print([made], as_json=as_json)


@app.command("list")
def list_users(
    tenant: Annotated[str, typer.Option(help="Only of this tenant; default: all that you may see.")] = "",
    role: Role = None,
    suspended: Annotated[bool | None, typer.Option("--suspended/--active", help="Only such.")] = None,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Lists users."""
    from muxer.v1 import user_service_pb2 as pb

    request = pb.ListUsersRequest(
        page_size=1_000,
        tenant_id=tenant,
        role=role_number(role),  # type: ignore[arg-type]
        suspended=suspended,
    )
    with _users(admin_target, api_key, timeout) as call:
        found = list(pages(call, "ListUsers", request, "users"))
    _print(found, as_json=as_json, listed=True)


@app.command("get")
def get(
    user: UserId,
    tenant: Tenant = "",
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Shows a user."""
    from muxer.v1 import user_service_pb2 as pb

    with _users(admin_target, api_key, timeout) as call:
        found = call("GetUser", pb.GetUserRequest(tenant_id=tenant, user_id=user)).user
    _print([found], as_json=as_json)


@app.command("update")
def update(
    user: UserId,
    tenant: Tenant = "",
    role: Role = None,
    name: Name = None,
    suspended: Suspended = None,
    revision: Revision = 0,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Changes what is given of a user."""
    from google.protobuf.field_mask_pb2 import FieldMask
    from muxer.v1 import user_service_pb2 as pb

    values = {"role": None if role is None else role_number(role), "display_name": name, "suspended": suspended}
    changes: Any = {field: value for field, value in values.items() if value is not None}
    request = pb.UpdateUserRequest(
        user=pb.User(tenant_id=tenant, id=user, revision=revision, **changes),
        update_mask=FieldMask(paths=list(changes)),
    )
    with _users(admin_target, api_key, timeout) as call:
        changed = call("UpdateUser", request).user
    _print([changed], as_json=as_json)


@app.command("delete")
def delete(
    user: UserId,
    tenant: Tenant = "",
    revision: Revision = 0,
    force: Annotated[bool, typer.Option("--force", help="Deletes keys that open something as well.")] = False,
    admin_target: AdminTarget = ADMIN,
    api_key: ApiKey = "",
    timeout: Seconds = 10.0,
) -> None:
    """Deletes a user with its keys and budgets."""
    from muxer.v1 import user_service_pb2 as pb

    request = pb.DeleteUserRequest(tenant_id=tenant, user_id=user, revision=revision, force=force)
    with _users(admin_target, api_key, timeout) as call:
        call("DeleteUser", request)


def _users(target: str, api_key: str, timeout: float) -> Any:
    from muxer.v1 import user_service_pb2_grpc

    return admin_calls(user_service_pb2_grpc.UserServiceStub, target, api_key, timeout)


def _print(found: list[Any], *, as_json: bool, listed: bool = False) -> None:
    from google.protobuf import json_format

    if as_json:
        plain = [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in found]
        print_json(plain if listed else plain[0])
        return
    rows = [
        [
            each.tenant_id,
            each.id,
            each.display_name,
            enum_word(each, "role"),
            "suspended" if each.suspended else "",
            str(each.revision),
            time_text(each.update_time),
        ]
        for each in found
    ]
    print_table("", ["tenant", "user", "name", "role", "", ">revision", "changed"], rows)
