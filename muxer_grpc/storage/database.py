"""The database: SQLite in a file, or PostgreSQL. Opens connections, and says in our words when it cannot be reached.

Two kinds of connections serve. What admin services read and change goes through SQLAlchemy's async engine. The ledger's
writer has a plain connection in a thread of its own (see writer.py), where a batch of many requests is one hand-over
instead of one per statement.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.pool import NullPool
from sqlalchemy.util.concurrency import await_, in_greenlet

from muxer_grpc.domain.refusals import StorageUnavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_log = logging.getLogger(__name__)

# How long connections in use are waited for when the database is closed, in seconds.
CLOSE_SECONDS = 2.0
# A writer waits this long for another process's transaction, in seconds.
BUSY_SECONDS = 5.0
# Between two looks at a file that another process is about to change for good, in seconds.
BUSY_PAUSE_SECONDS = 0.005
CONNECT_SECONDS = 5
# What PostgreSQL may take for one statement of ours, in milliseconds, lock waits included.
STATEMENT_MILLISECONDS = 10_000
# A connection whose other end has vanished without a word is given up after about so many seconds.
SILENT_SECONDS = 10
POOL_SIZE = 5

READ_ONLY = "muxer_read_only"


class BadStorageUrl(ValueError):
    """A storage URL that names no database we know; the message holds no password."""


def checked_url(text: str) -> URL:
    """Reads a storage URL. Raises BadStorageUrl."""
    try:
        url = make_url(text)
    except ArgumentError:
        msg = "it must be sqlite:///file or postgresql://user:password@host/database"
        raise BadStorageUrl(msg) from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        msg = f"{backend} is not supported: use sqlite:///file or postgresql://user:password@host/database"
        raise BadStorageUrl(msg)
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        msg = "a database in memory would be forgotten with each connection: give a file, as sqlite:///muxer.db"
        raise BadStorageUrl(msg)
    return url


class Database:
    """One database. Build it inside the running loop, and close it there."""

    def __init__(self, text: str) -> None:
        self.url = checked_url(text)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine: AsyncEngine | None = None
        # Counts the connections that somebody has or waits for, and tells when there is none.
        self._in_use = 0
        self._unused = asyncio.Event()
        # Connections whose users were cancelled, and which their threads close yet.
        self._ending: set[asyncio.Future[Any]] = set()

    @property
    def shown(self) -> str:
        """Names the database without its password."""
        return self.url.render_as_string(hide_password=True)

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection, None]:
        """Opens a transaction that changes nothing. Raises StorageUnavailable."""
        try:
            async with self._lent(self._async_engine().connect()) as connection:
                yield await connection.execution_options(**{READ_ONLY: True})
        except SQLAlchemyError as error:
            raise told(error) from error

    @asynccontextmanager
    async def change(self) -> AsyncGenerator[AsyncConnection, None]:
        """Opens a transaction, and commits it on leaving without an error. Raises StorageUnavailable."""
        try:
            async with self._lent(self._async_engine().begin()) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise told(error) from error

    @asynccontextmanager
    async def _lent(
        self, opening: AbstractAsyncContextManager[AsyncConnection]
    ) -> AsyncGenerator[AsyncConnection, None]:
        """Lends a connection, from the moment on in which it is asked for.

        One that is given back when the engine is closed already would be left open.
        """
        self._in_use += 1
        try:
            async with opening as connection:
                yield connection
        finally:
            self._in_use -= 1
            if not self._in_use:
                self._unused.set()

    def sync_engine(self) -> Engine:
        """Makes an engine for a thread of its own; whoever asks for it disposes of it."""
        url = self.url.set(drivername="sqlite+pysqlite" if self.is_sqlite else "postgresql+psycopg")
        engine = create_engine(url, poolclass=NullPool, connect_args=self._connect_arguments())
        if self.is_sqlite:
            _prepare_sqlite(engine)
        return engine

    async def aclose(self) -> None:
        """Closes all connections, those in use when their users are done with them or have had some time for it."""
        if self._in_use:
            self._unused.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._unused.wait(), CLOSE_SECONDS)
        if self._engine is not None:
            await self._engine.dispose()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _terminate(self, connection: Any) -> None:
        """Closes a connection to SQLite whose user was cancelled.

        SQLAlchemy's own way stops the connection's thread when it is cancelled as well, under the close that is on its
        way: a task is left that waits for ever, and no event loop could be closed any more. This one is left alone.
        """
        driver = connection.driver_connection
        if not in_greenlet():  # found by the garbage collector
            driver.stop()
            return
        closing = asyncio.ensure_future(driver.close())
        self._ending.add(closing)
        closing.add_done_callback(self._ending.discard)
        await_(asyncio.shield(closing))

    def _async_engine(self) -> AsyncEngine:
        if self._engine is None:
            from sqlalchemy.ext.asyncio import create_async_engine

            url = self.url.set(drivername="sqlite+aiosqlite" if self.is_sqlite else "postgresql+psycopg")
            self._engine = create_async_engine(
                url,
                connect_args=self._connect_arguments(),
                pool_size=POOL_SIZE,
                max_overflow=POOL_SIZE,
                pool_timeout=BUSY_SECONDS,
                # A connection that a restart of the database has broken is found before it is used.
                pool_pre_ping=not self.is_sqlite,
            )
            if self.is_sqlite:
                _prepare_sqlite(self._engine.sync_engine)
                self._engine.sync_engine.dialect.do_terminate = self._terminate  # type: ignore[assignment, method-assign]
        return self._engine

    def _connect_arguments(self) -> dict[str, Any]:
        if self.is_sqlite:
            return {"timeout": BUSY_SECONDS, "check_same_thread": False}
        return {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "muxer",
            "tcp_user_timeout": SILENT_SECONDS * 1_000,
            "keepalives_idle": SILENT_SECONDS // 2,
            "keepalives_interval": 1,
            "keepalives_count": SILENT_SECONDS // 2,
            "options": f"-c statement_timeout={STATEMENT_MILLISECONDS}",
        }


def _prepare_sqlite(engine: Engine) -> None:
    """Sets what SQLite leaves to each connection, and takes transactions out of the driver's hands.

    In WAL mode with synchronous=NORMAL a committed transaction survives the death of the process at any point; the last
    ones may be lost when the machine itself loses power (https://www.sqlite.org/pragma.html#pragma_synchronous).
    """

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        # The driver would begin transactions late and as readers, which fail when they turn writers.
        connection.isolation_level = None
        cursor = connection.cursor()
        _write_ahead(cursor)
        for setting in ("synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(READ_ONLY)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _write_ahead(cursor: Any) -> None:
    """Has a file written by way of a log.

    Of several who do so at once with a new file, SQLite refuses some at once instead of having them wait: each could
    wait for the other (https://www.sqlite.org/c3ref/busy_handler.html).
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        else:
            return
        if in_greenlet():
            await_(asyncio.sleep(BUSY_PAUSE_SECONDS))
        else:
            time.sleep(BUSY_PAUSE_SECONDS)


def told(error: Exception) -> Exception:
    """Gives the error that callers see for a database's: StorageUnavailable where it is its state, else the same."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, OperationalError | InterfaceError | PoolExhausted) or is_passing(cause):
        _log.warning("the database cannot be used: %s", type(cause).__name__)
        return StorageUnavailable()
    return error


@cache
def _passing_of_postgresql() -> tuple[type[Exception], ...]:
    """Lists the driver's errors that are of the database's state."""
    import psycopg

    return (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        # A server that is in recovery, or was made a standby, can be read only.
        psycopg.errors.ReadOnlySqlTransaction,
        psycopg.errors.IdleInTransactionSessionTimeout,
    )


def is_passing(cause: object) -> bool:
    """Tells whether a driver's error is of the database's state (gone, locked, full) and not of what was asked."""
    if isinstance(cause, sqlite3.OperationalError):
        # "no such table" and the like are ours.
        return not str(cause).startswith(("no such", "near ", "table ", "duplicate column"))
    if isinstance(cause, TimeoutError | OSError):
        return True
    # A driver that was never loaded raises nothing.
    return "psycopg" in sys.modules and isinstance(cause, _passing_of_postgresql())
