"""Answers in the memory of one process: the least recently used makes room, and each is kept for its time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from muxer_grpc.domain.caching import CachedAnswer, CacheKey, Found, Invalidation, StoreFigures

# What it takes to keep an answer beside its own bytes: the objects around it and its place in the table, which doubles
# as it grows. A test holds it against what Python allocates.
ANSWER_OVERHEAD = 640
# The same for each label: a tuple and two strings.
LABEL_OVERHEAD = 168
# Invalidations that are remembered for answers on their way; one that is older than all of them is not kept.
MOST_REMEMBERED = 256
# Answers looked through at once; in between, others have their turn.
SLICE = 5_000


class _Held(NamedTuple):
    tenant_id: str
    answer: CachedAnswer
    expires_at: float
    size: int


def size_of(tenant_id: str, answer: CachedAnswer) -> int:
    """Gives the bytes that an answer takes, with what it takes to keep it."""
    labels = sum(len(key.encode()) + len(value.encode()) + LABEL_OVERHEAD for key, value in answer.labels)
    return len(answer.document) + len(answer.model) + len(tenant_id) + labels + ANSWER_OVERHEAD


class MemoryCache:
    """Implements the port ResponseCache, within `max_bytes`. `clock` gives seconds that never go back.

    An answer whose time is up is forgotten when it is looked for, or when it makes room.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        # By digest, the least recently used first.
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._bytes = 0
        self._stored = self._evicted = 0
        # Counts invalidations; a mark is the number of those before it.
        self._count = 0
        self._remembered: deque[tuple[int, Invalidation]] = deque(maxlen=MOST_REMEMBERED)

    async def get(self, key: CacheKey) -> Found:
        """Looks an answer up."""
        held = self._held.get(key.digest)
        if held is None or held.tenant_id != key.tenant_id:
            return Found(None, self._count)
        if held.expires_at <= self._clock():
            self._forget(key.digest)
            return Found(None, self._count)
        self._held.move_to_end(key.digest)
        return Found(held.answer, self._count)

    async def put(self, key: CacheKey, answer: CachedAnswer, mark: object, ttl_seconds: float) -> None:
        """Keeps an answer; one that is larger than the whole cache is not kept."""
        if key.digest in self._held:
            self._forget(key.digest)
        size = size_of(key.tenant_id, answer)
        if size > self._max_bytes or not isinstance(mark, int) or self._forgotten(key.tenant_id, answer, mark):
            return
        while self._bytes + size > self._max_bytes:
            self._forget(next(iter(self._held)))
            self._evicted += 1
        self._held[key.digest] = _Held(key.tenant_id, answer, self._clock() + ttl_seconds, size)
        self._bytes += size
        self._stored += 1

    async def invalidate(self, what: Invalidation) -> int:
        """Forgets answers; gives their number."""
        self._count += 1
        self._remembered.append((self._count, what))
        digests = list(self._held)
        forgotten = 0
        for start in range(0, len(digests), SLICE):
            for digest in digests[start : start + SLICE]:
                held = self._held.get(digest)
                if held is not None and what.means(held.tenant_id, held.answer):
                    self._forget(digest)
                    forgotten += 1
            if start + SLICE < len(digests):
                await asyncio.sleep(0)
        return forgotten

    def figures(self) -> StoreFigures:
        """Tells what it holds and did."""
        return StoreFigures(
            backend="memory",
            stored=self._stored,
            evicted=self._evicted,
            answers=len(self._held),
            held_bytes=self._bytes,
            max_bytes=self._max_bytes,
        )

    async def aclose(self) -> None:
        """Forgets everything."""
        self._held.clear()
        self._bytes = 0

    def _forgotten(self, tenant_id: str, answer: CachedAnswer, mark: int) -> bool:
        """Tells whether an answer that was asked for at a mark has been forgotten since."""
        since = self._count - mark
        if since > len(self._remembered):
            return True
        return any(number > mark and what.means(tenant_id, answer) for number, what in self._remembered)

    def _forget(self, digest: bytes) -> None:
        self._bytes -= self._held.pop(digest).size
