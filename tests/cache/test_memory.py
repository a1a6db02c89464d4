"""Answers in memory: found, aged, evicted and forgotten, with every byte accounted for."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections import OrderedDict
from collections.abc import Coroutine
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from muxer_grpc.cache.memory import MOST_REMEMBERED, SLICE, MemoryCache, size_of
from muxer_grpc.domain.caching import CachedAnswer, CacheKey, Invalidation
from tests.cache.kept import answer, key
from tests.rpc.service import Clock

T = TypeVar("T")

LARGE = 10**9


async def kept(cache: MemoryCache, name: str, what: CachedAnswer, tenant: str = "acme", ttl: float = 60.0) -> None:
    """Keeps an answer as a request does: after a look-up."""
    mark = (await cache.get(key(name, tenant))).mark
    await cache.put(key(name, tenant), what, mark, ttl)


async def found(cache: MemoryCache, name: str, tenant: str = "acme") -> CachedAnswer | None:
    return (await cache.get(key(name, tenant))).answer


async def test_an_answer_is_found_by_its_key_until_its_time_is_up() -> None:
    clock = Clock()
    cache = MemoryCache(LARGE, clock)
    await kept(cache, "one", answer("1"), ttl=60)
    clock.at += 59.9
    assert await found(cache, "one") == answer("1")
    assert await found(cache, "two") is None
    clock.at += 0.1
    assert await found(cache, "one") is None
    assert (cache.figures().answers, cache.figures().held_bytes) == (0, 0)


async def test_a_later_answer_takes_the_place_of_the_earlier_one_with_a_time_of_its_own() -> None:
    clock = Clock()
    cache = MemoryCache(LARGE, clock)
    await kept(cache, "one", answer("a long answer"), ttl=60)
    await kept(cache, "one", answer("1"), ttl=600)
    clock.at += 599
    assert await found(cache, "one") == answer("1")
    assert cache.figures().held_bytes == size_of("acme", answer("1"))


async def test_the_least_recently_used_makes_room() -> None:
    cache = MemoryCache(3 * size_of("acme", answer("1")))
    for name in "abc":
        await kept(cache, name, answer("1"))
    assert await found(cache, "a")
    await kept(cache, "d", answer("1"))
    assert [bool(await found(cache, name)) for name in "abcd"] == [True, False, True, True]
    assert cache.figures().evicted == 1


async def test_an_answer_larger_than_the_cache_is_not_kept_and_evicts_nothing() -> None:
    cache = MemoryCache(2 * size_of("acme", answer("1")))
    await kept(cache, "a", answer("1"))
    await kept(cache, "b", answer("1" * 10_000))
    assert await found(cache, "a")
    assert await found(cache, "b") is None
    assert cache.figures().evicted == 0


async def test_a_tenant_never_gets_anothers_answer_even_under_the_same_digest() -> None:
    cache = MemoryCache(LARGE)
    mine = key("one", "acme")
    await cache.put(mine, answer("secret"), 0, 60)
    theirs = CacheKey("other", mine.digest, mine.whole)
    assert (await cache.get(theirs)).answer is None
    assert (await cache.get(mine)).answer == answer("secret")


FORGOTTEN = {
    Invalidation(): "abcd",
    Invalidation(tenant_id="acme"): "abc",
    Invalidation(tenant_id="nobody"): "",
    Invalidation(model="openai/small"): "bd",
    Invalidation(tenant_id="acme", model="openai/small"): "b",
    Invalidation(label=("team", "red")): "c",
    Invalidation(label=("team", "blue")): "",
    Invalidation(tenant_id="other", label=("team", "red")): "",
}


@pytest.mark.parametrize("what", FORGOTTEN)
async def test_what_is_forgotten_is_what_was_named_and_is_counted(what: Invalidation) -> None:
    cache = MemoryCache(LARGE)
    await kept(cache, "a", answer("a"))
    await kept(cache, "b", answer("b", "openai/small"))
    await kept(cache, "c", answer("c", team="red", stage="live"))
    await kept(cache, "d", answer("d", "openai/small"), tenant="other")
    assert await cache.invalidate(what) == len(FORGOTTEN[what])
    tenants = {"a": "acme", "b": "acme", "c": "acme", "d": "other"}
    gone = [name for name, tenant in tenants.items() if await found(cache, name, tenant) is None]
    assert "".join(gone) == FORGOTTEN[what]


async def test_many_answers_are_forgotten_in_slices_and_all_of_them() -> None:
    cache = MemoryCache(LARGE)
    for number in range(2 * SLICE + 1):
        await kept(cache, str(number), answer("1"))
    forgetting = asyncio.create_task(cache.invalidate(Invalidation(tenant_id="acme")))
    await asyncio.sleep(0)
    assert cache.figures().answers == SLICE + 1
    # What comes in between is new, and stays; what was asked for before is not.
    await kept(cache, "new", answer("new"))
    assert await forgetting == 2 * SLICE + 1
    assert await found(cache, "new") == answer("new")
    assert cache.figures().held_bytes == size_of("acme", answer("new"))


async def test_an_answer_that_was_asked_for_before_others_like_it_were_forgotten_is_not_kept() -> None:
    cache = MemoryCache(LARGE)
    mark = (await cache.get(key("late"))).mark
    await cache.invalidate(Invalidation(model="openai/gpt"))
    await cache.put(key("late"), answer("1"), mark, 60)
    await cache.put(key("other"), answer("1", "openai/small"), mark, 60)
    assert await found(cache, "late") is None
    assert await found(cache, "other")
    await kept(cache, "late", answer("1"))
    assert await found(cache, "late")


async def test_an_answer_that_is_older_than_what_is_remembered_of_forgetting_is_not_kept() -> None:
    cache = MemoryCache(LARGE)
    mark = (await cache.get(key("late"))).mark
    await cache.invalidate(Invalidation(model="openai/gpt"))
    for _ in range(MOST_REMEMBERED):
        await cache.invalidate(Invalidation(model="openai/other"))
    await cache.put(key("late"), answer("1"), mark, 60)
    assert await found(cache, "late") is None


@pytest.mark.parametrize("labels", [0, 3])
async def test_the_accounted_bytes_cover_what_python_allocates_and_not_much_more(labels: int) -> None:
    cache = MemoryCache(LARGE)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(5_000):
        given = tuple((f"key-{each}-{number}", f"value-{each}-{number}") for each in range(labels))
        what = CachedAnswer(os.urandom(500), f"openai/gpt-{number}", given, 10**9 + number, float(number))
        await cache.put(CacheKey("acme", os.urandom(32), b""), what, 0, 60.0)
    gc.collect()
    allocated = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    accounted = cache.figures().held_bytes or 0
    assert allocated <= accounted <= 1.25 * allocated


def at_once(work: Coroutine[object, None, T]) -> T:
    """Does what never waits, without a loop."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    msg = "the memory had to be waited for"
    raise AssertionError(msg)


NAMES = st.sampled_from("abcdefgh")
TENANTS = st.sampled_from(("acme", "other"))
MODELS = st.sampled_from(("openai/gpt", "openai/small"))
ROOM = 4 * size_of("acme", answer("1" * 50))


class CacheMachine(RuleBasedStateMachine):
    """Does to the cache and to a plain list the same, and compares them after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.cache = MemoryCache(ROOM, self.clock)
        # Tenant and name, and what is held of them: least recently used first.
        self.model: OrderedDict[tuple[str, str], tuple[CachedAnswer, float]] = OrderedDict()

    @rule(name=NAMES, tenant=TENANTS, model=MODELS, length=st.integers(0, 5_000), ttl=st.floats(1, 100))
    def put(self, name: str, tenant: str, model: str, length: int, ttl: float) -> None:
        what = answer("1" * length, model)
        at_once(kept(self.cache, name, what, tenant, ttl))
        self._look(name, tenant)
        self.model.pop((tenant, name), None)
        if size_of(tenant, what) > ROOM:
            return
        while self.held_bytes() + size_of(tenant, what) > ROOM:
            self.model.popitem(last=False)
        self.model[tenant, name] = (what, self.clock.at + ttl)

    @rule(name=NAMES, tenant=TENANTS)
    def get(self, name: str, tenant: str) -> None:
        assert at_once(found(self.cache, name, tenant)) == self._look(name, tenant)

    @rule(seconds=st.floats(0, 50))
    def wait(self, seconds: float) -> None:
        self.clock.at += seconds

    @rule(tenant=st.none() | TENANTS, model=st.just("") | MODELS)
    def invalidate(self, tenant: str | None, model: str) -> None:
        meant = [
            (of, name)
            for (of, name), (what, _) in self.model.items()
            if tenant in (None, of) and model in ("", what.model)
        ]
        assert at_once(self.cache.invalidate(Invalidation(tenant, model))) == len(meant)
        for each in meant:
            del self.model[each]

    @invariant()
    def accounts_for_every_byte_and_holds_no_more_than_it_may(self) -> None:
        figures = self.cache.figures()
        assert (figures.answers, figures.held_bytes) == (len(self.model), self.held_bytes())
        assert (figures.held_bytes or 0) <= ROOM

    def held_bytes(self) -> int:
        return sum(size_of(tenant, what) for (tenant, _), (what, _) in self.model.items())

    def _look(self, name: str, tenant: str) -> CachedAnswer | None:
        """Looks into the list as the cache is looked into."""
        entry = self.model.get((tenant, name))
        if entry is None:
            return None
        if entry[1] <= self.clock.at:
            del self.model[tenant, name]
            return None
        self.model.move_to_end((tenant, name))
        return entry[0]


TestCacheMachine = CacheMachine.TestCase
