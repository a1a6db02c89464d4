"""Counts of the last hour, in slots of time: each request is in exactly one slot, so that no window counts it twice.

What ends goes into a short slot. When that leaves the shortest window, its counts move into the longer slot that it is
a part of, and so on. A window is made of whole slots of its own length and the one that is being filled: it holds what
it names and up to one slot more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.figure_counts import Counts


class FiguresWindow(Named):
    """Says how far figures go back."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    HOUR = "1h"
    SINCE_START = "start"

    @property
    def seconds(self) -> int | None:
        """Gives its length; None since the start."""
        return None if self is FiguresWindow.SINCE_START else LEVELS[self].seconds * LEVELS[self].slots


class Level(NamedTuple):
    """Slots of so many seconds, and how many full ones are kept beside the one that is being filled."""

    seconds: int
    slots: int


# From the shortest slots to the longest; each length divides the next one.
LEVELS = {
    FiguresWindow.MINUTE: Level(10, 6),
    FiguresWindow.FIVE_MINUTES: Level(30, 10),
    FiguresWindow.HOUR: Level(300, 12),
}
_LEVELS = tuple(LEVELS.values())
_SHORTEST = _LEVELS[0].seconds
# Groups that a slot tells apart; what is beyond them counts as one group without names.
MOST_GROUPS = 500

K = TypeVar("K")


@dataclass(slots=True)
class _Slot(Generic[K]):
    start: int
    counts: dict[K, Counts] = field(default_factory=dict)


class Slots(Generic[K]):
    """Counts by group of the last hour. Its memory is bounded by 31 slots of MOST_GROUPS groups and `others`, the rest.

    Times are in seconds since the epoch. A clock that is set back goes on from where it was, so that what ended later
    counts as later.
    """

    def __init__(self, others: K) -> None:
        self._others = others
        self._rings: tuple[deque[_Slot[K]], ...] = tuple(deque() for _ in _LEVELS)
        self._filling: _Slot[K] = _Slot(0)
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
            self._begin(int(at))
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

        Raises KeyError for SINCE_START, whose counts are kept elsewhere.
        """
        behind = self._behind + max(0.0, self._last - now)
        start = _oldest(LEVELS[window], int(now + behind))
        return start - behind, self._from(start)

    def _from(self, start: int) -> Iterator[tuple[K, Counts]]:
        """Yields the counts from the beginning of a slot on."""
        for ring in self._rings:
            for slot in ring:
                if slot.start >= start:
                    yield from slot.counts.items()

    def _begin(self, at: int) -> None:
        """Begins to fill a slot; what is too old for its ring moves into the next one, or goes."""
        self._filling = _Slot(at // _SHORTEST * _SHORTEST)
        self._rings[0].append(self._filling)
        self._ends_at = float(self._filling.start + _SHORTEST)
        for number, (level, ring) in enumerate(zip(_LEVELS, self._rings, strict=True)):
            oldest = _oldest(level, at)
            while ring and ring[0].start < oldest:
                slot = ring.popleft()
                if number + 1 < len(_LEVELS):
                    self._move(slot, number + 1)

    def _move(self, slot: _Slot[K], number: int) -> None:
        """Moves a slot's counts into the longer one that it is a part of."""
        ring, length = self._rings[number], _LEVELS[number].seconds
        start = slot.start // length * length
        if not ring or ring[-1].start != start:
            ring.append(_Slot(start, slot.counts))
            return
        into = ring[-1].counts
        for key, counts in slot.counts.items():
            there = into.get(key)
            if there is None and len(into) >= MOST_GROUPS:
                key = self._others  # noqa: PLW2901
                there = into.get(key)
            if there is None:
                into[key] = counts
            else:
                there.take(counts)


def _oldest(level: Level, at: int) -> int:
    """Gives the beginning of the oldest slot of a level that is kept."""
    return (at // level.seconds - level.slots) * level.seconds
