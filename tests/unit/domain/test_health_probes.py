"""What background probes and operators say of health, beside what calls say."""

from __future__ import annotations

import pytest

from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.resilience.breaker import BreakerRules, BreakerState
from muxer_grpc.domain.resilience.health import PROBE_FAILURES, Health
from tests.unit.domain.fleet_of import model_named

ONE, TWO = model_named("acme/one"), model_named("acme/two")
RULES = BreakerRules()
FAILED = FailureClass.TRANSIENT


def of_provider(health: Health, now: float = 0.0) -> BreakerState:
    return health.of_providers(["acme"], now)[0].state


def of_model(health: Health, now: float = 0.0) -> BreakerState:
    return health.of_models([ONE.name], now)[0].state


def taken_down_by_probes() -> Health:
    health = Health()
    for _ in range(RULES.consecutive_failures):
        health.probed("acme", FAILED, 0.0)
    return health


@pytest.mark.parametrize("failure_class", sorted(PROBE_FAILURES, key=lambda each: each.value))
def test_as_many_unanswered_probes_as_failures_in_a_row_open_the_breaker_of_the_provider(
    failure_class: FailureClass,
) -> None:
    health = Health()
    for _ in range(RULES.consecutive_failures - 1):
        health.probed("acme", failure_class, 0.0)
    assert of_provider(health) is BreakerState.CLOSED
    health.probed("acme", failure_class, 0.0)
    assert of_provider(health) is BreakerState.OPEN
    assert not health.admits(ONE, 0.0)


@pytest.mark.parametrize("failure_class", sorted(set(FailureClass) - PROBE_FAILURES, key=lambda each: each.value))
def test_a_probe_that_is_answered_with_a_refusal_says_nothing_of_completions(failure_class: FailureClass) -> None:
    health = Health()
    for _ in range(10):
        health.probed("acme", failure_class, 0.0)
    assert of_provider(health) is BreakerState.CLOSED
    assert health.resting(0.0) == {}


def test_a_good_probe_closes_what_probes_have_opened() -> None:
    health = taken_down_by_probes()
    health.probed("acme", None, 1.0)
    assert of_provider(health, 1.0) is BreakerState.CLOSED


def test_a_good_probe_ends_a_row_of_failed_ones() -> None:
    health = Health()
    for _ in range(10):
        health.probed("acme", FAILED, 0.0)
        health.probed("acme", None, 0.0)
    assert of_provider(health) is BreakerState.CLOSED


def test_a_good_probe_closes_what_failed_connections_have_opened_and_leaves_the_models_to_their_calls() -> None:
    health = Health()
    for model in (ONE, TWO, ONE, TWO, ONE):
        health.failed(model, FAILED, 0.0, unreachable=True)
    assert of_provider(health) is BreakerState.OPEN
    health.probed("acme", None, 1.0)
    assert of_provider(health, 1.0) is BreakerState.CLOSED
    assert of_model(health, 1.0) is BreakerState.OPEN


@pytest.mark.parametrize("failure_class", [FailureClass.OVERLOAD, FailureClass.TIMEOUT, FailureClass.CREDENTIAL])
def test_a_good_probe_does_not_speak_against_what_calls_were_answered_with(failure_class: FailureClass) -> None:
    health = Health()
    for model in (ONE, TWO, ONE, TWO):
        health.failed(model, failure_class, 0.0)
    assert of_provider(health) is BreakerState.OPEN
    health.probed("acme", None, 1.0)
    assert of_provider(health, 1.0) is BreakerState.OPEN


def test_one_answered_failure_among_failed_connections_is_enough_for_a_good_probe_to_say_nothing() -> None:
    health = Health()
    health.failed(ONE, FailureClass.OVERLOAD, 0.0)
    for model in (TWO, ONE, TWO):
        health.failed(model, FAILED, 0.0, unreachable=True)
    health.probed("acme", None, 1.0)
    assert of_provider(health, 1.0) is BreakerState.OPEN
    health.succeeded(ONE, 2.0)
    for _ in range(RULES.consecutive_failures):
        health.probed("acme", FAILED, 3.0)
    health.probed("acme", None, 4.0)
    assert of_provider(health, 4.0) is BreakerState.CLOSED


def test_a_call_that_succeeds_closes_what_probes_have_opened() -> None:
    health = taken_down_by_probes()
    later = RULES.open_seconds
    assert health.admits(ONE, later)
    health.succeeded(ONE, later)
    assert of_provider(health, later) is BreakerState.CLOSED


def test_a_provider_that_an_operator_has_disabled_stays_so_whatever_probes_say() -> None:
    health = Health()
    health.set_disabled(provider="acme", disabled=True)
    assert health.is_disabled("acme")
    health.probed("acme", None, 0.0)
    assert of_provider(health) is BreakerState.DISABLED
    assert not health.admits(ONE, 0.0)


def test_switched_off_breakers_take_no_notice_of_probes() -> None:
    health = Health(enabled=False)
    for _ in range(10):
        health.probed("acme", FAILED, 0.0)
    assert of_provider(health) is BreakerState.CLOSED


def test_health_knows_when_a_provider_answered_last() -> None:
    health = Health()
    assert health.last_answer_at("acme") is None
    health.succeeded(ONE, 7.0)
    health.succeeded(TWO, 9.0)
    assert health.last_answer_at("acme") == 9.0


def test_other_rules_hold_for_breakers_that_are_there_already() -> None:
    health = Health()
    health.failed(ONE, FAILED, 0.0)
    health.follow(BreakerRules(consecutive_failures=2, open_seconds=1.0, most_open_seconds=1.0), enabled=True)
    health.failed(ONE, FAILED, 0.0)
    assert of_model(health, 0.5) is BreakerState.OPEN
    assert of_model(health, 1.0) is BreakerState.HALF_OPEN


def test_what_is_open_stays_so_for_as_long_as_it_was_to_under_other_rules() -> None:
    health = taken_down_by_probes()
    health.follow(BreakerRules(open_seconds=0.5, most_open_seconds=0.5), enabled=True)
    assert of_provider(health, RULES.open_seconds - 0.1) is BreakerState.OPEN
    assert of_provider(health, RULES.open_seconds) is BreakerState.HALF_OPEN


def test_switching_breakers_off_closes_all_but_what_is_disabled_by_hand() -> None:
    health = taken_down_by_probes()
    for _ in range(RULES.consecutive_failures):
        health.failed(ONE, FAILED, 0.0)
    health.set_disabled(model=TWO.name, disabled=True)
    health.follow(RULES, enabled=False)
    assert (of_provider(health), of_model(health)) == (BreakerState.CLOSED, BreakerState.CLOSED)
    assert health.admits(ONE, 0.0)
    assert not health.admits(TWO, 0.0)


def test_a_reset_closes_a_breaker_and_forgets_its_failures() -> None:
    health = Health()
    for model in (ONE, TWO, ONE, TWO, ONE):
        health.failed(model, FAILED, 0.0)
    health.reset(model=ONE.name)
    health.reset(provider="acme")
    assert (of_provider(health), of_model(health)) == (BreakerState.CLOSED, BreakerState.CLOSED)
    health.failed(ONE, FAILED, 0.0)
    health.failed(ONE, FAILED, 0.0)
    assert of_model(health) is BreakerState.CLOSED


def test_a_reset_leaves_what_is_disabled_by_hand() -> None:
    health = Health()
    health.set_disabled(model=ONE.name, disabled=True)
    health.reset(model=ONE.name)
    assert of_model(health) is BreakerState.DISABLED


@pytest.mark.parametrize("disabled", [{"model": ONE.name}, {"provider": "acme"}])
def test_a_model_is_as_open_as_the_stricter_of_its_own_breaker_and_its_provider_s(disabled: dict[str, str]) -> None:
    health = Health()
    assert health.state_of(ONE.name, "acme", 0.0) is BreakerState.CLOSED
    for _ in range(RULES.consecutive_failures):
        health.failed(ONE, FAILED, 0.0)
    assert health.state_of(ONE.name, "acme", 0.0) is BreakerState.OPEN
    assert health.state_of(ONE.name, "acme", RULES.open_seconds) is BreakerState.HALF_OPEN
    assert health.state_of("", "acme", 0.0) is BreakerState.CLOSED
    health.set_disabled(**disabled, disabled=True)  # type: ignore[arg-type]
    assert health.state_of(ONE.name, "acme", 0.0) is BreakerState.DISABLED
