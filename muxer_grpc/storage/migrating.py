"""Brings the tables to the revision that this version of the service knows, and says which one they are at."""

from __future__ import annotations

from enum import Enum
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from muxer_grpc.storage.database import Database, told

FOLDER = Path(__file__).parent / "migrations"
HEAD, BASE = "head", "base"


class SchemaState(Enum):
    """Says how the tables of a database stand to this version of the service."""

    EMPTY = "empty"
    CURRENT = "current"
    OLDER = "older"
    UNKNOWN = "unknown"


class SchemaUnfit(RuntimeError):
    """The service must not start on these tables; the message says what to run."""


def migrate(database: Database, revision: str = HEAD) -> tuple[str, str]:
    """Migrates up or down to a revision; gives the revisions before and after. Raises StorageUnavailable."""
    engine = database.sync_engine()
    try:
        with engine.begin() as connection:
            before = _revision(connection)
            config = _config(connection)
            down = revision == BASE or (revision != HEAD and _is_behind(revision, before))
            (command.downgrade if down else command.upgrade)(config, revision)
            return before, _revision(connection)
    except SQLAlchemyError as error:
        raise told(error) from error
    finally:
        engine.dispose()


def state_of(database: Database) -> tuple[SchemaState, str]:
    """Tells how the tables stand, and their revision. Raises StorageUnavailable."""
    engine = database.sync_engine()
    try:
        with engine.connect() as connection:
            revision = _revision(connection)
            if revision == newest():
                return SchemaState.CURRENT, revision
            if not revision:
                foreign = set(inspect(connection).get_table_names()) - {"alembic_version"}
                return (SchemaState.UNKNOWN if foreign else SchemaState.EMPTY), ""
            known = {step.revision for step in _scripts().walk_revisions()}
            return (SchemaState.OLDER if revision in known else SchemaState.UNKNOWN), revision
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
    if state is SchemaState.CURRENT:
        return
    problem = {
        SchemaState.EMPTY: "has no tables yet: run muxer migrate",
        SchemaState.OLDER: f"is at revision {revision}, and this version needs {newest()}: run muxer migrate",
        SchemaState.UNKNOWN: f"is at a revision that this version does not know ({revision or 'none'}): "
        "run the version of the service that made it, or give another database",
    }[state]
    msg = f"{database.shown} {problem}"
    raise SchemaUnfit(msg)


@cache
def newest() -> str:
    """Gives the revision that this version of the service knows."""
    return str(_scripts().get_current_head())


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(FOLDER))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _is_behind(revision: str, current: str) -> bool:
    """Tells whether a revision came before the current one."""
    if not current or revision == current:
        return False
    return revision in {step.revision for step in _scripts().iterate_revisions(current, BASE)}
