"""A line to a PostgreSQL that a test can cut, freeze, or make lose the answer to a commit."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit, urlunsplit

BYTES = 65_536
# How psycopg ends a transaction: a simple query.
COMMIT = b"COMMIT\0"


class Line:
    """Passes bytes on, in both directions, until it is told otherwise. Runs in the loop of whoever starts it."""

    def __init__(self, url: str) -> None:
        self._upstream = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._commits_to_lose = 0
        self.lost_commits = 0

    @property
    def url(self) -> str:
        """Gives the URL of the same database at the end of the line."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        user = f"{self._upstream.username}@" if self._upstream.username else ""
        return urlunsplit(self._upstream._replace(netloc=f"{user}127.0.0.1:{port}"))

    def freeze(self) -> None:
        """Lets nothing through: connections stay open, and nothing answers."""
        self._flows.clear()

    def thaw(self) -> None:
        """Lets through what has gathered, and what comes."""
        self._flows.set()

    def lose_answers_to_commits(self, times: int = 1) -> None:
        """Breaks the connection of each of the next commits after it has come through, before it is answered."""
        self._commits_to_lose = times

    def cut(self) -> None:
        """Breaks all connections; new ones come through."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._flows.set()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        host, port = self._upstream.hostname, self._upstream.port
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(upstream_writer)
        losing = asyncio.Event()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            back = asyncio.create_task(self._back(upstream_reader, writer, losing))
            try:
                await self._forth(reader, upstream_writer, losing)
            finally:
                upstream_writer.close()
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
        for each in (writer, upstream_writer):
            each.transport.abort()
            self._writers.discard(each)
        self._tasks.discard(task)

    async def _forth(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while piece := await reader.read(BYTES):
            await self._flows.wait()
            if self._commits_to_lose and COMMIT in piece:
                self._commits_to_lose -= 1
                losing.set()
            upstream.write(piece)
            await upstream.drain()

    async def _back(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Event) -> None:
        while piece := await upstream.read(BYTES):
            await self._flows.wait()
            if losing.is_set():
                # The answer has come: the transaction is committed.
                self.lost_commits += 1
                writer.transport.abort()
                return
            writer.write(piece)
            await writer.drain()
        writer.close()
