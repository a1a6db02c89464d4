"""`muxer explain` and `muxer replay`, as a person types them beside a service, on both databases."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from muxer.v1 import muxer_service_pb2, routing_pb2

from muxer_grpc.cli.app import run
from tests.rpc.accounting import COST, accounting
from tests.rpc.service import Service, spec

PROMPT = "Analyze the time complexity of merge sort"
VERSIONS = {"policy": "policy", "prices": "price_book", "fleet": "fleet"}
PRICES = '[[models]]\nname = "acme/large"\ninput_usd_per_million = "0.01"\noutput_usd_per_million = "0.01"\n'


@dataclass
class Shell:
    """A person at a terminal beside a service; `dry_run` and `completion` are ids of what was asked before."""

    service: Service
    dry_run: str
    completion: str

    async def type(self, *words: str) -> tuple[int, str, str]:
        """Runs a command; gives the exit code, stdout and stderr."""
        target = self.service.admin.addresses[0]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = await asyncio.to_thread(run, [*words, "--admin-target", target])
        return code, out.getvalue(), err.getvalue()

    async def done(self, *words: str) -> str:
        code, out, err = await self.type(*words)
        assert code == 0, err
        return out

    async def refused(self, *words: str, code: int = 2) -> str:
        ended, out, err = await self.type(*words)
        assert (ended, out) == (code, ""), (out, err)
        return err


@pytest.fixture
async def shell(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Shell, None]:
    monkeypatch.delenv("MUXER_API_KEY", raising=False)
    async with accounting(database_url) as service:
        rules = routing_pb2.RoutingPolicy(denied_models=["other/tiny"])
        routed = await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec(PROMPT, routing=rules)))
        asked = spec(PROMPT, requested_model="acme/small", max_output_tokens=100)
        answered = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked))
        shell = Shell(service, routed.decision.decision_id, answered.summary.completion_id)
        await kept(shell, 2)
        yield shell


async def kept(shell: Shell, count: int) -> None:
    """Waits until so many decisions are in history: a dry run's is written when there is time."""
    async with asyncio.timeout(20):
        while len(json.loads(await shell.done("decisions", "list", "--json"))) < count:
            await asyncio.sleep(0.01)


def row_of(table: str, first: str) -> list[str]:
    """Gives the words of the line that begins with some."""
    return next(line.split() for line in table.splitlines() if line.startswith(first))


async def test_an_operator_explores_decisions(shell: Shell, tmp_path: Path) -> None:
    """One service for all commands: starting one takes longer than any of them."""
    await _explain(shell)
    await _explain_a_completion(shell)
    await _replay(shell)
    await _replay_with_prices(shell, tmp_path)
    await _wrong(shell, tmp_path)


async def _explain(shell: Shell) -> None:
    shown = await shell.done("explain", shell.dry_run)
    told: dict[str, Any] = json.loads(await shell.done("explain", shell.dry_run, "--json"))
    chosen = told["decision"]["selected_model"]
    assert shown.startswith(f"{chosen}\n{chosen}: an expected quality of ")
    assert "rules: denied_models other/tiny\n" in shown
    assert "intent code_gen 0." in shown
    assert "; next " in shown
    assert "\nsignals programming_words 1, complexity_words 2, words 7" in shown
    for each in told["candidates"]:
        row = row_of(shown, f"{each['rank']}  {each['model']}")
        assert row[2:4] == [f"{each['score']:.3f}", f"{each.get('behind', 0.0):.3f}"]
        assert f"{each['factors'][0]['contribution']:.3f}" in row
    assert row_of(shown, "other/tiny")[-6:] == ["take", "it", "off", "denied_models", "place", "3"]
    assert row_of(shown, f"{chosen} not to be had")
    assert row_of(shown, "strategy cost")[2] == "acme/small"
    assert "\nno difference: " in shown
    decision = told["decision"]["decision"]
    versions = [f"{name} {decision[f'{field}_version']}" for name, field in VERSIONS.items()]
    assert f"\n{', '.join(versions)}\n" in shown
    assert "today" not in shown
    assert PROMPT not in shown


async def _explain_a_completion(shell: Shell) -> None:
    shown = await shell.done("explain", shell.completion)
    assert f"for local/local, completion {shell.completion}\nstrategy learned, acme/small asked for" in shown
    assert "no requested_model, or fall_back beside it" in shown
    assert row_of(shown, "acme/small not to be had")[5:] == ["none", "could", "answer"]
    assert row_of(shown, "no model asked for by name")


async def _replay(shell: Shell) -> None:
    shown = await shell.done("replay", "--strategy", "cost", "--since", "1h")
    assert " made again, 1 choose another model\n" in shown
    assert "of 1 by the ledger's tokens, of 1 estimated\n" in shown
    assert "1 asked for a model by name, which no strategy changes\n" in shown
    assert row_of(shown, "acme/small")[1:4] == ["the", "same", "1"]
    assert row_of(shown, "code_gen")[1:3] == ["2", "1"]
    assert row_of(shown, "not_requested")[1:] == ["3", "3"]
    told = json.loads(await shell.done("replay", "--weights", "cost=1,quality=0", "--tenant", "local", "--json"))
    assert (told["total"]["decisions"], told["total"]["changed"]) == ("2", "1")
    by_name = next(each for each in told["shifts"] if each["model_before"] == "acme/small")
    assert by_name["cost_before_nano_usd"] == by_name["cost_after_nano_usd"] == str(COST)
    shown = await shell.done("replay", "--deny", "acme/small", "--quality-target", "0.99")
    assert "1 more would be refused: no model is left for them\n" in shown
    assert row_of(shown, "acme/small")[1:] == ["none", "is", "left", "1", "$0.00"]
    shown = await shell.done("replay", "--limit", "1", "--allow", "acme/small")
    assert "there are more: go on with --until 20" in shown
    assert (await shell.done("replay", "--until", "2020-01-01")).startswith("0 decisions made again, 0 choose another")


async def _replay_with_prices(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(PRICES)
    told = json.loads(await shell.done("replay", "--strategy", "cost", "--prices", str(file), "--json"))
    assert {each["model_after"] for each in told["shifts"]} == {"acme/small", "acme/large"}
    assert told["price_book_version"].startswith("replay-")


async def _wrong(shell: Shell, tmp_path: Path) -> None:
    assert "RESOURCE_NOT_FOUND" in await shell.refused("explain", "dec_9", code=1)
    assert "RESOURCE_NOT_FOUND" in await shell.refused("explain", "cmp_9", code=1)
    assert "policy.strategy" in await shell.refused("replay", "--strategy", "luck", code=1)
    wrong = {
        ("replay", "--weights", "luck=1"): "--weights 'luck=1' is not one of quality, cost",
        ("replay", "--weights", "cost=much"): "--weights 'cost=much' is not one of quality, cost",
        ("replay", "--since", "yesterday"): "--since 'yesterday' is not a date like 2026-12-01",
        ("replay", "--limit", "10001"): "Input should be less than or equal to 10000",
        ("replay", "--prices", str(tmp_path / "none.toml")): "No such file or directory",
    }
    for words, told in wrong.items():
        assert told in await shell.refused(*words)
