"""Buckets of time: hours, days and months as a wall clock in a time zone shows them, exact across its changes.

Times are microseconds since the epoch. A bucket is named by a key, an integer that rises with time: the time at which
an hour begins, the number of a day since 1970-01-01, or of a month since January of the year 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.enumeration import Named

HOUR_US = 3_600 * MICROSECONDS
DAY_US = 24 * HOUR_US
MONTHS = 12
_EPOCH = date(1970, 1, 1)
_DAY_SECONDS = 86_400


class BucketSize(Named):
    """Names how long buckets are. A day has 23 to 25 hours, and a month as many days as it has."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Buckets:
    """A way to cut time into buckets; `zone` is a name of the IANA database."""

    size: BucketSize
    zone: str = "UTC"

    def key_of(self, at_us: int) -> int:
        """Names the bucket that a time falls into."""
        offset = _offset_us(self.zone, at_us // MICROSECONDS)
        if self.size is BucketSize.HOUR:
            return (at_us + offset) // HOUR_US * HOUR_US - offset
        day = (at_us + offset) // DAY_US
        if self.size is BucketSize.DAY:
            return day
        local = _EPOCH + timedelta(days=day)
        return local.year * MONTHS + local.month - 1

    def bounds(self, key: int) -> tuple[int, int]:
        """Gives the beginning and the end of a bucket."""
        if self.size is BucketSize.HOUR:
            return self._hour_bounds(key)
        if self.size is BucketSize.DAY:
            first = _EPOCH + timedelta(days=key)
            return self._midnight(first), self._midnight(first + timedelta(days=1))
        return self._midnight(_first_of(key)), self._midnight(_first_of(key + 1))

    def _midnight(self, day: date) -> int:
        # Where a change of the clock leaves midnight out, this is the moment of the change.
        local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.zone))
        return int(local.timestamp()) * MICROSECONDS

    def _hour_bounds(self, key: int) -> tuple[int, int]:
        """Cuts an hour where the clock changed within it by less than whole hours."""
        end = key + HOUR_US
        first, last = key // MICROSECONDS, (end - 1) // MICROSECONDS
        before, after = _offset_us(self.zone, first), _offset_us(self.zone, last)
        if (before - after) % HOUR_US == 0:
            return key, end
        change = _change_between(self.zone, first, last) * MICROSECONDS
        return (key, change) if (key + before) % HOUR_US == 0 else (change, end)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time during which a zone's clocks are `offset_us` ahead of UTC; it ends before `until_us`, or never."""

    offset_us: int
    until_us: int | None


def stretches(zone: str, since_us: int, until_us: int) -> tuple[Stretch, ...]:
    """Lists the stretches of a zone between two times, the first one first."""
    return _stretches(zone, since_us // DAY_US, until_us // DAY_US + 1)


@lru_cache(maxsize=256)
def _stretches(zone: str, first_day: int, last_day: int) -> tuple[Stretch, ...]:
    found = []
    at = first_day * _DAY_SECONDS
    offset = _offset_us(zone, at)
    for _ in range(first_day, last_day):
        following = at + _DAY_SECONDS
        after = _offset_us(zone, following)
        if after != offset:
            change = _change_between(zone, at, following)
            found.append(Stretch(offset, change * MICROSECONDS))
            offset = after
        at = following
    return (*found, Stretch(offset, None))


def _change_between(zone: str, early: int, late: int) -> int:
    """Finds the second at which a zone's clocks change, where they do once between two seconds."""
    before = _offset_us(zone, early)
    while late - early > 1:
        middle = (early + late) // 2
        if _offset_us(zone, middle) == before:
            early = middle
        else:
            late = middle
    return late


def _offset_us(zone: str, at_seconds: int) -> int:
    offset = datetime.fromtimestamp(at_seconds, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else offset // timedelta(microseconds=1)


def _first_of(month: int) -> date:
    return date(month // MONTHS, month % MONTHS + 1, 1)
