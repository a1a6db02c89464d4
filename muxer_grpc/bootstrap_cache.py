"""Puts together the cache of answers, by the settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from muxer_grpc.cache.memory import MemoryCache
from muxer_grpc.domain.caching import ResponseCache
from muxer_grpc.pipeline.response_cache import Answers, CacheRules
from muxer_grpc.rpc.documents import WireDocuments
from muxer_grpc.rpc.servicers.caching import CacheServicer
from muxer_grpc.settings import Settings
from muxer_grpc.settings_cache import MEMORY, CacheSettings, cache_redis_url
from muxer_grpc.storage.audit import AuditTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.sealing import ContentSealer


@asynccontextmanager
async def open_cache(settings: Settings) -> AsyncGenerator[Answers | None, None]:
    """Builds the cache, and closes its connections on leaving; None where there is none.

    It connects when it is first asked. Raises ValueError on a pepper that cannot be read.
    """
    if not settings.cache.enabled:
        yield None
        return
    answers = Answers(_store(settings), WireDocuments(), cache_rules(settings.cache))
    try:
        yield answers
    finally:
        await answers.aclose()


def cache_rules(chosen: CacheSettings) -> CacheRules:
    """Gives the rules by which answers are kept."""
    return CacheRules(
        ttl_seconds=chosen.ttl_seconds,
        ttl_by_intent=chosen.ttl_by_intent,
        max_ttl_seconds=chosen.max_ttl_seconds,
        max_answer_bytes=chosen.max_answer_bytes,
        tenants=frozenset(chosen.tenants),
    )


def cache_service(
    settings: Settings, answers: Answers | None, database: Database | None, instance_id: str, now: Callable[[], float]
) -> CacheServicer:
    """Gives the service that looks after the cache; without a database nobody keeps an audit log."""
    notes = None if database is None else AuditTable(database)
    workers = settings.server.workers
    alone = workers > 1 and settings.cache.backend == MEMORY
    stays = f"one of {workers} workers alone would forget: set MUXER_CACHE__BACKEND=redis, or restart the service"
    return CacheServicer(answers, notes, now, instance_id=instance_id, stays=stays if alone else "")


def _store(settings: Settings) -> ResponseCache:
    url = cache_redis_url(settings.cache, settings.rate_limits)
    if url is None:
        return MemoryCache(settings.cache.max_bytes)
    from muxer_grpc.cache.redis import RedisCache
    from muxer_grpc.cache.redis_line import RedisLine

    line = RedisLine(url.get_secret_value(), settings.cache.redis_timeout_seconds)
    return RedisCache(line, ContentSealer(settings.identity.pepper_bytes or b""))
