"""Callers with limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

from muxer_grpc.domain.refusals import RateLimited, StorageUnavailable
from muxer_grpc.domain.tenancy import UNLIMITED, Principal, RateLimit, Role, Subject


def caller(
    key: str = "k1", tenant: str = "t1", *, key_limit: RateLimit = UNLIMITED, tenant_limit: RateLimit = UNLIMITED
) -> Principal:
    """Makes a caller; one with an empty key came without."""
    subject = Subject(tenant, "somebody", key)
    return Principal(subject, Role.CALLER, "somebody", tenant_limit=tenant_limit, key_limit=key_limit)


def requests(number: int) -> RateLimit:
    return RateLimit(requests_per_minute=number)


def tokens(number: int) -> RateLimit:
    return RateLimit(tokens_per_minute=number)


async def outcome(admission: Awaitable[None]) -> str:
    """Waits for an admission; gives what became of it in a word."""
    try:
        await admission
    except RateLimited as error:
        return f"limited by {error.subject}"
    except StorageUnavailable:
        return "unavailable"
    return "admitted"


async def outcomes(admissions: Iterable[Awaitable[None]]) -> list[str]:
    """Waits for admissions that all ask at once."""
    return await asyncio.gather(*(outcome(admission) for admission in admissions))
