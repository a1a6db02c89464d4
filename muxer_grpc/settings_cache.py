"""Settings of the cache of answers: where answers are kept, for how long, and whose."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from muxer_grpc.domain.administration import TENANT_ID
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.settings_rate_limits import RateLimitSettings, RedisUrl

MEMORY, REDIS = "memory", "redis"
MONTH = 30 * 86_400.0
MIB = 1_048_576


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _check_tenants(tenants: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [tenant for tenant in tenants if not TENANT_ID.fullmatch(tenant)]
    if wrong:
        msg = f"{wrong[0][:64]!r} is no id of a tenant"
        raise ValueError(msg)
    return tenants


Ttl = Annotated[float, Field(ge=0, le=MONTH, allow_inf_nan=False)]


class CacheSettings(BaseModel):
    """The cache of answers: the same request of the same tenant is answered without calling a model again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(False, description="Whether answers are kept, and given again to the same request.")
    backend: Literal["memory", "redis"] = Field(
        "memory", description="Where answers are kept: `memory` of each process, or `redis`, which all share."
    )
    ttl_seconds: Ttl = Field(3_600, description="How long an answer is kept, in seconds.")
    ttl_by_intent: dict[Intent, Ttl] = Field(
        {}, description='The same by intent, as JSON: `{"code_gen": 600}`; 0 keeps none of that intent.'
    )
    max_ttl_seconds: Annotated[float, Field(gt=0, le=MONTH)] = Field(
        86_400, description="Bound on the time that a caller may ask for, in seconds."
    )
    max_bytes: int = Field(
        64 * MIB, ge=4_096, le=1_024 * 1_024 * MIB, description="Bound on what a process keeps in memory, in bytes."
    )
    max_answer_bytes: int = Field(MIB, ge=1, le=256 * MIB, description="Larger answers are not kept, in bytes.")
    tenants: Annotated[tuple[str, ...], AfterValidator(_check_tenants)] = Field(
        (), description="Tenants whose answers are kept; none: those of all tenants."
    )
    redis_url: Annotated[RedisUrl | None, BeforeValidator(_none_if_empty)] = Field(
        None, description="Redis of the backend `redis`; unset: that of the rate limits."
    )
    redis_timeout_seconds: float = Field(
        0.1, ge=0.005, le=10, description="Longest wait for an answer of Redis, in seconds; after it, Redis is down."
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        longest = max((self.ttl_seconds, *self.ttl_by_intent.values()))
        if longest > self.max_ttl_seconds:
            msg = "max_ttl_seconds is below ttl_seconds or one of ttl_by_intent; it must be at least those"
            raise ValueError(msg)
        return self


def cache_redis_url(cache: CacheSettings, rate_limits: RateLimitSettings) -> SecretStr | None:
    """Gives the Redis that answers are kept in; None where none is asked for.

    Raises ValueError where one is asked for and none is named.
    """
    if not cache.enabled or cache.backend != REDIS:
        return None
    url = cache.redis_url or rate_limits.redis_url
    if url is None:
        msg = "cache.backend redis needs cache.redis_url or rate_limits.redis_url"
        raise ValueError(msg)
    return url
