"""What may be spent in an hour: taken before a call for the most that it can cost, and corrected after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

HOUR = 3_600.0


class Taken(NamedTuple):
    """An amount in nano-USD that was taken from the allowance of an hour (counted since the epoch)."""

    hour: int
    nano_usd: int


class HourlyAllowance:
    """Bounds what is spent in each hour of the clock, whatever the number of calls under way; nothing is carried over.

    The bound is in nano-USD; `now` gives seconds since the epoch.
    """

    def __init__(self, nano_usd_per_hour: int, now: Callable[[], float]) -> None:
        self._bound = nano_usd_per_hour
        self._now = now
        self._hour = -1
        self.spent_nano_usd = 0

    def take(self, most_nano_usd: int) -> Taken | None:
        """Takes the most that a call can cost; None where less is left."""
        hour = int(self._now() // HOUR)
        if hour != self._hour:
            self._hour = hour
            self.spent_nano_usd = 0
        if self.spent_nano_usd + most_nano_usd > self._bound:
            return None
        self.spent_nano_usd += most_nano_usd
        return Taken(hour, most_nano_usd)

    def settle(self, taken: Taken, cost_nano_usd: int) -> None:
        """Puts what a call did cost in place of what was taken for it, in the hour from which it was taken."""
        if taken.hour == self._hour:
            self.spent_nano_usd += cost_nano_usd - taken.nano_usd
