"""Answers in a real Redis: shared by processes, sealed, forgotten in one step, and no trouble while it is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import redis

from muxer_grpc.cache.redis import ALL, MOST_FIELDS, PREFIX, RedisCache
from muxer_grpc.cache.redis_line import MOST_CALLERS, RedisLine
from muxer_grpc.domain.caching import CachedAnswer, CacheKey, Invalidation
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.storage.sealing import ContentSealer
from tests.cache.kept import answer, key
from tests.services.redis import RedisServer
from tests.services.server import Session

SECRET = "the prompt and the answer are nobody's business"


@asynccontextmanager
async def opened(
    url: str, *, pepper: bytes = b"", timeout: float = 5.0, retry: float = 0.01
) -> AsyncGenerator[RedisCache, None]:
    """Opens a cache in a Redis, as a process does, and closes it."""
    cache = RedisCache(RedisLine(url, timeout, retry), ContentSealer(pepper))
    try:
        yield cache
    finally:
        await cache.aclose()


async def kept(
    cache: RedisCache, name: str, what: CachedAnswer | None = None, tenant: str = "acme", ttl: float = 60.0
) -> None:
    """Keeps an answer as a request does: after a look-up."""
    mark = (await cache.get(key(name, tenant))).mark
    await cache.put(key(name, tenant), what or answer(), mark, ttl)


async def found(cache: RedisCache, name: str, tenant: str = "acme") -> CachedAnswer | None:
    return (await cache.get(key(name, tenant))).answer


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds; that it never does is for the test's time limit to tell."""
    while not holds():
        await asyncio.sleep(0.005)


async def test_an_answer_of_one_process_is_found_whole_by_another(redis_url: str) -> None:
    what = answer("line one\nline two\n\x00\xff", "openai/gpt", 12_345, team='re"d\n', stage="live")
    async with opened(redis_url) as one, opened(redis_url) as other:
        assert await found(one, "a") is None
        await kept(one, "a", what)
        assert await found(other, "a") == what
        assert await found(other, "b") is None
        assert (one.figures().stored, other.figures().stored) == (1, 0)


async def test_redis_ends_an_answers_time(redis_url: str) -> None:
    async with opened(redis_url) as cache:
        await kept(cache, "short", ttl=0.02)
        await kept(cache, "long", ttl=1_000)
        with redis.Redis.from_url(redis_url) as client:
            await until(lambda: len(client.keys(f"{PREFIX}:answer:*")) == 1)
            (left,) = client.keys(f"{PREFIX}:answer:*")
            assert 990_000 < client.pttl(left) <= 1_000_000
            assert client.pttl(ALL) > 30 * 86_400_000, "what answers rest on outlives them"
        assert await found(cache, "short") is None
        assert await found(cache, "long")


async def test_redis_alone_tells_neither_answers_nor_labels(redis_url: str) -> None:
    async with opened(redis_url) as cache:
        await kept(cache, "a", answer(SECRET, team="the-secret-team"))
        await cache.invalidate(Invalidation(label=("team", "the-secret-team")))
        await kept(cache, "a", answer(SECRET, team="the-secret-team"))
    with redis.Redis.from_url(redis_url) as client:
        for name in client.scan_iter():
            content = client.get(name) if client.type(name) == b"string" else repr(client.hgetall(name)).encode()
            assert b"secret" not in name + content
            assert SECRET.encode() not in content
            assert key("a").digest.hex().encode() not in name, "the digest stands there by another name"


async def test_an_answer_opens_for_the_same_request_alone(redis_url: str) -> None:
    async with opened(redis_url) as cache:
        await kept(cache, "a")
        assert await found(cache, "a")
        assert (await cache.get(replace(key("a"), whole=key("b").whole))).answer is None


async def test_what_stands_under_another_name_in_redis_opens_for_nobody(redis_url: str) -> None:
    """Whoever can write into Redis cannot give one tenant another's answer."""
    async with opened(redis_url) as cache:
        await kept(cache, "a", tenant="acme")
        await kept(cache, "a", answer("theirs"), tenant="other")
        with redis.Redis.from_url(redis_url) as client:
            (mine,), (theirs,) = (client.keys(f"{PREFIX}:answer:{tenant}:*") for tenant in ("acme", "other"))
            client.copy(theirs, mine, replace=True)
        assert await found(cache, "a", "acme") is None
        assert await found(cache, "a", "other") == answer("theirs")


async def test_installations_with_different_peppers_never_share(redis_url: str) -> None:
    async with opened(redis_url, pepper=b"one" * 12) as one, opened(redis_url, pepper=b"two" * 12) as other:
        await kept(one, "a")
        assert await found(one, "a")
        assert await found(other, "a") is None


FORGOTTEN = {
    Invalidation(): "abcd",
    Invalidation(tenant_id="acme"): "abc",
    Invalidation(tenant_id="nobody"): "",
    Invalidation(model="openai/small"): "bd",
    Invalidation(tenant_id="acme", model="openai/small"): "b",
    Invalidation(label=("team", "red")): "c",
    Invalidation(tenant_id="acme", label=("team", "red")): "c",
    Invalidation(label=("team", "blue")): "",
    Invalidation(tenant_id="other", label=("team", "red")): "",
}


@pytest.mark.parametrize("what", FORGOTTEN)
async def test_what_is_forgotten_is_what_was_named_in_all_processes(what: Invalidation, redis_url: str) -> None:
    tenants = {"a": "acme", "b": "acme", "c": "acme", "d": "other"}
    answers = {
        "a": answer("a"),
        "b": answer("b", "openai/small"),
        "c": answer("c", team="red", stage="live"),
        "d": answer("d", "openai/small"),
    }
    async with opened(redis_url) as one, opened(redis_url) as other:
        for name, tenant in tenants.items():
            await kept(one, name, answers[name], tenant)
        # Twice, since what was forgotten before must not hide what is forgotten now.
        for _ in range(2):
            assert await other.invalidate(what) is None
            gone = [name for name, tenant in tenants.items() if await found(one, name, tenant) is None]
            assert "".join(gone) == FORGOTTEN[what]
            for name in gone:
                await kept(one, name, answers[name], tenants[name])
                assert await found(other, name, tenants[name]) == answers[name]


@pytest.mark.parametrize(
    "what",
    [Invalidation(), Invalidation("acme"), Invalidation(model="openai/gpt"), Invalidation(label=("team", "red"))],
)
async def test_an_answer_on_its_way_when_others_like_it_are_forgotten_is_never_given(
    what: Invalidation, redis_url: str
) -> None:
    async with opened(redis_url) as one, opened(redis_url) as other:
        mark = (await one.get(key("late"))).mark
        await other.invalidate(what)
        await one.put(key("late"), answer(team="red"), mark, 60)
        assert await found(one, "late") is None
        assert await found(other, "late") is None


async def test_a_hash_that_redis_lost_takes_its_answers_along(redis_url: str) -> None:
    """As when Redis makes room: what was forgotten must not come back with it."""
    async with opened(redis_url) as cache:
        await kept(cache, "a")
        await kept(cache, "b", tenant="other")
        await cache.invalidate(Invalidation("acme", "openai/gpt"))
        with redis.Redis.from_url(redis_url) as client:
            client.delete(f"{PREFIX}:tenant:acme")
        assert await found(cache, "a") is None
        assert await found(cache, "b", "other")


async def test_when_too_much_is_remembered_of_forgetting_everything_of_the_tenant_goes(redis_url: str) -> None:
    async with opened(redis_url) as cache:
        await kept(cache, "a")
        await kept(cache, "b", tenant="other")
        for number in range(MOST_FIELDS - 1):
            await cache.invalidate(Invalidation("acme", label=("ticket", str(number))))
        assert await found(cache, "a")
        await cache.invalidate(Invalidation("acme", label=("ticket", "last")))
        assert await found(cache, "a") is None
        assert await found(cache, "b", "other")
        with redis.Redis.from_url(redis_url) as client:
            assert client.hlen(f"{PREFIX}:tenant:acme") <= 1


async def test_many_look_ups_share_round_trips_and_what_they_have_in_common(own_redis: RedisServer) -> None:
    # On a server of its own: the figures are those of all who use it.
    with redis.Redis.from_url(own_redis.url) as client:
        async with opened(own_redis.url) as cache:
            await kept(cache, "a")
            before = client.info("stats")
            said = await asyncio.gather(*(found(cache, "a") for _ in range(2 * MOST_CALLERS)))
            after = client.info("stats")
    assert set(said) == {answer()}
    # Three round trips of three commands; one more command is this question.
    assert after["total_commands_processed"] - before["total_commands_processed"] <= 10
    assert after["total_reads_processed"] - before["total_reads_processed"] <= 8


async def test_a_caller_who_gives_up_takes_nobody_along(redis_url: str) -> None:
    async with opened(redis_url) as cache:
        await kept(cache, "a")
        asking = [asyncio.create_task(found(cache, "a")) for _ in range(20)]
        await asyncio.sleep(0)
        for task in asking[::2]:
            task.cancel()
        said = await asyncio.gather(*asking, return_exceptions=True)
        assert said[1::2] == [answer()] * 10
        assert await found(cache, "a") == answer()


async def test_while_redis_is_down_everything_is_a_miss_and_forgetting_an_error(own_redis: RedisServer) -> None:
    own_redis.stop()
    async with opened(own_redis.url, retry=1_000) as cache:
        assert await cache.get(key("a")) == (None, None)
        await cache.put(key("a"), answer(), None, 60)
        assert cache.figures().away
        assert cache.figures().failures == 1
        with pytest.raises(StorageUnavailable) as raised:
            await cache.invalidate(Invalidation())
    assert raised.value.retry_after_seconds == 1.0
    assert raised.value.__cause__ is None


@asynccontextmanager
async def deaf() -> AsyncGenerator[tuple[str, list[asyncio.StreamWriter]], None]:
    """Serves what takes connections and never answers; gives its URL, and the connections that came."""
    came: list[asyncio.StreamWriter] = []

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", came
        finally:
            for writer in came:
                writer.transport.abort()


async def test_of_many_who_ask_a_dead_redis_one_round_trip_is_made_and_then_none() -> None:
    async with deaf() as (url, came), opened(url, timeout=0.1, retry=1_000) as cache:
        said = await asyncio.gather(*(found(cache, str(number)) for number in range(3 * MOST_CALLERS)))
        said += [await found(cache, "later") for _ in range(100)]
        assert set(said) == {None}
        assert len(came) == 1


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_redis_is_used_again_when_it_is_back(own_redis: RedisServer, ending: str) -> None:
    async with opened(own_redis.url) as cache:
        await kept(cache, "a")
        assert await found(cache, "a")
        await asyncio.to_thread(getattr(own_redis, ending))
        assert await found(cache, "a") is None
        assert cache.figures().away
        await asyncio.to_thread(own_redis.start)
        await until(lambda: not cache.figures().away)
        await kept(cache, "a")
        assert await found(cache, "a")


async def test_an_answer_asked_for_while_redis_was_down_is_not_kept_when_it_is_back(own_redis: RedisServer) -> None:
    """What was forgotten in between is not known."""
    own_redis.stop()
    async with opened(own_redis.url) as cache:
        mark = (await cache.get(key("a"))).mark
        await asyncio.to_thread(own_redis.start)
        await until(lambda: not cache.figures().away)
        await cache.put(key("a"), answer(), mark, 60)
        assert await found(cache, "a") is None


async def test_a_redis_that_hangs_is_waited_for_once_and_by_nobody_who_comes_after(own_redis: RedisServer) -> None:
    async with opened(own_redis.url, timeout=1) as cache:
        await kept(cache, "a")
        own_redis.freeze()
        said = await asyncio.gather(*(found(cache, "a") for _ in range(2 * MOST_CALLERS)))
        assert set(said) == {None}
        assert cache.figures().away
        assert await found(cache, "a") is None
        own_redis.thaw()
        await until(lambda: not cache.figures().away)
        assert await found(cache, "a") == answer()


async def test_redis_killed_and_started_under_load_costs_nobody_more_than_a_miss(own_redis: RedisServer) -> None:
    done = asyncio.Event()
    said: set[CachedAnswer | None] = set()

    async with opened(own_redis.url) as cache:

        async def keep_asking(name: str) -> None:
            while not done.is_set():
                await kept(cache, name)
                said.add(await found(cache, name))
                await asyncio.sleep(0.001)

        async with asyncio.TaskGroup() as asking:
            for number in range(30):
                asking.create_task(keep_asking(str(number)))
            for ending in (own_redis.kill, own_redis.stop):
                await until(lambda: answer() in said and not cache.figures().away)
                await asyncio.to_thread(ending)
                await until(lambda: cache.figures().away)
                await asyncio.to_thread(own_redis.start)
                await until(lambda: not cache.figures().away)
                said.clear()
            await until(lambda: answer() in said)
            done.set()
    assert said <= {None, answer()}


async def test_a_redis_without_memory_keeps_nothing_and_is_read_all_the_same(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        async with opened(own_redis.url) as cache:
            await kept(cache, "a")
            client.config_set("maxmemory", "1")
            client.config_set("maxmemory-policy", "noeviction")
            await kept(cache, "b")
            assert await found(cache, "b") is None
            assert await found(cache, "a") == answer()
            figures = cache.figures()
            assert (figures.away, figures.stored, figures.failures) == (False, 1, 1)


async def test_another_kind_of_thing_under_its_names_is_a_miss(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(ALL, "not a hash")
        async with opened(redis_url) as cache:
            assert await cache.get(key("a")) == (None, None)
            assert cache.figures().failures == 1
            with pytest.raises(StorageUnavailable):
                await cache.invalidate(Invalidation(model="openai/gpt"))


async def test_whoever_waits_when_the_service_closes_is_told_so(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as cache:
        await kept(cache, "a")
        own_redis.freeze()
        asking = [asyncio.create_task(found(cache, "a")) for _ in range(5)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*asking) == [None] * 5


async def test_what_is_logged_of_a_redis_names_neither_its_password_nor_its_place(
    services: Session, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with RedisServer(services, password="another") as server:
        async with opened(server.url.replace("another", "canary-password")) as cache:
            assert await found(cache, "a") is None
            with redis.Redis.from_url(server.url) as client:
                client.config_set("requirepass", "canary-password")
            await until(lambda: not cache.figures().away)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("muxer_grpc")]
    assert told == ["Redis cannot be used for cached answers: AuthenticationError", "Redis keeps answers again"]
    assert "canary" not in caplog.text


@pytest.mark.parametrize("scheme", ["unix://", "redis+unix://"])
async def test_a_unix_socket_serves(own_redis: RedisServer, scheme: str) -> None:
    async with opened(own_redis.unix_url.replace("unix://", scheme)) as cache:
        await kept(cache, "a")
        assert await found(cache, "a")


async def test_keys_name_the_tenant_and_a_digest_alone(redis_url: str) -> None:
    async with opened(redis_url) as cache:
        await kept(cache, "a")
        assert isinstance(key("a"), CacheKey)
    with redis.Redis.from_url(redis_url) as client:
        names = sorted(name.decode() for name in client.scan_iter())
    assert names[0] == ALL
    assert names[1].startswith(f"{PREFIX}:answer:acme:")
    assert names[2] == f"{PREFIX}:tenant:acme"
