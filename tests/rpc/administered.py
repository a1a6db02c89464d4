"""The admin services over a real server and a real database, called by people with keys of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc.aio
import pytest
from google.protobuf import message_factory
from muxer.v1 import audit_service_pb2 as audit_pb
from sqlalchemy import insert

from muxer_grpc.bootstrap import new_id
from muxer_grpc.bootstrap_admin import account_services, default_budgets
from muxer_grpc.bootstrap_identity import guards, open_identity
from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.directory import ApiKey, Tenant, User
from muxer_grpc.domain.price_book import PriceSources
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.tenancy import Role
from muxer_grpc.identity.api_keys import ApiKeys
from muxer_grpc.pipeline.price_updates import PriceUpdates
from muxer_grpc.rpc.calls import CallLimits, Calls
from muxer_grpc.rpc.listener import Listener, ListenerOptions, Servicer
from muxer_grpc.rpc.servicers import prices
from muxer_grpc.settings import Settings
from muxer_grpc.settings_identity import IdentitySettings
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.directory import DirectoryTable
from muxer_grpc.storage.keys import KeyTable
from muxer_grpc.storage.price_books import PriceBookTable
from muxer_grpc.storage.schema import ledger_entries
from muxer_grpc.storage.tenants import TenantTable
from muxer_grpc.storage.users import UserTable
from tests.rpc.service import CATALOGUE, Clock, Told, told

PEPPER = "a pepper of thirty-two bytes, no less"
SETTINGS = Settings(identity=IdentitySettings(modes=("keys",), pepper=PEPPER))  # type: ignore[arg-type]
START = 1_800_000_000.0
SECOND = 1_000_000


@dataclass
class Caller:
    """Somebody with a key, who calls a method by its request."""

    channel: grpc.aio.Channel
    name: str
    key: str

    async def __call__(self, request: Any) -> Any:
        service = next(iter(request.DESCRIPTOR.file.services_by_name.values()))
        method = service.methods_by_name[request.DESCRIPTOR.name.removesuffix("Request")]
        reply = message_factory.GetMessageClass(method.output_type)
        call = self.channel.unary_unary(
            f"/{service.full_name}/{method.name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        return await call(request, metadata=(("x-api-key", self.key),))

    async def refused(self, request: Any, reason: str) -> Told:
        """Calls a method that is to refuse for a reason; gives what it told."""
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self(request)
        error = told(raised.value)
        assert error.reason == reason, error
        return error

    async def audited(self, **narrowed: Any) -> list[tuple[str, str, str, Any, Any]]:
        """Lists the audit log, the earliest first: who, what, to what, before, after."""
        reply = await self(audit_pb.ListAuditEntriesRequest(page_size=1_000, **narrowed))
        return [
            (e.principal, e.action, e.resource, *(json.loads(t) if t else None for t in (e.before_json, e.after_json)))
            for e in reversed(reply.entries)
        ]


@dataclass
class Administered:
    """The services, with an operator, and with the admins of two tenants, acme and other."""

    database: Database
    clock: Clock
    channel: grpc.aio.Channel
    root: Caller
    acme: Caller
    other: Caller

    async def person(self, tenant_id: str, user_id: str, role: Role) -> Caller:
        """Makes a user with a key."""
        actor = Actor("test", int(START * SECOND))
        users = UserTable(self.database, default_budgets(SETTINGS.budgets), new_id)
        await users.create(User(tenant_id, user_id, role), actor)
        return await self.with_key(tenant_id, user_id, role)

    async def with_key(self, tenant_id: str, user_id: str, role: Role) -> Caller:
        """Makes a key for a user."""
        made = ApiKeys(PEPPER.encode()).make()
        key = ApiKey(made.id, tenant_id, user_id, role, made.prefix, made.digest)
        await KeyTable(self.database, new_id).create(key, Actor("test", int(START * SECOND)))
        return Caller(self.channel, f"{tenant_id}/{user_id} by key {made.id}", made.text)

    async def spend(self, cost: int, tenant_id: str = "acme", user_id: str = "ann", key_id: str = "") -> None:
        """Books a cost, now."""
        at_us = int(self.clock() * SECOND)
        async with self.database.change() as connection:
            await connection.execute(insert(ledger_entries).values(**entry(cost, at_us, tenant_id, user_id, key_id)))


def entry(cost: int, at_us: int, tenant_id: str, user_id: str = "", key_id: str = "") -> dict[str, Any]:
    """Makes a row of the ledger."""
    tokens = dict.fromkeys((column.name for column in ledger_entries.columns if column.name.endswith("_tokens")), 0)
    return {
        **tokens,
        "completion_id": f"cmp_{new_id()}",
        "attempt": 1,
        "tenant_id": tenant_id,
        "user_id": user_id,
        "key_id": key_id,
        "outcome": "complete",
        "usage_source": "provider",
        "cost_nano_usd": cost,
        "cost_pico_usd": cost * 1_000,
        "reserved_nano_usd": cost,
        "created_us": at_us,
        "settled_us": at_us,
    }


@asynccontextmanager
async def administered(
    database: Database, settings: Settings = SETTINGS, more: Callable[[Clock], Mapping[str, Servicer]] | None = None
) -> AsyncGenerator[Administered, None]:
    """Serves the admin services, and `more`, on a free port, with keys asked for, over a database."""
    clock = Clock(START)
    directory = DirectoryTable(database, default_budgets(settings.budgets), now=clock, new_id=new_id)
    async with open_identity(settings.identity, directory) as identity:
        calls = Calls(CallLimits(), new_id, replace(guards(settings.identity, identity), now=clock))
        updates = PriceUpdates(PriceSources.of(CATALOGUE), lambda _book: None, PriceBookTable(database), clock)
        services = {
            **account_services(settings, database, Fleet(CATALOGUE), now=clock, new_id=new_id),
            prices.SERVICE: prices.PriceServicer(updates, clock),
            **({} if more is None else more(clock)),
        }
        listener = Listener(ListenerOptions(("127.0.0.1:0",)), services, calls)
        await listener.start()
        try:
            async with grpc.aio.insecure_channel(listener.addresses[0]) as channel:
                nobody = Caller(channel, "", "")
                world = Administered(database, clock, channel, nobody, nobody, nobody)
                await _people(world)
                yield world
        finally:
            listener.health.drain()
            await listener.server.stop(None)


async def _people(world: Administered) -> None:
    tenants = TenantTable(world.database)
    for tenant_id in ("acme", "other"):
        await tenants.create(Tenant(tenant_id), Actor("test", int(START * SECOND)))
    world.root = await world.person("muxer", "root", Role.ADMIN)
    world.acme = await world.person("acme", "ann", Role.ADMIN)
    world.other = await world.person("other", "olga", Role.ADMIN)
