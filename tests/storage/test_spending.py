"""What savings are estimated from, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, update

from muxer_grpc.domain.money import Usage
from muxer_grpc.domain.savings import ModelSpending, RepeatSpending, SpendingReport
from muxer_grpc.domain.tenancy import NO_POLICY, TenantPolicy
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.policies import policy_json
from muxer_grpc.storage.schema import contents, decisions, tenants
from muxer_grpc.storage.spending import SpendingTable
from tests.storage.bookings import add_tenants, book, row
from tests.storage.records import NOW


@pytest.fixture
async def stored(database: Database) -> Database:
    await add_tenants(database)
    return database


async def read(database: Database, tenant_id: str | None = None, **span: int) -> SpendingReport:
    return await SpendingTable(database).spending(tenant_id, span.get("since"), span.get("until"))


async def test_spending_is_summed_by_tenant_kind_of_task_and_model(stored: Database) -> None:
    policy = TenantPolicy(denied_models=frozenset({"b/x"}))
    async with stored.change() as connection:
        await connection.execute(update(tenants).where(tenants.c.id == "acme").values(policy=policy_json(policy)))
    tokens = {"input_tokens": 10, "cached_input_tokens": 2, "cache_write_tokens": 3, "cache_write_1h_tokens": 4}
    await book(
        stored,
        [
            row("c1", NOW, 100, reserved_nano_usd=300, **tokens, output_tokens=5, reasoning_tokens=1),
            row("c1", NOW, 50, attempt=2, requested_model="acme/small", input_tokens=30, output_tokens=2),
            row("c2", NOW, 7, requested_model="acme/small", output_tokens=9),
            row("c3", NOW, 1, intent="code_gen", requested_model="acme/other"),
            row("c4", NOW, 1, tenant_id="other"),
            row("c5", NOW, 0, model=""),
        ],
    )
    report = await read(stored)
    assert report.by_model[0] == ModelSpending(
        tenant_id="acme",
        intent="chat_lite",
        model="acme/small",
        usage=Usage(
            input_tokens=40,
            cached_input_tokens=2,
            cache_write_tokens=3,
            cache_write_1h_tokens=4,
            output_tokens=16,
            reasoning_tokens=1,
        ),
        cost_nano_usd=157,
        reserved_nano_usd=300,
        attempts=3,
        requested=2,
        most_input_tokens=30,
        most_output_tokens=9,
    )
    assert [(each.tenant_id, each.intent, each.requested) for each in report.by_model] == [
        ("acme", "chat_lite", 2),
        ("acme", "code_gen", 0),
        ("other", "chat_lite", 0),
    ]
    assert report.policies == {"acme": policy, "other": NO_POLICY}


async def test_one_tenant_s_report_and_its_time_hold_nothing_else(stored: Database) -> None:
    await book(stored, [row(f"c{n}", NOW + n, 10**n) for n in range(4)] + [row("o", NOW + 1, 5, tenant_id="other")])
    report = await read(stored, "acme", since=NOW + 1, until=NOW + 3)
    assert [each.cost_nano_usd for each in report.by_model] == [110]
    assert list(report.policies) == ["acme"]
    assert [(each.tenant_id, each.completions) for each in report.repeats] == [("acme", 2)]


async def asked(database: Database, completion_id: str, cost: int, what: bytes | None, **changes: Any) -> None:
    """Books a completion that asked something, as a fingerprint in the history of decisions tells."""
    decision_id = f"dec_{completion_id}"
    await book(database, [row(completion_id, NOW, cost, decision_id=decision_id, **changes)])
    facts = {"strategy": "s", "intent": "i", "selected_model": "m", "document": b"", "created_us": 0, "expires_us": 0}
    async with database.change() as connection:
        await connection.execute(
            insert(decisions).values(id=decision_id, tenant_id="acme", user_id="ann", fingerprint=what, **facts)
        )


async def test_of_requests_that_are_alike_all_but_the_dearest_count_as_repeats(stored: Database) -> None:
    for n, cost in enumerate((10, 30, 20)):
        await asked(stored, f"same_{n}", cost, b"same")
    await asked(stored, "once", 1_000, b"once")
    await asked(stored, "unknown_1", 5, b"")
    await asked(stored, "unknown_2", 5, None)
    await book(stored, [row("forgotten", NOW, 5)])
    assert (await read(stored)).repeats == [RepeatSpending("acme", 7, 4, 2, 30)]


async def test_what_was_not_answered_whole_is_no_repeat(stored: Database) -> None:
    await asked(stored, "c1", 10, b"same")
    for outcome in ("failed", "cancelled", "length", "filtered", "abandoned"):
        await asked(stored, f"c_{outcome}", 10, b"same", outcome=outcome)
    assert (await read(stored)).repeats == [RepeatSpending("acme", 1, 1, 0, 0)]


async def test_a_completion_costs_what_all_its_attempts_cost(stored: Database) -> None:
    await asked(stored, "c1", 10, b"same", outcome="failed")
    await book(stored, [row("c1", NOW, 15, attempt=2, decision_id="dec_c1")])
    await asked(stored, "c2", 20, b"same")
    assert (await read(stored)).repeats == [RepeatSpending("acme", 2, 2, 1, 20)]


async def test_completions_of_one_routed_decision_are_alike(stored: Database) -> None:
    await asked(stored, "c1", 10, b"same")
    await book(stored, [row("c2", NOW, 10, decision_id="dec_c1")])
    assert (await read(stored)).repeats == [RepeatSpending("acme", 2, 2, 1, 10)]


async def test_digests_of_kept_prompts_tell_repeats_too(stored: Database) -> None:
    await book(stored, [row(f"c{n}", NOW, 10) for n in range(3)])
    kept = {"answer_digest": b"", "created_us": 0, "expires_us": 0, "prompt_digest": b"alike"}
    async with stored.change() as connection:
        for n in range(2):
            await connection.execute(insert(contents).values(completion_id=f"c{n}", tenant_id="acme", **kept))
    assert (await read(stored)).repeats == [RepeatSpending("acme", 3, 2, 1, 10)]


async def test_tenants_do_not_share_their_repeats(stored: Database) -> None:
    await asked(stored, "c1", 10, b"same")
    await asked(stored, "c2", 10, b"same", tenant_id="other")
    assert [each.repeats for each in (await read(stored)).repeats] == [0, 0]


async def test_nothing_is_estimated_from_an_empty_ledger(stored: Database) -> None:
    assert await read(stored) == SpendingReport([], [], {})
