"""Rate limits in a real Redis: shared by processes, bounded while it is away, and back by themselves."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.identity.rate_limits import RateLimits
from muxer_grpc.identity.shared_windows import LOOK_AGAIN_SECONDS, MOST_AT_ONCE, SharedWindows
from tests.identity.limited import caller, outcome, outcomes, requests, tokens
from tests.process.running import ROOT, clean_environment
from tests.rpc.service import Clock
from tests.rpc.test_tls import authority
from tests.services.redis import RedisServer
from tests.services.server import Session

WHO = caller(key_limit=requests(1_000))
PROCESSES, CALLERS = 4, 50


@asynccontextmanager
async def opened(
    url: str, *, refuse: bool = True, timeout: float = 5.0, clock: Callable[[], float] | None = None
) -> AsyncGenerator[RateLimits, None]:
    """Opens rate limits in a Redis, and closes them."""
    shared = SharedWindows(url, timeout) if clock is None else SharedWindows(url, timeout, clock)
    limits = RateLimits(shared, refuse_when_away=refuse)
    try:
        yield limits
    finally:
        await limits.aclose()


def counted(url: str, window: str) -> int:
    """Tells what Redis has counted in this minute's window."""
    with redis.Redis.from_url(url) as client:
        assert not client.exists(f"muxer:{{{window}}}/-1"), "the test took more than a minute"
        return int(client.get(f"muxer:{{{window}}}") or 0)


def connections(url: str) -> int:
    """Tells how many connections Redis has ever taken, this one included."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("stats")["total_connections_received"])


async def test_two_hundred_callers_in_four_processes_never_pass_a_limit_in_its_window(redis_url: str) -> None:
    """Each process has a key of its own, two of them with a limit below what they ask for; all are of one tenant."""
    limit_of_key = {"k0": 100, "k1": 20, "k2": 100, "k3": 50}
    limit, each = 200, 3
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.identity.callers", redis_url),
            *(key, str(of_key), str(limit), str(CALLERS), str(each)),
            cwd=ROOT,
            env=clean_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for key, of_key in limit_of_key.items()
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    told = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    said = {key: Counter(json.loads(out)) for key, (out, _) in zip(limit_of_key, told, strict=True)}

    assert all(sum(words.values()) == CALLERS * each for words in said.values())
    assert all(
        set(words) <= {"admitted", "limited by tenants/t1", f"limited by keys/{key}"} for key, words in said.items()
    )
    admitted = {key: words["admitted"] for key, words in said.items()}
    assert sum(admitted.values()) == limit
    assert all(admitted[key] <= limit_of_key[key] for key in admitted)
    assert counted(redis_url, "requests/tenants/t1") == limit
    for key, number in admitted.items():
        # What the tenant's limit refused, the key's has not counted.
        assert counted(redis_url, f"requests/keys/{key}") == number


async def test_many_who_ask_at_once_share_round_trips(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        async with opened(own_redis.url) as limits:
            await limits.admit_request(WHO)
            before = client.info("stats")["total_reads_processed"]
            assert set(await outcomes(limits.admit_request(WHO) for _ in range(500))) == {"admitted"}
            # The first goes alone, the rest in two; one is this question. Nobody else asks this server anything.
            assert client.info("stats")["total_reads_processed"] - before < 20
    assert counted(own_redis.url, "requests/keys/k1") == 501


async def test_a_caller_who_gives_up_takes_nobody_along(redis_url: str) -> None:
    async with opened(redis_url) as limits:
        asking = [asyncio.create_task(outcome(limits.admit_request(WHO))) for _ in range(20)]
        await asyncio.sleep(0)
        for task in asking[::2]:
            task.cancel()
        said = await asyncio.gather(*asking, return_exceptions=True)
    assert said[1::2] == ["admitted"] * 10
    assert all(isinstance(one, asyncio.CancelledError) for one in said[::2])
    assert counted(redis_url, "requests/keys/k1") == 10, "who had given up before anything was sent"


async def test_a_redis_that_has_forgotten_the_script_is_told_it_again(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        async with opened(own_redis.url) as limits:
            client.script_flush()
            assert set(await outcomes(limits.admit_request(WHO) for _ in range(10))) == {"admitted"}
            client.script_flush()
            assert set(await outcomes(limits.admit_request(WHO) for _ in range(10))) == {"admitted"}
    assert counted(own_redis.url, "requests/keys/k1") == 20


async def test_while_redis_is_away_limited_callers_are_refused_with_a_time_where_the_settings_say_so(
    own_redis: RedisServer,
) -> None:
    own_redis.stop()
    async with opened(own_redis.url) as limits:
        with pytest.raises(StorageUnavailable) as raised:
            await limits.admit_tokens(caller(tenant_limit=tokens(5)), 1)
    assert raised.value.retry_after_seconds == LOOK_AGAIN_SECONDS
    assert raised.value.message == "the rate limits cannot be looked up now"
    assert raised.value.__cause__ is None


async def test_while_redis_is_away_each_process_holds_the_limits_by_itself(own_redis: RedisServer) -> None:
    who = caller(key_limit=requests(30), tenant_limit=requests(20))
    own_redis.stop()
    async with opened(own_redis.url, refuse=False) as limits:
        said = await outcomes(limits.admit_request(who) for _ in range(100))
    assert Counter(said) == {"admitted": 20, "limited by tenants/t1": 80}


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_redis_is_used_again_when_it_is_back(own_redis: RedisServer, ending: str) -> None:
    clock = Clock()
    async with opened(own_redis.url, clock=clock) as limits:
        assert await outcome(limits.admit_request(WHO)) == "admitted"
        getattr(own_redis, ending)()
        assert await outcome(limits.admit_request(WHO)) == "unavailable"
        own_redis.start()
        assert await outcome(limits.admit_request(WHO)) == "unavailable", "it is looked for once a second"
        clock.at += LOOK_AGAIN_SECONDS
        assert set(await outcomes(limits.admit_request(WHO) for _ in range(10))) == {"admitted", "unavailable"}
        assert set(await outcomes(limits.admit_request(WHO) for _ in range(10))) == {"admitted"}
    assert counted(own_redis.url, "requests/keys/k1") == 11


async def test_a_redis_that_hangs_is_waited_for_once_and_by_few(own_redis: RedisServer) -> None:
    clock = Clock()
    async with opened(own_redis.url, timeout=1, clock=clock) as limits:
        assert await outcome(limits.admit_request(WHO)) == "admitted"
        before = connections(own_redis.url)
        own_redis.freeze()
        # Those who are under way, and those who wait behind them: these are told with the first.
        assert set(await outcomes(limits.admit_request(WHO) for _ in range(700))) == {"unavailable"}
        # Those who come after: were they sent, they would be counted when it goes on.
        assert set(await outcomes(limits.admit_request(WHO) for _ in range(700))) == {"unavailable"}
        clock.at += LOOK_AGAIN_SECONDS
        assert set(await outcomes(limits.admit_request(WHO) for _ in range(700))) == {"unavailable"}
        own_redis.thaw()
        clock.at += LOOK_AGAIN_SECONDS
        assert await outcome(limits.admit_request(WHO)) == "admitted"
        assert set(await outcomes(limits.admit_request(WHO) for _ in range(10))) == {"admitted"}
    # One at first, those under way when it froze, one that looked again, eleven at last: of 2,112.
    assert counted(own_redis.url, "requests/keys/k1") <= 1 + MOST_AT_ONCE + 1 + 11
    # One connection for each time that it was looked for, and two of these questions.
    assert connections(own_redis.url) - before == 2 + 2


@pytest.mark.parametrize("refuse", [True, False])
async def test_redis_stopped_and_started_under_load_costs_no_caller_more_than_a_refusal(
    own_redis: RedisServer, refuse: bool
) -> None:
    who = caller(key_limit=requests(1_000_000), tenant_limit=requests(1_000_000))
    seen: Counter[str] = Counter()
    done = asyncio.Event()

    async with opened(own_redis.url, refuse=refuse) as limits:

        async def keep_asking() -> None:
            while not done.is_set():
                seen[await outcome(limits.admit_request(who))] += 1
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as asking:
            for _ in range(50):
                asking.create_task(keep_asking())
            for ending in (own_redis.stop, own_redis.kill):
                await until(lambda: own_redis_counts(limits))
                await asyncio.to_thread(ending)
                await until(lambda: not own_redis_counts(limits))
                await asyncio.to_thread(own_redis.start)
            await until(lambda: own_redis_counts(limits))
            done.set()
    assert set(seen) == ({"admitted", "unavailable"} if refuse else {"admitted"})


def own_redis_counts(limits: RateLimits) -> bool:
    """Tells whether the last that was heard of Redis is good."""
    assert limits._shared is not None
    return not limits._shared._away


async def until(holds: Callable[[], bool]) -> None:
    """Lets the load go on until something holds; that it never does is for the test's time limit to tell."""
    while not holds():
        await asyncio.sleep(0.01)


async def test_a_redis_without_memory_is_away_until_it_has_some(own_redis: RedisServer) -> None:
    clock = Clock()
    with redis.Redis.from_url(own_redis.url) as client:
        async with opened(own_redis.url, clock=clock) as limits:
            client.config_set("maxmemory", "1")
            assert await outcome(limits.admit_request(WHO)) == "unavailable"
            client.config_set("maxmemory", "0")
            assert await outcome(limits.admit_request(WHO)) == "unavailable", "it is looked for once a second"
            clock.at += LOOK_AGAIN_SECONDS
            assert await outcome(limits.admit_request(WHO)) == "admitted"


async def test_what_is_logged_of_a_redis_names_neither_its_password_nor_its_place(
    services: Session, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clock = Clock()
    with RedisServer(services, password="another") as server:
        url = server.url.replace("another", "canary-password")
        async with opened(url, clock=clock) as limits:
            assert await outcome(limits.admit_request(WHO)) == "unavailable"
            with redis.Redis.from_url(server.url) as client:
                client.config_set("requirepass", "canary-password")
            clock.at += LOOK_AGAIN_SECONDS
            assert await outcome(limits.admit_request(WHO)) == "admitted"
    told = [record.getMessage() for record in caplog.records if record.name.startswith("muxer_grpc")]
    assert told == ["Redis cannot be used for rate limits: AuthenticationError", "Redis counts rate limits again"]
    assert "canary" not in caplog.text


async def test_whoever_waits_when_the_service_closes_is_told_so(own_redis: RedisServer) -> None:
    async with opened(own_redis.url) as limits:
        assert await outcome(limits.admit_request(WHO)) == "admitted"
        own_redis.freeze()
        asking = [asyncio.create_task(outcome(limits.admit_request(WHO))) for _ in range(5)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*asking) == ["unavailable"] * 5


async def test_tls_with_a_password_serves(services: Session, tmp_path: Path) -> None:
    signer = authority()
    pair = signer.signed("localhost")
    pem = tmp_path / "redis.pem"
    pem.write_bytes(pair.certificate + pair.key + signer.pem)
    with RedisServer(services, tls=str(pem), password="a-password") as server:
        assert server.url.startswith("rediss://:a-password@")
        async with opened(server.url) as limits:
            assert await outcome(limits.admit_request(WHO)) == "admitted"


async def test_a_certificate_that_nobody_trusts_is_refused(services: Session, tmp_path: Path) -> None:
    signer = authority()
    pair = signer.signed("localhost")
    pem, other = tmp_path / "redis.pem", tmp_path / "other.pem"
    pem.write_bytes(pair.certificate + pair.key + signer.pem)
    other.write_bytes(authority().pem)
    with RedisServer(services, tls=str(pem)) as server:
        async with opened(server.url.replace(str(pem), str(other))) as limits:
            assert await outcome(limits.admit_request(WHO)) == "unavailable"


@pytest.mark.parametrize("scheme", ["unix://", "redis+unix://"])
async def test_a_unix_socket_serves(own_redis: RedisServer, scheme: str) -> None:
    async with opened(own_redis.unix_url.replace("unix://", scheme)) as limits:
        assert await outcome(limits.admit_request(WHO)) == "admitted"
    assert counted(own_redis.url, "requests/keys/k1") == 1
