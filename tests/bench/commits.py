"""What two durable commits take at the least: plain SQLite, one connection in a thread of its own, and few statements.

A promise is a row and a sum that is held; a settlement takes both back, and writes an entry as wide as the ledger's.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from queue import SimpleQueue

_TABLES = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE sums (held INTEGER, spent INTEGER);
CREATE TABLE promises (name TEXT PRIMARY KEY, amount INTEGER, about TEXT);
CREATE TABLE entries (name TEXT PRIMARY KEY, at INTEGER, cost INTEGER, about TEXT);
CREATE INDEX entries_at ON entries (at);
INSERT INTO sums VALUES (0, 0);
"""
_ABOUT = "x" * 300

Statements = list[tuple[str, tuple[object, ...]]]


class TwoCommits:
    """Writes promises and settlements, each in a transaction of its own. Build it inside the running loop."""

    def __init__(self, path: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[Statements, asyncio.Future[None]]] = SimpleQueue()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript(_TABLES)
        threading.Thread(target=self._run, daemon=True).start()

    def promise(self, name: str) -> asyncio.Future[None]:
        return self._write(
            [
                ("INSERT INTO promises VALUES (?, ?, ?)", (name, 1, _ABOUT)),
                ("UPDATE sums SET held = held + ?", (1,)),
            ]
        )

    def settle(self, name: str) -> asyncio.Future[None]:
        return self._write(
            [
                ("DELETE FROM promises WHERE name = ?", (name,)),
                ("UPDATE sums SET held = held - ?, spent = spent + ?", (1, 1)),
                ("INSERT INTO entries VALUES (?, ?, ?, ?)", (name, self._loop.time(), 1, _ABOUT)),
            ]
        )

    def _write(self, statements: Statements) -> asyncio.Future[None]:
        told = self._loop.create_future()
        self._queue.put((statements, told))
        return told

    def _run(self) -> None:
        while True:
            statements, told = self._queue.get()
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                self._connection.execute(statement, values)
            self._connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, told)


def _tell(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)
