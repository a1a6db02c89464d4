"""Settings of rate limits: where uses are counted, and what holds for whoever has no limit of their own."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

PerMinute = Annotated[int, Field(ge=1, le=10**12)]
SCHEMES = ("redis", "rediss", "unix", "redis+unix")


def _check_redis_url(url: SecretStr) -> SecretStr:
    """Checks the form of a URL. What is wrong with it is told without repeating it, since it may hold a password."""
    msg = "it must be redis://host:port/database, rediss://host:port/database (TLS) or unix:///path/of/socket?db=0"
    try:
        parts = urlsplit(url.get_secret_value())
        place = parts.path if "unix" in parts.scheme else parts.hostname
        port = parts.port
    except ValueError:
        raise ValueError(msg) from None
    database = parts.path.strip("/") if "unix" not in parts.scheme else ""
    if parts.scheme not in SCHEMES or not place or port == 0 or (database and not database.isdecimal()):
        raise ValueError(msg)
    return url


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


RedisUrl = Annotated[SecretStr, AfterValidator(_check_redis_url)]


class RateLimitSettings(BaseModel):
    """Rate limits. A tenant's and a key's own ones are set by the admin services."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    redis_url: Annotated[RedisUrl | None, BeforeValidator(_none_if_empty)] = Field(
        None,
        description="Redis in which all processes count together: `redis://`, `rediss://` (TLS) or `unix://`; unset: "
        "each process counts alone.",
    )
    redis_timeout_seconds: float = Field(
        0.5, ge=0.01, le=10, description="Longest wait for an answer of Redis, in seconds; after it, Redis is down."
    )
    when_redis_is_down: Literal["allow", "refuse"] = Field(
        "allow",
        description="`allow`: each process counts alone until Redis is back. `refuse`: limited callers are refused.",
    )
    tenant_requests_per_minute: PerMinute | None = Field(
        None, description="Requests a minute of a tenant that has no limit of its own; unset: any number."
    )
    tenant_tokens_per_minute: PerMinute | None = Field(
        None, description="Tokens a minute of a tenant that has no limit of its own; unset: any number."
    )
    key_requests_per_minute: PerMinute | None = Field(
        None, description="Requests a minute of a key that has no limit of its own; unset: any number."
    )
    key_tokens_per_minute: PerMinute | None = Field(
        None, description="Tokens a minute of a key that has no limit of its own; unset: any number."
    )
