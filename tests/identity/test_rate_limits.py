"""Requests and tokens per minute: the same in memory and in a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import pytest
import redis
from hypothesis import example, given
from hypothesis import strategies as st

from muxer_grpc.domain.refusals import RateKind, RateLimited
from muxer_grpc.domain.tenancy import LOCAL, RateLimit
from muxer_grpc.identity.rate_limits import DefaultLimits, RateLimits
from muxer_grpc.identity.rate_windows import WINDOW_SECONDS, Window
from muxer_grpc.identity.shared_windows import SharedWindows
from tests.identity.limited import caller, outcome, outcomes, requests, tokens
from tests.rpc.service import Clock


@dataclass
class Limits:
    """Rate limits, and how time passes for them."""

    limits: RateLimits
    let_pass: Callable[[float], None]
    made: Callable[[DefaultLimits], RateLimits]


@pytest.fixture(params=["memory", "redis"])
async def given_limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Limits, None]:
    if request.param == "memory":
        # A minute begins here.
        clock = Clock(60_000_000.0)
        monkeypatch.setattr(time, "time", clock)
        yield Limits(
            RateLimits(), lambda seconds: setattr(clock, "at", clock.at + seconds), lambda d: RateLimits(defaults=d)
        )
        return
    url = request.getfixturevalue("redis_url")
    shared = SharedWindows(url, 5)
    limits = RateLimits(shared, refuse_when_away=True)
    with redis.Redis.from_url(url) as client:
        yield Limits(limits, lambda seconds: age(client, seconds), lambda d: RateLimits(shared, defaults=d))
    await limits.aclose()


@pytest.fixture
def limits(given_limits: Limits) -> RateLimits:
    return given_limits.limits


def age(client: redis.Redis, seconds: float) -> None:
    """Brings the end of everything in Redis nearer, which is all that the passing of time does there."""
    for key in client.keys("*"):
        left = client.pttl(key) - round(seconds * 1_000)
        client.pexpire(key, left) if left > 0 else client.delete(key)


async def test_as_many_requests_as_the_limit_are_admitted_and_no_more(limits: RateLimits) -> None:
    who = caller(key_limit=requests(3))
    assert [await outcome(limits.admit_request(who)) for _ in range(5)] == ["admitted"] * 3 + ["limited by keys/k1"] * 2


async def test_as_many_tokens_as_the_limit_are_admitted_and_no_more(limits: RateLimits) -> None:
    who = caller(tenant_limit=tokens(1_000_000))
    asked = [600_000, 400_001, 399_999, 2, 1, 1]
    said = [await outcome(limits.admit_tokens(who, number)) for number in asked]
    assert said == [
        "admitted",
        "limited by tenants/t1",
        "admitted",
        "limited by tenants/t1",
        "admitted",
        "limited by tenants/t1",
    ]


async def test_a_refusal_says_of_what_how_many_whose_and_for_how_long(limits: RateLimits) -> None:
    who = caller(key_limit=requests(1))
    await limits.admit_request(who)
    with pytest.raises(RateLimited) as raised:
        await limits.admit_request(who)
    error = raised.value
    assert (error.kind, error.limit, error.subject) == (RateKind.REQUESTS, 1, "keys/k1")
    assert error.message == "keys/k1 may use 1 requests a minute"
    assert error.retry_after_seconds is not None
    assert 0 < error.retry_after_seconds <= 2 * WINDOW_SECONDS


async def test_when_the_tenant_has_no_room_nothing_of_the_key_is_used(limits: RateLimits) -> None:
    both = caller(key_limit=requests(5), tenant_limit=requests(2))
    said = [await outcome(limits.admit_request(both)) for _ in range(6)]
    assert said == ["admitted"] * 2 + ["limited by tenants/t1"] * 4
    key_alone = caller(key_limit=requests(5))
    said = [await outcome(limits.admit_request(key_alone)) for _ in range(4)]
    assert said == ["admitted"] * 3 + ["limited by keys/k1"]


async def test_when_the_key_has_no_room_nothing_of_the_tenant_is_used(limits: RateLimits) -> None:
    one, other = (caller(key, key_limit=tokens(10), tenant_limit=tokens(15)) for key in ("k1", "k2"))
    assert await outcome(limits.admit_tokens(one, 8)) == "admitted"
    assert await outcome(limits.admit_tokens(one, 3)) == "limited by keys/k1"
    assert await outcome(limits.admit_tokens(other, 8)) == "limited by tenants/t1"
    assert await outcome(limits.admit_tokens(other, 7)) == "admitted"


async def test_however_many_ask_at_once_each_limit_is_used_up_and_never_passed(limits: RateLimits) -> None:
    who = [caller(f"k{number % 4}", key_limit=requests(40), tenant_limit=requests(100)) for number in range(400)]
    said = await outcomes(limits.admit_request(one) for one in who)
    assert said.count("admitted") == 100
    for key in range(4):
        assert said[key::4].count("admitted") <= 40


async def test_more_tokens_than_a_minute_has_are_refused_for_good_and_use_nothing(limits: RateLimits) -> None:
    who = caller(key_limit=tokens(1_000), tenant_limit=tokens(500))
    with pytest.raises(RateLimited) as raised:
        await limits.admit_tokens(who, 501)
    assert raised.value.retry_after_seconds is None
    assert raised.value.message == (
        "tenants/t1 may use 500 tokens a minute, and this request may take 501: it can never be let in"
    )
    assert raised.value.metadata == {"limit": "500", "kind": "tokens", "subject": "tenants/t1", "asked": "501"}
    await limits.admit_tokens(who, 500)


async def test_a_limit_of_nothing_lets_nobody_in(limits: RateLimits) -> None:
    with pytest.raises(RateLimited) as raised:
        await limits.admit_request(caller(key_limit=requests(0)))
    assert raised.value.retry_after_seconds is None


async def test_no_tokens_are_always_let_in(limits: RateLimits) -> None:
    who = caller(key_limit=tokens(0))
    await limits.admit_tokens(who, 0)


@pytest.mark.parametrize(
    ("defaults", "principal"),
    [
        (DefaultLimits(key=requests(3)), {}),
        (DefaultLimits(tenant=tokens(3)), {}),
        (DefaultLimits(), {"key_limit": tokens(0)}),
        (DefaultLimits(), {"tenant_limit": requests(0)}),
    ],
)
def test_whoever_has_a_limit_of_any_kind_must_be_admitted_and_nobody_else(
    defaults: DefaultLimits, principal: dict[str, RateLimit]
) -> None:
    assert RateLimits(defaults=defaults).limits(caller(**principal))
    assert not RateLimits().limits(caller())


async def test_requests_and_tokens_are_counted_apart(limits: RateLimits) -> None:
    who = caller(key_limit=RateLimit(1, 1))
    await limits.admit_request(who)
    await limits.admit_tokens(who, 1)
    assert await outcome(limits.admit_request(who)) == "limited by keys/k1"
    assert await outcome(limits.admit_tokens(who, 1)) == "limited by keys/k1"


async def test_keys_and_tenants_of_the_same_name_are_counted_apart(limits: RateLimits) -> None:
    for who in (
        caller("same", "t1", key_limit=requests(1)),
        caller("other", "t1", key_limit=requests(1)),
        caller("any", "same", tenant_limit=requests(1)),
        caller("any", "other", tenant_limit=requests(1)),
    ):
        await limits.admit_request(who)


async def test_a_changed_limit_holds_at_once_for_what_was_used_already(limits: RateLimits) -> None:
    await limits.admit_tokens(caller(key_limit=tokens(100)), 50)
    assert await outcome(limits.admit_tokens(caller(key_limit=tokens(60)), 11)) == "limited by keys/k1"
    assert await outcome(limits.admit_tokens(caller(key_limit=tokens(61)), 11)) == "admitted"


async def test_who_has_no_limit_of_its_own_has_the_default(given_limits: Limits) -> None:
    limits = given_limits.made(DefaultLimits(tenant=RateLimit(3, 10), key=RateLimit(2, None)))
    said = [await outcome(limits.admit_request(caller(key))) for key in ("k1", "k1", "k1", "k2", "k2")]
    assert said == ["admitted", "admitted", "limited by keys/k1", "admitted", "limited by tenants/t1"]
    assert await outcome(limits.admit_tokens(caller(), 11)) == "limited by tenants/t1"


async def test_an_own_limit_wins_over_the_default_of_its_kind_alone(given_limits: Limits) -> None:
    limits = given_limits.made(DefaultLimits(tenant=RateLimit(1, 10)))
    who = caller(tenant_limit=requests(2))
    assert [await outcome(limits.admit_request(who)) for _ in range(3)] == ["admitted"] * 2 + ["limited by tenants/t1"]
    assert await outcome(limits.admit_tokens(who, 11)) == "limited by tenants/t1"


async def test_a_caller_without_a_key_has_the_limits_of_its_tenant_alone(given_limits: Limits) -> None:
    limits = given_limits.made(DefaultLimits(key=requests(1)))
    who = caller("", tenant_limit=requests(2))
    assert [await outcome(limits.admit_request(who)) for _ in range(3)] == ["admitted"] * 2 + ["limited by tenants/t1"]


async def test_whoever_waits_as_long_as_was_said_is_let_in_and_not_before(given_limits: Limits) -> None:
    limits, let_pass = given_limits.limits, given_limits.let_pass
    who = caller(key_limit=tokens(100), tenant_limit=tokens(130))
    await limits.admit_tokens(who, 60)
    let_pass(30)
    await limits.admit_tokens(who, 40)
    with pytest.raises(RateLimited) as raised:
        await limits.admit_tokens(who, 50)
    wait = raised.value.retry_after_seconds
    assert wait is not None
    # All hundred are of one minute: in the next, half of them must have faded.
    assert wait == pytest.approx(60, abs=1)
    let_pass(wait - 3)
    assert await outcome(limits.admit_tokens(who, 50)) == "limited by keys/k1"
    let_pass(3.01)
    assert await outcome(limits.admit_tokens(who, 50)) == "admitted"


async def test_what_was_used_fades_in_the_minute_that_follows(given_limits: Limits) -> None:
    limits, let_pass = given_limits.limits, given_limits.let_pass
    who = caller(key_limit=requests(60))
    assert (await outcomes(limits.admit_request(who) for _ in range(61))).count("admitted") == 60
    let_pass(WINDOW_SECONDS + 15.5)
    # A quarter has faded, and a little more.
    assert (await outcomes(limits.admit_request(who) for _ in range(61))).count("admitted") in (15, 16)
    let_pass(2 * WINDOW_SECONDS)
    assert (await outcomes(limits.admit_request(who) for _ in range(61))).count("admitted") == 60


async def test_windows_in_memory_are_forgotten_when_they_count_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(60_000_000.0)
    monkeypatch.setattr(time, "time", clock)
    limits = RateLimits()
    for minute in range(10):
        for number in range(100):
            await limits.admit_request(caller(f"k{minute}-{number}", key_limit=requests(1)))
        # What forgets is a task of its own, begun once a minute: here it has its turn.
        await asyncio.sleep(0)
        clock.at += WINDOW_SECONDS
    # Those of this minute and of the two before.
    assert len(limits._own.storage) <= 300
    assert len(limits._own.expirations) <= 300
    assert len(limits._own.locks) <= 300


async def test_windows_in_redis_end_with_what_they_count(redis_url: str) -> None:
    limits = RateLimits(SharedWindows(redis_url, 5))
    await limits.admit_request(caller(key_limit=requests(9), tenant_limit=requests(9)))
    await limits.aclose()
    with redis.Redis.from_url(redis_url) as client:
        keys = client.keys("*")
        assert len(keys) == 2
        assert all(0 < client.ttl(key) <= 2 * WINDOW_SECONDS for key in keys)


async def test_callers_without_a_limit_never_ask_redis() -> None:
    nobody_listens = SharedWindows("redis://127.0.0.1:1/0", 5)
    limits = RateLimits(nobody_listens, refuse_when_away=True)
    await limits.admit_request(LOCAL)
    await limits.admit_tokens(LOCAL, 1_000)
    assert await outcome(limits.admit_request(caller(key_limit=requests(1)))) == "unavailable"
    await limits.aclose()


windows = st.builds(
    Window,
    before=st.integers(0, 10_000),
    before_ends=st.floats(0, WINDOW_SECONDS),
    current=st.integers(0, 10_000),
    current_ends=st.floats(0, WINDOW_SECONDS).map(lambda left: WINDOW_SECONDS + left),
)


@given(windows, st.integers(1, 20_000), st.integers(1, 20_000))
@example(Window(0, 0.0, 10, 60.0), 10, 10)
@example(Window(10, 60.0, 0, 120.0), 10, 10)
def test_a_wait_is_long_enough_and_as_short_as_one_use_allows(window: Window, limit: int, amount: int) -> None:
    # The two ends come from one clock.
    window = Window(window.before, window.current_ends - WINDOW_SECONDS, window.current, window.current_ends)
    if amount > limit or window.has_room(limit, amount):
        return
    wait = window.wait_seconds(limit, amount)
    assert later(window, wait + 1e-6).has_room(limit, amount)
    # Uses fade one by one: before the one that is needed has, there is no room.
    one = WINDOW_SECONDS / max(window.before if window.current <= limit - amount else window.current, 1)
    if wait > one:
        assert not later(window, wait - one - 1e-6).has_room(limit, amount)


def later(window: Window, seconds: float) -> Window:
    """Gives what a window is after a time in which nothing is used."""
    left = window.current_ends - WINDOW_SECONDS - seconds
    if left > 0:
        return Window(window.before, left, window.current, window.current_ends - seconds)
    return Window(window.current, max(0.0, left + WINDOW_SECONDS), 0, WINDOW_SECONDS)
