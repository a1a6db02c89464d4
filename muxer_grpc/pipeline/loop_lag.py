"""Measures by how much the event loop is late: the time that whatever is ready waits for its turn."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

SAMPLE_SECONDS = 0.1
# A single pause, as the garbage collector makes one, is no load: only what stays over so many samples counts, as with a
# standing queue (K. Nichols, V. Jacobson, Controlling Queue Delay, 2012).
SAMPLES = 4


class LoopLag:
    """Holds the least lag of the last samples, in seconds; 0 while nobody measures."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._recent = deque([0.0] * SAMPLES, maxlen=SAMPLES)

    def note(self, late_seconds: float) -> None:
        """Takes a sample."""
        self._recent.append(max(0.0, late_seconds))
        self.seconds = min(self._recent)

    async def watch(self, now: Callable[[], float] = time.monotonic) -> None:
        """Takes samples until it is cancelled."""
        while True:
            due = now() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            self.note(now() - due)
