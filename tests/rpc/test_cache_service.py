"""CacheService: who may have what forgotten, what is told of the cache, and what cannot be done without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from muxer.v1 import cache_service_pb2 as pb

from muxer_grpc.bootstrap_cache import cache_service, open_cache
from muxer_grpc.cache.memory import MemoryCache
from muxer_grpc.domain.tenancy import Role
from muxer_grpc.pipeline.response_cache import Answers, CacheRules
from muxer_grpc.rpc.documents import WireDocuments
from muxer_grpc.rpc.servicers import caching
from muxer_grpc.settings import Settings
from muxer_grpc.settings_cache import CacheSettings
from muxer_grpc.storage.database import Database
from tests.cache.kept import answer, key
from tests.rpc.administered import SETTINGS, Administered, administered
from tests.services.redis import RedisServer

MAX_BYTES = 1_000_000
ANSWERS = {
    "a": ("acme", answer("a")),
    "b": ("acme", answer("b", "openai/small", team="red")),
    "c": ("other", answer("c", team="red")),
    "d": ("other", answer("d", "openai/small", team="blue")),
}


@asynccontextmanager
async def served(
    database: Database, answers: Answers | None, settings: Settings = SETTINGS
) -> AsyncGenerator[Administered, None]:
    """Serves the service with others over a database."""
    async with administered(
        database, more=lambda now: {caching.SERVICE: cache_service(settings, answers, database, "i-1", now)}
    ) as world:
        yield world


class Filled:
    """A cache in memory with answers of two tenants."""

    def __init__(self) -> None:
        self.store = MemoryCache(MAX_BYTES)
        self.answers = Answers(self.store, WireDocuments(), CacheRules())

    async def fill(self) -> None:
        for name, (tenant, what) in ANSWERS.items():
            await self.store.put(key(name, tenant), what, (await self.store.get(key(name, tenant))).mark, 60)

    async def left(self) -> str:
        """Names the answers that are there."""
        found = [n for n, (tenant, _) in ANSWERS.items() if (await self.store.get(key(n, tenant))).answer]
        return "".join(found)


@pytest.fixture
async def cache() -> Filled:
    filled = Filled()
    await filled.fill()
    return filled


@pytest.fixture
async def world(database: Database, cache: Filled) -> AsyncGenerator[Administered, None]:
    async with served(database, cache.answers) as world:
        yield world


def forget(tenant: str = "", **what: Any) -> pb.InvalidateCacheRequest:
    return pb.InvalidateCacheRequest(tenant_id=tenant, **what)


RED = pb.CacheLabel(key="team", value="red")
BY_ROOT = [
    (forget(everything=True), "", 4),
    (forget("acme", everything=True), "cd", 2),
    (forget(model="openai/small"), "ac", 2),
    (forget("other", model="openai/small"), "abc", 1),
    (forget(label=RED), "ad", 2),
    (forget("other", label=RED), "abd", 1),
    (forget(label=pb.CacheLabel(key="team")), "abcd", 0),
    (forget(model="openai/unheard-of"), "abcd", 0),
]


async def test_an_operator_has_forgotten_what_is_named_of_one_tenant_or_of_all(
    world: Administered, cache: Filled
) -> None:
    for request, left, number in BY_ROOT:
        await cache.fill()
        reply = await world.root(request)
        assert (await cache.left(), reply.answers) == (left, number), request
        assert reply.HasField("answers")


async def test_an_admin_of_a_tenant_has_forgotten_what_is_its_own_alone(world: Administered, cache: Filled) -> None:
    for request, left in (
        (forget(model="openai/small"), "acd"),
        (forget(label=RED), "acd"),
        (forget("acme", everything=True), "cd"),
        (forget(everything=True), "cd"),
    ):
        await cache.fill()
        await world.acme(request)
        assert await cache.left() == left, request
    await world.acme.refused(forget("other", everything=True), "PERMISSION_DENIED")
    assert await cache.left() == "cd"


async def test_whoever_may_not_change_things_has_nothing_forgotten(world: Administered, cache: Filled) -> None:
    for role in (Role.CALLER, Role.VIEWER):
        person = await world.person("acme", role.value, role)
        await person.refused(forget(everything=True), "PERMISSION_DENIED")
        await person.refused(pb.GetCacheStatsRequest(), "PERMISSION_DENIED")
    await world.acme.refused(pb.GetCacheStatsRequest(), "PERMISSION_DENIED")
    assert await cache.left() == "abcd"


WRONG = {
    "nothing named": (forget(), {"what": "required"}),
    "everything that is not": (forget(everything=False), {"what": "required"}),
    "a bare model": (forget(model="small"), {"model": "pattern"}),
    "a model of nobody": (forget(model="/small"), {"model": "pattern"}),
    "a model with a line break": (forget(model="a/b\n"), {"model": "pattern"}),
    "a label without a key": (forget(label=pb.CacheLabel(value="red")), {"label.key": "length"}),
    "a long label": (
        forget(label=pb.CacheLabel(key="k" * 65, value="v" * 257)),
        {"label.key": "length", "label.value": "length"},
    ),
    "NUL": (forget(label=pb.CacheLabel(key="k\0", value="v")), {"label.key": "characters"}),
    "no tenant": (forget("NO TENANT", everything=True), {"tenant_id": "pattern"}),
}


async def test_what_names_no_answers_is_refused_with_the_field(world: Administered, cache: Filled) -> None:
    for case, (request, fields) in WRONG.items():
        error = await world.root.refused(request, "INVALID_REQUEST")
        assert {field: rule.lower() for field, rule in error.fields.items()} == fields, case
    assert await cache.left() == "abcd"


async def test_what_was_forgotten_and_by_whom_is_in_the_audit_log(world: Administered) -> None:
    await world.root(forget(everything=True))
    await world.root(forget("other", label=RED))
    await world.acme(forget(model="openai/small"))
    await world.acme.refused(forget(model="small"), "INVALID_REQUEST")
    assert await world.root.audited(action="InvalidateCache") == [
        (world.root.name, "InvalidateCache", "cache", None, {"everything": True}),
        (world.root.name, "InvalidateCache", "tenants/other/cache", None, {"label": {"team": "red"}}),
        (world.acme.name, "InvalidateCache", "tenants/acme/cache", None, {"model": "openai/small"}),
    ]
    assert [each[2] for each in await world.acme.audited(action="InvalidateCache")] == ["tenants/acme/cache"]


async def test_the_figures_tell_what_is_held_and_its_bound(world: Administered) -> None:
    stats = (await world.root(pb.GetCacheStatsRequest())).stats
    assert (stats.enabled, stats.backend, stats.instance_id, stats.away) == (True, "memory", "i-1", False)
    assert (stats.answers, stats.stored, stats.max_bytes) == (4, 4, MAX_BYTES)
    assert 0 < stats.held_bytes < MAX_BYTES
    await world.root(forget(everything=True))
    stats = (await world.root(pb.GetCacheStatsRequest())).stats
    assert (stats.answers, stats.held_bytes, stats.HasField("answers")) == (0, 0, True)


async def test_without_a_cache_nothing_is_forgotten_and_the_figures_say_so(database: Database) -> None:
    async with served(database, None) as world:
        error = await world.root.refused(forget(everything=True), "PRECONDITION_FAILED")
        assert "MUXER_CACHE__ENABLED" in error.message
        stats = (await world.root(pb.GetCacheStatsRequest())).stats
        assert (stats.enabled, stats.backend, stats.HasField("answers")) == (False, "", False)
        assert await world.root.audited(action="InvalidateCache") == []


async def test_one_of_several_processes_with_memories_of_their_own_forgets_nothing(
    database: Database, cache: Filled
) -> None:
    alone = replace_server(SETTINGS, workers=2)
    async with served(database, cache.answers, alone) as world:
        error = await world.root.refused(forget(everything=True), "PRECONDITION_FAILED")
        assert error.message.startswith("one of 2 workers alone would forget")
        assert await cache.left() == "abcd"


def replace_server(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"server": settings.server.model_copy(update=changes)})


async def test_with_a_redis_all_processes_forget_and_nobody_counts(database: Database, redis_url: str) -> None:
    chosen = CacheSettings(enabled=True, backend="redis", redis_url=redis_url, redis_timeout_seconds=10)  # type: ignore[arg-type]
    settings = replace_server(SETTINGS.model_copy(update={"cache": chosen}), workers=2)
    async with (
        open_cache(settings) as one,
        open_cache(settings) as other,
        served(database, one, settings) as world,
    ):
        assert one is not None
        assert other is not None
        store = other._cache
        mark = (await store.get(key("a"))).mark
        await store.put(key("a"), answer(), mark, 60)
        assert (await one._cache.get(key("a"))).answer == answer()
        reply = await world.acme(forget(model="openai/gpt"))
        assert not reply.HasField("answers")
        assert (await store.get(key("a"))).answer is None
        stats = (await world.root(pb.GetCacheStatsRequest())).stats
        assert (stats.backend, stats.HasField("answers"), stats.HasField("max_bytes")) == ("redis", False, False)


async def test_while_the_redis_is_down_nobody_is_told_that_something_was_forgotten(
    database: Database, own_redis: RedisServer
) -> None:
    chosen = CacheSettings(enabled=True, backend="redis", redis_url=own_redis.url)  # type: ignore[arg-type]
    settings = SETTINGS.model_copy(update={"cache": chosen})
    await asyncio.to_thread(own_redis.stop)
    async with open_cache(settings) as answers, served(database, answers, settings) as world:
        error = await world.root.refused(forget(everything=True), "STORAGE_UNAVAILABLE")
        assert "RetryInfo" in error.details
        assert (await world.root(pb.GetCacheStatsRequest())).stats.away
