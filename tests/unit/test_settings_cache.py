"""Settings of the cache: what may be said, what is said wrong, and what they put together."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxer_grpc.bootstrap_cache import cache_rules, open_cache
from muxer_grpc.cache.memory import MemoryCache
from muxer_grpc.cache.redis import RedisCache
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.settings_cache import cache_redis_url
from tests.unit.given_settings import load, problems_of

URL = "redis://:sk-do-not-tell@127.0.0.1:6379/0"
ON = {"MUXER_CACHE__ENABLED": "true"}
REDIS = {**ON, "MUXER_CACHE__BACKEND": "redis"}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def test_by_default_there_is_no_cache() -> None:
    async with open_cache(load()) as answers:
        assert answers is None


async def test_switched_on_it_is_in_memory() -> None:
    async with open_cache(load(ON)) as answers:
        assert answers is not None
        assert isinstance(answers._cache, MemoryCache)
        assert answers.figures().store.max_bytes == 64 * 1_048_576


@pytest.mark.parametrize("variable", ["MUXER_CACHE__REDIS_URL", "MUXER_RATE_LIMITS__REDIS_URL"])
async def test_the_redis_is_its_own_or_that_of_the_rate_limits(variable: str) -> None:
    settings = load({**REDIS, variable: URL})
    url = cache_redis_url(settings.cache, settings.rate_limits)
    assert url is not None
    assert url.get_secret_value() == URL
    assert "sk-do-not-tell" not in repr(settings)
    async with open_cache(settings) as answers:
        assert answers is not None
        assert isinstance(answers._cache, RedisCache)


def test_its_own_redis_wins() -> None:
    other = "redis://other:6379/1"
    settings = load({**REDIS, "MUXER_CACHE__REDIS_URL": other, "MUXER_RATE_LIMITS__REDIS_URL": URL})
    url = cache_redis_url(settings.cache, settings.rate_limits)
    assert url is not None
    assert url.get_secret_value() == other


def test_times_by_intent_are_json_in_a_variable_and_a_table_in_toml() -> None:
    given = load({"MUXER_CACHE__TTL_BY_INTENT": '{"code_gen": 600, "vision": 0}'})
    assert given.cache.ttl_by_intent == {Intent.CODE_GEN: 600, Intent.VISION: 0}
    table = load(toml="[cache]\nenabled = true\n[cache.ttl_by_intent]\ntranslation = 60\n")
    assert cache_rules(table.cache).ttl_by_intent == {Intent.TRANSLATION: 60}


def test_tenants_may_be_named() -> None:
    given = load({"MUXER_CACHE__TENANTS": "acme,other"})
    assert cache_rules(given.cache).tenants == {"acme", "other"}


WRONG = {
    "a redis that is not named": (REDIS, "cache.backend redis needs cache.redis_url or rate_limits.redis_url"),
    "a redis that is none": ({"MUXER_CACHE__REDIS_URL": "http://a"}, "it must be redis://host:port/database"),
    "an unknown intent": ({"MUXER_CACHE__TTL_BY_INTENT": '{"poetry": 1}'}, "cache.ttl_by_intent.poetry"),
    "no map": ({"MUXER_CACHE__TTL_BY_INTENT": "600"}, "MUXER_CACHE__TTL_BY_INTENT"),
    "a time before": ({"MUXER_CACHE__TTL_SECONDS": "-1"}, "MUXER_CACHE__TTL_SECONDS"),
    "a bound below the time": (
        {"MUXER_CACHE__MAX_TTL_SECONDS": "60"},
        "max_ttl_seconds is below ttl_seconds or one of ttl_by_intent",
    ),
    "a bound below the time of an intent": (
        {"MUXER_CACHE__TTL_BY_INTENT": '{"code_gen": 100000}'},
        "max_ttl_seconds is below ttl_seconds or one of ttl_by_intent",
    ),
    "no tenant": ({"MUXER_CACHE__TENANTS": "acme,Not One"}, "'Not One' is no id of a tenant"),
    "an unknown backend": ({"MUXER_CACHE__BACKEND": "disk"}, "MUXER_CACHE__BACKEND"),
    "no bytes": ({"MUXER_CACHE__MAX_BYTES": "0"}, "MUXER_CACHE__MAX_BYTES"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_told(case: str) -> None:
    variables, told = WRONG[case]
    problems = problems_of(variables)
    assert any(told in problem for problem in problems), problems
    assert "sk-do-not-tell" not in str(problems)
