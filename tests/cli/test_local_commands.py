"""Commands that need no service: they print, they say what is wrong in a line, and their exit codes mean something."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from muxer_grpc import __version__
from muxer_grpc.cli.app import run


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the machine's own files, keys and settings out."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("MUXER_") or name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)


def test_version_is_printed_plain_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out == f"muxer {__version__}\n"
    assert run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


def test_an_unknown_command_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nope"]) == 2
    assert capsys.readouterr().err == "muxer: No such command 'nope'. (muxer --help lists the commands)\n"


def test_check_config_says_what_each_provider_lacks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert run(["check-config", "--json"]) == 0
    told = {p["name"]: p for p in json.loads(capsys.readouterr().out)["providers"]}
    assert told["openai"]["configured"] is True
    assert told["anthropic"]["detail"] == "set ANTHROPIC_API_KEY"
    assert run(["check-config"]) == 0
    shown = capsys.readouterr().out
    assert "api.openai.com" in shown
    assert "sk-test" not in shown


def test_without_a_key_check_config_says_that_the_sandbox_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check-config"]) == 0
    assert "the sandbox answers" in capsys.readouterr().out


def test_bad_settings_are_told_line_by_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUXER_SERVER__WORKERS", "0")
    monkeypatch.setenv("MUXER_NOPE", "1")
    assert run(["check-config"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("muxer: MUXER_") for line in lines)


def test_the_settings_table_is_printed_written_and_checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["settings-doc"]) == 0
    assert "MUXER_SERVER__LISTEN" in capsys.readouterr().out
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- settings:begin -->\nold\n<!-- settings:end -->\nb\n")
    assert run(["settings-doc", "--check", str(page)]) == 1
    assert "stale" in capsys.readouterr().err
    assert run(["settings-doc", "--write", str(page)]) == 0
    assert run(["settings-doc", "--check", str(page)]) == 0
    assert page.read_text().startswith("a\n<!-- settings:begin -->\n| variable")


def test_a_page_without_marks_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    assert run(["settings-doc", "--write", str(page)]) == 2
    assert "settings:begin" in capsys.readouterr().err
    assert page.read_text() == "nothing"


LINES = [
    {"id": 1, "prompt": "What is 2+2?"},
    {"id": "zwei", "prompt": "Übersetze: 你好 🌍"},
    {"id": 3, "prompt": "Write a Python function"},
]


def written(lines: list[object]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def test_classify_reads_and_writes_files(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(written(LINES) + "\n")
    assert run(["classify", "--input", str(source), "--output", str(output)]) == 0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["id"] for row in rows] == [1, "zwei", 3]
    assert [row["intent"] for row in rows] == ["chat_lite", "translation", "code_gen"]
    assert set(rows[0]) == {"id", "intent", "confidence", "capabilities", "complexity", "gain", "signals"}


@pytest.mark.parametrize(("option", "version"), [("--model-only", "learned"), ("--rules-only", "rules")])
def test_classify_takes_the_learned_part_or_the_rules_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, option: str, version: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(written([{"id": 1, "prompt": "Write a sonnet about rivers"}])))
    assert run(["classify", option]) == 0
    signals = json.loads(capsys.readouterr().out)["signals"]
    assert ("safety_risk" in signals) == (version == "learned")


def test_classify_refuses_both_parts_alone() -> None:
    assert run(["classify", "--model-only", "--rules-only"]) == 2


def test_classify_reads_stdin_and_writes_stdout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(written(LINES)))
    assert run(["classify"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("bad", ["{", "[]", '"text"', '{"prompt": 5}', "[" * 100_000])
def test_a_bad_line_is_told_with_its_number_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{written(LINES[:1])}{bad}\n{written(LINES[1:])}"))
    assert run(["classify"]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert captured.err.startswith("muxer: line 2: not ")


def test_strict_stops_at_the_first_bad_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("{\n" + written(LINES)))
    assert run(["classify", "--strict"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "muxer: line 1: not JSON\n")


def test_thousands_of_lines_are_classified(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(written([{"id": n, "prompt": f"What is {n}+{n}?"} for n in range(5_000)]))
    assert run(["classify", "--input", str(source), "--output", str(output)]) == 0
    assert len(output.read_text().splitlines()) == 5_000


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classify", "--input", "nowhere.jsonl"]) == 2
    assert capsys.readouterr().err == "muxer: No such file or directory nowhere.jsonl\n"


def test_nobody_listening_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["route", "hi", "--target", "127.0.0.1:1", "--timeout", "5"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("muxer: UNAVAILABLE: ")
    assert len(err.splitlines()) == 1
