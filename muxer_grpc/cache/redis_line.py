"""A line to a Redis: many callers' commands in one round trip, no long waits, and none at all while it is down.

Commands that come while a round trip is under way go together in the next, so that the cost of one falls as load rises.
When Redis fails, all who wait are told at once that it is down; from then on nobody asks it anything until a task in
the background finds that it answers again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_log = logging.getLogger(__name__)

# How much goes in one round trip: enough to make each cheap, little enough that it ends in time.
MOST_CALLERS = 256
MOST_BYTES = 1_048_576
# Of these commands, those that are the same are sent once in a round trip.
ONCE = frozenset({"GET", "HGETALL", "PEXPIRE"})

Command = tuple[str | bytes | int, ...]
# As Redis answers; what it refused is an exception in its place.
Replies = list[Any]
_Asked = tuple[Sequence[Command], asyncio.Future[Replies | None]]


class LineDown(Exception):
    """Redis cannot be reached now, and whether it did anything is not known."""


class RedisLine:
    """A line to the Redis of a URL (redis://, rediss:// or unix://). Build it where it is used, close it there.

    Nobody waits longer than twice `timeout_seconds`. Once Redis is down, it is looked for every `retry_seconds`.
    """

    def __init__(self, url: str, timeout_seconds: float, retry_seconds: float = 1.0) -> None:
        # Nothing is repeated: whoever waits would rather go without.
        self._pool = ConnectionPool.from_url(
            url.replace("redis+unix://", "unix://", 1),
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            client_name="muxer-cache",
        )
        self._client: Any = Redis(connection_pool=self._pool)
        self._timeout = timeout_seconds
        self._retry = retry_seconds
        self._waiting: list[_Asked] = []
        self._sender: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def down(self) -> bool:
        """Tells whether Redis was not there when it was last asked."""
        return self._looking is not None

    async def send(self, *commands: Command) -> Replies:
        """Sends commands; gives a reply for each. Raises LineDown."""
        if self._looking is not None:
            raise LineDown
        future: asyncio.Future[Replies | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, future))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())
        replies = await future
        if replies is None:
            raise LineDown
        return replies

    async def aclose(self) -> None:
        """Closes the connection; whoever still waits is told that Redis is down."""
        tasks = [task for task in (self._sender, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that is cancelled before it began has told nobody.
        self._tell_all()
        await self._pool.aclose()

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch = self._next_batch()
                if batch:
                    await self._send(batch)
        finally:
            self._sender = None
            self._tell_all()

    def _next_batch(self) -> list[_Asked]:
        """Takes those who come first, as many as one round trip can serve; whoever gave up is left out."""
        batch: list[_Asked] = []
        size = taken = 0
        for each in self._waiting[:MOST_CALLERS]:
            if batch and size >= MOST_BYTES:
                break
            taken += 1
            if not each[1].done():
                batch.append(each)
                size += sum(len(part) for command in each[0] for part in command if isinstance(part, bytes))
        del self._waiting[:taken]
        return batch

    async def _send(self, batch: Sequence[_Asked]) -> None:
        sent: list[Command] = []
        places: dict[Command, int] = {}
        wanted: list[list[int]] = []
        for commands, _ in batch:
            wanted.append([])
            for command in commands:
                place = places.get(command)
                if place is None:
                    place = len(sent)
                    sent.append(command)
                    if command[0] in ONCE:
                        places[command] = place
                wanted[-1].append(place)
        replies = await self._replies(sent, batch)
        for (_, future), numbers in zip(batch, wanted, strict=True):
            if not future.done():
                future.set_result(None if replies is None else [replies[number] for number in numbers])

    async def _replies(self, sent: Sequence[Command], batch: Sequence[_Asked]) -> Replies | None:
        """Makes the round trip; None where Redis is down."""
        try:
            async with asyncio.timeout(self._timeout), self._client.pipeline(transaction=False) as pipeline:
                for command in sent:
                    pipeline.execute_command(*command)
                return list(await pipeline.execute(raise_on_error=False))
        except (RedisError, OSError) as error:
            self._went_down(error)
            # Whoever came meanwhile would wait as long again, and for nothing.
            self._tell_all()
            return None
        except BaseException:
            self._waiting += batch
            raise

    def _went_down(self, error: Exception) -> None:
        # Its text could name hosts and users of the URL.
        _log.warning("Redis cannot be used for cached answers: %s", type(error).__name__)
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Waits until Redis answers."""
        while True:
            await asyncio.sleep(self._retry)
            try:
                async with asyncio.timeout(self._timeout):
                    await self._client.ping()
            except (RedisError, OSError):
                continue
            except Exception:
                _log.exception("looking for Redis broke")
                continue
            self._looking = None
            _log.info("Redis keeps answers again")
            return

    def _tell_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_result(None)
