"""What tests of every kind may ask for: databases of both kinds, PostgreSQL and Redis; see tests/services."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from muxer_grpc.rpc import calls
from muxer_grpc.storage.database import Database
from tests.services import shared
from tests.services.postgres import PostgresServer
from tests.services.redis import RedisServer
from tests.services.server import Session

# Who runs the tests in the background may have them ignore Ctrl-C, and with them all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# However slow a machine is for a moment, an example is right or wrong.
settings.register_profile("muxer", deadline=None)
settings.load_profile("muxer")

pytest_configure = shared.pytest_configure


@pytest.fixture(scope="session")
def services() -> Session:
    """Gives the session in which servers live."""
    return shared.current()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, services: Session, tmp_path: Path) -> Iterator[str]:
    """Gives the URL of a migrated database of the test's own, of each kind in turn."""
    if request.param == "sqlite":
        yield shared.migrated_sqlite(services, tmp_path / "muxer.db")
        return
    with shared.migrated_postgresql(services) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncGenerator[Database, None]:
    """Gives a migrated database of the test's own, of each kind in turn."""
    opened = Database(database_url)
    yield opened
    await opened.aclose()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, services: Session, tmp_path: Path) -> Iterator[str]:
    """Gives the URL of a database without tables, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with shared.empty_postgresql(services) as url:
        yield url


@pytest.fixture
def postgresql_url(services: Session) -> Iterator[str]:
    """Gives the URL of a migrated database of PostgreSQL's, of the test's own."""
    with shared.migrated_postgresql(services) as url:
        yield url


@pytest.fixture
def redis_url(services: Session) -> str:
    """Gives the URL of an empty database of Redis."""
    return shared.empty_redis(services)


@pytest.fixture
def own_postgres(services: Session) -> Iterator[PostgresServer]:
    """Gives a PostgreSQL that the test may stop, kill and start. It runs, and has no tables yet."""
    with PostgresServer(services) as server:
        yield server


@pytest.fixture
def own_redis(services: Session) -> Iterator[RedisServer]:
    """Gives a Redis that the test may stop, kill, freeze and start. It runs."""
    with RedisServer(services) as server:
        yield server


@pytest.fixture
def much_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the service end calls long before their deadlines, so that also a stalled caller hears why.

    Of a call's time a tenth is for the work.
    """
    monkeypatch.setattr(calls, "REPLY_RESERVE_SECONDS", 60)
    monkeypatch.setattr(calls, "REPLY_RESERVE_SHARE", 0.9)
