"""A call under way: whose it is, the time that it has, and a way to end it from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from muxer_grpc.domain.errors import DeadlineExceeded, MuxerError
from muxer_grpc.domain.observing import CallTrace
from muxer_grpc.domain.tenancy import LOCAL, Principal

T = TypeVar("T")

# A timer may strike this much before its time, in seconds.
CLOCK_GRAIN = 0.001
# How often is looked for a wait while nobody waits, in seconds.
IDLE_LOOK = 0.05


class TimeLimit:
    """Bounds every wait of one call by the call's deadline, in seconds of the event loop's clock.

    Only `wait` is bounded, never a `yield`: a timeout that struck while a generator is suspended would hit the
    generator's consumer instead. One timer serves all waits of a call, since a stream waits some hundred times; the
    rest is what asyncio.timeout does. All waits of a call are those of one task. `principal` is whoever makes the call;
    `trace` follows it, where somebody wants to.
    """

    __slots__ = (
        "_cancelling",
        "_deadline",
        "_ended",
        "_error",
        "_patience_error",
        "_patience_timer",
        "_patience_until",
        "_struck",
        "_task",
        "_timer",
        "_waiting",
        "principal",
        "trace",
    )

    def __init__(self, deadline: float, principal: Principal = LOCAL) -> None:
        self.principal = principal
        self.trace: CallTrace | None = None
        self._patience_until: float | None = None
        self._patience_error: Exception | None = None
        self._patience_timer: asyncio.TimerHandle | None = None
        self._deadline = deadline
        self._error: MuxerError = DeadlineExceeded("the deadline passed before the answer was complete")
        self._ended = False
        self._struck = False
        self._waiting = False
        self._cancelling = 0
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def deadline(self) -> float:
        """Gives the deadline in seconds of the event loop's clock."""
        return self._deadline

    async def wait(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Begins something and waits for it. Raises DeadlineExceeded, or the error given to `end`, when time is up.

        Raises the error given to `have_patience` when only that time is up.
        """
        if self._ended:
            raise self._error
        task = self._task or self._take_task()
        self._waiting = True
        self._cancelling = task.cancelling()
        try:
            return await begin()
        except asyncio.CancelledError:
            # A real cancellation that came as well leaves the count above what it was, and goes on.
            if self._struck:
                self._struck = False
                if task.uncancel() <= self._cancelling:
                    raise self._reason() from None
            raise
        finally:
            self._waiting = False
            if self._struck:
                # What was waited for took the strike as its own: take it out of the count.
                self._struck = False
                task.uncancel()

    @property
    def seconds_left(self) -> float:
        """Gives the seconds until the deadline; 0 when it has passed."""
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    def have_patience(self, seconds: float | None, error: Exception) -> None:
        """Bounds the waits from now on by a time of their own as well; None takes the bound away.

        Called anew with each piece of a stream: the timer is not set anew each time, but looks when it strikes whether
        its time has moved on.
        """
        self._patience_error = error
        if seconds is None:
            self._patience_until = None
            return
        loop = asyncio.get_running_loop()
        self._patience_until = until = loop.time() + seconds
        timer = self._patience_timer
        if timer is None or timer.when() > until:
            if timer is not None:
                timer.cancel()
            self._patience_timer = loop.call_at(until, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience_timer = None
        until = self._patience_until
        if until is None:
            return
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Whoever waits next has waited long enough only some time after it began.
            self._patience_timer = loop.call_at(loop.time() + IDLE_LOOK, self._lose_patience)
        elif loop.time() < until - CLOCK_GRAIN:
            self._patience_timer = loop.call_at(until, self._lose_patience)
        elif self._task is not None and not self._struck:
            self._struck = True
            self._task.cancel()

    def _reason(self) -> Exception:
        """Gives the error to raise: that of the end where the call has ended, else that of lost patience."""
        if self._ended or self._patience_error is None:
            return self._error
        return self._patience_error

    def end(self, error: MuxerError) -> None:
        """Ends the call: the current wait, or else the next one, raises the error."""
        self._error = error
        self._expire()

    def close(self) -> None:
        """Stops the clock, when the call has ended."""
        for timer in (self._timer, self._patience_timer):
            if timer is not None:
                timer.cancel()

    def _take_task(self) -> asyncio.Task[Any]:
        """Begins with the first wait: notes whose it is, and starts the clock."""
        task = self._task = asyncio.current_task()
        if task is None:
            msg = "a time limit bounds the waits of a task"
            raise RuntimeError(msg)
        self._timer = asyncio.get_running_loop().call_at(self._deadline, self._expire)
        return task

    def _expire(self) -> None:
        self._ended = True
        if self._task is not None and self._waiting and not self._struck:
            self._struck = True
            self._task.cancel()
