"""KeyService: API keys, whose secrets are told once and kept nowhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf import duration_pb2
from muxer.v1 import key_service_pb2 as pb
from muxer.v1 import principals_pb2

from muxer_grpc.domain.administration import KeyFilter, KeyMaker, Keys, MadeKey, Users
from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.directory import ApiKey
from muxer_grpc.domain.refusals import PreconditionFailed
from muxer_grpc.domain.tenancy import Role
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import (
    check_display_name,
    check_made_id,
    check_revision_given,
    check_tenant_id,
    check_user_id,
    optional_time,
    rate_limit_message,
    read_mask,
    read_rate_limit,
    read_time,
    time_message,
)
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import PRINCIPAL_ROLE_OF, PRINCIPAL_ROLES
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.tenant_access import Now, actor_of, microseconds, tenant_meant, tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.KeyService"

CHANGEABLE = ("display_name", "rate_limit", "expire_time")
FIXED = (
    "id",
    "tenant_id",
    "user_id",
    "role",
    "prefix",
    "revoke_time",
    "rotated_from",
    "revision",
    "create_time",
    "update_time",
    "usable",
)
MAX_OVERLAP_SECONDS = 30 * 86_400


class KeyServicer:
    """Serves the admin listener. `now` gives the seconds since the epoch. Without a `maker`, none can be made."""

    def __init__(self, keys: Keys, users: Users, maker: KeyMaker | None, now: Now = time.time) -> None:
        self._keys = keys
        self._users = users
        self._maker = maker
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "CreateKey": calls.unary(pb.CreateKeyRequest, self.create_key),
            "GetKey": calls.unary(pb.GetKeyRequest, self.get_key),
            "ListKeys": calls.unary(pb.ListKeysRequest, self.list_keys),
            "UpdateKey": calls.unary(pb.UpdateKeyRequest, self.update_key),
            "RotateKey": calls.unary(pb.RotateKeyRequest, self.rotate_key),
            "RevokeKey": calls.unary(pb.RevokeKeyRequest, self.revoke_key),
        }

    async def create_key(self, request: pb.CreateKeyRequest, limit: TimeLimit) -> pb.CreateKeyResponse:
        """Makes a key, and tells its secret."""
        given = request.key
        tenant_id = tenant_meant(limit.principal, given.tenant_id)
        violations = Violations()
        check_tenant_id(tenant_id, "key.tenant_id", violations)
        if violations.check(bool(given.user_id), "key.user_id", "required", "give the id of a user"):
            check_user_id(given.user_id, "key.user_id", violations)
        role = None
        if given.role != principals_pb2.PRINCIPAL_ROLE_UNSPECIFIED:
            role = PRINCIPAL_ROLE_OF.get(given.role)
            violations.check(role is not None, "key.role", "unknown", f"{given.role} is not a role")
        values = self._read_values(given, CHANGEABLE, violations)
        violations.raise_if_any()
        if role is None:
            role = (await limit.wait(lambda: self._users.get(tenant_id, given.user_id))).role
        made = self._made()
        key = _fresh(made, tenant_id, given.user_id, role, **values)
        actor = actor_of(limit.principal, self._now)
        kept = await limit.wait(lambda: self._keys.create(key, actor))
        return pb.CreateKeyResponse(key=self._message(kept), secret=made.text)

    async def get_key(self, request: pb.GetKeyRequest, limit: TimeLimit) -> pb.GetKeyResponse:
        """Shows one key."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        _check_names(tenant_id, request.key_id, "tenant_id", "key_id", violations)
        violations.raise_if_any()
        return pb.GetKeyResponse(key=self._message(await limit.wait(lambda: self._keys.get(tenant_id, request.key_id))))

    async def list_keys(self, request: pb.ListKeysRequest, limit: TimeLimit) -> pb.ListKeysResponse:
        """Lists keys by tenant, user and id."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        if request.user_id:
            check_user_id(request.user_id, "user_id", violations)
        listing = ("keys", tenant_id, request.user_id, request.usable_only)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=3)
        violations.raise_if_any()
        usable_at = microseconds(self._now) if request.usable_only else None
        wanted = KeyFilter(tenant_id, request.user_id, usable_at)
        found = await limit.wait(lambda: self._keys.page(wanted, paging.request))
        page, following = paging.cut(found, lambda key: (key.tenant_id, key.user_id, key.id))
        return pb.ListKeysResponse(keys=[self._message(each) for each in page], next_page_token=following)

    async def update_key(self, request: pb.UpdateKeyRequest, limit: TimeLimit) -> pb.UpdateKeyResponse:
        """Changes a key's name, rate limit or expiry."""
        given = request.key
        tenant_id = tenants_meant(limit.principal, given.tenant_id)
        violations = Violations()
        _check_names(tenant_id, given.id, "key.tenant_id", "key.id", violations)
        revision = check_revision_given(given.revision, "key.revision", violations)
        paths = read_mask(request.update_mask, CHANGEABLE, FIXED, violations)
        values = self._read_values(given, paths, violations)
        violations.raise_if_any()
        actor = actor_of(limit.principal, self._now)

        def change(key: ApiKey) -> ApiKey:
            if key.revoked_us is not None and key.revoked_us <= actor.at_us:
                msg = "the key is revoked, which is for ever: make a new one"
                raise PreconditionFailed(msg)
            return replace(key, **values)

        changed = await limit.wait(
            lambda: self._keys.change(tenant_id, given.id, revision, change, actor, action="UpdateKey")
        )
        return pb.UpdateKeyResponse(key=self._message(changed))

    async def rotate_key(self, request: pb.RotateKeyRequest, limit: TimeLimit) -> pb.RotateKeyResponse:
        """Makes a key that takes over from another, and tells its secret."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        _check_names(tenant_id, request.key_id, "tenant_id", "key_id", violations)
        revision = check_revision_given(request.revision, "revision", violations)
        overlap_us = _read_overlap(request.overlap, violations)
        ends = self._read_expiry(request, "expire_time", violations)
        violations.raise_if_any()
        made = self._made()
        actor = actor_of(limit.principal, self._now)

        def successor(old: ApiKey) -> tuple[ApiKey, ApiKey]:
            _check_replaceable(old, actor.at_us)
            expires = ends
            if expires is None and old.expires_us is not None:
                expires = actor.at_us + old.expires_us - old.created_us
            values = {"display_name": old.display_name, "limit": old.limit, "expires_us": expires}
            fresh = _fresh(made, old.tenant_id, old.user_id, old.role, rotated_from=old.id, **values)
            return fresh, replace(old, revoked_us=actor.at_us + overlap_us)

        fresh, old = await limit.wait(lambda: self._keys.rotate(tenant_id, request.key_id, revision, successor, actor))
        return pb.RotateKeyResponse(key=self._message(fresh), secret=made.text, replaced=self._message(old))

    async def revoke_key(self, request: pb.RevokeKeyRequest, limit: TimeLimit) -> pb.RevokeKeyResponse:
        """Revokes a key at once, an overlap that is under way included."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        _check_names(tenant_id, request.key_id, "tenant_id", "key_id", violations)
        revision = check_revision_given(request.revision, "revision", violations)
        violations.raise_if_any()
        actor = actor_of(limit.principal, self._now)

        def change(key: ApiKey) -> ApiKey:
            before = actor.at_us if key.revoked_us is None else key.revoked_us
            return replace(key, revoked_us=min(before, actor.at_us))

        revoked = await limit.wait(
            lambda: self._keys.change(tenant_id, request.key_id, revision, change, actor, action="RevokeKey")
        )
        return pb.RevokeKeyResponse(key=self._message(revoked))

    def _made(self) -> MadeKey:
        if self._maker is None:
            msg = "no keys can be made without a pepper: set MUXER_IDENTITY__PEPPER or MUXER_IDENTITY__PEPPER_FILE"
            raise PreconditionFailed(msg)
        return self._maker.make()

    def _read_values(self, given: pb.ApiKey, paths: Sequence[str], violations: Violations) -> dict[str, Any]:
        """Reads the named fields."""
        values: dict[str, Any] = {}
        if "display_name" in paths:
            values["display_name"] = check_display_name(given.display_name, "key.display_name", violations)
        if "rate_limit" in paths:
            values["limit"] = read_rate_limit(given.rate_limit, "key.rate_limit", violations)
        if "expire_time" in paths:
            values["expires_us"] = self._read_expiry(given, "key.expire_time", violations)
        return values

    def _read_expiry(self, given: pb.ApiKey | pb.RotateKeyRequest, path: str, violations: Violations) -> int | None:
        if not given.HasField("expire_time"):
            return None
        before = len(violations.found)
        ends = read_time(given.expire_time, path, violations)
        if len(violations.found) == before:
            violations.check(ends > microseconds(self._now), path, "past", "give a time that is to come")
        return ends

    def _message(self, key: ApiKey) -> pb.ApiKey:
        return pb.ApiKey(
            id=key.id,
            tenant_id=key.tenant_id,
            user_id=key.user_id,
            role=PRINCIPAL_ROLES[key.role],  # type: ignore[arg-type]
            prefix=key.prefix,
            display_name=key.display_name,
            rate_limit=rate_limit_message(key.limit),
            expire_time=optional_time(key.expires_us),
            revoke_time=optional_time(key.revoked_us),
            rotated_from=key.rotated_from,
            revision=key.revision,
            create_time=time_message(key.created_us),
            update_time=time_message(key.updated_us),
            usable=key.usable(microseconds(self._now)),
        )


def _fresh(made: MadeKey, tenant_id: str, user_id: str, role: Role, **values: Any) -> ApiKey:
    return ApiKey(made.id, tenant_id, user_id, role, made.prefix, made.digest, **values)


def _check_names(tenant_id: str | None, key_id: str, tenant_path: str, key_path: str, violations: Violations) -> None:
    if tenant_id is not None:
        check_tenant_id(tenant_id, tenant_path, violations)
    check_made_id(key_id, key_path, violations)


def _read_overlap(told: duration_pb2.Duration, violations: Violations) -> int:
    """Reads how long two keys open the same, in microseconds."""
    micros = told.seconds * MICROSECONDS + told.nanos // 1_000
    fits = 0 <= micros <= MAX_OVERLAP_SECONDS * MICROSECONDS
    violations.check(fits, "overlap", "range", "give 0 to 30 days")
    return micros


def _check_replaceable(key: ApiKey, at_us: int) -> None:
    if not key.usable(at_us):
        msg = "the key is expired or revoked: make a new one"
        raise PreconditionFailed(msg)
    if key.revoked_us is not None:
        msg = "the key is being replaced already: rotate the key that takes over from it"
        raise PreconditionFailed(msg)
