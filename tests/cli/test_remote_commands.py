"""Commands that call a running service, as a person types them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.process.running import Process, clean_environment, muxer


async def typed(service: Process, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Runs a command against the service; gives the exit code, stdout and stderr."""
    variables = {"MUXER_TARGET": service.target, "MUXER_ADMIN_TARGET": service.admin_target}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "muxer_grpc",
        *arguments,
        env=clean_environment(**variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_session_at_the_command_line(tmp_path: Path) -> None:
    """One service for all commands: starting one takes longer than any of them."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
    async with muxer(tmp_path) as service:
        code, out, err = await typed(service, "complete", "hello there")
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
    async with asyncio.timeout(20):
        while sum("127.0.0.1:" in line for line in lines) < 4:
            lines.append((await process.stdout.readline()).decode())
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    commands = [line for line in lines if line.startswith("  ")]
    assert ["list" in commands[0], "/Route" in commands[1], "/StreamComplete" in commands[2]] == [True] * 3


async def test_options_of_serve_win_over_bad_variables(tmp_path: Path) -> None:
    async with muxer(tmp_path, "--listen", "127.0.0.1:0", MUXER_SERVER__LISTEN="nonsense") as service:
        assert service.target.startswith("127.0.0.1:")
