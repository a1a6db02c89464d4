"""Remembers for moments what was looked up, so that a busy key does not cost a query each time it is used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# How long an answer counts, in seconds: a revocation is effective everywhere after this time at the latest.
FOUND_SECONDS = 2.0
# What is not there may be there soon: whoever makes a key wants to use it.
ABSENT_SECONDS = 0.5
MOST_REMEMBERED = 8_192

# From when and until when an answer counts, in seconds since the epoch, and the answer.
_Entry = tuple[float, float, Value]


class RecentLookups(Generic[Key, Value]):
    """Answers of one lookup, by key. Those who ask for the same at once share one lookup.

    What was found and what was not are kept apart, each bounded: asking for what is not there pushes nobody out.
    """

    def __init__(
        self,
        look_up: Callable[[Key], Awaitable[Value | None]],
        *,
        found_seconds: float = FOUND_SECONDS,
        absent_seconds: float = ABSENT_SECONDS,
        most: int = MOST_REMEMBERED,
    ) -> None:
        self._look_up = look_up
        self._found_seconds = found_seconds
        self._absent_seconds = absent_seconds
        self._most = most
        self._found: dict[Key, _Entry[Value]] = {}
        self._absent: dict[Key, _Entry[None]] = {}
        self._under_way: dict[Key, asyncio.Task[Value | None]] = {}

    def __len__(self) -> int:
        return len(self._found) + len(self._absent)

    async def get(self, key: Key, now: float) -> Value | None:
        """Gives what is there under a key, None when nothing is; `now` is in seconds since the epoch.

        Raises what the lookup raises, which is not remembered.
        """
        entry = self._found.get(key) or self._absent.get(key)
        # A clock that was set back must not make an answer last.
        if entry is not None and entry[0] <= now < entry[1]:
            return entry[2]
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._fresh(key, now))
            task.add_done_callback(lambda _task: self._under_way.pop(key))
        # One who goes away must not take the answer from the others. An error that nobody waits for is not logged.
        return await asyncio.shield(task)

    async def _fresh(self, key: Key, now: float) -> Value | None:
        value = await self._look_up(key)
        # Time counts from the question: what came after it, the answer may not know.
        if value is None:
            self._found.pop(key, None)
            _remember(self._absent, key, (now, now + self._absent_seconds, None), self._most)
        else:
            self._absent.pop(key, None)
            _remember(self._found, key, (now, now + self._found_seconds, value), self._most)
        return value


def _remember(entries: dict[Key, _Entry[Value]], key: Key, entry: _Entry[Value], most: int) -> None:
    """Keeps an entry, and forgets the oldest ones beyond the bound."""
    entries.pop(key, None)
    while len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = entry
