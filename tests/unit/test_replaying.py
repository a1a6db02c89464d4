"""Replays: what is summed of decisions that are made again, with the costs of the ledger's own tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.decision import ExclusionReason
from muxer_grpc.domain.live import LiveSnapshot, Resting
from muxer_grpc.domain.money import Price, Usage, UsageSource, cost_of
from muxer_grpc.domain.replaying import Replay, ReplayPolicy, Report, Shift, Spent, Sums, repriced
from muxer_grpc.domain.routing.past import PastDecision
from muxer_grpc.domain.routing.policy import NO_RULES, RoutingPolicy, Weights
from muxer_grpc.domain.tasks import Intent
from tests.unit.pasts import CHAT, CONFIGURED, FLEET, decision, past

USAGE = Usage(input_tokens=1_000, output_tokens=500, source=UsageSource.PROVIDER)
CHEAPEST = ReplayPolicy(strategy="cost")


def spent_at(name: str) -> Spent:
    price = FLEET.models[name].price
    assert price is not None
    return Spent(name, USAGE, cost_of(USAGE, price).total_nano)


def replayed(
    *past: tuple[PastDecision, Spent | None], policy: ReplayPolicy = CHEAPEST, over: Catalogue = FLEET
) -> Report:
    replay = Replay(over, policy)
    replay.add(past)
    return replay.report


def test_with_nothing_changed_nothing_comes_out_otherwise() -> None:
    made = decision()
    report = replayed((past(), None), (past(), spent_at("acme/large")), policy=ReplayPolicy())
    cost = made.candidates[0].estimated_cost_nano_usd + spent_at("acme/large").cost_nano_usd
    quality = 2 * made.candidates[0].expected_quality
    assert report.total == Sums(2, 0, 0, 1, cost, cost, quality, quality)
    assert report.shifts == {("acme/large", "acme/large"): Shift(2, cost, cost)}


def test_the_tokens_of_the_ledger_are_priced_at_the_model_that_would_be_chosen() -> None:
    report = replayed((past(), spent_at("acme/large")))
    # 1,000 tokens in and 500 out: at 10 and 20 USD per million, and at 0.1 and 0.2.
    assert (report.total.cost_before, report.total.cost_after) == (20_000_000, 200_000)
    assert report.shifts == {("acme/large", "acme/small"): Shift(1, 20_000_000, 200_000)}
    assert (report.total.decisions, report.total.changed, report.total.measured) == (1, 1, 1)


def test_without_tokens_of_the_ledger_estimates_are_compared() -> None:
    report = replayed((past(), None))
    best = decision(RoutingPolicy(strategy="cost")).candidates[0]
    assert report.total.cost_before == decision().candidates[0].estimated_cost_nano_usd
    assert report.total.cost_after == best.estimated_cost_nano_usd
    assert report.total.quality_after == best.expected_quality
    assert report.total.measured == 0


def test_where_the_choice_is_the_same_whoever_answered_as_a_fallback_answers_again() -> None:
    spent = spent_at("acme/middle")
    report = replayed((past(), spent), policy=ReplayPolicy())
    assert report.total.cost_after == report.total.cost_before == spent.cost_nano_usd


def test_other_prices_change_what_it_costs_and_what_is_chosen() -> None:
    dear = {"acme/small": Price.from_usd_per_million("30", "60")}
    catalogue = repriced(FLEET, dear)
    cheapest = past(RoutingPolicy(strategy="cost"))
    report = replayed((cheapest, spent_at("acme/small")), policy=ReplayPolicy(), over=catalogue)
    assert report.shifts.keys() == {("acme/small", "other/tiny")}
    pinned = past(requested_model="acme/small")
    report = replayed((pinned, spent_at("acme/small")), policy=ReplayPolicy(), over=catalogue)
    assert (report.total.cost_before, report.total.cost_after, report.total.changed) == (200_000, 60_000_000, 0)


def test_given_prices_stand_beside_all_others_under_a_version_of_their_own() -> None:
    given = {"acme/small": Price.from_usd_per_million("3", "6")}
    catalogue = repriced(FLEET, given)
    assert catalogue.models["acme/small"].price == given["acme/small"]
    assert catalogue.models["acme/large"].price == FLEET.models["acme/large"].price
    assert catalogue.price_book_version == repriced(FLEET, given).price_book_version != FLEET.price_book_version
    assert repriced(FLEET, {}) is FLEET


def test_qualities_costs_and_changes_are_summed_by_intent_too() -> None:
    code = past(classification=CHAT._replace(intent=Intent.CODE_GEN, difficulty=0.1))
    report = replayed((past(), None), (code, None), (code, None))
    assert report.intents.keys() == {Intent.CHAT_LITE, Intent.CODE_GEN}
    assert report.intents[Intent.CODE_GEN].decisions == 2
    for name in Sums.__dataclass_fields__:
        parts = sum(getattr(sums, name) for sums in report.intents.values())
        assert getattr(report.total, name) == pytest.approx(parts)


def test_those_that_asked_for_one_model_are_counted_apart() -> None:
    by_name = past(requested_model="acme/large")
    first = past(RoutingPolicy(fall_back=True), requested_model="acme/large")
    report = replayed((by_name, None), (first, None), (past(), None))
    assert (report.total.pinned, report.total.changed) == (1, 1)


def test_a_decision_for_which_no_model_is_left_is_in_no_sum() -> None:
    policy = ReplayPolicy(denied_models=frozenset({"acme/small"}))
    report = replayed((past(requested_model="acme/small"), spent_at("acme/small")), policy=policy)
    assert (report.refused, report.total) == (1, Sums())
    assert report.shifts == {("acme/small", ""): Shift(1)}


def test_a_decision_without_its_basis_is_skipped() -> None:
    report = replayed((replace(past(), basis=None), None))
    assert (report.skipped, report.total, report.shifts) == (1, Sums(), {})


def test_exclusions_are_counted_before_and_after() -> None:
    policy = RoutingPolicy(denied_models=frozenset({"acme/small"}))
    report = replayed((past(policy), None), policy=ReplayPolicy(denied_models=frozenset({"acme/large", "acme/middle"})))
    assert report.excluded_before == {ExclusionReason.MODEL_NOT_ALLOWED: 1}
    assert report.excluded_after == {ExclusionReason.MODEL_NOT_ALLOWED: 3}


def test_how_models_did_then_counts_and_not_how_they_do_now() -> None:
    resting = LiveSnapshot({}, "r", {"acme/small": Resting("it failed too often", 5.0)})
    assert replayed((past(live=resting), None)).shifts.keys() == {("acme/middle", "other/tiny")}


def test_strategies_that_take_turns_begin_anew_in_each_replay() -> None:
    policy = ReplayPolicy(strategy="round_robin")
    reports = [replayed(*[(past(), None)] * 8, policy=policy) for _ in range(2)]
    assert reports[0] == reports[1]
    assert {after: shift.decisions for (_, after), shift in reports[0].shifts.items()} == dict.fromkeys(FLEET.models, 2)


def test_tokens_of_a_model_that_is_gone_cost_what_they_did() -> None:
    left = Catalogue.of([FLEET.models["acme/large"]], CONFIGURED, version="fleet-2", price_book_version="prices-1")
    spent = Spent("acme/gone", USAGE, 77)
    report = replayed((past(), spent), policy=ReplayPolicy(), over=left)
    assert (report.total.cost_before, report.total.cost_after, report.total.changed) == (77, 77, 0)


OLD = RoutingPolicy(
    strategy="hybrid",
    weights=Weights(cost=1.0),
    quality_target=0.3,
    allowed_models=frozenset({"acme/small"}),
    denied_models=frozenset({"acme/large", "acme/middle"}),
    max_cost_nano_usd=5,
)


def test_what_is_not_changed_stays_as_it_was() -> None:
    assert ReplayPolicy().over(OLD) == OLD
    assert ReplayPolicy().over(NO_RULES) == NO_RULES


def test_what_is_changed_takes_the_place_of_what_was() -> None:
    changed = ReplayPolicy("learned", Weights(quality=1.0), 0.0, frozenset({"acme/large"}), frozenset({"acme/small"}))
    assert changed.over(OLD) == RoutingPolicy(
        strategy="learned",
        weights=Weights(quality=1.0),
        quality_target=0.0,
        allowed_models=frozenset({"acme/large"}),
        denied_models=frozenset({"acme/middle", "acme/small"}),
        max_cost_nano_usd=5,
    )
