"""Puts together what counts requests and tokens, by the settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from muxer_grpc.domain.tenancy import RateLimit
from muxer_grpc.identity.rate_limits import DefaultLimits, RateLimits
from muxer_grpc.settings_rate_limits import RateLimitSettings


def default_limits(chosen: RateLimitSettings) -> DefaultLimits:
    """Reads what holds for whoever has no limit of their own."""
    return DefaultLimits(
        tenant=RateLimit(chosen.tenant_requests_per_minute, chosen.tenant_tokens_per_minute),
        key=RateLimit(chosen.key_requests_per_minute, chosen.key_tokens_per_minute),
    )


@asynccontextmanager
async def open_rate_limits(chosen: RateLimitSettings) -> AsyncGenerator[RateLimits, None]:
    """Builds what counts, and closes its connections on leaving. It connects when it first counts."""
    shared = None
    if chosen.redis_url is not None:
        from muxer_grpc.identity.shared_windows import SharedWindows

        shared = SharedWindows(chosen.redis_url.get_secret_value(), chosen.redis_timeout_seconds)
    limits = RateLimits(
        shared,
        defaults=default_limits(chosen),
        refuse_when_away=chosen.when_redis_is_down == "refuse",
    )
    try:
        yield limits
    finally:
        await limits.aclose()
