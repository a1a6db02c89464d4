"""The servers of the tests start, stop, come back with what they had, and never outlive the tests."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import text

from muxer_grpc.storage.database import Database
from muxer_grpc.storage.migrating import SchemaState, state_of
from tests.services import shared
from tests.services.postgres import PostgresServer, databases_like
from tests.services.redis import AT_ONCE, RedisServer
from tests.services.server import OwnSession, ServiceMissing, Session, alive, family

ROOT = Path(__file__).parents[2]

# A test run of its own that starts a shared and an own server of each kind, says which processes there are, and stays.
RUN = """
import os, sys
from tests.services import shared
from tests.services.redis import AT_ONCE, RedisServer
from tests.services.server import family
session = shared.begin(os.environ)
shared.postgresql(session), shared.empty_redis(session)
own = RedisServer(session)
own.start()
keepers = [server._keeper.pid for server in (own, *shared._started)]
print(session.folder, *{pid for keeper in keepers for pid in family(keeper)}, flush=True)
"""


def test_a_database_of_each_kind_comes_with_all_tables(database_url: str) -> None:
    assert state_of(Database(database_url))[0] is SchemaState.CURRENT


def test_an_empty_database_of_each_kind_has_no_tables(empty_database_url: str) -> None:
    assert state_of(Database(empty_database_url))[0] is SchemaState.EMPTY


@pytest.mark.parametrize("_turn", [1, 2])
async def test_no_test_sees_what_another_wrote(database: Database, _turn: int) -> None:
    async with database.change() as connection:
        # Fails where the table is there already.
        await connection.execute(text("CREATE TABLE mine (id INTEGER)"))


@pytest.mark.parametrize("_turn", [1, 2])
def test_no_test_sees_what_another_told_redis(redis_url: str, _turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("mine", 1)


def test_postgresql_keeps_what_was_committed_when_it_is_killed(own_postgres: PostgresServer) -> None:
    with psycopg.connect(own_postgres.url) as connection:
        connection.execute("CREATE TABLE kept (id INTEGER)")
        connection.commit()
        connection.execute("INSERT INTO kept VALUES (1)")
        connection.commit()
        connection.execute("INSERT INTO kept VALUES (2)")
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    own_postgres.start()
    with psycopg.connect(own_postgres.url) as connection:
        assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]


def test_postgresql_comes_back_from_a_restart_at_the_same_address(own_postgres: PostgresServer) -> None:
    url = own_postgres.url
    own_postgres.restart()
    assert own_postgres.url == url
    psycopg.connect(url).close()


def test_redis_is_gone_when_stopped_and_there_when_started(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url, retry=AT_ONCE) as client:
        own_redis.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        own_redis.start()
        assert client.ping()


def test_a_frozen_redis_does_not_answer_until_it_is_thawed(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.url, socket_timeout=0.1, retry=AT_ONCE) as client:
        own_redis.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        own_redis.thaw()
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.ping()


def test_a_server_that_cannot_start_says_why(services: Session) -> None:
    server = RedisServer(services, password="two words")
    server.port = 1_000_000
    with pytest.raises(RuntimeError, match="RedisServer did not start"):
        server.start()


def test_given_servers_are_used_and_left_as_they_were(own_postgres: PostgresServer, own_redis: RedisServer) -> None:
    before = databases_like(own_postgres.url, "")
    environment = {"MUXER_TEST_POSTGRESQL_URL": own_postgres.url, "MUXER_TEST_REDIS_URL": own_redis.url}
    session = shared.begin(environment)
    try:
        assert list(environment) == [shared.FOLDER], "the service would take the variables for settings"
        with shared.migrated_postgresql(session) as url:
            assert f":{own_postgres.port}/" in url
            assert state_of(Database(url))[0] is SchemaState.CURRENT
        assert f":{own_redis.port}/" in shared.empty_redis(session)
    finally:
        shared.end(session, environment)
    assert databases_like(own_postgres.url, "") == before


def test_a_given_redis_that_holds_something_is_refused_and_not_emptied(own_redis: RedisServer) -> None:
    number = shared.worker_number()
    with redis.Redis.from_url(shared.with_redis_database(own_redis.url, number)) as client:
        client.set("somebody's", 1)
        environment = {"MUXER_TEST_REDIS_URL": own_redis.url}
        session = shared.begin(environment)
        try:
            with pytest.raises(RuntimeError, match="is not empty"):
                shared.empty_redis(session)
        finally:
            shared.end(session, environment)
        assert client.dbsize() == 1


@pytest.mark.parametrize(("kind", "program"), [("PostgreSQL", "initdb"), ("redis-server", "redis-server")])
def test_a_program_that_is_not_installed_is_named_with_what_to_do(
    services: Session, monkeypatch: pytest.MonkeyPatch, kind: str, program: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("tests.services.postgres.DEBIAN", Path("/nowhere"))
    server = PostgresServer(services) if program == "initdb" else RedisServer(services)
    with pytest.raises(
        ServiceMissing, match=rf"^{kind}[^\n]* is not installed: run .make/services, or set MUXER_TEST_"
    ):
        server.start()


def test_the_end_of_a_session_waits_until_all_its_servers_are_gone() -> None:
    session = OwnSession()
    server = RedisServer(session, shared=True)
    server.start()
    processes = family(server._pid)
    session.end()
    assert [pid for pid in processes if alive(pid)] == []
    assert not session.folder.exists()


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), 9)", "sys.exit('failed')"])
def test_a_test_run_that_dies_leaves_no_server_and_no_folder(ending: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN + ending],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    folder, *processes = run.stdout.split()
    assert len(processes) >= 6, "three servers and their keepers"
    for process in processes:
        wait_for_the_end(int(process))
    assert not Path(folder).exists()


def wait_for_the_end(pid: int) -> None:
    """Waits until a process that is not ours has ended; that it never does is for the test's time limit to tell."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([process], [], [])
    os.close(process)
