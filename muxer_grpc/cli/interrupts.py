"""Ctrl-C for commands that call again and again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred_interrupts() -> Iterator[DeferredInterrupts]:
    """Defers Ctrl-C to the end of a call until the block is left. For the main thread alone, as signals are.

    Who ignores Ctrl-C, or handles it otherwise, goes on so.
    """
    deferred = DeferredInterrupts()
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield deferred
        return
    signal.signal(signal.SIGINT, deferred.interrupt)
    try:
        yield deferred
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class DeferredInterrupts:
    """Lets the first Ctrl-C wait for the end of a call under way; the second one interrupts at once.

    Out of the middle of a call, a KeyboardInterrupt may leave grpcio's channel with a call that it takes for running,
    and its close() waits for that one for ever.
    """

    def __init__(self) -> None:
        self._calling = False
        self._waiting = False

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Makes a call. Raises KeyboardInterrupt behind it, where Ctrl-C came meanwhile."""
        self._calling = True
        try:
            yield
        finally:
            self._calling = False
            if self._waiting:
                raise KeyboardInterrupt

    def interrupt(self, *_signal: object) -> None:
        """Handles the signal. Raises KeyboardInterrupt, unless that can wait."""
        if self._waiting or not self._calling:
            raise KeyboardInterrupt
        self._waiting = True
