"""The servers that all workers of a test run share: started by the first test that needs one, or given by a URL."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from muxer_grpc.storage.database import Database
from muxer_grpc.storage.migrating import migrate
from tests.services.postgres import (
    PostgresServer,
    State,
    databases_like,
    drop_database,
    make_database,
    restored,
    state_of,
    with_database,
)
from tests.services.redis import RedisServer
from tests.services.server import OwnSession, Server, Session

S = TypeVar("S", bound=Server)

GIVEN = {"postgresql": "MUXER_TEST_POSTGRESQL_URL", "redis": "MUXER_TEST_REDIS_URL"}
# How workers find the session; no MUXER_ variable, since the service takes those for settings and refuses unknown ones.
FOLDER = "TEST_SERVICES_FOLDER"

_numbers = count()
# Shared servers that this process has started: they may outlive it, not the session.
_started: list[Server] = []


def begin(environment: MutableMapping[str, str]) -> OwnSession:
    """Begins the session of a test run, and takes the given URLs out of the environment."""
    session = OwnSession()
    environment[FOLDER] = str(session.folder)
    for kind, variable in GIVEN.items():
        url = environment.pop(variable, "")
        if url:
            (session.folder / f"{kind}.given").write_text(url)
    return session


def end(session: OwnSession, environment: MutableMapping[str, str]) -> None:
    """Ends the session; leaves nothing on a PostgreSQL that was given."""
    environment.pop(FOLDER, None)
    try:
        given = session.folder / "postgresql.given"
        if given.exists():
            for name in databases_like(given.read_text(), _prefix(session)):
                drop_database(given.read_text(), name)
    finally:
        session.end()


def current() -> Session:
    """Takes part in the session of the test run."""
    return Session(Path(os.environ[FOLDER]))


def postgresql(session: Session) -> str:
    """Gives the URL of the shared PostgreSQL."""

    def start() -> str:
        return _start(PostgresServer(session, shared=True)).url

    return _given(session, "postgresql") or session.once("postgresql", start)


@contextmanager
def empty_postgresql(session: Session) -> Iterator[str]:
    """Makes a database without tables on the shared PostgreSQL, and drops it on leaving; gives its URL."""
    with _database(session, "template1") as url:
        yield url


@contextmanager
def migrated_postgresql(session: Session) -> Iterator[str]:
    """Makes a database with all tables on the shared PostgreSQL, and drops it on leaving; gives its URL."""
    url = postgresql(session)

    def make() -> str:
        name = f"{_prefix(session)}template"
        made = make_database(url, name)
        migrate(Database(made))
        # Told once: whoever is connected to a template keeps others from making databases of it.
        return json.dumps({"name": name, **asdict(state_of(made))})

    kept = json.loads(session.once("postgresql-template", make))
    with _lent(session, kept.pop("name"), State(**kept)) as made:
        yield made


def migrated_sqlite(session: Session, file: Path) -> str:
    """Makes a file of SQLite's with all tables; gives its URL."""

    def make() -> str:
        template = session.folder / "template.db"
        migrate(Database(f"sqlite:///{template}"))
        return str(template)

    shutil.copyfile(session.once("sqlite-template", make), file)
    return f"sqlite:///{file}"


def empty_redis(session: Session) -> str:
    """Empties this worker's database of the shared Redis; gives its URL."""

    def start() -> str:
        return _start(RedisServer(session, shared=True)).url

    given = _given(session, "redis")
    first = given or session.once("redis", start)
    url = with_redis_database(first, worker_number())
    with redis.Redis.from_url(url) as client:
        # What was given may be somebody's: only what is empty at first is emptied later.
        if given and session.once(f"redis-{worker_number()}", lambda: str(client.dbsize())) != "0":
            msg = f"database {worker_number()} of the Redis in {GIVEN['redis']} is not empty"
            raise RuntimeError(msg)
        client.flushdb()
    return url


def with_redis_database(url: str, number: int) -> str:
    """Gives the URL of another database of the same Redis."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{number}"))


def worker_number() -> int:
    """Gives the number of this worker of the test run, 0 where there is but one."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _start(server: S) -> S:
    server.start()
    _started.append(server)
    return server


def _given(session: Session, kind: str) -> str:
    file = session.folder / f"{kind}.given"
    return file.read_text() if file.exists() else ""


@contextmanager
def _database(session: Session, template: str) -> Iterator[str]:
    server = postgresql(session)
    name = f"{_prefix(session)}{worker_number()}_{next(_numbers)}"
    make_database(server, name, template)
    try:
        yield with_database(server, name)
    finally:
        drop_database(server, name)


# Databases of a session as they were migrated, for the next test: restoring one takes a third of making one.
_idle: defaultdict[str, list[str]] = defaultdict(list)


@contextmanager
def _lent(session: Session, template: str, state: State) -> Iterator[str]:
    """Lends a database that is like the template; one that a test left with another shape is dropped."""
    server = postgresql(session)
    idle = _idle[session.name]
    if idle:
        name = idle.pop()
    else:
        name = f"{_prefix(session)}{worker_number()}_{next(_numbers)}"
        make_database(server, name, template)
    url = with_database(server, name)
    try:
        yield url
    finally:
        if restored(url, state):
            idle.append(name)
        else:
            drop_database(server, name)


def _prefix(session: Session) -> str:
    return f"muxer_test_{session.name}_"


def pytest_configure(config: pytest.Config) -> None:
    """Begins a session where the test run begins, which is not in its workers."""
    if not hasattr(config, "workerinput"):
        session = begin(os.environ)
        config.add_cleanup(lambda: end(session, os.environ))
