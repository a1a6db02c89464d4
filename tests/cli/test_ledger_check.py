"""`muxer ledger check`, as an operator types it: beside no service, on both databases."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import update

from muxer_grpc.cli.app import run
from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import budget_counters, budgets, ledger_entries
from tests.cli.test_report_commands import at, spend
from tests.storage.bookings import add_tenants
from tests.storage.records import add_budget


@dataclass
class Checking:
    """A database whose books are checked without a service."""

    url: str
    database: Database

    async def check(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = await asyncio.to_thread(run, ["ledger", "check", *words])
        return code, out.getvalue(), err.getvalue()


@pytest.fixture
async def books(database_url: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checking:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUXER_STORAGE__URL", database_url)
    await add_tenants(database)
    await add_budget(database, Budget("bud_1", "acme", Period.TOTAL, 10**15), at("2026-11-01T00:00"))
    await spend(database, 60)
    return Checking(database_url, database)


async def test_books_that_balance_end_the_check_with_nought(books: Checking) -> None:
    code, out, err = await books.check()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "1 budget, 1 counter, 1 entry of 1 completion",
        "$0.00000006 spent, $0.00 reserved by 0 calls under way, $0.00 held by 0 leases of money",
        "the books balance",
    ]
    code, out, _ = await books.check("--json")
    told = json.loads(out)
    assert (code, told["balanced"], told["differences"], told["spent_nano_usd"]) == (0, True, [], 60)


async def test_a_counter_that_was_bent_by_hand_ends_the_check_with_one(books: Checking) -> None:
    async with books.database.change() as connection:
        await connection.execute(update(budget_counters).values(spent_nano_usd=61))
    code, out, err = await books.check()
    assert (code, err) == (1, "")
    assert out.splitlines()[2:] == [
        "budgets/bud_1/periods/0: spent for all time is 61 nano-USD, and the ledger says 60",
        "1 difference",
    ]
    code, out, _ = await books.check("--json")
    assert (code, json.loads(out)["differences"]) == (
        1,
        [
            {
                "imbalance": "counter_spent",
                "resource": "budgets/bud_1/periods/0",
                "expected": 60,
                "found": 61,
                "detail": "spent for all time is 61 nano-USD, and the ledger says 60",
            }
        ],
    )
    assert (await books.check("--tenant", "other"))[0] == 0


async def test_a_hard_budget_over_its_limit_is_noted_and_is_no_difference(books: Checking) -> None:
    # Nothing else takes one there but what an operator changes, and a late word of a process given up for dead.
    async with books.database.change() as connection:
        await connection.execute(update(budgets).values(limit_nano_usd=59))
    code, out, err = await books.check()
    assert (code, err) == (0, "")
    note, last = out.splitlines()[2:]
    assert note.startswith("note: budgets/bud_1/periods/0: 60 nano-USD are spent for all time of a hard limit of 59: ")
    assert last == "the books balance"
    code, out, _ = await books.check("--json")
    [overrun] = json.loads(out)["overruns"]
    assert (code, overrun["resource"], overrun["limit_nano_usd"], overrun["spent_nano_usd"]) == (
        0,
        "budgets/bud_1/periods/0",
        59,
        60,
    )
    async with books.database.change() as connection:
        await connection.execute(update(budgets).values(hard=False))
    assert json.loads((await books.check("--json"))[1])["overruns"] == []


async def test_a_tenant_that_is_not_there_has_no_books_to_balance(books: Checking) -> None:
    code, out, err = await books.check("--tenant", "nobody")
    assert (code, out) == (1, "")
    assert err.startswith("muxer: RESOURCE_NOT_FOUND: ")


async def test_an_entry_that_is_gone_is_missed(books: Checking) -> None:
    async with books.database.change() as connection:
        await connection.execute(ledger_entries.delete())
    code, out, _ = await books.check()
    assert (code, "spent for all time is 60 nano-USD, and the ledger says 0" in out) == (1, True)


def test_a_database_without_tables_is_told_apart_and_left_alone(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUXER_STORAGE__URL", empty_database_url)
    assert run(["ledger", "check"]) == 2
    assert "has no tables yet: run muxer migrate" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_away_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUXER_STORAGE__URL", "postgresql://nobody:secret@127.0.0.1:9/none")
    assert run(["ledger", "check"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("muxer: STORAGE_UNAVAILABLE: ")
    assert "secret" not in err
