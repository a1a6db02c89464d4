"""The time that a call has, and a way to end it from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from muxer_grpc.domain.errors import DeadlineExceeded, MuxerError

T = TypeVar("T")


class TimeLimit:
    """Bounds every wait of one call by the call's deadline, in seconds of the event loop's clock.

    The bound is set around single waits and never around a `yield`: a timeout that fired while a generator is
    suspended would strike the generator's consumer instead.
    """

    __slots__ = ("_current", "_deadline", "_error")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._error: MuxerError = DeadlineExceeded("the deadline passed before the answer was complete")
        self._current: asyncio.Timeout | None = None

    @property
    def deadline(self) -> float:
        """Gives the deadline in seconds of the event loop's clock."""
        return self._deadline

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Waits for the awaitable. Raises DeadlineExceeded, or the error given to `end`, when time is up."""
        timeout = asyncio.timeout_at(self._deadline)
        try:
            async with timeout:
                self._current = timeout
                return await awaitable
        except TimeoutError:
            if not timeout.expired():
                raise
            raise self._error from None
        finally:
            self._current = None

    def end(self, error: MuxerError) -> None:
        """Ends the call: the current wait, or else the next one, raises the error."""
        self._error = error
        now = asyncio.get_running_loop().time()
        self._deadline = min(self._deadline, now)
        if self._current is not None and not self._current.expired():
            self._current.reschedule(now)
