"""The windows in Redis as callers use them: many in one round trip, never waited for long, and back by themselves.

Calls that come while a round trip is under way go together in the next, so that the cost of one falls as load rises.
When Redis fails, all calls are told at once that it is away; from then on one call a second tries it, and no other
waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from muxer_grpc.identity.counting import LOOK_AGAIN_SECONDS, Counter, Refusal, WindowsAway
from muxer_grpc.identity.rate_windows import RedisWindows

_log = logging.getLogger(__name__)

# Calls in one round trip: enough to make each cheap, few enough not to hold up the other users of a Redis.
MOST_AT_ONCE = 256


_Outcome = Refusal | WindowsAway | None


class SharedWindows:
    """Windows in the Redis of a URL (redis://, rediss:// or unix://). Build it where it is used, close it there.

    No call waits longer than twice `timeout_seconds`: for the round trip under way, and for its own.
    """

    def __init__(self, url: str, timeout_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        # Nothing is repeated: what was sent may have been counted, and the next call connects anew.
        self._pool = ConnectionPool.from_url(
            url.replace("redis+unix://", "unix://", 1),
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            client_name="muxer",
        )
        self._windows = RedisWindows(self._pool)
        self._timeout = timeout_seconds
        self._clock = clock
        self._away = False
        self._look_again = 0.0
        self._waiting: list[tuple[Sequence[Counter], int, asyncio.Future[_Outcome]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def take(self, counters: Sequence[Counter], amount: int) -> Refusal | None:
        """Counts in all windows, or in none and tells which had no room. Raises WindowsAway."""
        if self._away:
            now = self._clock()
            if now < self._look_again:
                raise WindowsAway
            self._look_again = now + LOOK_AGAIN_SECONDS
        outcome: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((counters, amount, outcome))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())
        told = await outcome
        if isinstance(told, WindowsAway):
            raise told
        return told

    async def aclose(self) -> None:
        """Closes the connections; whoever still waits is told that Redis is away."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        # A task that is cancelled before it began has told nobody.
        self._tell_all_away()
        await self._pool.aclose()

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch = [one for one in self._waiting[:MOST_AT_ONCE] if not one[2].done()]
                del self._waiting[:MOST_AT_ONCE]
                if batch:
                    await self._send(batch)
        finally:
            self._sender = None
            self._tell_all_away()

    async def _send(self, batch: Sequence[tuple[Sequence[Counter], int, asyncio.Future[_Outcome]]]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                outcomes = await self._windows.take_each([(counters, amount) for counters, amount, _ in batch])
        except (RedisError, OSError) as error:
            self._went_away(error)
            self._tell_away(batch)
            # Whoever came meanwhile would wait as long again, and for nothing.
            self._tell_all_away()
            return
        except BaseException:
            self._tell_away(batch)
            raise
        failed = next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
        if failed is not None:
            self._went_away(failed)
        elif self._away:
            self._away = False
            _log.info("Redis counts rate limits again")
        for (_, _, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(WindowsAway() if isinstance(outcome, Exception) else outcome)

    def _went_away(self, error: Exception) -> None:
        if not self._away:
            # Its text could name hosts and users of the URL.
            _log.warning("Redis cannot be used for rate limits: %s", type(error).__name__)
        self._away = True
        self._look_again = self._clock() + LOOK_AGAIN_SECONDS

    def _tell_all_away(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._tell_away(waiting)

    @staticmethod
    def _tell_away(waiting: Sequence[tuple[Sequence[Counter], int, asyncio.Future[_Outcome]]]) -> None:
        for _, _, future in waiting:
            if not future.done():
                future.set_result(WindowsAway())
