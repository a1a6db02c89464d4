"""A look at the whole database as it stands at one moment, for reports that must agree with themselves."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.storage.database import Database

# What PostgreSQL may take for one statement of a report, in seconds.
REPORT_SECONDS = 60


@asynccontextmanager
async def snapshot(database: Database, seconds: int = REPORT_SECONDS) -> AsyncGenerator[AsyncConnection, None]:
    """Opens a transaction that sees one state of the database, whatever others write meanwhile.

    SQLite's readers see one state by themselves (https://www.sqlite.org/isolation.html). A statement that takes longer
    than `seconds` is given up on PostgreSQL. Raises StorageUnavailable.
    """
    async with database.read() as opened:
        connection = opened
        if not database.is_sqlite:
            connection = await opened.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            await connection.execute(text(f"SET LOCAL statement_timeout = {int(seconds) * 1_000}"))
        yield connection
