"""ExplainDecision and ReplayDecisions over the wire, on both databases: what they tell, and whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import timestamp_pb2
from muxer.v1 import decision_service_pb2 as pb
from muxer.v1 import price_service_pb2, routing_pb2
from sqlalchemy import insert

from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.live import LiveFigures, LiveSnapshot
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.price_book import BookKind, KeptBook, stored_book
from muxer_grpc.domain.routing.policy import RoutingPolicy
from muxer_grpc.rpc import exploring
from muxer_grpc.rpc.kept_decisions import kept_decision_document
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.price_books import PriceBookTable
from muxer_grpc.storage.schema import decisions
from tests.rpc.reported import NOW, SECOND, Reported, entry, reported
from tests.rpc.service import CATALOGUE
from tests.unit.pasts import decision

TOKENS = {"input_tokens": 1_000, "output_tokens": 500}
CHEAPEST = pb.ReplayPolicy(strategy="cost")


@pytest.fixture
async def reports(database: Database) -> AsyncGenerator[Reported, None]:
    async with reported(database) as found:
        yield found


async def keep(reports: Reported, name: str, made: Decision, tenant_id: str = "acme", **changes: Any) -> None:
    """Keeps a decision in history."""
    facts = {
        "id": name,
        "tenant_id": tenant_id,
        "user_id": "ann",
        "strategy": made.strategy,
        "intent": made.classification.intent.value,
        "selected_model": made.selected.name,
        "document": kept_decision_document(replace(made, decision_id=name)),
        "created_us": NOW,
        "expires_us": NOW + SECOND,
        **changes,
    }
    async with reports.world.database.change() as connection:
        await connection.execute(insert(decisions).values(**facts))


def made(policy: RoutingPolicy | None = None, **changes: Any) -> Decision:
    return decision(policy, catalogue=changes.pop("catalogue", CATALOGUE), **changes)


async def explained(reports: Reported, **asked: Any) -> pb.ExplainDecisionResponse:
    reply: pb.ExplainDecisionResponse = await reports.acme(pb.ExplainDecisionRequest(**asked))
    return reply


async def test_a_decision_is_explained_with_each_factor_s_part_of_its_score(reports: Reported) -> None:
    one = made()
    await keep(reports, "dec_1", one)
    reply = await explained(reports, decision_id="dec_1")
    assert reply.decision.decision.selected_model == one.selected.name
    assert [each.model for each in reply.candidates] == [each.model.name for each in one.candidates]
    for rank, (told, each) in enumerate(zip(reply.candidates, one.candidates, strict=True), 1):
        assert (told.rank, told.score) == (rank, each.score)
        assert told.behind == pytest.approx(one.candidates[0].score - each.score)
        assert sum(factor.contribution for factor in told.factors) == pytest.approx(each.score)
        assert sum(factor.behind for factor in told.factors) == pytest.approx(told.behind)
    places = {each.model.name: place for place, each in enumerate(one.fallbacks, 1)}
    assert {each.model: each.fallback_rank for each in reply.candidates if each.fallback_rank} == places
    assert (reply.reproduced, reply.present_model) == (True, one.selected.name)
    assert (reply.models_changed, reply.prices_changed) == (False, False)


async def test_an_excluded_model_comes_with_what_it_would_take_and_the_place_that_it_would_have(
    reports: Reported,
) -> None:
    await keep(reports, "dec_1", made(RoutingPolicy(denied_models=frozenset({"acme/large"}))))
    reply = await explained(reports, decision_id="dec_1")
    [each] = reply.exclusions
    assert each.exclusion.model == "acme/large"
    assert (each.remedy, each.remedy_kind) == ("take it off denied_models", pb.REMEDY_KIND_POLICY)
    [admitted] = [each for each in reply.alternatives if each.kind == pb.ALTERNATIVE_KIND_ADMITTED]
    assert (admitted.subject, admitted.selected_model, admitted.changes_choice) == ("acme/large", "acme/large", True)
    assert (each.rank_if_admitted, each.score_if_admitted) == (1, made().candidates[0].score)


async def test_what_would_change_a_decision_comes_first_with_its_values(reports: Reported) -> None:
    await keep(reports, "dec_1", made())
    reply = await explained(reports, decision_id="dec_1")
    changes = [each.changes_choice for each in reply.alternatives]
    assert changes == sorted(changes, reverse=True)
    cheap = next(each for each in reply.alternatives if each.subject == "cost" and not each.HasField("value_after"))
    assert (cheap.kind, cheap.selected_model, cheap.changes_choice) == (
        pb.ALTERNATIVE_KIND_STRATEGY,
        "acme/small",
        True,
    )
    best = made(RoutingPolicy(strategy="cost")).candidates[0]
    assert (cheap.estimated_cost_nano_usd, cheap.expected_quality) == (
        best.estimated_cost_nano_usd,
        best.expected_quality,
    )
    target = [each for each in reply.alternatives if each.kind == pb.ALTERNATIVE_KIND_QUALITY_TARGET]
    assert {each.HasField("value_before") for each in target} == {False}
    assert {each.HasField("value_after") for each in target} == {True}
    weight = [each for each in reply.alternatives if each.kind == pb.ALTERNATIVE_KIND_WEIGHT]
    assert {each.HasField("value_before") for each in weight} == {True}


async def test_how_models_did_at_the_time_of_a_decision_is_what_it_is_explained_with(reports: Reported) -> None:
    slow = LiveSnapshot({"acme/small": LiveFigures(50, 40.0, 1.0, 0.2, 3, 1, 1.0)}, "l")
    await keep(reports, "dec_1", made(RoutingPolicy(strategy="hybrid"), live=slow))
    reply = await explained(reports, decision_id="dec_1")
    assert reply.reproduced
    assert not reply.models_changed
    assert made(RoutingPolicy(strategy="hybrid")).selected.name != reply.present_model


async def test_a_decision_is_found_by_the_completion_that_it_led_to(reports: Reported) -> None:
    await keep(reports, "dec_1", made(), completion_id="cmp_1")
    await reports.book(entry("cmp_1", decision_id="dec_1"), entry("cmp_2"))
    assert (await explained(reports, completion_id="cmp_1")).decision.decision_id == "dec_1"
    for lost in ("cmp_2", "cmp_3"):
        await reports.acme.refused(pb.ExplainDecisionRequest(completion_id=lost), "RESOURCE_NOT_FOUND")
    await reports.other.refused(pb.ExplainDecisionRequest(completion_id="cmp_1"), "RESOURCE_NOT_FOUND")


async def test_a_decision_that_was_kept_without_its_basis_is_shown_as_far_as_it_is_known(reports: Reported) -> None:
    await keep(reports, "dec_1", replace(made(), basis=None))
    reply = await explained(reports, decision_id="dec_1")
    assert len(reply.candidates) == len(made().candidates)
    assert (list(reply.alternatives), reply.reproduced, reply.present_model) == ([], False, "")


async def test_a_decision_is_explained_with_the_prices_of_its_time_where_they_are_kept(reports: Reported) -> None:
    prices = {name: Price.from_usd_per_million("7", "9") for name in CATALOGUE.models}
    book = stored_book(prices, 1)
    one = made(catalogue=book.applied_to(CATALOGUE))
    await keep(reports, "dec_1", one)
    reply = await explained(reports, decision_id="dec_1")
    assert (reply.prices_changed, reply.models_changed) == (True, False)
    await PriceBookTable(reports.world.database).record(KeptBook(book, BookKind.MERGED, 1))
    reply = await explained(reports, decision_id="dec_1")
    assert (reply.prices_changed, reply.reproduced) == (False, True)
    same = next(each for each in reply.alternatives if each.selected_model == one.selected.name)
    assert same.estimated_cost_nano_usd == one.candidates[0].estimated_cost_nano_usd


NO_EXPLANATION: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"decision_id": "REQUIRED"}),
    ({"decision_id": "\n"}, {"decision_id": "PATTERN"}),
    ({"completion_id": "c" * 65}, {"completion_id": "PATTERN"}),
    ({"decision_id": "dec_1", "completion_id": "cmp_1"}, {"completion_id": "CONTRADICTION"}),
]


async def test_an_explanation_of_nothing_in_particular_is_refused(reports: Reported) -> None:
    for fields, violations in NO_EXPLANATION:
        error = await reports.acme.refused(pb.ExplainDecisionRequest(**fields), "INVALID_REQUEST")
        assert error.fields == violations


async def test_a_tenant_s_admin_explores_no_other_tenant_s_decisions(reports: Reported) -> None:
    await keep(reports, "dec_1", made(), "other")
    await keep(reports, "dec_2", made())
    await reports.acme.refused(pb.ExplainDecisionRequest(decision_id="dec_1"), "RESOURCE_NOT_FOUND")
    for request in (
        pb.ExplainDecisionRequest(tenant_id="other", decision_id="dec_1"),
        pb.ReplayDecisionsRequest(tenant_id="other"),
    ):
        await reports.acme.refused(request, "PERMISSION_DENIED")
    counts = [(await caller(pb.ReplayDecisionsRequest())).total.decisions for caller in (reports.acme, reports.root)]
    assert counts == [1, 2]
    assert (await reports.root(pb.ReplayDecisionsRequest(tenant_id="other"))).total.decisions == 1
    assert (await reports.root(pb.ExplainDecisionRequest(decision_id="dec_1"))).reproduced


async def test_a_replay_prices_the_tokens_of_the_last_attempt(reports: Reported) -> None:
    await keep(reports, "dec_1", made(), completion_id="cmp_1")
    await keep(reports, "dec_2", made())
    await keep(reports, "dec_3", made(), completion_id="cmp_3")
    await reports.book(
        # 1,000 tokens in and 500 out at 10 and 20 USD per million, after an attempt that came to nothing much.
        entry("cmp_1", 20_000_000, attempt=2, decision_id="dec_1", model="acme/large", **TOKENS),
        entry("cmp_1", 5, decision_id="dec_1", model="acme/large", outcome="failed", input_tokens=9),
        # Its process died: what it used is not known.
        entry("cmp_3", 777, decision_id="dec_3", model="acme/large", outcome="abandoned", usage_source="estimated"),
    )
    reply = await reports.acme(pb.ReplayDecisionsRequest(policy=CHEAPEST))
    before = made().candidates[0].estimated_cost_nano_usd
    after = made(RoutingPolicy(strategy="cost")).candidates[0].estimated_cost_nano_usd
    total = reply.total
    assert (total.decisions, total.changed, total.measured, total.pinned) == (3, 3, 1, 0)
    assert total.cost_before_nano_usd == 20_000_000 + 2 * before
    assert total.cost_after_nano_usd == 200_000 + 2 * after
    assert total.quality_before == pytest.approx(made().candidates[0].expected_quality)
    [shift] = reply.shifts
    assert (shift.model_before, shift.model_after, shift.decisions) == ("acme/large", "acme/small", 3)
    [intent] = reply.intents
    assert (intent.intent, intent.sums) == (routing_pb2.INTENT_CHAT_LITE, total)
    assert (reply.price_book_version, reply.fleet_version) == ("prices-test", "fleet-test")


async def test_the_same_replay_comes_out_the_same_however_it_is_paged(
    reports: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(7):
        await keep(reports, f"dec_{n}", made(), created_us=NOW + n // 2)
    request = pb.ReplayDecisionsRequest(policy=pb.ReplayPolicy(strategy="round_robin"))
    replies = [await reports.acme(request)]
    for page in (1, 2, 3, 7):
        monkeypatch.setattr(exploring, "PAGE", page)
        replies.append(await reports.acme(request))
    assert all(reply == replies[0] for reply in replies)
    assert (replies[0].total.decisions, replies[0].truncated) == (7, False)
    assert replies[0].earliest_time == timestamp_pb2.Timestamp(seconds=NOW // SECOND)


async def test_a_replay_is_bounded_and_says_so(reports: Reported, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(4):
        await keep(reports, f"dec_{n}", made(), created_us=NOW + n * SECOND)
    for page in (1, 2, 100):
        monkeypatch.setattr(exploring, "PAGE", page)
        reply = await reports.acme(pb.ReplayDecisionsRequest(limit=2))
        assert (reply.total.decisions, reply.truncated) == (2, True)
        assert reply.earliest_time.seconds == NOW // SECOND + 2
        reply = await reports.acme(pb.ReplayDecisionsRequest(limit=2, until=reply.earliest_time))
        assert (reply.total.decisions, reply.truncated) == (2, False)
        reply = await reports.acme(pb.ReplayDecisionsRequest(since=reply.earliest_time, limit=4))
        assert (reply.total.decisions, reply.truncated) == (4, False)


async def test_a_replay_over_nothing_says_that_it_is_nothing(reports: Reported) -> None:
    reply = await reports.acme(pb.ReplayDecisionsRequest())
    assert reply == pb.ReplayDecisionsResponse(
        total=pb.ReplaySums(), price_book_version="prices-test", fleet_version="fleet-test"
    )


async def test_prices_of_a_replay_are_put_in_force_for_nobody(reports: Reported) -> None:
    await keep(reports, "dec_1", made(RoutingPolicy(strategy="cost")))
    prices = price_service_pb2.TokenPrices(input_pico_usd_per_token=90_000_000, output_pico_usd_per_token=90_000_000)
    given = price_service_pb2.GivenPrice(model="acme/small", prices=prices)
    reply = await reports.acme(pb.ReplayDecisionsRequest(prices=[given]))
    [shift] = reply.shifts
    assert (shift.model_before, shift.model_after) == ("acme/small", "other/tiny")
    assert reply.price_book_version.startswith("replay-")
    reply = await reports.acme(pb.ReplayDecisionsRequest())
    assert (reply.total.changed, reply.price_book_version) == (0, "prices-test")


async def test_models_are_allowed_and_denied_for_a_replay(reports: Reported) -> None:
    await keep(reports, "dec_1", made(RoutingPolicy(denied_models=frozenset({"acme/small"}))))
    allow = pb.ReplayPolicy(allowed_models=["acme/small"])
    [shift] = (await reports.acme(pb.ReplayDecisionsRequest(policy=allow))).shifts
    assert shift.model_after == "acme/small"
    reply = await reports.acme(pb.ReplayDecisionsRequest(policy=pb.ReplayPolicy(denied_models=list(CATALOGUE.models))))
    assert (reply.refused, reply.total) == (1, pb.ReplaySums())
    assert [(each.model_before, each.model_after, each.decisions) for each in reply.shifts] == [("acme/middle", "", 1)]
    reply = await reports.acme(
        pb.ReplayDecisionsRequest(policy=pb.ReplayPolicy(denied_models=["acme/large", "acme/middle"]))
    )
    [counted] = reply.exclusions
    assert (counted.reason, counted.before, counted.after) == (routing_pb2.EXCLUSION_REASON_MODEL_NOT_ALLOWED, 1, 3)


async def test_what_cannot_be_made_again_is_skipped_and_counted(reports: Reported) -> None:
    await keep(reports, "dec_1", replace(made(), basis=None))
    await keep(reports, "dec_2", made(), document=b"\xff\xff")
    await keep(reports, "dec_3", made())
    reply = await reports.acme(pb.ReplayDecisionsRequest())
    assert (reply.skipped, reply.total.decisions) == (2, 1)


async def test_replays_at_the_same_time_come_one_after_the_other(reports: Reported) -> None:
    await keep(reports, "dec_1", made())
    request = pb.ReplayDecisionsRequest(policy=CHEAPEST)
    replies = await asyncio.gather(*(reports.acme(request) for _ in range(5)))
    assert [reply.total.decisions for reply in replies] == [1] * 5


NO_REPLAY: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"limit": -1}, {"limit": "RANGE"}),
    ({"limit": 10_001}, {"limit": "RANGE"}),
    ({"tenant_id": "acme", "since": {"seconds": 5}, "until": {"seconds": 4}}, {"until": "RANGE"}),
    ({"policy": {"strategy": "luck"}}, {"policy.strategy": "UNKNOWN"}),
    ({"policy": {"weights": {"cost": -1}}}, {"policy.weights.cost": "RANGE"}),
    ({"policy": {"weights": {}}}, {"policy.weights": "REQUIRED"}),
    ({"policy": {"quality_target": 1.5}}, {"policy.quality_target": "RANGE"}),
    ({"policy": {"quality_target": float("nan")}}, {"policy.quality_target": "RANGE"}),
    ({"policy": {"allowed_models": ["acme/none"]}}, {"policy.allowed_models[0]": "UNKNOWN"}),
    ({"policy": {"denied_models": ["acme/large", ""]}}, {"policy.denied_models[1]": "UNKNOWN"}),
    ({"policy": {"denied_models": ["acme/large"] * 201}}, {"policy.denied_models": "LENGTH"}),
    ({"prices": [{"model": "acme/large"}]}, {"prices[0].prices": "REQUIRED"}),
    ({"prices": [{"model": "acme/none", "free": True}]}, {"prices[0].model": "UNKNOWN"}),
    ({"prices": [{"model": "acme/large", "free": True}] * 2}, {"prices[1].model": "DUPLICATE"}),
]


async def test_a_replay_that_makes_no_sense_is_refused(reports: Reported) -> None:
    for fields, violations in NO_REPLAY:
        error = await reports.acme.refused(pb.ReplayDecisionsRequest(**fields), "INVALID_REQUEST")
        assert error.fields == violations
