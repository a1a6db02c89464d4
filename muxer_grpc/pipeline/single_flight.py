"""The same work, asked for by many at once, is done once in this process: the others wait for what it comes to.

Whoever comes first has the turn. What it brings, all get. When it fails, or its caller leaves, the turn goes on to
exactly one of those who wait; when it brings what is not for others, all of them go on by themselves, since one after
another would wait for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from muxer_grpc.pipeline.time_limit import TimeLimit

T = TypeVar("T")


class Landed(NamedTuple, Generic[T]):
    """What somebody else's turn brought."""

    result: T


class _Flight(Generic[T]):
    """Work under way: who waits, in the order in which they came, and what it brought, once it did."""

    __slots__ = ("landed", "waiting")

    def __init__(self) -> None:
        # Those who wait are told the result, that the turn is theirs (True), or that they are on their own (False).
        self.waiting: dict[asyncio.Future[Landed[T] | bool], None] = {}
        self.landed: Landed[T] | None = None


class Turn(Generic[T]):
    """The right, and the duty, to do the work that others wait for. It must be closed, whatever happens."""

    __slots__ = ("_flight", "_flights", "_key", "_open")

    def __init__(self, flights: SingleFlight[T], key: Hashable, flight: _Flight[T]) -> None:
        self._flights = flights
        self._key = key
        self._flight = flight
        self._open = True

    def give(self, result: T) -> None:
        """Gives the result to all who wait, and to whoever comes before the turn is closed."""
        if self._open and self._flight.landed is None:
            self._flight.landed = landed = Landed(result)
            self._tell_all(landed)

    def let_all_go(self) -> None:
        """Lets all who wait do the work by themselves, and closes the turn."""
        if self._open:
            self._open = False
            self._flights.end(self._key, self._flight)
            self._tell_all(False)

    def close(self) -> None:
        """Ends the turn; one that brought nothing goes on to whoever waits longest. Does nothing the second time."""
        if self._open:
            self._open = False
            self._flights.pass_on(self._key, self._flight)

    def _tell_all(self, told: Landed[T] | bool) -> None:
        for future in self._flight.waiting:
            future.set_result(told)
        self._flight.waiting.clear()


class SingleFlight(Generic[T]):
    """Knows the work under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}
        # Counts the work that is over, so that whoever looked for its fruit before can tell that there may be more.
        self.over = 0

    @property
    def under_way(self) -> int:
        """Counts the work under way."""
        return len(self._flights)

    def has(self, key: Hashable) -> bool:
        """Tells whether somebody has the turn."""
        return key in self._flights

    async def join(self, key: Hashable, limit: TimeLimit, patience_seconds: float) -> Turn[T] | Landed[T] | None:
        """Takes the turn where nobody has it, or waits for what whoever has it brings.

        None: this caller does the work by itself, since its patience has ended or what came was not for others. Raises
        what the limit raises.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            return Turn(self, key, flight)
        if flight.landed is not None:
            return flight.landed
        future: asyncio.Future[Landed[T] | bool] = asyncio.get_running_loop().create_future()
        flight.waiting[future] = None
        try:
            await limit.wait(lambda: asyncio.wait((future,), timeout=patience_seconds))
        except BaseException:
            if future.done() and future.result() is True:
                # The turn came in the very moment in which this caller left.
                self.pass_on(key, flight)
            raise
        finally:
            flight.waiting.pop(future, None)
        told = future.result() if future.done() else False
        if told is True:
            return Turn(self, key, flight)
        return None if told is False else told

    def pass_on(self, key: Hashable, flight: _Flight[T]) -> None:
        """Gives the turn to whoever waits longest; ends the flight where nobody does."""
        if flight.landed is None and flight.waiting:
            future = next(iter(flight.waiting))
            del flight.waiting[future]
            future.set_result(True)
        else:
            self.end(key, flight)

    def end(self, key: Hashable, flight: _Flight[T]) -> None:
        """Ends a flight: whoever comes next begins another."""
        if self._flights.get(key) is flight:
            del self._flights[key]
            self.over += 1
