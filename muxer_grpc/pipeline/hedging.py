"""Hedging: a second attempt beside a first one that is slow to begin; the first to answer wins, the other is ended.

The idea is J. Dean's and L. Barroso's (The Tail at Scale, 2013). Both attempts cost: what the loser used is booked too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from muxer_grpc.domain.completion import Delta
from muxer_grpc.domain.errors import MuxerError, ProviderFailure
from muxer_grpc.pipeline.attempt import AttemptRun
from muxer_grpc.pipeline.time_limit import TimeLimit

# Pieces that an attempt may be ahead of its caller.
AHEAD = 16
# How long is waited for the loser's connection to be closed, in seconds.
CLOSING = 1.0


@dataclass(frozen=True, slots=True)
class Timers:
    """How long an attempt may keep silent before its first piece and between two, in seconds; None: no bound."""

    first_token_seconds: float | None = None
    gap_seconds: float | None = None


class _End:
    """Stands behind the last piece of an attempt."""


_END = _End()
_Item = Delta | BaseException | _End


class Runner:
    """An attempt that runs in a task of its own, so that two can wait at once."""

    def __init__(self, attempt: AttemptRun, timers: Timers, limit: TimeLimit) -> None:
        self.attempt = attempt
        self.ready = asyncio.Event()
        self._queue: asyncio.Queue[_Item] = asyncio.Queue(AHEAD)
        # What it broke by, where that is no failure of its provider.
        self.defect: BaseException | None = None
        # A limit bounds the waits of one task: this one has its own, which ends at the same time.
        self._limit = TimeLimit(limit.deadline, limit.principal)
        self._task = asyncio.create_task(self._run(timers))

    @property
    def failed(self) -> bool:
        """Tells whether the attempt failed already."""
        return self.defect is not None or self.attempt.failure is not None

    async def _run(self, timers: Timers) -> None:
        last: _Item = _END
        try:
            deltas = self.attempt.deltas(self._limit, timers.first_token_seconds, timers.gap_seconds)
            async with aclosing(deltas):
                async for delta in deltas:
                    self.ready.set()
                    await self._queue.put(delta)
        except (ProviderFailure, MuxerError) as error:
            last = error
        except (Exception, asyncio.CancelledError) as error:
            # A defect, or a cancellation that nobody asked for, is told as it is without a hedge.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            last = self.defect = error
        finally:
            self.ready.set()
            self._limit.close()
        await self._queue.put(last)

    async def pieces(self, limit: TimeLimit) -> AsyncGenerator[Delta, None]:
        """Yields what the attempt yields. Raises what it raises, and what the caller's limit raises."""
        while True:
            item = await limit.wait(self._queue.get)
            if isinstance(item, _End):
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    async def end(self) -> None:
        """Ends the attempt, and closes its connection."""
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=CLOSING)


async def race(
    first: Runner, after_seconds: float, second: Callable[[], Runner | None], limit: TimeLimit
) -> list[Runner]:
    """Waits for the first to begin its answer, and after a time for a second one beside it.

    Gives the runners, the winner first. One that failed loses to one that may yet answer. Raises what the limit raises.
    """
    began = asyncio.ensure_future(first.ready.wait())
    try:
        await limit.wait(lambda: asyncio.wait({began}, timeout=after_seconds))
    finally:
        began.cancel()
    if first.ready.is_set():
        return [first]
    other = second()
    if other is None:
        return [first]
    runners = [first, other]
    try:
        while not any(runner.ready.is_set() and not runner.failed for runner in runners):
            waiting = {asyncio.ensure_future(runner.ready.wait()) for runner in runners if not runner.ready.is_set()}
            if not waiting:
                break
            try:
                await limit.wait(partial(asyncio.wait, waiting, return_when=asyncio.FIRST_COMPLETED))
            finally:
                for future in waiting:
                    future.cancel()
    except BaseException:
        await asyncio.gather(*(runner.end() for runner in runners))
        raise
    runners.sort(key=lambda runner: (not runner.ready.is_set(), runner.failed))
    return runners
