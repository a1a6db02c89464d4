"""UserService: the people and services of tenants."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
from muxer.v1 import principals_pb2
from muxer.v1 import user_service_pb2 as pb

from muxer_grpc.domain.administration import UserFilter, Users
from muxer_grpc.domain.directory import User
from muxer_grpc.domain.tenancy import Role
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import (
    check_display_name,
    check_revision_given,
    check_tenant_id,
    check_user_id,
    read_mask,
    time_message,
)
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import PRINCIPAL_ROLE_OF, PRINCIPAL_ROLES
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.tenant_access import Now, actor_of, tenant_meant, tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.UserService"

CHANGEABLE = ("display_name", "role", "suspended")
FIXED = ("tenant_id", "id", "revision", "create_time", "update_time")


class UserServicer:
    """Serves the admin listener. `now` gives the seconds since the epoch."""

    def __init__(self, users: Users, now: Now = time.time) -> None:
        self._users = users
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "CreateUser": calls.unary(pb.CreateUserRequest, self.create_user),
            "GetUser": calls.unary(pb.GetUserRequest, self.get_user),
            "ListUsers": calls.unary(pb.ListUsersRequest, self.list_users),
            "UpdateUser": calls.unary(pb.UpdateUserRequest, self.update_user),
            "DeleteUser": calls.unary(pb.DeleteUserRequest, self.delete_user),
        }

    async def create_user(self, request: pb.CreateUserRequest, limit: TimeLimit) -> pb.CreateUserResponse:
        """Makes a user."""
        given = request.user
        tenant_id = tenant_meant(limit.principal, given.tenant_id)
        violations = Violations()
        _check_names(tenant_id, given.id, "user.tenant_id", "user.id", violations)
        if given.role == principals_pb2.PRINCIPAL_ROLE_UNSPECIFIED:
            given.role = principals_pb2.PRINCIPAL_ROLE_CALLER
        values = _read_values(given, CHANGEABLE, violations)
        violations.raise_if_any()
        user = User(tenant_id, given.id, **values)
        actor = actor_of(limit.principal, self._now)
        return pb.CreateUserResponse(user=_message(await limit.wait(lambda: self._users.create(user, actor))))

    async def get_user(self, request: pb.GetUserRequest, limit: TimeLimit) -> pb.GetUserResponse:
        """Shows one user."""
        tenant_id = tenant_meant(limit.principal, request.tenant_id)
        violations = Violations()
        _check_names(tenant_id, request.user_id, "tenant_id", "user_id", violations)
        violations.raise_if_any()
        return pb.GetUserResponse(user=_message(await limit.wait(lambda: self._users.get(tenant_id, request.user_id))))

    async def list_users(self, request: pb.ListUsersRequest, limit: TimeLimit) -> pb.ListUsersResponse:
        """Lists users by tenant and id."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        role = None
        if request.role != principals_pb2.PRINCIPAL_ROLE_UNSPECIFIED:
            role = _read_role(request.role, "role", violations)
        suspended = request.suspended if request.HasField("suspended") else None
        listing = ("users", tenant_id, request.role, suspended)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=2)
        violations.raise_if_any()
        wanted = UserFilter(tenant_id, role, suspended)
        found = await limit.wait(lambda: self._users.page(wanted, paging.request))
        page, following = paging.cut(found, lambda user: (user.tenant_id, user.id))
        return pb.ListUsersResponse(users=[_message(each) for each in page], next_page_token=following)

    async def update_user(self, request: pb.UpdateUserRequest, limit: TimeLimit) -> pb.UpdateUserResponse:
        """Changes a user."""
        given = request.user
        tenant_id = tenant_meant(limit.principal, given.tenant_id)
        violations = Violations()
        _check_names(tenant_id, given.id, "user.tenant_id", "user.id", violations)
        revision = check_revision_given(given.revision, "user.revision", violations)
        paths = read_mask(request.update_mask, CHANGEABLE, FIXED, violations)
        values = _read_values(given, paths, violations)
        violations.raise_if_any()
        actor = actor_of(limit.principal, self._now)
        changed = await limit.wait(
            lambda: self._users.change(tenant_id, given.id, revision, lambda user: replace(user, **values), actor)
        )
        return pb.UpdateUserResponse(user=_message(changed))

    async def delete_user(self, request: pb.DeleteUserRequest, limit: TimeLimit) -> pb.DeleteUserResponse:
        """Deletes a user with its keys and budgets."""
        tenant_id = tenant_meant(limit.principal, request.tenant_id)
        violations = Violations()
        _check_names(tenant_id, request.user_id, "tenant_id", "user_id", violations)
        revision = check_revision_given(request.revision, "revision", violations)
        violations.raise_if_any()
        actor = actor_of(limit.principal, self._now)
        await limit.wait(lambda: self._users.delete(tenant_id, request.user_id, revision, actor, force=request.force))
        return pb.DeleteUserResponse()


def _check_names(tenant_id: str, user_id: str, tenant_path: str, user_path: str, violations: Violations) -> None:
    check_tenant_id(tenant_id, tenant_path, violations)
    if violations.check(bool(user_id), user_path, "required", "give the id of a user"):
        check_user_id(user_id, user_path, violations)


def _read_values(given: pb.User, paths: Sequence[str], violations: Violations) -> dict[str, Any]:
    """Reads the named fields."""
    values: dict[str, Any] = {}
    if "display_name" in paths:
        values["display_name"] = check_display_name(given.display_name, "user.display_name", violations)
    if "role" in paths:
        values["role"] = _read_role(given.role, "user.role", violations)
    if "suspended" in paths:
        values["suspended"] = given.suspended
    return values


def _read_role(number: int, path: str, violations: Violations) -> Role | None:
    role = PRINCIPAL_ROLE_OF.get(number)
    violations.check(role is not None, path, "unknown", f"{number} is not a role")
    return role


def _message(user: User) -> pb.User:
    return pb.User(
        tenant_id=user.tenant_id,
        id=user.id,
        display_name=user.display_name,
        role=PRINCIPAL_ROLES[user.role],  # type: ignore[arg-type]
        suspended=user.suspended,
        revision=user.revision,
        create_time=time_message(user.created_us),
        update_time=time_message(user.updated_us),
    )
