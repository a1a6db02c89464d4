"""Commands that report from the ledger, as a person types them against a service, on both databases."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
from collections.abc import AsyncGenerator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from muxer.v1 import alert_service_pb2, alert_service_pb2_grpc, routing_pb2
from sqlalchemy import insert

from muxer_grpc.cli.app import run
from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import decisions
from muxer_grpc.storage.writer import LedgerWriter
from tests.process.running import Process, muxer
from tests.storage.bookings import add_tenants, book, row
from tests.storage.records import add_budget, reservation, settlement

SECOND = 1_000_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * SECOND


TOKENS = {"input_tokens": 1_000, "cached_input_tokens": 10, "output_tokens": 500, "reasoning_tokens": 5}
ROWS = [
    row("cmp_1", at("2026-11-01T10:00"), 1_500_000_000, labels={"team": "red\x1b[31m"}, **TOKENS),
    row("cmp_1", at("2026-11-01T10:00"), 250_000_000, attempt=2, outcome="failed", labels={"team": "red\x1b[31m"}),
    row("cmp_2", at("2026-11-01T23:30"), 3, model="zeta/big", provider="zeta", user_id="bob", **TOKENS),
    row("cmp_3", at("2026-11-02T00:00"), 40_000_000, tenant_id="other", request_id="r 3", reserved_nano_usd=10**9),
]


@dataclass
class Shell:
    """A person at a terminal beside a service."""

    service: Process
    database: Database

    async def type(self, *words: str) -> tuple[int, str, str]:
        """Runs a command; gives the exit code, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = await asyncio.to_thread(run, [*words, "--admin-target", self.service.admin_target])
        return code, out.getvalue(), err.getvalue()

    async def done(self, *words: str) -> str:
        code, out, err = await self.type(*words)
        assert (code, "Traceback" in err) == (0, False), err
        return out

    async def told(self, *words: str) -> Any:
        return json.loads(await self.done(*words, "--json"))

    async def refused(self, *words: str, code: int = 2) -> str:
        ended, out, err = await self.type(*words)
        assert (ended, out) == (code, ""), (out, err)
        return err


@pytest.fixture
async def shell(
    database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Shell, None]:
    for name in ("MUXER_API_KEY", "MUXER_ADMIN_TARGET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    await add_tenants(database)
    await book(database, ROWS)
    async with muxer(tmp_path, MUXER_STORAGE__URL=database_url) as service:
        yield Shell(service, database)


def cells(table: str) -> list[list[str]]:
    """Gives the words of each line."""
    return [line.split() for line in table.splitlines()]


async def test_an_operator_looks_into_the_ledger(shell: Shell, tmp_path: Path) -> None:
    """One service for all commands: starting one takes longer than any of them."""
    await _usage(shell)
    await _entries(shell)
    await _export(shell, tmp_path)
    await _reconcile(shell, tmp_path)
    await _decisions(shell)
    await _savings(shell)
    await _wrong(shell)


async def _usage(shell: Shell) -> None:
    table = cells(await shell.done("usage", "--group-by", "model,day"))
    assert table == [
        ["model", "day", "cost", "completions", "attempts", "failed", "input", "output"],
        ["acme/small", "2026-11-01", "$1.75", "1", "2", "1", "1,010", "505"],
        ["zeta/big", "2026-11-01", "$0.000000003", "1", "1", "0", "1,010", "505"],
        ["acme/small", "2026-11-02", "$0.04", "1", "1", "0", "0", "0"],
        ["total", "$1.790000003", "3", "4", "1", "2,020", "1,010"],
    ]
    table = cells(await shell.done("usage", "--group-by", "day", "--time-zone", "Europe/Berlin", "--tenant", "acme"))
    assert [line[:2] for line in table[1:]] == [
        ["2026-11-01", "$1.75"],
        ["2026-11-02", "$0.000000003"],
        ["total", "$1.750000003"],
    ]
    written = await shell.done("usage", "--group-by", "hour,intent,label:team", "--csv", "--provider", "acme")
    read = list(csv.DictReader(io.StringIO(written)))
    assert [(each["hour"], each["intent"], each["label:team"], each["cost_nano_usd"]) for each in read] == [
        ("2026-11-01T10:00+0000", "chat_lite", "red\x1b[31m", "1750000000"),
        ("2026-11-02T00:00+0000", "chat_lite", "", "40000000"),
    ]
    assert (read[0]["cached_input_tokens"], read[0]["reasoning_tokens"]) == ("10", "5")
    # What would steer the terminal is shown, not done.
    assert "\x1b" not in await shell.done("usage", "--group-by", "label:team")
    told = await shell.told("usage", "--group-by", "user", "--label", "team=red\x1b[31m")
    assert [each["user_id"] for each in told["groups"]] == ["ann"]
    assert told["total"]["cost_nano_usd"] == "1750000000"
    told = await shell.told("usage", "--group-by", "", "--from", "2026-11-01", "--to", "2026-11-02")
    assert told["total"]["completions"] == "2"


async def _entries(shell: Shell) -> None:
    table = cells(await shell.done("ledger", "list", "--limit", "2"))
    assert [line[1] for line in table[1:]] == ["other/ann", "acme/bob"]
    found = await shell.told("ledger", "list", "--outcome", "failed")
    assert [(each["completion_id"], each["attempt"]) for each in found] == [("cmp_1", 2)]
    shown = await shell.done("ledger", "get", "cmp_1")
    assert shown.endswith("\n$1.75 in all\n")
    assert (await shell.told("ledger", "get", "cmp_1"))["cost_nano_usd"] == "1750000000"
    assert "RESOURCE_NOT_FOUND" in await shell.refused("ledger", "get", "cmp_9", code=1)


async def _export(shell: Shell, tmp_path: Path) -> None:
    read = list(csv.DictReader(io.StringIO(await shell.done("ledger", "export"))))
    assert [each["completion_id"] for each in read] == ["cmp_1", "cmp_1", "cmp_2", "cmp_3"]
    first, last = read[0], read[-1]
    assert (first["cost_nano_usd"], first["usage_input_tokens"], first["usage_source"]) == (
        "1500000000",
        "1000",
        "provider",
    )
    assert (first["create_time"], first["time_to_first_token"], first["failure_class"]) == (
        "2026-11-01T10:00:00Z",
        "",
        "",
    )
    assert (json.loads(first["labels"]), first["intent"], first["streamed"]) == (
        {"team": "red\x1b[31m"},
        "chat_lite",
        "false",
    )
    assert (last["request_id"], last["reserved_nano_usd"]) == ("r 3", "1000000000")
    path = tmp_path / "entries.jsonl"
    window = ("--from", "2026-11-01T23:00", "--to", "2026-11-02T01:00", "--time-zone", "Europe/Berlin")
    code, out, err = await shell.type("ledger", "export", "--format", "jsonl", "--output", str(path), *window)
    assert (code, out, err) == (0, "", f"1 entry in {path}\n")
    [line] = path.read_text().splitlines()
    assert json.loads(line)["completion_id"] == "cmp_2"


async def _reconcile(shell: Shell, tmp_path: Path) -> None:
    invoice = tmp_path / "invoice.csv"
    lines = ["date,model,cost_usd,tokens", "2026-11-01,small,1.75,1515", "2026-11-02,acme/small,$0.04,"]
    invoice.write_text("\n".join(lines))
    agreed = await shell.done("ledger", "reconcile", "--invoice", str(invoice), "--provider", "acme")
    assert agreed == "2 compared, all agree; in all the invoice and the ledger come to the same\n"
    invoice.write_text("\n".join([*lines[:-1], "2026-11-02,acme/small,-0.01,"]))
    code, out, _ = await shell.type("ledger", "reconcile", "--invoice", str(invoice), "--provider", "acme")
    assert (code, out.splitlines()[-1]) == (
        1,
        "2 compared, 1 differs; in all the invoice has $0.05 less than the ledger",
    )
    invoice.write_text("\n".join([*lines, "2026-11-02,gpt-9,0.5,"]))
    words = ("ledger", "reconcile", "--invoice", str(invoice), "--name", "gpt-9=zeta/big")
    code, out, _ = await shell.type(*words)
    table = cells(out)
    assert code == 1
    assert table[1:] == [
        # The tiny amount of the first day is within a cent.
        ["2026-11-02", "zeta/big", "0.5", "nothing", "0.5", "/", "nothing", "differs"],
        "4 compared, 1 differs; in all the invoice has $0.499999997 more than the ledger".split(),
    ]
    code, out, _ = await shell.type(*words, "--tolerance", "0", "--json")
    told = json.loads(out)
    assert (code, told["agrees"], told["compared"]) == (1, False, 4)
    assert [(each["date"], each["difference_usd"]) for each in told["differences"]] == [
        ("2026-11-01", "-0.000000003"),
        ("2026-11-02", "0.5"),
    ]
    code, out, _ = await shell.type(*words, "--tolerance-percent", "100", "--all")
    assert (code, len(out.splitlines())) == (0, 6)
    for text, problem in (
        ("date,model\n2026-11-01,m", "has no column cost_usd"),
        ("date,model,cost_usd\n", "has no lines"),
        ("date,model,cost_usd\n2026-13-01,m,1", "line 2 of"),
        ("date,model,cost_usd\n2026-11-01,,1", "it names no model"),
        ("date,model,cost_usd\n2026-11-01,m,1.000.0", "is not an amount like 12.34"),
        ("date,model,cost_usd,tokens\n2026-11-01,m,1,many", "is not a number of tokens"),
    ):
        invoice.write_text(text)
        assert problem in await shell.refused("ledger", "reconcile", "--invoice", str(invoice))
    assert "--tolerance '-1' is below 0" in await shell.refused(*words[:4], "--tolerance", "-1")


async def _decisions(shell: Shell) -> None:
    document = routing_pb2.RouteDecision(
        decision_id="dec_1", selected_model="acme/small", strategy="cost", explanation="acme/small: is the cheapest"
    ).SerializeToString()
    facts = {
        "tenant_id": "acme",
        "user_id": "ann",
        "strategy": "cost",
        "intent": "vision",
        "selected_model": "acme/small",
        "document": document,
        "expires_us": at("2036-11-01T00:00"),
    }
    async with shell.database.change() as connection:
        for number, completion in ((1, "cmp_1"), (2, "")):
            values = {"id": f"dec_{number}", "completion_id": completion, "created_us": at("2026-11-01T10:00") + number}
            await connection.execute(insert(decisions).values(**facts, **values))
    table = cells(await shell.done("decisions", "list"))
    assert [line[2:] for line in table[1:]] == [
        ["vision", "cost", "acme/small", "dec_2", "dry", "run"],
        ["vision", "cost", "acme/small", "dec_1", "cmp_1"],
    ]
    found = await shell.told("decisions", "list", "--answered", "--intent", "vision", "--strategy", "cost")
    assert [each["decision_id"] for each in found] == ["dec_1"]
    shown = await shell.done("decisions", "get", "dec_1")
    assert shown.startswith("2026-11-01T10:00:00Z for acme/ann, completion cmp_1\n\nacme/small\n")
    assert (await shell.told("decisions", "get", "dec_2"))["decision"]["strategy"] == "cost"
    assert "RESOURCE_NOT_FOUND" in await shell.refused("decisions", "get", "dec_9", code=1)


async def _savings(shell: Shell) -> None:
    shown = await shell.done("savings", "--from", "2026-11-01", "--to", "2026-12-01")
    assert "acme: $1.750000003 spent" in shown
    assert "acme/small used $0.04 of $1.00 reserved: callers that set max_output_tokens" in shown
    assert "is not known: of no request is there a digest" in shown
    told = await shell.told("savings", "--tenant", "other", "--from", "2026-11-01", "--to", "2026-12-01")
    assert [each["tenant_id"] for each in told["tenants"]] == ["other"]
    assert await shell.done("savings", "--from", "2020-01-01", "--to", "2020-01-02") == "nothing was spent\n"


async def _wrong(shell: Shell) -> None:
    wrong = {
        ("usage", "--group-by", "colour"): "--group-by 'colour' is not one of tenant, user",
        ("usage", "--group-by", "day,month"): "--group-by names two buckets of time",
        ("usage", "--from", "yesterday"): "--from 'yesterday' is not a date like 2026-12-01",
        ("usage", "--time-zone", "Mars"): "--time-zone 'Mars' is not in the IANA database",
        ("usage", "--label", "team"): "--label 'team' is not key=value",
        ("usage", "--intent", "poetry"): "--intent 'poetry' is not one of chat_lite",
        ("ledger", "list", "--outcome", "great"): "--outcome 'great' is not one of complete",
    }
    for words, told in wrong.items():
        assert told in await shell.refused(*words)
    assert "filter.user_id" in await shell.refused("usage", "--user", "not a user", code=1)


async def spend(database: Database, cost: int, tenant_id: str = "acme") -> None:
    now = datetime.now(UTC).timestamp()
    writer = LedgerWriter(database)
    promise = reservation("cmp_spent", cost, subject=Subject(tenant_id, "ann"), created_us=int(now * SECOND))
    await writer.reserve(promise)
    await writer.settle(settlement(promise, cost))
    await writer.aclose()


async def test_alerts_are_listed_and_watched_until_the_service_drains(shell: Shell) -> None:
    made = Budget("bud_1", "acme", Period.TOTAL, 10**15, alert_shares=(50, 80))
    await add_budget(shell.database, made, at("2026-11-30T00:00"))
    await spend(shell.database, 9 * 10**14)
    out = await shell.done("alerts", "watch", "--after", "0", "--limit", "2", "--json")
    assert [json.loads(line)["share"] for line in out.splitlines()] == [50, 80]
    table = cells(await shell.done("alerts", "list", "--tenant", "acme"))
    assert [line[1:4] for line in table[1:]] == [["acme", "80", "%"], ["acme", "50", "%"]]
    assert [each["share"] for each in await shell.told("alerts", "list", "--budget", "bud_1")] == [80, 50]
    shown = await shell.done("alerts", "watch", "--after", "0", "--limit", "1")
    assert "acme: 50 % spent, $900001.750000003 of $1000000.00" in shown
    # An open stream does not hold up the end of the service.
    async with grpc.aio.insecure_channel(shell.service.admin_target) as channel:
        stream = alert_service_pb2_grpc.AlertServiceStub(channel).WatchAlerts(alert_service_pb2.WatchAlertsRequest())
        await stream.read()
        assert await shell.service.stopped(signal.SIGTERM) == 0
        assert await stream.read() is grpc.aio.EOF
