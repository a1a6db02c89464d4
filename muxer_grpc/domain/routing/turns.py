"""Whose turn it is, counted apart for each set of contenders, so that one caller's choices do not skew another's."""

from __future__ import annotations

from collections.abc import Hashable

MAX_SETS = 1_024


class Turns:
    """Counts the choices made among each set of contenders; in bounded memory, the oldest set is forgotten first."""

    def __init__(self) -> None:
        self._made: dict[Hashable, int] = {}

    def next(self, among: Hashable) -> int:
        """Tells how many choices were made among these, from 0."""
        return self._made.get(among, 0)

    def take(self, among: Hashable) -> int:
        """Tells how many choices were made among these, and counts one more."""
        turn = self._made.get(among, 0)
        if turn == 0 and len(self._made) >= MAX_SETS:
            del self._made[next(iter(self._made))]
        self._made[among] = turn + 1
        return turn
