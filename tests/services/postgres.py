"""A PostgreSQL of the tests' own. What it says is committed survives its kill -9, though not a crash of the machine."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.services.server import Server, ServiceMissing, Session

USER = "muxer"
OLDEST = 13
# Where Debian keeps each version's programs, out of everybody's path.
DEBIAN = Path("/usr/lib/postgresql")

# Writes go to the operating system's memory and not to the disk, which would make tests slow: tests crash processes and
# no machines. Commits are still acknowledged only when written, so that a kill -9 loses none.
SPEED = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}
SIZE = {"max_connections": "200", "shared_buffers": "32MB"}


class PostgresServer(Server):
    """PostgreSQL, on a port, with a superuser `muxer` whom it trusts. Root runs it as another user, as it must be."""

    # A fast shutdown: it ends the sessions that are open.
    stop_signal = signal.SIGINT

    def __init__(self, session: Session, *, shared: bool = False) -> None:
        super().__init__(session, shared=shared)
        self._cluster = self.folder / "cluster"

    @property
    def url(self) -> str:
        """Gives the URL of the database for administration."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def user(self) -> str:
        """Names the user it runs as."""
        if os.geteuid() != 0:
            return ""
        known = {entry.pw_name for entry in pwd.getpwall()}
        return "postgres" if "postgres" in known else "nobody"

    def prepare(self) -> None:
        """Makes the cluster, once."""
        if self._cluster.exists():
            return
        program = programs() / "initdb"
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"]
        identity = {}
        if self.user():
            entry = pwd.getpwnam(self.user())
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
        made = subprocess.run(
            [program, *options, "--pgdata", self._cluster], cwd="/", capture_output=True, check=False, **identity
        )  # type: ignore[call-overload]
        if made.returncode:
            msg = f"initdb failed: {made.stderr.decode(errors='replace')[-2_000:]}"
            raise RuntimeError(msg)

    def command(self) -> list[str]:
        """Gives the command that runs it."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            **SPEED,
            **SIZE,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(programs() / "postgres"), "-D", str(self._cluster), *options]

    def answers(self) -> bool:
        """Tells whether it is ready to serve."""
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def programs() -> Path:
    """Finds the folder of PostgreSQL's programs, the newest first. Raises ServiceMissing."""
    for folder in _folders():
        if (folder / "initdb").exists() and (folder / "postgres").exists() and version_in(folder) >= OLDEST:
            return folder
    msg = f"PostgreSQL {OLDEST} or newer is not installed: run .make/services, or set MUXER_TEST_POSTGRESQL_URL"
    raise ServiceMissing(msg)


def _folders() -> Iterator[Path]:
    yield from sorted(DEBIAN.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    found = shutil.which("initdb")
    if found:
        yield Path(found).parent


def version_in(folder: Path) -> int:
    """Asks for the major version of the PostgreSQL in a folder."""
    told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+", told)
    return int(found.group()) if found else 0


def make_database(url: str, name: str, template: str = "template1") -> str:
    """Makes a database on the server of a URL; gives its own."""
    _run(url, "CREATE DATABASE {} TEMPLATE {}", name, template)
    return with_database(url, name)


def drop_database(url: str, name: str) -> None:
    """Drops a database, whoever is connected to it."""
    _run(url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


# What tells the shape of a database: its tables, columns, constraints, indexes and triggers.
_SHAPE = """
SELECT md5(string_agg(line, ' ' ORDER BY line)) FROM (
    SELECT format('%s.%s %s %s', c.relname, a.attname, a.atttypid, a.attnotnull) AS line
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
    UNION ALL SELECT format('%s %s', conname, contype) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal
) AS lines
"""
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
_SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"
_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"


@dataclass(frozen=True)
class State:
    """A migrated database: its shape, as a digest, and its rows by table, as JSON."""

    shape: str
    rows: dict[str, str]


def state_of(url: str) -> State:
    """Tells the state of a database."""
    with psycopg.connect(url) as connection:
        found = {}
        for (table,) in connection.execute(_TABLES).fetchall():
            told = connection.execute(
                sql.SQL("SELECT json_agg(rows)::text FROM {} AS rows").format(sql.Identifier(table))
            ).fetchone()
            if told is not None and told[0] is not None:
                found[table] = told[0]
        return State(_shape(connection), found)


def restored(url: str, state: State) -> bool:
    """Takes a database back to a state, whoever is connected to it; false where its shape is another one."""
    try:
        with psycopg.connect(url) as connection:
            connection.execute(_OTHERS, [connection.info.backend_pid])
            if _shape(connection) != state.shape:
                return False
            # No foreign key is asked, so that the order does not matter.
            connection.execute("SET LOCAL session_replication_role = replica")
            for (table,) in connection.execute(_TABLES).fetchall():
                name = sql.Identifier(table)
                connection.execute(sql.SQL("DELETE FROM {}").format(name))
                if table in state.rows:
                    put = sql.SQL("INSERT INTO {} SELECT * FROM json_populate_recordset(NULL::{}, %s)")
                    connection.execute(put.format(name, name), [state.rows[table]])
            for (sequence,) in connection.execute(_SEQUENCES).fetchall():
                connection.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(sequence)))
    except psycopg.Error:
        return False
    return True


def _shape(connection: psycopg.Connection[tuple[str]]) -> str:
    digest = connection.execute(_SHAPE).fetchone()
    versions = connection.execute("SELECT version_num FROM alembic_version ORDER BY 1").fetchall()
    return "-".join(str(word) for row in (digest or (), *versions) for word in row)


def databases_like(url: str, prefix: str) -> list[str]:
    """Lists the databases whose name begins with a word."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix])
        return [str(row[0]) for row in rows]


def with_database(url: str, name: str) -> str:
    """Gives the URL of another database of the same server."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def _run(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
