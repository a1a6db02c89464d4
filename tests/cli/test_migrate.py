"""`muxer migrate`: up, down when it is agreed to, and how the tables stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from muxer_grpc.cli.app import run
from muxer_grpc.storage.migrating import NEWEST


@pytest.fixture
def url(empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUXER_STORAGE__URL", empty_database_url)
    return empty_database_url


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    assert run(["migrate", *words, "--json"]) == 0
    read: dict[str, str] = json.loads(capsys.readouterr().out)
    return {name: value for name, value in read.items() if name != "database"}


def test_the_tables_go_up_and_down_and_are_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--show") == {"state": "empty", "revision": "", "newest": NEWEST}
    assert told(capsys) == {"before": "", "after": NEWEST}
    assert told(capsys) == {"before": NEWEST, "after": NEWEST}
    assert told(capsys, "--show") == {"state": "current", "revision": NEWEST, "newest": NEWEST}
    assert run(["migrate", "--to", "base"]) == 2
    assert "deletes what earlier tables cannot hold: add --yes" in capsys.readouterr().err
    assert told(capsys, "--show")["state"] == "current"
    assert told(capsys, "--to", "base", "--yes") == {"before": NEWEST, "after": ""}
    assert told(capsys, "--to", NEWEST) == {"before": "", "after": NEWEST}


def test_people_are_told_in_a_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "--show"]) == 0
    assert capsys.readouterr().out.endswith(f"is empty: at no revision, newest {NEWEST}\n")
    assert run(["migrate"]) == 0
    assert capsys.readouterr() == (f"{_shown(url)}: no revision -> {NEWEST}\n", "")


def _shown(url: str) -> str:
    from muxer_grpc.storage.database import Database

    return Database(url).shown


def test_an_unknown_revision_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "--to", "0815"]) == 2
    assert f"--to '0815' is not one of head, base, {NEWEST}" in capsys.readouterr().err


def test_to_look_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUXER_STORAGE__URL", raising=False)
    assert told(capsys, "--show")["state"] == "empty"
    assert list(tmp_path.iterdir()) == []


def test_tables_of_somebody_else_stay_as_they_are(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    from sqlalchemy import inspect, text

    from muxer_grpc.storage.database import Database

    engine = Database(url).sync_engine()
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    assert run(["migrate"]) == 2
    assert "holds tables that this version does not know" in capsys.readouterr().err
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["theirs"]
