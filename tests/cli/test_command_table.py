"""The table of commands: each is where it says, and is loaded when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from muxer_grpc.cli.app import COMMANDS, app_with, run

LOADED = "import sys; from muxer_grpc.cli.app import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"


def names_of(app: typer.Typer) -> list[str]:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return list(commands)


def test_every_command_of_the_table_is_there() -> None:
    assert names_of(app_with(COMMANDS)) == list(COMMANDS)


@pytest.mark.parametrize("name", ["version", "cache"])
def test_a_command_that_is_the_only_one_loaded_goes_by_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    usage = next(line for line in capsys.readouterr().out.splitlines() if "Usage:" in line)
    assert f" {name} [" in usage


def test_nothing_of_other_commands_is_loaded() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADED, "version"], capture_output=True, text=True, check=True)
    loaded = {name for name in ran.stderr.split() if name.startswith("muxer_grpc.cli.")}
    assert loaded == {"muxer_grpc.cli.app", "muxer_grpc.cli.configuration", "muxer_grpc.cli.rendering"}


def test_who_asks_for_nothing_is_shown_the_help_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    told = capsys.readouterr()
    assert "serve" in told.out + told.err
    assert "muxer: " not in told.err
