"""Look-ups in the cache of answers that take long, as those in another process may."""

from __future__ import annotations

import asyncio

from muxer_grpc.cache.memory import MemoryCache
from muxer_grpc.domain.caching import CacheKey, Found
from muxer_grpc.pipeline.response_cache import Answers, CacheRules
from muxer_grpc.rpc.documents import WireDocuments
from tests.unit.cached import Service, until_waiting


class Late(MemoryCache):
    """A store whose first look-up tells what it found only when it is let go on."""

    def __init__(self) -> None:
        super().__init__(10**9)
        self.go_on = asyncio.Event()
        self._looked = 0

    async def get(self, key: CacheKey) -> Found:
        found = await super().get(key)
        self._looked += 1
        if self._looked == 1:
            await self.go_on.wait()
        return found


async def test_what_was_kept_while_a_look_up_was_on_its_way_is_found_by_it() -> None:
    service, store = Service(), Late()
    service.answers = Answers(store, WireDocuments(), CacheRules())
    late = asyncio.create_task(service.ask())
    await until_waiting()
    assert await service.ask() == "made answer 1"
    store.go_on.set()
    assert await late == "hit answer 1"
