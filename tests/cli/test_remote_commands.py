"""Commands that call a running service, as a person types them."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
from google.protobuf import json_format
from muxer.v1 import routing_pb2

from muxer_grpc.cli.app import run
from muxer_grpc.cli.rendering import print_decision
from muxer_grpc.cli.steering import steering
from tests.process.running import Process, clean_environment, muxer


def variables_of(service: Process) -> dict[str, str]:
    """Gives the variables by which commands find the service."""
    return {"MUXER_TARGET": service.target, "MUXER_ADMIN_TARGET": service.admin_target}


async def typed_in_a_shell(service: Process, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Runs a command against the service as a process; gives the exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "muxer_grpc",
        *arguments,
        env=clean_environment(**variables_of(service)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    return process.returncode or 0, out.decode(), err.decode()


async def typed(service: Process, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Does as `typed_in_a_shell`, without a process for each command: many take a second then, not one each."""
    out, err = io.StringIO(), io.StringIO()
    environment = mock.patch.dict(os.environ, clean_environment(**variables_of(service)), clear=True)
    standard_input = mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
    with environment, standard_input, redirect_stdout(out), redirect_stderr(err):
        code = await asyncio.to_thread(run, list(arguments))
    return code, out.getvalue(), err.getvalue()


async def test_a_session_at_the_command_line(tmp_path: Path) -> None:
    """One service for all commands: starting one takes longer than any of them."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
    async with muxer(tmp_path) as service:
        code, out, err = await typed_in_a_shell(service, "complete", "hello there")
        assert (code, "simulated answer" in out) == (0, True)
        assert err.startswith("sandbox/sandbox-economy: complete, ")
        assert "$0.0000" in err
        assert "simulated" in err

        code, out, _ = await typed(service, "complete", "--no-stream", "--json-schema", str(schema), "x")
        assert (code, json.loads(out)) == (0, {"n": 0})

        code, out, _ = await typed(service, "complete", "--json", "--label", "team=a", stdin="from stdin")
        reply = json.loads(out)
        assert (code, reply["summary"]["simulated"]) == (0, True)
        assert "from stdin" in reply["message"]["parts"][0]["text"]

        code, out, _ = await typed(service, "route", "Analyze the time complexity of merge sort")
        assert (code, out.splitlines()[0]) == (0, "sandbox/sandbox-premium")
        assert "quality" in out

        for command in ("route", "metrics", "models", "providers"):
            arguments = [command, "--json", *(["x"] if command == "route" else [])]
            code, out, _ = await typed(service, *arguments)
            assert code == 0
            assert json.loads(out)

        code, out, _ = await typed(service, "models")
        assert "sandbox/sandbox-balanced" in out
        assert "openai" not in out
        assert "openai/gpt-4o" in (await typed(service, "models", "--all"))[1]
        assert "set OPENAI_API_KEY" in (await typed(service, "providers"))[1]
        assert "all" in (await typed(service, "metrics"))[1]

        code, out, err = await typed(service, "complete", "x", "--model", "gpt-4o")
        assert (code, out) == (1, "")
        assert err.splitlines()[0].startswith("muxer: NO_ELIGIBLE_MODEL: openai/gpt-4o cannot be called")

        code, _, err = await typed(service, "complete", "x", "--temperature", "9")
        assert (code, "spec.sampling.temperature" in err) == (1, True)

        code, _, err = await typed(service, "complete", "x", "--label", "nonsense")
        assert (code, err) == (2, "muxer: --label 'nonsense' is not key=value\n")


HARD = "Analyze the time complexity of merge sort"


def first_words(table: str, heading: str) -> list[list[str]]:
    """Gives the rows of a printed table, in words, from under its heading to the next empty line."""
    lines = table.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(heading)) + 1
    end = next((n for n in range(start, len(lines)) if not lines[n].strip()), len(lines))
    return [line.split() for line in lines[start:end]]


async def test_a_person_steers_the_choice_and_sees_why(tmp_path: Path) -> None:
    async with muxer(tmp_path) as service:
        weights = ("--weights", "quality=0.5,cost=0.3", "--weights", "availability=0.2")
        code, out, err = await typed(service, "route", HARD, *weights, "--max-latency", "8")
        assert (code, err) == (0, "")
        chosen, why, empty, how, task, *_ = out.splitlines()
        assert why.startswith(f"{chosen}: ")
        assert why.endswith("is the best balance")
        assert (empty, "strategy learned, 2 of 3 models can answer" in how, "gain" in task) == ("", True, True)
        scores = first_words(out, "candidate")
        assert scores[0][0] == chosen
        assert {len(row) for row in scores} == {1 + 1 + 3}
        assert "x 0.50  x 0.30        x 0.20" in out
        estimates = {row[0]: row[1:] for row in first_words(out, "expected of")}
        assert estimates.keys() == {row[0] for row in scores}
        assert estimates["sandbox/sandbox-economy"][0] == "economy"
        assert [row[:2] for row in first_words(out, "excluded")] == [["sandbox/sandbox-premium", "latency_ceiling"]]

        code, out, _ = await typed(service, "route", HARD, *weights, "--max-latency", "8", "--json")
        raw = json_format.ParseDict(json.loads(out), routing_pb2.RouteDecision())
        assert (code, raw.selected_model, len(raw.exclusions)) == (0, chosen, 1)
        assert [f.weight for f in raw.candidates[0].factors] == pytest.approx([0.5, 0.3, 0.2])

        for options, selected in STEERED.items():
            code, out, err = await typed(service, "route", HARD, *options)
            assert (code, err, out.splitlines()[0]) == (0, "", selected), options
            code, _, err = await typed(service, "complete", HARD, "--no-stream", *options)
            assert (code, err.partition(":")[0]) == (0, selected), options

        for options, (expected, told) in MISTAKEN.items():
            code, out, err = await typed(service, "route", "hi", *options)
            assert (code, out) == (expected, "")
            assert told in err, options


STEERED = {
    ("--strategy", "cost"): "sandbox/sandbox-economy",
    ("--model", "sandbox-balanced"): "sandbox/sandbox-balanced",
    ("--model", "sandbox-balanced", "--fall-back"): "sandbox/sandbox-balanced",
    ("--quality-target", "0"): "sandbox/sandbox-economy",
    ("--quality-target", "1"): "sandbox/sandbox-premium",
    ("--strategy", "weighted", "--model-weights", "sandbox-balanced=1"): "sandbox/sandbox-balanced",
    ("--max-cost", "0.0005", "--provider", "sandbox"): "sandbox/sandbox-economy",
}
MISTAKEN = {
    ("--weights", "speed=1"): (2, "muxer: 'speed' is not a factor; known are quality, cost"),
    ("--weights", "quality"): (2, "muxer: --weights 'quality' is not name=number"),
    ("--max-latency", "nan"): (2, "muxer: max_latency: nan is no number of seconds"),
    ("--max-cost", "cheap"): (2, "muxer: --max-cost 'cheap' is not an amount in USD"),
    ("--strategy", "gossip"): (1, "spec.routing.strategy: 'gossip' is not one of"),
    ("--quality-target", "2"): (1, "spec.routing.quality_target"),
    ("--model", "sandbox-premum"): (1, "MODEL_NOT_FOUND"),
    ("--region", "mars"): (1, "sandbox/sandbox-economy: REGION_NOT_ALLOWED"),
}


async def test_a_decision_that_route_printed_is_taken_up_by_its_id(tmp_path: Path) -> None:
    async with muxer(tmp_path) as service:
        options = ("--strategy", "round_robin")
        _, out, _ = await typed(service, "route", HARD, *options)
        decision_id, chosen = out.splitlines()[3].split()[1].rstrip(","), out.splitlines()[0]
        await typed(service, "complete", "hi", *options)
        given = (*options, "--decision-id", decision_id)
        code, out, _ = await typed(service, "complete", HARD, *given, "--json")
        assert (code, json.loads(out)["decision"]["decision_id"]) == (0, decision_id)
        code, _, err = await typed(service, "complete", HARD, *given)
        assert (code, err.partition(":")[0]) == (0, chosen)
        code, _, err = await typed(service, "complete", "another prompt", *given)
        assert (code, err.splitlines()[0].startswith("muxer: INVALID_REQUEST: decision_id: ")) == (1, True)
        code, out, err = await typed(service, "complete", HARD, "--decision-id", "dec_nobody")
        assert (code, out, err.startswith("muxer: DECISION_EXPIRED: ")) == (1, "", True)


def test_a_factor_that_a_candidate_lacks_is_left_blank_and_an_unknown_reason_is_a_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    factor = routing_pb2.ScoreFactor
    print_decision(
        routing_pb2.RouteDecision(
            candidates=[
                routing_pb2.Candidate(model="a/both", factors=[factor(name="cost", value=0.25, weight=1)]),
                routing_pb2.Candidate(model="a/none"),
            ],
            exclusions=[routing_pb2.Exclusion(model="a/new", reason=99, detail="of a later version")],  # type: ignore[arg-type]
        )
    )
    out = capsys.readouterr().out
    assert first_words(out, "candidate") == [["a/both", "0.000", "0.25"], ["a/none", "0.000"]]
    assert first_words(out, "excluded") == [["a/new", "99", "of", "a", "later", "version"]]
    assert "needs nothing" in out


NOTHING = {
    "model": None,
    "fall_back": False,
    "strategy": None,
    "quality_target": None,
    "weights": None,
    "model_weights": None,
    "max_latency": None,
    "max_cost": None,
    "provider": None,
    "region": None,
}


def test_what_was_not_given_steers_nothing() -> None:
    assert set(steering(**NOTHING).values()) == {None}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "nano_usd"), [("0.000000001", 1), ("1", 10**9), ("0", 0), ("-1", -(10**9)), ("1e-3", 10**6)]
)
def test_an_amount_in_usd_becomes_exact_nano_usd(given: str, nano_usd: int) -> None:
    assert steering(**{**NOTHING, "max_cost": given})["max_cost_nano_usd"] == nano_usd  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["0.0000000001", "1e10", "1e999999999", "NaN", "inf", "sNaN", "", "1,5"])
def test_what_is_no_amount_in_usd_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="is not an amount in USD of at most 9 decimals"):
        steering(**{**NOTHING, "max_cost": given})  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [["a"], ["=1"], ["a=x"], [""], ["a=1,"]])
def test_what_is_no_weight_is_refused(given: list[str]) -> None:
    with pytest.raises(ValueError, match="is not name=number"):
        steering(**{**NOTHING, "weights": given})  # type: ignore[arg-type]


def test_a_weight_that_is_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="--weights names cost twice"):
        steering(**{**NOTHING, "weights": ["cost=1", "cost=2"]})  # type: ignore[arg-type]


async def test_serve_prints_three_commands_to_try(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "muxer_grpc",
        "serve",
        "--examples",
        "--admin-listen",
        "",
        cwd=tmp_path,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(90):
        while sum("127.0.0.1:" in line for line in lines) < 4:
            line = await process.stdout.readline()
            assert line, "it ended"
            lines.append(line.decode())
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    commands = [line for line in lines if line.startswith("  ")]
    assert ["list" in commands[0], "/Route" in commands[1], "/StreamComplete" in commands[2]] == [True] * 3


async def test_options_of_serve_win_over_bad_variables(tmp_path: Path) -> None:
    async with muxer(tmp_path, "--listen", "127.0.0.1:0", MUXER_SERVER__LISTEN="nonsense") as service:
        assert service.target.startswith("127.0.0.1:")
