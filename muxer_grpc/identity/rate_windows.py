"""Windows of a minute in which uses are counted: of one process in memory, or of all that share a Redis.

The windows are the library's sliding window counters: what was used counts whole in the minute in which it was, and in
the next one with the share of that minute which the last 60 seconds still cover
(https://limits.readthedocs.io/en/stable/strategies.html#sliding-window-counter). What is added here is to count in
several windows at once, in all or in none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.exceptions import NoScriptError

from muxer_grpc.identity.counting import Counter, Refusal

WINDOW_SECONDS = 60
KEY_PREFIX = "muxer"


@dataclass(frozen=True, slots=True)
class Window:
    """What was used in this minute and in the one before, and the seconds until each counts no more."""

    before: int
    before_ends: float
    current: int
    current_ends: float

    def has_room(self, limit: int, amount: int) -> bool:
        """Tells whether an amount fits now."""
        return int(self.before * self.before_ends / WINDOW_SECONDS) + self.current + amount <= limit

    def wait_seconds(self, limit: int, amount: int) -> float:
        """Tells in how many seconds an amount fits that does not now, and is no more than the limit."""
        room = limit - amount
        if self.current <= room:
            # The minute before need only fade a little more.
            return max(0.0, self.before_ends - (room - self.current) * WINDOW_SECONDS / max(1, self.before))
        # This minute must end, and then fade itself.
        return max(0.0, self.current_ends - room * WINDOW_SECONDS / self.current)


class MemoryWindows(MemoryStorage):
    """Windows in memory, of this process alone. Nothing in it ever waits, so that one call is one step."""

    def __init__(self) -> None:
        super().__init__()
        self._next_walk = 0.0

    async def take(self, counters: Sequence[Counter], amount: int) -> Refusal | None:
        """Counts in all windows, or in none and tells which had no room."""
        *others, last = counters
        for counter in others:
            window = await self._window(counter)
            if not window.has_room(counter.limit, amount):
                return Refusal(counter, window.wait_seconds(counter.limit, amount))
        # Where there is room in the others, the last may be tried and counted in one.
        if not await self._count(last, amount):
            return Refusal(last, (await self._window(last)).wait_seconds(last.limit, amount))
        for counter in others:
            await self._count(counter, amount)
        return None

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Counts. The library would walk over all windows at each call to forget old ones; here, once a minute does."""
        now = time.time()
        if now >= self._next_walk:
            self._next_walk = now + WINDOW_SECONDS
            return await super().incr(key, expiry, amount)
        count = self.storage.get(key, 0)
        if count == 0:
            self.expirations[key] = now + expiry
        self.storage[key] = count + amount
        return count + amount

    async def _window(self, counter: Counter) -> Window:
        return Window(*await self.get_sliding_window(counter.key, WINDOW_SECONDS))

    async def _count(self, counter: Counter, amount: int) -> bool:
        return await self.acquire_sliding_window_entry(counter.key, counter.limit, WINDOW_SECONDS, amount)


# What the library's own script (acquire_sliding_window.lua) does, for several windows: looks into all, then counts in
# all. KEYS: the minute before and this one, of each. ARGV: milliseconds of a window, the amount, the limit of each.
# Gives nothing, or the number of the first window without room and what is in it.
TAKE = """
local expiry, amount = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 1, #KEYS / 2 do
    local before, current = KEYS[2 * i - 1], KEYS[2 * i]
    local ends = redis.call('pttl', current)
    if ends > 0 and ends < expiry then
        redis.call('rename', current, before)
        ends = ends + expiry
        redis.call('set', current, 0, 'PX', ends)
    end
    local old = tonumber(redis.call('get', before)) or 0
    local old_ends = math.max(redis.call('pttl', before), 0)
    local new = tonumber(redis.call('get', current)) or 0
    if math.floor(old * old_ends / expiry) + new + amount > tonumber(ARGV[i + 2]) then
        return {i, old, old_ends, new, math.max(ends, 0)}
    end
end
for i = 1, #KEYS / 2 do
    local current = KEYS[2 * i]
    if redis.call('exists', current) == 1 then
        redis.call('incrby', current, amount)
    else
        redis.call('set', current, amount, 'PX', expiry * 2)
    end
end
return false
"""


class RedisWindows(RedisStorage):
    """Windows in a Redis, by its clock, for everybody who shares it."""

    def __init__(self, pool: Any) -> None:
        super().__init__("async+redis://", implementation="redispy", key_prefix=KEY_PREFIX, connection_pool=pool)
        bridge: Any = self.bridge
        self._client = bridge.get_connection()
        self._take = self._client.register_script(TAKE)

    async def take_each(self, asked: Sequence[tuple[Sequence[Counter], int]]) -> list[Refusal | Exception | None]:
        """Takes from windows as MemoryWindows does, for several callers in one round trip; gives what became of each.

        Raises redis.RedisError and OSError where nothing can be known of any.
        """
        replies = await self._send(asked)
        if any(_is_unknown_script(reply) for reply in replies):
            # A Redis that has restarted has forgotten the script, and has done nothing with it.
            await self._client.script_load(TAKE)
            again = [number for number, reply in enumerate(replies) if _is_unknown_script(reply)]
            for number, reply in zip(again, await self._send([asked[number] for number in again]), strict=True):
                replies[number] = reply
        return [self._read(reply, *one) for reply, one in zip(replies, asked, strict=True)]

    async def _send(self, asked: Sequence[tuple[Sequence[Counter], int]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for counters, amount in asked:
                keys = [key for counter in counters for key in self._keys(counter)]
                limits = [counter.limit for counter in counters]
                pipeline.evalsha(self._take.sha, len(keys), *keys, WINDOW_SECONDS * 1_000, amount, *limits)
            return list(await pipeline.execute(raise_on_error=False))

    def _keys(self, counter: Counter) -> tuple[str, str]:
        before, current = self._previous_window_key(counter.key), self._current_window_key(counter.key)
        return self.bridge.prefixed_key(before), self.bridge.prefixed_key(current)

    @staticmethod
    def _read(reply: Any, counters: Sequence[Counter], amount: int) -> Refusal | Exception | None:
        if reply is None or isinstance(reply, Exception):
            return reply
        number, old, old_ends, new, ends = (int(figure) for figure in reply)
        counter = counters[number - 1]
        window = Window(old, old_ends / 1_000, new, ends / 1_000)
        return Refusal(counter, window.wait_seconds(counter.limit, amount))


def _is_unknown_script(reply: object) -> bool:
    return isinstance(reply, NoScriptError)
