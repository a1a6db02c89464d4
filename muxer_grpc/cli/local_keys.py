"""The first key: made in the configured database itself, since there is no key yet to ask a service with."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muxer.v1 import key_service_pb2

    from muxer_grpc.domain.administration import Actor, Users
    from muxer_grpc.settings import Settings

ACTOR = "muxer keys create --local"
FIRST_ADMIN = "admin"
MOST_SECONDS = 60.0


def create_local(given: key_service_pb2.ApiKey, config: Path | None) -> key_service_pb2.CreateKeyResponse:
    """Makes a key as CreateKey would; by default one of an admin of all tenants, whom it makes where it is not there.

    Raises ValueError without a pepper, ResourceNotFound without the user of another tenant, StorageUnavailable.
    """
    from muxer_grpc.settings_loading import load_settings

    return asyncio.run(_create(given, load_settings(config)))


async def _create(given: key_service_pb2.ApiKey, settings: Settings) -> key_service_pb2.CreateKeyResponse:
    from muxer.v1 import key_service_pb2 as pb

    from muxer_grpc.bootstrap_admin import default_budgets
    from muxer_grpc.bootstrap_identity import api_keys
    from muxer_grpc.domain.administration import Actor
    from muxer_grpc.domain.budgeting import MICROSECONDS
    from muxer_grpc.domain.tenancy import SYSTEM_TENANT, Principal, Role, Subject
    from muxer_grpc.pipeline.time_limit import TimeLimit
    from muxer_grpc.rpc.servicers.keys import KeyServicer
    from muxer_grpc.storage.database import Database
    from muxer_grpc.storage.keys import KeyTable
    from muxer_grpc.storage.migrating import make_ready
    from muxer_grpc.storage.users import UserTable

    maker = api_keys(settings.identity)
    if maker is None:
        msg = "no key can be made without a pepper: set MUXER_IDENTITY__PEPPER or MUXER_IDENTITY__PEPPER_FILE"
        raise ValueError(msg)
    database = Database(settings.storage.url.get_secret_value())
    await asyncio.to_thread(make_ready, database)

    def new_id() -> str:
        return secrets.token_hex(12)

    try:
        users = UserTable(database, default_budgets(settings.budgets), new_id)
        given.tenant_id = given.tenant_id or SYSTEM_TENANT
        given.user_id = given.user_id or FIRST_ADMIN
        if given.tenant_id == SYSTEM_TENANT:
            await _ensure_admin(users, given.user_id, Actor(ACTOR, int(time.time() * MICROSECONDS)))
        servicer = KeyServicer(KeyTable(database, new_id), users, maker)
        operator = Principal(Subject(SYSTEM_TENANT), Role.ADMIN, ACTOR, everywhere=True)
        limit = TimeLimit(asyncio.get_running_loop().time() + MOST_SECONDS, operator)
        return await servicer.create_key(pb.CreateKeyRequest(key=given), limit)
    finally:
        await database.aclose()


async def _ensure_admin(users: Users, user_id: str, actor: Actor) -> None:
    from muxer_grpc.domain.directory import User
    from muxer_grpc.domain.errors import ResourceNotFound
    from muxer_grpc.domain.tenancy import SYSTEM_TENANT, Role

    try:
        await users.get(SYSTEM_TENANT, user_id)
    except ResourceNotFound:
        await users.create(User(SYSTEM_TENANT, user_id, Role.ADMIN), actor)
