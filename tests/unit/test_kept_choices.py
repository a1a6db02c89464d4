"""Choices that are kept: the same again is the same decision, and nothing kept outlives what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from muxer_grpc.artefact import load_learned
from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.classification.classifier import MOST_CHARACTERS_KEPT, MOST_KEPT, Classifier
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.live import NOTHING_KNOWN, LiveFigures, LiveSnapshot
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.profiles import ProfileChange, Profiles
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.routing.policy import CompletionRequest, RoutingPolicy, Weights
from muxer_grpc.domain.routing.router import Router
from tests.unit.pasts import CHAT, FLEET
from tests.unit.test_routing import asked

REQUEST = CompletionRequest(asked("hello", max_output_tokens=200))


def decided(router: Router, **changes: Any) -> Decision:
    told = {"request": REQUEST, "classification": CHAT, "live": NOTHING_KNOWN, **changes}
    return router.decide(told.pop("request"), told.pop("classification"), decision_id="d", now=1.0, **told)


def price(fleet: Fleet) -> dict[str, Any]:
    prices = {name: model.price for name, model in FLEET.models.items() if model.price is not None}
    fleet.replace(FLEET.with_prices({**prices, "acme/small": Price.from_usd_per_million("90", "90")}, "prices-2"))
    return {}


def profile(fleet: Fleet) -> dict[str, Any]:
    fleet.replace(Profiles(FLEET).apply("acme/small", ProfileChange(quality=0.1)))
    return {}


def disabled_profile(fleet: Fleet) -> dict[str, Any]:
    fleet.replace(Profiles(FLEET).apply("acme/small", ProfileChange(disabled=True)))
    return {}


def model_that_is_gone(fleet: Fleet) -> dict[str, Any]:
    models = {name: model for name, model in FLEET.models.items() if name != "acme/small"}
    fleet.replace(replace(FLEET, models=models, version="fleet-2"))
    return {}


def strategy(fleet: Fleet) -> dict[str, Any]:
    fleet.steer("performance", None)
    return {}


def weights(fleet: Fleet) -> dict[str, Any]:
    fleet.steer("learned", Weights(quality=1.0))
    return {}


def figures(_fleet: Fleet) -> dict[str, Any]:
    measured = LiveFigures(50, 9.0, 8.0, 0.5, 0, 100, 1.0, 20.0)
    return {"live": LiveSnapshot.of({"acme/small": measured}), "request": asked_with(strategy="performance")}


def disabled_by_hand(_fleet: Fleet) -> dict[str, Any]:
    health = Health()
    health.set_disabled(model="acme/small", disabled=True)
    return {"live": health.over(NOTHING_KNOWN, 0.0)}


def open_breaker(_fleet: Fleet) -> dict[str, Any]:
    health = Health()
    health.failed(FLEET.models["acme/small"], FailureClass.QUOTA, 0.0)
    return {"live": health.over(NOTHING_KNOWN, 0.0)}


def deadline(_fleet: Fleet) -> dict[str, Any]:
    return {"seconds_left": 0.15}


def asked_with(**rules: Any) -> CompletionRequest:
    return replace(REQUEST, policy=RoutingPolicy(**rules))


CHANGES: dict[str, Callable[[Fleet], dict[str, Any]]] = {
    **{
        each.__name__: each
        for each in (
            *(price, profile, disabled_profile, model_that_is_gone, strategy, weights),
            *(figures, disabled_by_hand, open_breaker, deadline),
        )
    },
    "policy": lambda _fleet: {"request": asked_with(denied_models=frozenset({"acme/small"}))},
    "quality target": lambda _fleet: {"request": asked_with(quality_target=0.9)},
    "features": lambda _fleet: {"request": asked_with(required_features=frozenset({Feature.VISION}))},
    "requested model": lambda _fleet: {"request": replace(REQUEST, requested_model="acme/large")},
    "tokens": lambda _fleet: {"request": CompletionRequest(asked("hello " * 900, max_output_tokens=200))},
    "output": lambda _fleet: {"request": CompletionRequest(asked("hello", max_output_tokens=2_000))},
    "difficulty": lambda _fleet: {"classification": CHAT._replace(difficulty=0.1)},
}


def what(decision: Decision) -> tuple[object, ...]:
    return decision.candidates, decision.exclusions, decision.explanation


def test_what_is_chosen_again_is_equal_and_comes_from_what_is_kept() -> None:
    router = Router(FLEET)
    first, again = decided(router), decided(router)
    assert again == first == decided(Router(FLEET))
    assert again.candidates is first.candidates


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_a_choice_rests_on_changes_it_is_chosen_anew(name: str) -> None:
    fleet = Fleet(FLEET)
    kept = decided(fleet.router)
    changed = CHANGES[name](fleet)
    router = fleet.router
    after = decided(router, **changed)
    fresh = Router(router.catalogue, router._default_strategy, None, router._default_weights)
    assert after == decided(fresh, **changed)
    assert what(after) != what(kept)
    assert decided(fleet.router, **changed) == after


def test_what_was_said_of_a_prompt_is_kept_until_thresholds_change() -> None:
    thresholds = Thresholds(0.4, 0.7)
    classifier = Classifier(load_learned(), thresholds)
    first = classifier.classify(asked("What is 2+2?"))
    assert classifier.classify(asked("What is 2+2?")) is first
    assert first.settled
    thresholds.follow(0.4, 1.0)
    assert not classifier.classify(asked("What is 2+2?")).settled


def test_prompts_that_are_kept_are_bounded_in_number_and_in_length() -> None:
    classifier = Classifier(load_learned())
    for number in range(MOST_KEPT + 10):
        classifier.classify(asked(f"n{number}"))
    assert len(classifier._known) == MOST_KEPT
    long = asked("x" * (MOST_CHARACTERS_KEPT + 1))
    assert classifier.classify(long) == classifier.classify(long)
    assert len(classifier._known) == MOST_KEPT
    assert all(len(evidence.text) <= MOST_CHARACTERS_KEPT for evidence, _ in classifier._known)
