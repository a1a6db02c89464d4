"""LedgerService, DecisionService and SavingsService: what they tell, to whom, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import duration_pb2, timestamp_pb2
from muxer.v1 import billing_pb2, errors_pb2, ledger_pb2, routing_pb2
from muxer.v1 import decision_service_pb2 as decisions_pb
from muxer.v1 import ledger_service_pb2 as pb
from muxer.v1 import savings_service_pb2 as savings_pb
from sqlalchemy import insert, update

from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage.schema import budget_counters, decisions
from tests.rpc.reported import NOW, SECOND, Reported, all_of, entry
from tests.storage.records import add_budget, reservation, settlement


async def test_an_entry_is_told_whole(reports: Reported) -> None:
    tokens = {"input_tokens": 1, "cached_input_tokens": 2, "output_tokens": 3}
    await reports.book(
        entry(
            "cmp_1",
            2**53 + 1,
            **tokens,
            key_id="key_1",
            principal="acme/ann by key key_1",
            request_id="r",
            decision_id="dec_1",
            money_lease_id="lease_1",
            requested_model="small",
            reported_model="small-1",
            outcome="failed",
            failure_class="timeout",
            reserved_nano_usd=9,
            price_book_version="p",
            streamed=True,
            flagged=True,
            labels={"a": "b"},
            duration_us=1_500_001,
            first_token_us=2,
            settled_us=NOW + 3,
        )
    )
    [told] = (await reports.acme(pb.ListEntriesRequest())).entries
    told.sequence = 0
    assert told == ledger_pb2.LedgerEntry(
        completion_id="cmp_1",
        attempt=1,
        tenant_id="acme",
        user_id="ann",
        key_id="key_1",
        principal="acme/ann by key key_1",
        request_id="r",
        decision_id="dec_1",
        money_lease_id="lease_1",
        strategy="learned",
        intent=routing_pb2.INTENT_CHAT_LITE,
        requested_model="small",
        model="acme/small",
        provider="acme",
        reported_model="small-1",
        outcome=ledger_pb2.ENTRY_OUTCOME_FAILED,
        failure_class=errors_pb2.FAILURE_CLASS_TIMEOUT,
        usage=billing_pb2.Usage(**tokens, source=billing_pb2.USAGE_SOURCE_PROVIDER),
        cost_nano_usd=2**53 + 1,
        cost_pico_usd=(2**53 + 1) * 1_000,
        reserved_nano_usd=9,
        price_book_version="p",
        streamed=True,
        flagged=True,
        labels={"a": "b"},
        duration=duration_pb2.Duration(seconds=1, nanos=500_001_000),
        time_to_first_token=duration_pb2.Duration(nanos=2_000),
        create_time=timestamp_pb2.Timestamp(seconds=NOW // SECOND),
        settle_time=timestamp_pb2.Timestamp(seconds=NOW // SECOND, nanos=3_000),
    )


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_entries_come_page_by_page_in_either_order(reports: Reported, oldest_first: bool) -> None:
    await reports.book(*(entry(f"c{n}") for n in range(7)))
    found = await all_of(reports.acme, pb.ListEntriesRequest(page_size=3, oldest_first=oldest_first), "entries")
    names = [f"c{n}" for n in range(7)]
    assert [each.completion_id for each in found] == (names if oldest_first else names[::-1])


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"request_id": "r"}, ["c1"]),
        ({"money_lease_id": "l"}, ["c2"]),
        ({"flagged": True}, ["c3"]),
        ({"flagged": False}, ["c0", "c1", "c2"]),
        ({"labels": {"a": "b"}}, ["c0"]),
    ],
)
async def test_entries_are_narrowed(reports: Reported, wanted: dict[str, Any], names: list[str]) -> None:
    changes: list[dict[str, Any]] = [
        {"labels": {"a": "b", "c": "d"}},
        {"request_id": "r"},
        {"money_lease_id": "l"},
        {"flagged": True},
    ]
    await reports.book(*(entry(f"c{n}", **each) for n, each in enumerate(changes)))
    reply = await reports.acme(pb.ListEntriesRequest(filter=wanted, oldest_first=True))
    assert [each.completion_id for each in reply.entries] == names


async def test_a_tenant_s_admin_sees_no_other_tenant_s_entries(reports: Reported) -> None:
    await reports.book(entry("mine"), entry("theirs", tenant_id="other"))
    for caller, names in ((reports.acme, ["mine"]), (reports.root, ["theirs", "mine"])):
        reply = await caller(pb.ListEntriesRequest())
        assert [each.completion_id for each in reply.entries] == names
    await reports.acme.refused(pb.ListEntriesRequest(filter={"tenant_id": "other"}), "PERMISSION_DENIED")
    await reports.acme.refused(pb.GetCompletionRequest(completion_id="theirs"), "RESOURCE_NOT_FOUND")
    await reports.acme.refused(pb.GetCompletionRequest(tenant_id="other", completion_id="theirs"), "PERMISSION_DENIED")


async def test_a_completion_is_told_with_its_cost_or_with_what_it_reserves(reports: Reported) -> None:
    await reports.book(entry("c1", 5, outcome="failed"), entry("c1", 7, attempt=2))
    reply = await reports.acme(pb.GetCompletionRequest(completion_id="c1"))
    assert ([each.attempt for each in reply.entries], reply.cost_nano_usd) == ([1, 2], 12)
    await reports.writer.reserve(reservation("c2", 40, subject=Subject("acme", "ann")))
    reply = await reports.acme(pb.GetCompletionRequest(completion_id="c2"))
    assert (list(reply.entries), reply.reserved_nano_usd) == ([], 40)
    error = await reports.acme.refused(pb.GetCompletionRequest(), "INVALID_REQUEST")
    assert error.fields == {"completion_id": "REQUIRED"}


async def test_the_books_balance_until_a_counter_is_bent(reports: Reported) -> None:
    database = reports.world.database
    await add_budget(database, Budget("bud_1", "acme", Period.TOTAL, 10**9), NOW)
    promise = reservation(amount=100, subject=Subject("acme", "ann"))
    await reports.writer.reserve(promise)
    await reports.writer.settle(settlement(promise, 60))
    reply = await reports.acme(pb.CheckLedgerRequest())
    assert (reply.difference_count, reply.entries, reply.spent_nano_usd) == (0, 1, 60)
    assert reply.check_time.seconds == NOW // SECOND
    async with database.change() as connection:
        mine = budget_counters.c.budget_id == "bud_1"
        await connection.execute(update(budget_counters).where(mine).values(spent_nano_usd=61))
    for caller in (reports.acme, reports.root):
        reply = await caller(pb.CheckLedgerRequest())
        [difference] = reply.differences
        assert reply.difference_count == 1
        assert (difference.imbalance, difference.resource) == (
            pb.LEDGER_IMBALANCE_COUNTER_SPENT,
            "budgets/bud_1/periods/0",
        )
        assert (difference.expected, difference.found) == (60, 61)
        assert difference.detail == "spent for all time is 61 nano-USD, and the ledger says 60"
    assert (await reports.other(pb.CheckLedgerRequest())).difference_count == 0
    await reports.other.refused(pb.CheckLedgerRequest(tenant_id="acme"), "PERMISSION_DENIED")


async def decide(reports: Reported, name: str, tenant_id: str = "acme", **changes: Any) -> bytes:
    document = routing_pb2.RouteDecision(decision_id=name, explanation="because").SerializeToString()
    facts = {
        "id": name,
        "tenant_id": tenant_id,
        "user_id": "ann",
        "strategy": "cost",
        "intent": "vision",
        "selected_model": "acme/small",
        "document": document,
        "created_us": NOW,
        "expires_us": NOW + SECOND,
        **changes,
    }
    async with reports.world.database.change() as connection:
        await connection.execute(insert(decisions).values(**facts))
    return document


async def test_a_decision_is_listed_short_and_shown_whole(reports: Reported) -> None:
    document = await decide(reports, "dec_1", completion_id="cmp_1")
    told = decisions_pb.DecisionRecord(
        decision_id="dec_1",
        tenant_id="acme",
        user_id="ann",
        completion_id="cmp_1",
        strategy="cost",
        intent=routing_pb2.INTENT_VISION,
        selected_model="acme/small",
        create_time=timestamp_pb2.Timestamp(seconds=NOW // SECOND),
        expire_time=timestamp_pb2.Timestamp(seconds=NOW // SECOND + 1),
    )
    assert list((await reports.acme(decisions_pb.ListDecisionsRequest())).decisions) == [told]
    told.decision.ParseFromString(document)
    assert (await reports.acme(decisions_pb.GetDecisionRequest(decision_id="dec_1"))).decision == told


async def test_decisions_come_page_by_page_and_narrowed(reports: Reported) -> None:
    for n in range(5):
        await decide(reports, f"dec_{n}", created_us=NOW + n // 2, completion_id="c" if n % 2 else "")
    found = await all_of(reports.acme, decisions_pb.ListDecisionsRequest(page_size=2), "decisions")
    assert [each.decision_id for each in found] == [f"dec_{n}" for n in range(4, -1, -1)]
    reply = await reports.acme(decisions_pb.ListDecisionsRequest(dry_run=False))
    assert [each.decision_id for each in reply.decisions] == ["dec_3", "dec_1"]


async def test_a_tenant_s_admin_sees_no_other_tenant_s_decisions(reports: Reported) -> None:
    await decide(reports, "dec_1", "other")
    assert list((await reports.acme(decisions_pb.ListDecisionsRequest())).decisions) == []
    assert len((await reports.root(decisions_pb.ListDecisionsRequest())).decisions) == 1
    await reports.acme.refused(decisions_pb.GetDecisionRequest(decision_id="dec_1"), "RESOURCE_NOT_FOUND")
    for request in (
        decisions_pb.ListDecisionsRequest(tenant_id="other"),
        decisions_pb.GetDecisionRequest(tenant_id="other", decision_id="dec_1"),
    ):
        await reports.acme.refused(request, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("request_fields", "field", "rule"),
    [
        ({"page_token": "nonsense"}, "page_token", "UNKNOWN"),
        ({"intent": 99}, "intent", "UNKNOWN"),
        ({"selected_model": "\0"}, "selected_model", "LENGTH"),
        ({"since": {"seconds": 5}, "until": {"seconds": 4}}, "until", "RANGE"),
    ],
)
async def test_a_listing_of_decisions_that_makes_no_sense_is_refused(
    reports: Reported, request_fields: dict[str, Any], field: str, rule: str
) -> None:
    error = await reports.acme.refused(decisions_pb.ListDecisionsRequest(**request_fields), "INVALID_REQUEST")
    assert error.fields == {field: rule}


async def test_savings_are_told_by_tenant_with_what_they_rest_on(reports: Reported) -> None:
    """Middle and large stand in one catalogue with small, whose ratings are lower: only equals are named."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
    await reports.book(
        entry("c1", 30_000_000_000, model="acme/large", reserved_nano_usd=60_000_000_000, **usage),
        entry("c2", 5, tenant_id="other"),
    )
    [tenant] = (await reports.acme(savings_pb.GetSavingsRequest(quality_tolerance=0.3))).tenants
    assert (tenant.tenant_id, tenant.spent_nano_usd) == ("acme", 30_000_000_000)
    assert list(tenant.cheaper_models) == []
    [unused] = tenant.unused_reservations
    assert unused == savings_pb.UnusedReservation(
        model="acme/large",
        reserved_nano_usd=60_000_000_000,
        spent_nano_usd=30_000_000_000,
        unused_nano_usd=30_000_000_000,
        unused_share=0.5,
        longest_answer_tokens=1_000_000,
    )
    assert tenant.cached_repeats == savings_pb.CachedRepeats(completions=1)
    both = (await reports.root(savings_pb.GetSavingsRequest())).tenants
    assert {each.tenant_id for each in both} == {"acme", "other"}


async def test_a_cheaper_model_of_equal_quality_is_named(reports: Reported) -> None:
    usage = {"input_tokens": 1_000, "output_tokens": 1_000}
    cost = 30_000_000
    await reports.book(entry("c1", cost, model="acme/large", requested_model="acme/large", intent="code_gen", **usage))
    request = savings_pb.GetSavingsRequest(quality_tolerance=0.3)
    [tenant] = (await reports.acme(request)).tenants
    [cheaper] = tenant.cheaper_models
    assert cheaper == savings_pb.CheaperModel(
        intent=routing_pb2.INTENT_CODE_GEN,
        present_model="acme/large",
        model="acme/middle",
        present_cost_nano_usd=cost,
        cost_nano_usd=3_000_000,
        saved_nano_usd=27_000_000,
        present_quality=0.85,
        quality=0.6,
        attempts=1,
        requested_completions=1,
    )
    assert list((await reports.acme(savings_pb.GetSavingsRequest())).tenants[0].cheaper_models) == []


async def test_savings_are_asked_for_with_sense_and_of_one_s_own_tenant(reports: Reported) -> None:
    error = await reports.acme.refused(savings_pb.GetSavingsRequest(quality_tolerance=1.5), "INVALID_REQUEST")
    assert error.fields == {"quality_tolerance": "RANGE"}
    error = await reports.acme.refused(savings_pb.GetSavingsRequest(quality_tolerance=float("nan")), "INVALID_REQUEST")
    assert error.fields == {"quality_tolerance": "RANGE"}
    await reports.acme.refused(savings_pb.GetSavingsRequest(tenant_id="other"), "PERMISSION_DENIED")
