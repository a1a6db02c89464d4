"""What would have changed a decision: each thing that is told holds when the router itself decides so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muxer_grpc.domain.catalogue import Catalogue, Feature
from muxer_grpc.domain.classification.classifier import with_complexity
from muxer_grpc.domain.decision import ExclusionReason
from muxer_grpc.domain.live import LiveSnapshot, Resting
from muxer_grpc.domain.routing.alternatives import (
    MOST_ADMITTED,
    STEPS,
    Alternative,
    AlternativeKind,
    explain,
)
from muxer_grpc.domain.routing.past import PastDecision, PastExclusion
from muxer_grpc.domain.routing.policy import RoutingPolicy, Weights
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.domain.routing.remedies import RemedyKind, remedy_of
from muxer_grpc.domain.tasks import Intent
from tests.rpc.service import model
from tests.unit.pasts import CHAT, CONFIGURED, FLEET, decision, past

STEP = 1 / STEPS


def told(one: PastDecision, kind: AlternativeKind, subject: str | None = None) -> list[Alternative]:
    """Gives what an explanation tells of one kind of change."""
    found = explain(one, FLEET).alternatives
    return [each for each in found if each.kind is kind and subject in (None, each.subject)]


def model_of(each: Alternative) -> str:
    return "" if each.choice is None else each.choice.candidates[0].model.name


def test_with_nothing_changed_the_same_comes_out() -> None:
    made = decision()
    present = explain(past(), FLEET).present
    assert present is not None
    assert (present.candidates, present.fallbacks) == (made.candidates, made.fallbacks)


def test_what_changes_the_choice_comes_first() -> None:
    changes = [each.changes for each in explain(past(), FLEET).alternatives]
    assert changes == sorted(changes, reverse=True)
    assert len(set(changes)) == 2


def test_without_the_chosen_model_it_is_decided_as_if_that_rested() -> None:
    """The scale of costs is another one then, so that it need not be the first fallback that is chosen."""
    made = decision()
    [each] = told(past(), AlternativeKind.UNAVAILABLE)
    without = decision(live=LiveSnapshot({}, "r", {made.selected.name: Resting("it failed", 5.0)}))
    assert (each.subject, each.changes, model_of(each)) == (made.selected.name, True, without.selected.name)


def test_without_the_only_model_nobody_answers() -> None:
    [each] = told(past(requested_model="acme/small"), AlternativeKind.UNAVAILABLE)
    assert (each.changes, each.choice) == (True, None)


def test_every_other_strategy_is_tried() -> None:
    tried = told(past(), AlternativeKind.STRATEGY)
    assert {each.subject for each in tried} == known_strategies().keys() - {"learned"}
    for each in tried:
        made = decision(RoutingPolicy(strategy=each.subject))
        assert each.choice is not None
        assert each.choice.candidates == made.candidates
        assert each.changes == (made.selected != decision().selected)


def test_a_model_that_was_asked_for_by_name_is_told_apart_from_the_automatic_choice() -> None:
    [each] = told(past(requested_model="acme/middle"), AlternativeKind.AUTOMATIC)
    assert (each.subject, each.changes, model_of(each)) == ("acme/middle", True, decision().selected.name)
    assert told(past(), AlternativeKind.AUTOMATIC) == []


@pytest.mark.parametrize("target", [None, 0.4, 0.9])
def test_the_nearest_quality_target_that_changes_the_choice_is_found(target: float | None) -> None:
    policy = RoutingPolicy(quality_target=target)
    made = decision(policy)
    start = made.candidates[0].expected_quality if target is None else target
    found = told(past(policy), AlternativeKind.QUALITY_TARGET)
    assert {each.after is not None and each.after > start for each in found} == {True, False}
    for each in found:
        assert each.before == target
        assert each.after is not None
        assert decision(RoutingPolicy(quality_target=each.after)).selected.name == model_of(each)
        nearer = each.after - STEP if each.after > start else each.after + STEP
        if each.changes and abs(nearer - start) > STEP:
            assert decision(RoutingPolicy(quality_target=nearer)).selected == made.selected
        assert each.changes or each.after in (0.0, 1.0)


def test_the_nearest_weight_that_changes_the_choice_is_found() -> None:
    made = decision()
    found = told(past(), AlternativeKind.WEIGHT)
    assert {each.subject for each in found} == set(Weights.__dataclass_fields__)
    assert any(each.changes for each in found)
    for each in told(past(), AlternativeKind.WEIGHT, "quality") + told(past(), AlternativeKind.WEIGHT, "cost"):
        assert each.before == (0.625 if each.subject == "quality" else 0.375)
        assert each.after is not None
        other = "cost" if each.subject == "quality" else "quality"
        weights = Weights(**{each.subject: each.after, other: 1 - each.after})
        assert decision(RoutingPolicy(weights=weights)).selected.name == model_of(each)
        assert each.changes == (model_of(each) != made.selected.name)


def test_weights_are_no_matter_where_a_target_is_set_or_none_are_read() -> None:
    assert told(past(RoutingPolicy(quality_target=0.5)), AlternativeKind.WEIGHT) == []
    assert told(past(RoutingPolicy(strategy="cost")), AlternativeKind.WEIGHT) == []
    assert told(past(RoutingPolicy(strategy="cost")), AlternativeKind.QUALITY_TARGET) == []


def test_a_weight_that_is_all_is_not_taken_away_whole() -> None:
    found = told(past(RoutingPolicy(weights=Weights(cost=1.0))), AlternativeKind.WEIGHT, "cost")
    assert [(each.after, each.changes) for each in found] == [(STEP, False)]


def test_the_runners_up_are_tried_as_if_they_were_settled() -> None:
    doubtful = past(classification=CHAT._replace(settled=False))
    found = {each.subject: each for each in told(doubtful, AlternativeKind.INTENT)}
    assert {name: (each.before, each.after) for name, each in found.items()} == {
        "deep_reason": (0.9, 0.08),
        "code_gen": (0.9, 0.02),
    }
    as_code, unsettled = (
        decision(classification=CHAT._replace(intent=Intent.CODE_GEN, settled=settled)) for settled in (True, False)
    )
    assert as_code.selected != unsettled.selected
    assert model_of(found["code_gen"]) == as_code.selected.name


def test_without_runners_up_every_other_intent_is_tried() -> None:
    found = told(past(classification=CHAT._replace(runners_up=())), AlternativeKind.INTENT)
    assert {each.subject for each in found} == {intent.value for intent in Intent} - {"chat_lite"}
    assert {each.after for each in found} == {None}


def test_the_nearest_complexity_that_changes_the_choice_is_found() -> None:
    made = decision()
    found = told(past(), AlternativeKind.COMPLEXITY)
    assert len(found) == 2
    assert any(each.changes for each in found)
    for each in found:
        assert each.after is not None
        again = decision(classification=with_complexity(CHAT, each.after))
        assert (again.selected.name, again.selected != made.selected) == (model_of(each), each.changes)


def test_a_harder_prompt_moves_the_difficulty_by_the_share_that_complexity_has() -> None:
    """Rules take the complexity for the difficulty; the learned part sums it up with other things."""
    assert with_complexity(CHAT, 0.7).difficulty == pytest.approx(0.55 + 0.2 * 0.44)
    alone = CHAT._replace(difficulty=0.5)
    assert with_complexity(alone, 0.7).difficulty == pytest.approx(0.7)
    assert with_complexity(CHAT._replace(difficulty=0.9), 1.0).difficulty == 1.0


DENIED = RoutingPolicy(denied_models=frozenset({"acme/small"}), allowed_regions=frozenset({"eu"}))


def test_each_model_that_rules_keep_out_is_let_in_alone() -> None:
    explanation = explain(past(DENIED), FLEET)
    found = {each.subject: each for each in explanation.alternatives if each.kind is AlternativeKind.ADMITTED}
    assert found.keys() == {"acme/small", "acme/large", "other/tiny"}
    names = [each.model.name for each in (found["acme/small"].choice or pytest.fail("nothing was chosen")).candidates]
    assert sorted(names) == ["acme/middle", "acme/small"]
    assert explanation.admissions["acme/small"].rank == names.index("acme/small") + 1


def test_models_that_cannot_answer_at_all_are_not_let_in() -> None:
    policy = RoutingPolicy(required_features=frozenset({Feature.TOOLS}))
    assert told(past(policy, max_output_tokens=2_000), AlternativeKind.ADMITTED) == []


def test_a_catalogue_of_many_models_is_not_let_in_one_by_one() -> None:
    many = [model(f"acme/m{n}", FLEET.models["acme/small"].tier) for n in range(MOST_ADMITTED + 10)]
    catalogue = Catalogue.of(
        [*FLEET.models.values(), *many], CONFIGURED, version="fleet-2", price_book_version="prices-1"
    )
    policy = RoutingPolicy(allowed_models=frozenset({"acme/small"}))
    explanation = explain(past(policy, catalogue=catalogue), catalogue)
    assert len(explanation.admissions) == MOST_ADMITTED


def test_a_decision_without_its_basis_is_not_explained_further() -> None:
    explanation = explain(replace(past(), basis=None), FLEET)
    assert (explanation.present, explanation.alternatives, dict(explanation.admissions)) == (None, (), {})


def test_a_decision_for_which_no_model_is_left_is_not_explained_further() -> None:
    gone = Catalogue.of([FLEET.models["acme/large"]], CONFIGURED, version="fleet-2", price_book_version="prices-1")
    assert explain(past(requested_model="acme/small"), gone).present is None


RESTING = LiveSnapshot({}, "r", {"acme/large": Resting("it failed too often", 5.0)})
REMEDIES = {
    "denied": (past(DENIED), "acme/small", RemedyKind.POLICY, "take it off denied_models"),
    "not allowed": (
        past(RoutingPolicy(allowed_models=frozenset({"acme/small"}))),
        "acme/large",
        RemedyKind.POLICY,
        "add it to allowed_models",
    ),
    "provider denied": (
        past(RoutingPolicy(denied_providers=frozenset({"other"}))),
        "other/tiny",
        RemedyKind.POLICY,
        "take other off denied_providers",
    ),
    "provider not allowed": (
        past(RoutingPolicy(allowed_providers=frozenset({"acme"}))),
        "other/tiny",
        RemedyKind.POLICY,
        "add other to allowed_providers",
    ),
    "region": (past(DENIED), "acme/large", RemedyKind.POLICY, "add us to allowed_regions"),
    "no region": (past(DENIED), "other/tiny", RemedyKind.OPERATOR, "an operator says in which regions it runs"),
    "cost": (
        past(RoutingPolicy(max_cost_nano_usd=100_000)),
        "acme/large",
        RemedyKind.POLICY,
        "max_cost_nano_usd 100000 -> 3250000",
    ),
    "latency": (
        past(RoutingPolicy(max_latency_seconds=3.0)),
        "acme/large",
        RemedyKind.POLICY,
        "max_latency 3 s -> 4.40 s",
    ),
    "required feature": (
        past(RoutingPolicy(required_features=frozenset({Feature.VISION}))),
        "other/tiny",
        RemedyKind.POLICY,
        "take vision off required_features",
    ),
    "output": (past(max_output_tokens=500), "other/tiny", RemedyKind.REQUEST, "max_output_tokens 500 -> 300 or less"),
    "window": (
        past(text="word " * 900),
        "other/tiny",
        RemedyKind.REQUEST,
        "about 505 tokens less, of input and asked output together",
    ),
    "by name": (
        past(requested_model="acme/small"),
        "acme/large",
        RemedyKind.REQUEST,
        "no requested_model, or fall_back beside it",
    ),
    "rest": (past(live=RESTING), "acme/large", RemedyKind.TIME, "it rests, and is tried again"),
    "deadline": (past(seconds_left=0.2), "acme/large", RemedyKind.REQUEST, "a later deadline"),
}


@pytest.mark.parametrize("case", REMEDIES)
def test_it_is_told_what_it_would_take_to_let_a_model_in(case: str) -> None:
    one, name, kind, text = REMEDIES[case]
    [exclusion] = [each for each in one.exclusions if each.model == name]
    admission = explain(one, FLEET).admissions.get(name)
    assert remedy_of(exclusion, one, FLEET, admission) == (kind, text)


def test_no_remedy_is_made_up_for_what_is_not_known() -> None:
    one = past(DENIED)
    gone = PastExclusion("acme/gone", "acme", ExclusionReason.MODEL_NOT_ALLOWED, "denied")
    assert remedy_of(gone, one, FLEET, None) is None
    assert remedy_of(gone._replace(model="acme/small", reason=None), one, FLEET, None) is None
    assert remedy_of(one.exclusions[0], replace(one, basis=None), FLEET, None) is None
