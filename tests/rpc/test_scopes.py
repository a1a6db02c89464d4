"""Who may call what: every role and every method of the real listeners, by keys in a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha import reflection_pb2

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.directory import ApiKey, Tenant, User
from muxer_grpc.domain.refusals import ResourceExists
from muxer_grpc.domain.tenancy import SCOPES_OF_ROLE, SYSTEM_TENANT, Role, Scope
from muxer_grpc.identity.api_keys import ApiKeys
from muxer_grpc.rpc.gates import Guards
from muxer_grpc.rpc.scopes import PROCESS_WIDE, REFLECTION, SCOPES, scopes
from muxer_grpc.server import RunningServer, running_server
from muxer_grpc.settings import ServerSettings, Settings
from muxer_grpc.settings_identity import IdentitySettings
from muxer_grpc.settings_storage import StorageSettings
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.keys import KeyTable
from muxer_grpc.storage.migrating import make_ready
from muxer_grpc.storage.tenants import TenantTable
from muxer_grpc.storage.users import DefaultBudgets, UserTable
from tests.architecture.test_completeness import services
from tests.rpc.service import Told, told

PEPPER = "a pepper of thirty-two bytes, no less"
ACTOR = Actor("test", 1)
TENANT = "search"
# Whoever waits for what a stream has to tell has passed its gate.
STREAM_SECONDS = 0.5


@dataclass(frozen=True)
class Method:
    """A method, and how it is called."""

    name: str
    request_streaming: bool
    response_streaming: bool

    @classmethod
    def of(cls, method: MethodDescriptor) -> Method:
        name = f"/{method.containing_service.full_name}/{method.name}"
        return cls(name, bool(method.client_streaming), bool(method.server_streaming))

    async def refusal(self, channel: grpc.aio.Channel, key: str = "") -> Told | None:
        """Calls the method with an empty request, and gives how it was refused; None where it was let through."""
        metadata = (("authorization", f"Bearer {key}"),) if key else ()
        try:
            if self.request_streaming:
                both = channel.stream_stream(self.name)(metadata=metadata)
                await both.write(b"")
                await both.read()
                both.cancel()
            elif self.response_streaming:
                replies = channel.unary_stream(self.name)(b"", metadata=metadata, timeout=STREAM_SECONDS)
                await replies.read()
                replies.cancel()
            else:
                await channel.unary_unary(self.name)(b"", metadata=metadata)
        except grpc.aio.AioRpcError as error:
            # Packaged services have errors of their own; none of ours comes without its reason.
            with suppress(AssertionError):
                return told(error)
        return None


METHODS = {Method.of(method).name: Method.of(method) for service in services() for method in service.methods}
METHODS |= {
    f"/{service}/ServerReflectionInfo": Method(f"/{service}/ServerReflectionInfo", True, True) for service in REFLECTION
}


def test_only_health_is_public_and_reflection_by_a_setting() -> None:
    public = {method for method, scope in SCOPES.items() if scope is Scope.PUBLIC}
    assert public == {f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch")}
    opened = scopes(public_reflection=True)
    reflection = {f"/{service}/ServerReflectionInfo" for service in REFLECTION}
    assert {method for method, scope in opened.items() if scope is Scope.PUBLIC} == public | reflection


def test_without_an_identity_every_known_method_is_free_of_any_gate_and_no_other_is_open() -> None:
    assert [method for method in SCOPES if Guards().gate(method) is not None] == []
    assert Guards().gate("/muxer.v1.MuxerService/Nope") is not None


@dataclass
class Served:
    """A running server and keys by tenant and role."""

    server: RunningServer
    keys: dict[tuple[str, Role], str]
    data: grpc.aio.Channel
    admin: grpc.aio.Channel

    async def methods(self) -> dict[str, tuple[Method, grpc.aio.Channel]]:
        """Asks both listeners for their methods."""
        found = {}
        for channel in (self.data, self.admin):
            for service in await services_of(channel, self.keys[SYSTEM_TENANT, Role.CALLER]):
                for name, method in METHODS.items():
                    if name.startswith(f"/{service}/"):
                        found[name] = (method, channel)
        return found


async def services_of(channel: grpc.aio.Channel, key: str) -> list[str]:
    """Asks a listener by reflection for its services, and finds each described."""
    call = channel.stream_stream(
        f"/{REFLECTION[0]}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(metadata=(("authorization", f"Bearer {key}"),))
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    names = [each.name for each in (await call.read()).list_services_response.service]
    await call.done_writing()
    return names


async def keys_in(database: Database) -> dict[tuple[str, Role], str]:
    """Makes a user of each role with a key, in a tenant and in the one above all."""
    made, keys = {}, ApiKeys(PEPPER.encode())
    for tenant_id in (TENANT, SYSTEM_TENANT):
        with suppress(ResourceExists):
            await TenantTable(database).create(Tenant(tenant_id), ACTOR)
        for role in Role:
            user = User(tenant_id, f"a-{role.value}", role)
            await UserTable(database, DefaultBudgets(), lambda: "1").create(user, ACTOR)
            fresh = keys.make()
            key = ApiKey(fresh.id, tenant_id, user.id, role, fresh.prefix, fresh.digest)
            await KeyTable(database, lambda: "1").create(key, ACTOR)
            made[tenant_id, role] = fresh.text
    return made


@asynccontextmanager
async def served(folder: Path, **identity: Any) -> AsyncGenerator[Served, None]:
    """Runs the whole service on free ports with a database of its own, and keys in it."""
    url = f"sqlite:///{folder}/muxer.db"
    database = Database(url)
    await asyncio.to_thread(make_ready, database)
    keys = await keys_in(database)
    await database.aclose()
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", drain_grace_seconds=0.1),
        storage=StorageSettings(url=url),  # type: ignore[arg-type]
        identity=IdentitySettings(**({"modes": ("keys",), "pepper": PEPPER} | identity)),
    )
    async with running_server(settings) as server:
        assert server.admin is not None
        async with (
            grpc.aio.insecure_channel(server.data.addresses[0]) as data,
            grpc.aio.insecure_channel(server.admin.addresses[0]) as admin,
        ):
            yield Served(server, keys, data, admin)


def expected(method: str, role: Role | None, *, everywhere: bool) -> str:
    """Gives the reason with which the table refuses a call; nothing where it lets it through."""
    scope = SCOPES[method]
    if scope is Scope.PUBLIC:
        return ""
    if role is None:
        return "UNAUTHENTICATED"
    refused = scope not in SCOPES_OF_ROLE[role] or (method in PROCESS_WIDE and not everywhere)
    return "PERMISSION_DENIED" if refused else ""


async def test_every_role_may_call_what_the_table_says_and_nothing_else(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        methods = await service.methods()
        wrong = []
        for name, (method, channel) in methods.items():
            for tenant_id, role in [("", None), *service.keys]:
                refusal = await method.refusal(channel, service.keys.get((tenant_id, role), "") if role else "")
                # What a method refuses by itself comes without a scope.
                by_gate = refusal is not None and (refusal.reason == "UNAUTHENTICATED" or "scope" in refusal.metadata)
                reason = refusal.reason if refusal is not None and by_gate else ""
                if reason != expected(name, role, everywhere=tenant_id == SYSTEM_TENANT):
                    wrong.append((name, tenant_id, role, reason))
    assert wrong == []
    assert {"/muxer.v1.MuxerService/Complete", "/muxer.v1.CatalogueService/UpdateModel"} <= set(methods)
    assert set(METHODS) >= set(methods)


async def test_each_listener_serves_only_services_whose_methods_are_in_the_table(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        key = service.keys[TENANT, Role.VIEWER]
        names = {*await services_of(service.data, key), *await services_of(service.admin, key)}
    assert {name for name in names if not any(method.startswith(f"/{name}/") for method in SCOPES)} == set()


async def test_a_refusal_names_the_scope_that_is_missing(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        methods = await service.methods()
        complete, data = methods["/muxer.v1.MuxerService/Complete"]
        update, admin = methods["/muxer.v1.CatalogueService/UpdateModel"]
        by_viewer = await complete.refusal(data, service.keys[TENANT, Role.VIEWER])
        by_admin = await update.refusal(admin, service.keys[TENANT, Role.ADMIN])
    assert by_viewer is not None
    assert (by_viewer.code, by_viewer.metadata) == (grpc.StatusCode.PERMISSION_DENIED, {"scope": "complete"})
    assert by_admin is not None
    assert by_admin.metadata == {"scope": "admin.write"}
    assert "all tenants" in by_admin.message


async def test_reflection_can_be_opened_to_everybody(tmp_path: Path) -> None:
    async with served(tmp_path, public_reflection=True) as service:
        assert await METHODS[f"/{REFLECTION[0]}/ServerReflectionInfo"].refusal(service.data) is None
        complete = await METHODS["/muxer.v1.MuxerService/Complete"].refusal(service.data)
    assert complete is not None
    assert complete.reason == "UNAUTHENTICATED"


async def test_unknown_methods_are_unknown_to_everybody(tmp_path: Path) -> None:
    nope = replace(METHODS["/muxer.v1.MuxerService/Complete"], name="/muxer.v1.MuxerService/Nope")
    async with served(tmp_path) as service:
        refusal = await nope.refusal(service.data)
    assert refusal is not None
    assert refusal.reason == "METHOD_NOT_FOUND"


async def test_an_open_service_takes_every_call_as_that_of_its_own_machine(tmp_path: Path) -> None:
    async with served(tmp_path, modes=("open",), pepper=None) as service:
        for name in ("/muxer.v1.MuxerService/GetMetrics", "/muxer.v1.CatalogueService/ListModels"):
            channel = service.data if "Muxer" in name else service.admin
            assert await METHODS[name].refusal(channel, "mux_whatever") is None
