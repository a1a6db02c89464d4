"""Settings of rate limits: a Redis in one of three ways, nothing that is secret told, limits of at least one."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxer_grpc.bootstrap_rate_limits import open_rate_limits
from muxer_grpc.domain.refusals import RateLimited
from muxer_grpc.modes import Mode
from muxer_grpc.settings import Settings
from muxer_grpc.settings_modes import missing_requirements
from muxer_grpc.settings_rate_limits import RateLimitSettings
from tests.identity.limited import caller, outcome
from tests.unit.given_settings import load, problems_of

URL = "MUXER_RATE_LIMITS__REDIS_URL"
FORMS = "it must be redis://host:port/database, rediss://host:port/database (TLS) or unix:///path/of/socket?db=0"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the machine's own files out."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:password@localhost:6379/1",
        "rediss://user:password@redis.example:6380/0?ssl_ca_certs=/etc/ca.pem",
        "unix:///run/redis.sock?db=2",
        "redis+unix:///run/redis.sock",
    ],
)
def test_a_redis_may_be_named_by_address_by_tls_or_by_socket(url: str) -> None:
    chosen = load({URL: url}).rate_limits.redis_url
    assert chosen is not None
    assert chosen.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://:canary@localhost",
        "redis://:canary@",
        "redis://:canary@host:99999",
        "redis://:canary@host:port",
        "redis://:canary@host/cache",
        "redis://:canary@[::1",
        "unix://",
    ],
)
def test_what_names_no_redis_is_refused_with_the_forms_and_without_the_password(url: str) -> None:
    assert problems_of({URL: url}) == [f"{URL}: {FORMS}"]


def test_no_redis_is_the_same_as_an_empty_one() -> None:
    assert load().rate_limits.redis_url is None
    assert load({URL: ""}).rate_limits.redis_url is None


def test_the_password_shows_in_no_representation() -> None:
    assert "canary" not in repr(load({URL: "redis://:canary@localhost"}))


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_limit_is_a_number_of_at_least_one(value: str) -> None:
    (problem,) = problems_of({"MUXER_RATE_LIMITS__KEY_REQUESTS_PER_MINUTE": value})
    assert problem.startswith("MUXER_RATE_LIMITS__KEY_REQUESTS_PER_MINUTE: ")


def test_what_happens_while_redis_is_down_is_one_of_two() -> None:
    assert load().rate_limits.when_redis_is_down == "allow"
    assert problems_of({"MUXER_RATE_LIMITS__WHEN_REDIS_IS_DOWN": "crash"}) == [
        "MUXER_RATE_LIMITS__WHEN_REDIS_IS_DOWN: Input should be 'allow' or 'refuse'"
    ]


def test_a_redis_is_what_production_asks_for() -> None:
    assert "Redis" in missing_requirements(Settings(mode=Mode.PRODUCTION))
    chosen = RateLimitSettings(redis_url="redis://localhost")  # type: ignore[arg-type]
    assert "Redis" not in missing_requirements(Settings(mode=Mode.PRODUCTION, rate_limits=chosen))


async def test_the_settings_become_the_limits_of_those_who_have_none() -> None:
    chosen = RateLimitSettings(
        tenant_requests_per_minute=3, tenant_tokens_per_minute=40, key_requests_per_minute=2, key_tokens_per_minute=30
    )
    async with open_rate_limits(chosen) as limits:
        said = [await outcome(limits.admit_request(caller(key))) for key in ("k1", "k1", "k1", "k2", "k2")]
        assert said == ["admitted", "admitted", "limited by keys/k1", "admitted", "limited by tenants/t1"]
        said = [await outcome(limits.admit_tokens(caller(key), 25)) for key in ("k1", "k1", "k2")]
        assert said == ["admitted", "limited by keys/k1", "limited by tenants/t1"]


@pytest.mark.parametrize(("word", "then"), [("allow", "admitted"), ("refuse", "unavailable")])
async def test_the_settings_say_what_happens_while_redis_is_down(word: str, then: str) -> None:
    nobody_listens = {"redis_url": "redis://127.0.0.1:1", "when_redis_is_down": word, "key_requests_per_minute": 1}
    async with open_rate_limits(RateLimitSettings.model_validate(nobody_listens)) as limits:
        assert await outcome(limits.admit_request(caller())) == then


async def test_a_redis_that_is_there_counts(redis_url: str) -> None:
    chosen = RateLimitSettings.model_validate({"redis_url": redis_url, "key_requests_per_minute": 1})
    async with open_rate_limits(chosen) as one, open_rate_limits(chosen) as other:
        await one.admit_request(caller())
        with pytest.raises(RateLimited):
            await other.admit_request(caller())
