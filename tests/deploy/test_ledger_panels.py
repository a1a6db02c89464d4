"""The tenant's view asks PostgreSQL for what the ledger holds, and for one tenant alone."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, text

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.storage.budgets import BudgetTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import alerts, budget_counters, money_leases, reservations
from tests.deploy.prometheus import dashboards, panels
from tests.storage.bookings import add_tenants, book, row

MICROSECONDS = 1_000_000
NOW = int(time.time()) * MICROSECONDS
HOUR = 3_600 * MICROSECONDS
USD = 1_000_000_000
[TENANT_VIEW] = [each for each in dashboards() if each["uid"] == "muxer-tenant"]
SQL = {
    panel["title"]: target["rawSql"]
    for panel in panels(TENANT_VIEW)
    for target in panel.get("targets", ())
    if "rawSql" in target
}
MACROS = {
    "$__unixEpochNanoFrom()": str((NOW - 2 * HOUR) * 1_000),
    "$__unixEpochNanoTo()": str(NOW * 1_000),
    "${tenant:sqlstring}": "'acme'",
    "${completion:sqlstring}": "'c1'",
}


def filled_in(sql: str) -> str:
    for macro, value in MACROS.items():
        sql = sql.replace(macro, value)
    assert "$" not in sql
    return sql


def counter(budget_id: str, start: int, spent: int, reserved: int = 0) -> dict[str, Any]:
    facts = {"budget_id": budget_id, "period_start_us": start, "alerted_share": 0}
    return {**facts, "spent_nano_usd": spent, "reserved_nano_usd": reserved}


async def add_budgets(database: Database) -> None:
    """Makes budgets whose counters hold something in their present period and, if there is one, in the one before."""
    now = int(time.time()) * MICROSECONDS
    table, actor, present = BudgetTable(database), Actor("test", now), []
    rows = [("total", Period.TOTAL, "UTC", "acme", ""), ("daily", Period.DAILY, "Asia/Kathmandu", "acme", "ann")]
    rows += [
        ("monthly", Period.MONTHLY, "America/St_Johns", "acme", ""),
        ("untouched", Period.DAILY, "UTC", "acme", ""),
    ]
    rows += [("foreign", Period.TOTAL, "UTC", "other", "")]
    for name, period, zone, tenant, user in rows:
        made = Budget(name, tenant, period, 10 * USD, user_id=user, time_zone=zone)
        await table.create(made, actor)
        start = made.period_start(now)
        if name != "untouched":
            present.append(counter(name, start, 4 * USD, USD))
        if period is not Period.TOTAL:
            present.append(counter(name, made.period_start(start - HOUR), 9 * USD))
    async with database.change() as connection:
        await connection.execute(text("DELETE FROM budget_counters"))
        await connection.execute(insert(budget_counters), present)


async def add_held(database: Database) -> None:
    """Makes a promise, a lease of money with a promise on it, one that is released, and an alert."""
    promise = {
        "tenant_id": "acme",
        "user_id": "ann",
        "expected_nano_usd": 1,
        "instance_id": "here",
        "created_us": NOW,
        "lease_until_us": NOW,
    }
    lease = {
        "tenant_id": "acme",
        "user_id": "ann",
        "amount_nano_usd": 5 * USD,
        "created_us": NOW,
        "expires_us": NOW + HOUR,
    }
    alert = {"tenant_id": "acme", "budget_id": "total", "period_start_us": 0, "share": 80, "created_us": NOW}
    async with database.change() as connection:
        await connection.execute(
            insert(money_leases),
            [
                {**lease, "id": "open", "spent_nano_usd": USD, "reserved_nano_usd": USD, "released": False},
                {**lease, "id": "over", "spent_nano_usd": USD, "reserved_nano_usd": 0, "released": True},
            ],
        )
        await connection.execute(
            insert(reservations),
            [
                {**promise, "completion_id": "p1", "amount_nano_usd": 2 * USD, "money_lease_id": ""},
                {**promise, "completion_id": "p2", "amount_nano_usd": USD, "money_lease_id": "open"},
            ],
        )
        await connection.execute(insert(alerts).values(**alert, spent_nano_usd=8 * USD, limit_nano_usd=10 * USD))


@pytest.fixture
async def ledger(postgresql_url: str) -> AsyncGenerator[Database, None]:
    """Gives a ledger with two tenants, and attempts within the last hours, before them, and of the other tenant."""
    database = Database(postgresql_url)
    await add_tenants(database)
    facts = {"duration_us": 2 * MICROSECONDS, "input_tokens": 10, "output_tokens": 5}
    failed = {"outcome": "failed", "failure_class": "timeout", "duration_us": 9 * MICROSECONDS}
    await book(
        database,
        [
            row("c1", NOW - HOUR, 0, **{**facts, **failed}, model="acme/large"),
            row("c1", NOW - HOUR, 3 * USD, attempt=2, **facts, decision_id="d1"),
            row("c2", NOW - HOUR, 1 * USD, **facts, intent="code_gen", user_id="bob", first_token_us=MICROSECONDS),
            row("old", NOW - 9 * HOUR, 50 * USD, **facts),
            row("foreign", NOW - HOUR, 70 * USD, **facts, tenant_id="other"),
        ],
    )
    await add_budgets(database)
    await add_held(database)
    yield database
    await database.aclose()


async def ask(database: Database, sql: str) -> list[dict[str, Any]]:
    async with database.read() as connection:
        found = await connection.execute(text(filled_in(sql).replace(":", "\\:")))
        return [dict(each) for each in found.mappings()]


async def test_every_panel_gets_an_answer_and_shows_nothing_of_another_tenant(ledger: Database) -> None:
    assert len(SQL) >= 18
    for title, sql in SQL.items():
        found = await ask(ledger, sql)
        assert found, title
        assert "foreign" not in json.dumps(found, default=str), title
        assert 70 not in {value for each in found for value in each.values()}, title


async def test_the_variable_lists_the_tenants(ledger: Database) -> None:
    [variable] = [each for each in TENANT_VIEW["templating"]["list"] if each["name"] == "tenant"]
    found = await ask(ledger, variable["query"])
    assert {("acme", "acme"), ("other", "other")} <= {(each["__value"], each["__text"]) for each in found}


async def test_sums_are_of_the_tenant_and_of_the_time_that_is_shown(ledger: Database) -> None:
    async def only(title: str) -> list[float]:
        return [float(value) for each in await ask(ledger, SQL[title]) for value in each.values()]

    assert await only("Spent") == [4]
    assert await only("Completions") == [2]
    assert await only("Failed attempts") == [pytest.approx(1 / 3)]
    # What is held outside of leases, and of the open lease what is left: of what is spent nothing is held.
    assert await only("Promised now") == [2 + 4]
    # Two of 2 s and one of 9 s: 0.9 of the way from the second to the third.
    assert await only("Attempt, p95") == [pytest.approx(8.3)]


async def test_spending_adds_up_by_model_intent_and_user(ledger: Database) -> None:
    async def usd(title: str, name: str) -> dict[str, float]:
        return {each[name]: float(each["USD"]) for each in await ask(ledger, SQL[title])}

    assert await usd("By model", "Model") == {"acme/small": 4, "acme/large": 0}
    assert await usd("By intent", "Intent") == {"chat_lite": 3, "code_gen": 1}
    assert await usd("By user", "User") == {"ann": 3, "bob": 1}
    assert await usd("By provider", "Provider") == {"acme": 4}


async def test_days_are_those_of_utc(ledger: Database) -> None:
    days = await ask(ledger, SQL["Spent by day and intent"])
    began = datetime.fromtimestamp((NOW - HOUR) / MICROSECONDS, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert {(each["time"], each["metric"], float(each["usd"])) for each in days} == {
        (began, "chat_lite", 3),
        (began, "code_gen", 1),
    }


async def test_a_budget_is_shown_with_what_is_gone_of_its_present_period_in_its_own_zone(ledger: Database) -> None:
    found = {each["Budget"]: each for each in await ask(ledger, SQL["Budgets"])}
    assert found.keys() == {"total", "daily", "monthly", "untouched"}
    for name in ("total", "daily", "monthly"):
        assert (float(found[name]["Spent"]), float(found[name]["Promised"]), found[name]["Used"]) == (4, 1, 0.4), name
    assert (float(found["untouched"]["Spent"]), found["untouched"]["Used"]) == (0, 0)
    assert (found["daily"]["Of"], found["total"]["Of"]) == ("user ann", "tenant")


async def test_dear_and_slow_attempts_lead_to_their_completions(ledger: Database) -> None:
    dear, slow, attempts = [
        await ask(ledger, SQL[title])
        for title in ("Dearest attempts", "Slowest attempts", "Attempts of one completion")
    ]
    assert [(each["Completion"], float(each["USD"])) for each in dear] == [("c1", 3), ("c2", 1), ("c1", 0)]
    assert (slow[0]["Completion"], slow[0]["Failure"], float(slow[0]["Seconds"])) == ("c1", "timeout", 9)
    assert [(each["Attempt"], each["Outcome"]) for each in attempts] == [(1, "failed"), (2, "complete")]
