"""Commands against a service that asks who calls."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from muxer_grpc.cli.app import run
from muxer_grpc.domain.tenancy import Role
from tests.rpc.test_scopes import TENANT, served


async def test_commands_take_their_key_from_the_environment_and_tell_what_counts_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MUXER_API_KEY", raising=False)
    async with served(tmp_path) as service:
        assert service.server.admin is not None
        target, admin = service.server.data.addresses[0], service.server.admin.addresses[0]
        commands = {
            Role.CALLER: ["route", "What is 2+2?", "--target", target],
            Role.VIEWER: ["models", "--admin-target", admin],
        }
        for role, command in commands.items():
            monkeypatch.delenv("MUXER_API_KEY", raising=False)
            assert await asyncio.to_thread(run, command) == 1
            assert capsys.readouterr().err.startswith("muxer: UNAUTHENTICATED: the call does not prove who makes it")
            monkeypatch.setenv("MUXER_API_KEY", service.keys[TENANT, role])
            assert await asyncio.to_thread(run, command) == 0
            assert "sandbox" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variables", "line", "modes"),
    [
        ({}, "callers need no proof", ["open"]),
        (
            {"MUXER_IDENTITY__MODES": "keys", "MUXER_IDENTITY__PEPPER": "p" * 32},
            "callers must prove who they are: keys",
            ["keys"],
        ),
    ],
)
def test_check_config_shows_by_what_callers_prove_who_they_are(
    variables: dict[str, str],
    line: str,
    modes: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(["check-config"]) == 0
    out = capsys.readouterr().out
    assert line in out.splitlines()
    assert "p" * 32 not in out
    assert run(["check-config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["identity"] == {"modes": modes}
