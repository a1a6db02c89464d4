"""Counts of the last hour, in slots of time: each request is in exactly one slot, so that no window counts it twice.

What ends goes into a slot of FINE seconds. When that is older than five minutes, its counts move into a coarse slot. A
window is made of whole slots and the one that is being filled: it holds what it names and up to one slot more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.figure_counts import Counts

FINE, COARSE = 10, 120
_FINE_IN_COARSE = COARSE // FINE
# Full slots that are kept beside the one that is being filled.
FINE_SLOTS, COARSE_SLOTS = 30, 30
# Groups that a slot tells apart; what is beyond them counts as one group without names.
MOST_GROUPS = 500

K = TypeVar("K")


class FiguresWindow(Named):
    """Says how far figures go back."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    HOUR = "1h"
    SINCE_START = "start"

    @property
    def seconds(self) -> int | None:
        """Gives its length; None since the start."""
        return _SECONDS[self]


_SECONDS = {
    FiguresWindow.MINUTE: 60,
    FiguresWindow.FIVE_MINUTES: 300,
    FiguresWindow.HOUR: 3_600,
    FiguresWindow.SINCE_START: None,
}


@dataclass(slots=True)
class _Slot(Generic[K]):
    index: int
    counts: dict[K, Counts] = field(default_factory=dict)


class Slots(Generic[K]):
    """Counts by group of the last hour. Its memory is bounded by 62 slots of MOST_GROUPS groups and `others`, the rest.

    Times are in seconds since the epoch. A clock that is set back goes on from where it was, so that what ended later
    counts as later.
    """

    def __init__(self, others: K) -> None:
        self._others = others
        self._fine: deque[_Slot[K]] = deque()
        self._coarse: deque[_Slot[K]] = deque()
        self._filling: _Slot[K] = _Slot(-1)
        self._ends_at = 0.0
        # By how much the clock was set back so far, and what it told last.
        self._behind = 0.0
        self._last = 0.0

    def of(self, key: K, now: float) -> Counts:
        """Gives what counts the requests of a group that end now."""
        if now < self._last:
            self._behind += self._last - now
        self._last = now
        at = now + self._behind
        if at >= self._ends_at:
            self._begin(int(at) // FINE)
        counts = self._filling.counts
        found = counts.get(key)
        if found is None:
            if len(counts) >= MOST_GROUPS:
                key = self._others
                found = counts.get(key)
            if found is None:
                found = counts[key] = Counts()
        return found

    def since(self, window: FiguresWindow, now: float) -> tuple[float, Iterator[tuple[K, Counts]]]:
        """Gives the beginning of a window that ends now, and the counts in it; a group may come several times.

        The window is not SINCE_START, whose counts are kept elsewhere.
        """
        behind = self._behind + max(0.0, self._last - now)
        current = int(now + behind) // FINE
        seconds = window.seconds
        if seconds is None or seconds > FINE * FINE_SLOTS:
            first = (current // _FINE_IN_COARSE - COARSE_SLOTS) * _FINE_IN_COARSE
        else:
            first = current - seconds // FINE
        return first * FINE - behind, self._from(first)

    def _from(self, first: int) -> Iterator[tuple[K, Counts]]:
        """Yields the counts from a fine slot on."""
        for slot in self._coarse:
            if slot.index * _FINE_IN_COARSE >= first:
                yield from slot.counts.items()
        for slot in self._fine:
            if slot.index >= first:
                yield from slot.counts.items()

    def _begin(self, index: int) -> None:
        """Begins to fill a slot; what is too old moves on, or goes."""
        self._filling = _Slot(index)
        self._fine.append(self._filling)
        self._ends_at = float((index + 1) * FINE)
        while self._fine[0].index < index - FINE_SLOTS:
            self._retire(self._fine.popleft())
        oldest = index // _FINE_IN_COARSE - COARSE_SLOTS
        while self._coarse and self._coarse[0].index < oldest:
            self._coarse.popleft()

    def _retire(self, slot: _Slot[K]) -> None:
        """Moves a fine slot's counts into the coarse one that it is a part of."""
        index = slot.index // _FINE_IN_COARSE
        if not self._coarse or self._coarse[-1].index != index:
            self._coarse.append(_Slot(index))
        into = self._coarse[-1].counts
        for key, counts in slot.counts.items():
            there = into.get(key)
            if there is not None:
                there.take(counts)
            elif len(into) < MOST_GROUPS:
                into[key] = counts
            else:
                rest = into.get(self._others)
                if rest is None:
                    into[self._others] = counts
                else:
                    rest.take(counts)
