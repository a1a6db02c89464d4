"""Answers in Redis that another version of the service wrote."""

from __future__ import annotations

import json
from dataclasses import replace

from muxer_grpc.cache.redis import RedisCache
from muxer_grpc.cache.redis_line import RedisLine
from muxer_grpc.storage.sealing import ContentSealer
from tests.cache.kept import answer
from tests.cache.test_redis import found, kept


class EarlierSealer(ContentSealer):
    """Writes answers as a version did that told neither intent nor strategy."""

    def seal(self, content: bytes, key: bytes) -> bytes:
        head, _, document = content.partition(b"\n")
        told = {name: value for name, value in json.loads(head).items() if name not in ("intent", "strategy")}
        return super().seal(json.dumps(told).encode() + b"\n" + document, key)


async def test_an_answer_of_an_earlier_version_is_found_without_its_intent_and_strategy(redis_url: str) -> None:
    cache = RedisCache(RedisLine(redis_url, 5.0, 0.01), EarlierSealer(b""))
    try:
        await kept(cache, "a")
        assert await found(cache, "a") == replace(answer(), intent="", strategy="")
    finally:
        await cache.aclose()
