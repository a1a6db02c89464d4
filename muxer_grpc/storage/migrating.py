"""Brings the tables to the revision that this version of the service knows, and says which one they are at."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from muxer_grpc.storage.database import Database, told

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"
HEAD, BASE = "head", "base"
# The revision that this version knows: the last of the files in migrations/versions, whose names begin with theirs.
NEWEST = "0001"
# A number that no other program of the same database uses for a lock of its own: `muxer` in ASCII.
MIGRATION_LOCK = 0x6D75786572
LOCK_SECONDS = 10


class SchemaState(Enum):
    """Says how the tables of a database stand to this version of the service."""

    EMPTY = "empty"
    CURRENT = "current"
    OLDER = "older"
    UNKNOWN = "unknown"


class SchemaUnfit(ValueError):
    """The service must not start on these tables; the message says what to run."""


def migrate(database: Database, revision: str = HEAD) -> tuple[str, str]:
    """Migrates up or down to a revision; gives the revisions before and after. Raises StorageUnavailable."""
    # It tells of every step at a level that is for what an operator should see. And it takes a quarter of a second to
    # import; a service whose tables are ready needs nothing of it.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command

    engine = database.sync_engine()
    if database.is_sqlite:
        # To alter a table is to copy it and to drop the old one, with all that refers to its rows. So references are
        # looked at in the end instead; they can be switched off before a transaction only.
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=OFF"))
    try:
        with engine.begin() as connection:
            if not database.is_sqlite:
                # A step may take long on large tables; and of several who migrate at once, the others wait. A step that
                # waits for a table gives up soon: behind it, everybody who uses the table waits.
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            before = revision_of(connection)
            config = _config(connection)
            down = revision == BASE or (revision != HEAD and revision < before)
            (command.downgrade if down else command.upgrade)(config, revision)
            if database.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                msg = f"the migration to {revision} leaves rows that refer to nothing: nothing was changed"
                raise RuntimeError(msg)
            return before, revision_of(connection)
    except SQLAlchemyError as error:
        raise told(error) from error
    finally:
        engine.dispose()


def state_of(database: Database) -> tuple[SchemaState, str]:
    """Tells how the tables stand, and their revision. Raises StorageUnavailable."""
    engine = database.sync_engine()
    try:
        with engine.connect() as connection:
            revision = revision_of(connection)
            if revision == NEWEST:
                return SchemaState.CURRENT, revision
            if not revision:
                foreign = set(inspect(connection).get_table_names()) - {"alembic_version"}
                return (SchemaState.UNKNOWN if foreign else SchemaState.EMPTY), ""
            return (SchemaState.OLDER if revision in revisions() else SchemaState.UNKNOWN), revision
    except SQLAlchemyError as error:
        raise told(error) from error
    finally:
        engine.dispose()


def make_ready(database: Database) -> None:
    """Makes the tables where there are none in a file of SQLite's. Raises SchemaUnfit, StorageUnavailable.

    Tables that hold something are migrated by an operator alone: `muxer migrate`.
    """
    state, revision = state_of(database)
    if state is SchemaState.EMPTY and database.is_sqlite:
        migrate(database)
        return
    _check(database, state, revision)


def check_ready(database: Database) -> None:
    """Makes sure of the tables without touching them, or a file for them. Raises SchemaUnfit, StorageUnavailable."""
    missing = database.is_sqlite and not Path(str(database.url.database)).exists()
    _check(database, *((SchemaState.EMPTY, "") if missing else state_of(database)))


def _check(database: Database, state: SchemaState, revision: str) -> None:
    if state is SchemaState.CURRENT:
        return
    problem = {
        SchemaState.EMPTY: "has no tables yet: run muxer migrate",
        SchemaState.OLDER: f"is at revision {revision}, and this version needs {NEWEST}: run muxer migrate",
        SchemaState.UNKNOWN: f"is at a revision that this version does not know ({revision or 'none'}): "
        "run the version of the service that made it, or give another database",
    }[state]
    msg = f"{database.shown} {problem}"
    raise SchemaUnfit(msg)


def revisions() -> tuple[str, ...]:
    """Lists the revisions that this version knows, the first one first."""
    return tuple(sorted(path.stem.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py")))


def revision_of(connection: Connection) -> str:
    """Tells the revision of the tables; empty where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    return config
