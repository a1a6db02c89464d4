"""`muxer cache`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from muxer.v1 import chat_pb2

from muxer_grpc.cli.app import run
from muxer_grpc.cli.warming import read_spec
from tests.cli.test_remote_commands import typed
from tests.process.running import muxer
from tests.rpc.service import spec

NOWHERE = ("--target", "127.0.0.1:1", "--admin-target", "127.0.0.1:1")

LINES: dict[str, Any] = {
    "a prompt": "Hello",
    "an object with a prompt": {"id": 7, "prompt": "Hello"},
    "a spec": json_format.MessageToDict(spec("Hello")),
    "an object with a spec": {"spec": json_format.MessageToDict(spec("Hello"), preserving_proto_field_name=True)},
}


@pytest.mark.parametrize("kind", LINES)
def test_a_line_may_be_a_prompt_or_a_spec(kind: str) -> None:
    assert read_spec(json.dumps(LINES[kind])) == spec("Hello")


def test_a_line_may_say_all_that_a_spec_can() -> None:
    given = spec("Hello", stop=["."], labels={"team": "red"}, sampling=chat_pb2.Sampling(temperature=0.5))
    assert read_spec(json_format.MessageToJson(given, indent=None)) == given


BAD_LINES = {
    "no JSON": ("{", "not JSON"),
    "a number": ("7", "not a prompt"),
    "a list": ('["a"]', "not a prompt"),
    "an object of something else": ('{"text": "a"}', "not a prompt"),
    "a prompt that is none": ('{"prompt": 7}', "not a prompt"),
    "a spec that is none": ('{"spec": 7}', "not a prompt"),
    "an unknown field": ('{"messages": [], "nonsense": 1}', "no spec: "),
    "deep": ("[" * 100_000, "not JSON"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_line_that_is_neither_says_what_it_is_not(kind: str) -> None:
    line, told = BAD_LINES[kind]
    with pytest.raises(ValueError, match=told):
        read_spec(line)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("invalidate",), "give one of --model, --label and --all"),
        (("invalidate", "--all", "--model", "a/b"), "give one of --model, --label and --all"),
        (("invalidate", "--label", "team"), "--label 'team' is not key=value"),
        (("warm", "nowhere.jsonl"), "No such file or directory nowhere.jsonl"),
        (("warm", "nowhere.jsonl", "--concurrency", "0"), "--concurrency"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_called(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = NOWHERE if arguments[0] == "warm" else NOWHERE[2:]
    assert run(["cache", *arguments, *where]) == 2
    assert told in capsys.readouterr().err


async def test_the_cache_is_looked_at_and_made_to_forget(tmp_path: Path) -> None:
    async with muxer(tmp_path, MUXER_CACHE__ENABLED="true") as service:
        code, out, _ = await typed(service, "cache", "stats")
        assert (code, out.splitlines()[0].startswith("memory, of process ")) == (0, True)
        assert "0 asked: 0 hits, 0 shared, 0 misses" in out
        code, out, _ = await typed(service, "cache", "stats", "--json")
        assert json.loads(out)["enabled"] is True
        for options in (
            ("--all",),
            ("--model", "sandbox/sandbox-economy"),
            ("--label", "team=red", "--tenant", "local"),
        ):
            code, out, err = await typed(service, "cache", "invalidate", *options)
            assert (code, out) == (0, "0 answers forgotten\n"), err
        code, _, err = await typed(service, "cache", "invalidate", "--model", "economy")
        assert (code, "model: give the full name of a model" in err) == (1, True)
        code, out, _ = await typed(service, "audit")
        assert (code, out.count("InvalidateCache")) == (0, 3)


async def test_without_a_cache_nothing_is_warmed_and_nothing_is_paid(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('"Hello"\n')
    async with muxer(tmp_path) as service:
        code, out, err = await typed(service, "cache", "warm", str(file))
        assert (code, out, err) == (2, "", "muxer: the service keeps no answers: set MUXER_CACHE__ENABLED=true\n")
        assert (await typed(service, "cache", "stats"))[1] == "there is no cache\n"
        code, out, _ = await typed(service, "metrics", "--json")
        assert "rows" not in json.loads(out)
