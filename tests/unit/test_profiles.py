"""Profiles that operators change: how changes merge, what the catalogue becomes, and what is chosen then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muxer_grpc.domain.catalogue import Catalogue, Tier, fleet_version
from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.decision import Classification, Decision, ExclusionReason
from muxer_grpc.domain.errors import NoEligibleModel, ResourceNotFound
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.profiles import Changes, ProfileChange, ProfileEditor, Profiles
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tasks import Capability, Intent
from tests.rpc.service import CATALOGUE, PROVIDERS, model

SMALL, LARGE = "acme/small", "acme/large"

CHANGES = {
    "disabled": ProfileChange(disabled=True),
    "tier": ProfileChange(tier=Tier.PREMIUM),
    "quality": ProfileChange(quality=0.9),
    "quality by intent": ProfileChange(intent_quality={Intent.CODE_GEN: 0.9}),
    "quality by capability": ProfileChange(capability_quality={Capability.LOGICAL: 0.9}),
}


def decided(fleet: Fleet, requested: str = "", difficulty: float = 0.1) -> Decision:
    """Decides about a prompt of this difficulty."""
    conversation = Conversation((Message(Role.USER, (TextPart("x"),)),))
    classification = Classification(Intent.CHAT_LITE, 0.9, (), difficulty, (), "test", difficulty=difficulty)
    request = CompletionRequest(conversation, requested_model=requested)
    return fleet.router.decide(request, classification, decision_id="d", now=1.0)


def test_without_changes_the_catalogue_is_the_base() -> None:
    assert Profiles(CATALOGUE).catalogue == CATALOGUE


def test_a_disabled_model_is_never_chosen_and_is_listed_as_disabled() -> None:
    fleet = Fleet(CATALOGUE)
    first = decided(fleet).selected.name
    fleet.replace(Profiles(CATALOGUE).apply(first, ProfileChange(disabled=True)))
    decision = decided(fleet)
    assert first not in [candidate.model.name for candidate in decision.candidates]
    assert {e.model.name: e.reason for e in decision.exclusions}[first] is ExclusionReason.DISABLED


def test_a_disabled_model_is_not_chosen_when_it_is_asked_for_by_name_either() -> None:
    fleet = Fleet(Profiles(CATALOGUE).apply(LARGE, ProfileChange(disabled=True)))
    with pytest.raises(NoEligibleModel, match="an operator has disabled it"):
        decided(fleet, LARGE)


def test_enabling_a_model_brings_it_back() -> None:
    fleet, profiles = Fleet(CATALOGUE), Profiles(CATALOGUE)
    first = decided(fleet).selected.name
    fleet.replace(profiles.apply(first, ProfileChange(disabled=True)))
    fleet.replace(profiles.apply(first, ProfileChange(disabled=False)))
    assert decided(fleet).selected.name == first


def test_a_changed_quality_changes_what_the_learned_strategy_chooses() -> None:
    fleet, profiles = Fleet(CATALOGUE), Profiles(CATALOGUE)
    assert decided(fleet).selected.name == SMALL
    for name in (SMALL, "acme/middle", "other/tiny"):
        profiles.apply(name, ProfileChange(quality=0.0))
    fleet.replace(profiles.apply(LARGE, ProfileChange(quality=1.0)))
    decision = decided(fleet)
    assert (decision.strategy, decision.selected.name) == ("learned", LARGE)


def test_a_request_that_began_keeps_the_catalogue_that_it_began_with() -> None:
    fleet = Fleet(CATALOGUE)
    before = fleet.router
    fleet.replace(Profiles(CATALOGUE).apply(SMALL, ProfileChange(disabled=True)))
    assert (before.catalogue.models[SMALL].disabled, fleet.catalogue.models[SMALL].disabled) == (False, True)


@pytest.mark.parametrize("what", CHANGES)
def test_the_version_changes_with_each_field_and_back_with_its_old_value(what: str) -> None:
    profiles = Profiles(CATALOGUE)
    changed = profiles.apply(SMALL, CHANGES[what])
    assert changed.version not in ("", CATALOGUE.version)
    old = ProfileChange(disabled=False, tier=Tier.ECONOMY, quality=0.35, intent_quality={}, capability_quality={})
    assert profiles.apply(SMALL, old).version == CATALOGUE.version


def test_the_version_is_equal_for_equal_contents_however_they_came_about() -> None:
    at_once = Profiles(CATALOGUE).apply(
        SMALL, ProfileChange(quality=1, intent_quality={Intent.CODE_GEN: 0.1, Intent.VISION: 0.2})
    )
    step_by_step = Profiles(CATALOGUE)
    step_by_step.apply(SMALL, ProfileChange(quality=0.2, intent_quality={Intent.VISION: 0.2, Intent.CODE_GEN: 0.1}))
    assert step_by_step.apply(SMALL, ProfileChange(quality=1.0)).version == at_once.version


def test_the_version_does_not_depend_on_the_order_of_models_or_on_prices() -> None:
    one, other = model("acme/a", Tier.ECONOMY), model("acme/b", Tier.PREMIUM)
    dearer = replace(one, price=Price.from_usd_per_million("7", "7"))
    assert fleet_version([one, other], PROVIDERS) == fleet_version([other, dearer], PROVIDERS)


def test_the_price_book_stays_as_it_is() -> None:
    assert Profiles(CATALOGUE).apply(SMALL, ProfileChange(quality=0.9)).price_book_version == "prices-test"


def test_a_later_change_wins_field_by_field() -> None:
    profiles = Profiles(CATALOGUE)
    profiles.apply(SMALL, ProfileChange(disabled=True, quality=0.2, intent_quality={Intent.VISION: 0.1}))
    now = profiles.apply(SMALL, ProfileChange(quality=0.8, tier=Tier.PREMIUM)).models[SMALL]
    assert (now.disabled, now.quality, now.tier) == (True, 0.8, Tier.PREMIUM)
    assert now.intent_quality == {Intent.VISION: 0.1}


def test_empty_qualities_clear_those_of_the_base() -> None:
    rated = replace(CATALOGUE.models[SMALL], intent_quality={Intent.VISION: 0.1})
    base = Catalogue.of([rated], PROVIDERS, version="v", price_book_version="p")
    assert Profiles(base).apply(SMALL, ProfileChange(intent_quality={})).models[SMALL].intent_quality == {}


@pytest.mark.parametrize("what", ["quality", "quality by intent", "quality by capability"])
def test_changed_ratings_come_from_the_operator(what: str) -> None:
    assert Profiles(CATALOGUE).apply(SMALL, CHANGES[what]).models[SMALL].quality_source == "operator"


def test_a_model_that_is_only_disabled_keeps_the_source_of_its_ratings() -> None:
    rated = replace(CATALOGUE.models[SMALL], quality_source="measured")
    base = Catalogue.of([rated], PROVIDERS, version="v", price_book_version="p")
    assert Profiles(base).apply(SMALL, CHANGES["disabled"]).models[SMALL].quality_source == "measured"


@pytest.mark.parametrize("name", ["nobody/nothing", "small", ""])
def test_an_unknown_name_is_refused_and_changes_nothing(name: str) -> None:
    profiles = Profiles(CATALOGUE)
    with pytest.raises(ResourceNotFound):
        profiles.apply(name, ProfileChange(disabled=True))
    assert (profiles.changes, profiles.catalogue) == ({}, CATALOGUE)


@pytest.mark.parametrize("quality", [-0.01, 1.01, float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["quality", "intent_quality", "capability_quality"])
def test_a_quality_outside_of_0_to_1_is_refused(field: str, quality: float) -> None:
    task = {"intent_quality": Intent.CODE_GEN, "capability_quality": Capability.CODE}.get(field)
    with pytest.raises(ValueError, match="a quality is a number from 0 to 1"):
        ProfileChange(**{field: quality if task is None else {task: quality}})  # type: ignore[arg-type]


def test_replacing_all_changes_undoes_those_before() -> None:
    profiles = Profiles(CATALOGUE, {SMALL: ProfileChange(disabled=True)})
    now = profiles.replace_all({LARGE: ProfileChange(disabled=True)})
    assert (now.models[SMALL].disabled, now.models[LARGE].disabled) == (False, True)


def test_changes_of_models_that_are_not_there_are_kept_and_do_nothing() -> None:
    changes = {"gone/model": ProfileChange(disabled=True)}
    profiles = Profiles(CATALOGUE, changes)
    assert (profiles.changes, profiles.catalogue) == (changes, CATALOGUE)


async def test_what_cannot_be_kept_is_not_put_in_force() -> None:
    class FullDisk:
        async def merge(self, name: str, change: ProfileChange) -> Changes:
            msg = "no space left"
            raise OSError(msg)

    fleet = Fleet(CATALOGUE)
    editor = ProfileEditor(Profiles(CATALOGUE), fleet, FullDisk())
    with pytest.raises(OSError, match="no space left"):
        await editor.change(SMALL, ProfileChange(disabled=True))
    assert fleet.catalogue == CATALOGUE


def test_changes_that_are_in_force_already_leave_the_router_and_what_it_knows() -> None:
    changes = {SMALL: ProfileChange(quality=0.7)}
    profiles = Profiles(CATALOGUE, changes)
    fleet = Fleet(profiles.catalogue)
    before = fleet.router
    ProfileEditor(profiles, fleet).take_over(dict(changes))
    assert fleet.router is before
