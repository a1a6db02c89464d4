"""Migrations: up and down on both databases, what they make, and tables that the service refuses to start on."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.storage import migrating
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.migrating import BASE, NEWEST, SchemaState, SchemaUnfit, make_ready, migrate, state_of
from muxer_grpc.storage.schema import metadata, tenants
from tests.services import shared
from tests.services.server import Session
from tests.storage.reckoning import rows_of


@pytest.fixture
def empty(empty_database_url: str) -> Database:
    return Database(empty_database_url)


def tables_of(database: Database) -> set[str]:
    engine = database.sync_engine()
    with engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def run(database: Database, statement: str) -> None:
    engine = database.sync_engine()
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_up_down_and_up_again_make_the_same_tables(empty: Database) -> None:
    assert state_of(empty) == (SchemaState.EMPTY, "")
    assert migrate(empty) == ("", NEWEST)
    made = tables_of(empty)
    assert made == {*metadata.tables, "alembic_version"}
    assert migrate(empty) == (NEWEST, NEWEST)
    assert migrate(empty, BASE) == (NEWEST, "")
    assert tables_of(empty) == {"alembic_version"}
    assert migrate(empty, BASE) == ("", "")
    assert state_of(empty) == (SchemaState.EMPTY, "")
    assert migrate(empty, NEWEST) == ("", NEWEST)
    assert tables_of(empty) == made
    assert {row["id"] for row in rows_of(empty, tenants)} == {"muxer", "local"}


def test_what_the_migrations_make_is_what_the_code_speaks_of(database: Database) -> None:
    engine = database.sync_engine()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        made = _constraints(connection)
    with engine.begin() as connection:
        for name in reversed([*metadata.tables]):
            connection.execute(text(f'DROP TABLE IF EXISTS "{name}"' + ("" if database.is_sqlite else " CASCADE")))
        metadata.create_all(connection)
        assert _constraints(connection) == made


def _constraints(connection: object) -> dict[str, object]:
    """Lists what guards the tables and what a comparison of Alembic's leaves out."""
    found = inspect(connection)
    return {
        name: (
            sorted((c["name"], c["sqltext"]) for c in found.get_check_constraints(name)),
            sorted((str(k["name"]), k["referred_table"], str(k["options"])) for k in found.get_foreign_keys(name)),
            found.get_pk_constraint(name),
            sorted(str(c["name"]) for c in found.get_unique_constraints(name)),
        )
        for name in metadata.tables
    }


def test_the_newest_revision_is_that_of_the_last_file() -> None:
    assert migrating.revisions()[-1] == NEWEST


def test_many_who_migrate_at_once_make_the_tables_once(empty: Database) -> None:
    async def all_at_once() -> list[tuple[str, str]]:
        return await asyncio.gather(*(asyncio.to_thread(migrate, Database(_url(empty))) for _ in range(4)))

    assert sorted(asyncio.run(all_at_once())) == [("", NEWEST), *[(NEWEST, NEWEST)] * 3]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_new_file_that_another_writes_for_a_moment_is_waited_for(tmp_path: Path, *, asynchronous: bool) -> None:
    # SQLite itself refuses at once: who has begun to write may want to write by way of a log as well.
    database = Database(f"sqlite:///{tmp_path}/new.db")
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        opened = asyncio.ensure_future(_looked_at(database) if asynchronous else asyncio.to_thread(state_of, database))
        await asyncio.sleep(0.3)
        assert not opened.done()
        other.execute("COMMIT")
        await opened
    await database.aclose()


async def _looked_at(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))


def _url(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def test_the_tables_of_a_new_file_are_made_at_start(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new.db")
    make_ready(database)
    make_ready(database)
    assert state_of(database) == (SchemaState.CURRENT, NEWEST)


def test_the_tables_of_a_server_are_made_by_an_operator_alone(services: Session) -> None:
    with shared.empty_postgresql(services) as url:
        database = Database(url)
        with pytest.raises(SchemaUnfit, match="has no tables yet: run muxer migrate"):
            make_ready(database)
        assert tables_of(database) == set()


def test_a_database_that_is_current_is_taken_as_it_is(database: Database) -> None:
    make_ready(database)
    assert state_of(database) == (SchemaState.CURRENT, NEWEST)


def test_tables_of_somebody_else_are_refused(empty: Database) -> None:
    run(empty, "CREATE TABLE theirs (id INTEGER)")
    with pytest.raises(SchemaUnfit, match=r"a revision that this version does not know \(none\)"):
        make_ready(empty)
    assert tables_of(empty) == {"theirs"}


def test_the_refusal_names_the_database_without_its_password() -> None:
    database = Database("postgresql://muxer:hunter2@127.0.0.1:1/muxer")
    assert (database.shown, "hunter2" in database.shown) == ("postgresql://muxer:***@127.0.0.1:1/muxer", False)
    with pytest.raises(StorageUnavailable):
        make_ready(database)


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Gives the migrations of a later version of the service, with one step more."""
    folder = tmp_path / "later"
    shutil.copytree(migrating.FOLDER, folder)
    (folder / "versions" / "9999_more.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\n"
        f"revision = '9999'\ndown_revision = '{NEWEST}'\nbranch_labels = None\ndepends_on = None\n"
        "def upgrade():\n    op.add_column('tenants', sa.Column('colour', sa.String(8)))\n"
        "def downgrade():\n    with op.batch_alter_table('tenants') as table:\n        table.drop_column('colour')\n"
    )
    with monkeypatch.context() as version:
        version.setattr(migrating, "FOLDER", folder)
        version.setattr(migrating, "NEWEST", "9999")
        yield folder


def test_older_tables_are_refused_until_they_are_migrated(database: Database, later: Path) -> None:
    assert state_of(database) == (SchemaState.OLDER, NEWEST)
    with pytest.raises(SchemaUnfit, match=f"at revision {NEWEST}, and this version needs 9999: run muxer migrate"):
        make_ready(database)
    assert migrate(database) == (NEWEST, "9999")
    make_ready(database)
    assert migrate(database, NEWEST) == ("9999", NEWEST)
    assert state_of(database) == (SchemaState.OLDER, NEWEST)
    assert {row["id"] for row in rows_of(database, tenants)} == {"muxer", "local"}


def test_a_step_that_breaks_references_changes_nothing(database: Database, later: Path) -> None:
    step = later / "versions" / "9999_more.py"
    step.write_text(step.read_text().replace("op.add_column(", 'op.execute("DELETE FROM tenants"); op.add_column('))
    # PostgreSQL says so itself, at once.
    with pytest.raises((RuntimeError, IntegrityError)):
        migrate(database)
    assert state_of(database) == (SchemaState.OLDER, NEWEST)
    assert {row["id"] for row in rows_of(database, tenants)} == {"muxer", "local"}


def test_newer_tables_are_refused(database: Database, later: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(database)
    with monkeypatch.context() as version:
        version.setattr(migrating, "FOLDER", Path(migrating.__file__).parent / "migrations")
        version.setattr(migrating, "NEWEST", NEWEST)
        assert state_of(database) == (SchemaState.UNKNOWN, "9999")
        with pytest.raises(SchemaUnfit, match=r"does not know \(9999\): run the version of the service that made it"):
            make_ready(database)
