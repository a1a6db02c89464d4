"""Health knows which models and providers may be called, by what their attempts came to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.live import NOTHING_KNOWN, Resting
from muxer_grpc.domain.resilience.breaker import BreakerRules, BreakerState
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.resilience.treatments import TREATMENTS, Reach
from tests.unit.domain.fleet_of import model_named

ONE, TWO, THREE = model_named("acme/one"), model_named("acme/two"), model_named("acme/three")
OTHER = model_named("other/one")
RULES = BreakerRules()


def state(health: Health, model: str, now: float) -> BreakerState:
    return health.of_models([model], now)[0].state


def provider_state(health: Health, provider: str, now: float) -> BreakerState:
    return health.of_providers([provider], now)[0].state


def test_who_never_failed_may_be_called() -> None:
    health = Health()
    assert health.admits(ONE, 0.0)
    assert state(health, ONE.name, 0.0) is BreakerState.CLOSED
    assert health.resting(0.0) == {}


def test_a_model_that_keeps_failing_alone_speaks_against_itself_only() -> None:
    health = Health()
    for _ in range(10):
        health.failed(ONE, FailureClass.TRANSIENT, 0.0)
    assert not health.admits(ONE, 0.0)
    assert health.admits(TWO, 0.0)
    assert provider_state(health, "acme", 0.0) is BreakerState.CLOSED


def test_where_several_models_fail_in_a_row_their_provider_is_left_alone() -> None:
    health = Health()
    for model in (ONE, TWO, ONE, TWO):
        health.failed(model, FailureClass.TRANSIENT, 0.0)
    assert provider_state(health, "acme", 0.0) is BreakerState.OPEN
    assert not health.admits(THREE, 0.0)
    assert health.admits(OTHER, 0.0)
    assert set(health.resting(0.0)) == {"acme/"}


def test_a_success_of_any_model_speaks_for_the_provider() -> None:
    health = Health()
    for model in (ONE, TWO, ONE):
        health.failed(model, FailureClass.TRANSIENT, 0.0)
    health.succeeded(THREE, 0.0)
    health.failed(TWO, FailureClass.TRANSIENT, 0.0)
    assert provider_state(health, "acme", 0.0) is BreakerState.CLOSED


@pytest.mark.parametrize("failure_class", FailureClass)
def test_every_class_rests_and_counts_as_its_treatment_says(failure_class: FailureClass) -> None:
    treatment = TREATMENTS[failure_class]
    health = Health()
    health.failed(ONE, failure_class, 0.0)
    told = health.of_models([ONE.name], 0.0)[0]
    assert told.consecutive_failures == (1 if treatment.counts else 0)
    rests = treatment.rest_seconds > 0
    assert health.admits(ONE, 0.0) is not rests
    assert health.admits(TWO, 0.0) is not (rests and treatment.reach is Reach.PROVIDER)
    if rests:
        assert health.admits(ONE, treatment.rest_seconds)


def test_what_a_provider_asks_for_comes_before_the_usual_rest() -> None:
    health = Health()
    health.failed(ONE, FailureClass.RATE_LIMIT, 0.0, retry_after_seconds=30.0)
    assert not health.admits(ONE, 29.9)
    assert health.resting(10.0)[ONE.name].seconds == pytest.approx(20.0)
    assert health.admits(ONE, 30.0)


def test_a_request_at_fault_says_nothing_of_the_model_and_gives_its_probe_back() -> None:
    health = Health()
    health.failed(ONE, FailureClass.RATE_LIMIT, 0.0)
    assert health.admits(ONE, 1.0)
    assert not health.admits(ONE, 1.0)
    health.failed(ONE, FailureClass.CALLER_FAULT, 1.0)
    assert health.admits(ONE, 1.0)


def test_a_caller_that_leaves_gives_its_probe_back() -> None:
    health = Health()
    health.failed(ONE, FailureClass.RATE_LIMIT, 0.0)
    assert health.admits(ONE, 1.0)
    health.left(ONE)
    assert health.admits(ONE, 1.0)


def test_the_probe_of_a_provider_is_not_spent_on_a_model_that_has_its_own_one_out() -> None:
    health = Health()
    health.failed(ONE, FailureClass.RATE_LIMIT, 0.0)
    assert health.admits(ONE, 1.0)
    health.failed(TWO, FailureClass.CREDENTIAL, 1.0)
    # The provider is half open, the model's own probe is still out: what does not pass takes nothing.
    assert not health.admits(ONE, 62.0)
    assert health.admits(TWO, 62.0)


def test_one_probe_of_a_provider_is_out_at_a_time_whatever_the_model() -> None:
    health = Health()
    health.failed(ONE, FailureClass.QUOTA, 0.0)
    assert [health.admits(model, 60.0) for model in (ONE, TWO, THREE)] == [True, False, False]
    health.succeeded(ONE, 60.5)
    assert all(health.admits(model, 60.5) for model in (ONE, TWO, THREE))


def test_switched_off_it_learns_nothing_and_operators_still_decide() -> None:
    health = Health(enabled=False)
    for _ in range(10):
        health.failed(ONE, FailureClass.CREDENTIAL, 0.0)
    assert health.admits(ONE, 0.0)
    health.set_disabled(model=ONE.name, disabled=True)
    assert not health.admits(ONE, 0.0)


def test_an_operator_opens_and_closes_a_model_and_a_provider() -> None:
    health = Health()
    revision = health.revision
    health.set_disabled(provider="acme", disabled=True)
    assert not health.admits(ONE, 1e6)
    assert health.resting(1e6)["acme/"].seconds == 0.0
    assert "operator" in health.resting(1e6)["acme/"].detail
    health.set_disabled(provider="acme", disabled=False)
    assert health.admits(ONE, 1e6)
    health.set_disabled(model=ONE.name, disabled=True)
    assert not health.admits(ONE, 1e6)
    assert health.admits(TWO, 1e6)
    assert health.revision > revision


def test_what_rests_is_put_over_a_snapshot_and_changes_its_version() -> None:
    health = Health()
    assert health.over(NOTHING_KNOWN, 0.0) is NOTHING_KNOWN
    health.failed(ONE, FailureClass.MODEL_GONE, 0.0)
    over = health.over(NOTHING_KNOWN, 0.0)
    assert over.version != NOTHING_KNOWN.version
    assert over.why_resting(ONE.name, "acme") is not None
    assert over.why_resting(TWO.name, "acme") is None
    assert health.over(NOTHING_KNOWN, 300.0) is NOTHING_KNOWN


def test_how_long_it_rests_and_why_is_told_as_it_is_now() -> None:
    health = Health()
    health.failed(ONE, FailureClass.MODEL_GONE, 0.0)
    first, later = health.over(NOTHING_KNOWN, 0.0), health.over(NOTHING_KNOWN, 299.0)
    assert first.version == later.version
    rests = [over.why_resting(ONE.name, "acme") for over in (first, later)]
    assert [rest.seconds for rest in rests if rest is not None] == [300.0, 1.0]
    health.set_disabled(model=ONE.name, disabled=True)
    disabled = health.over(NOTHING_KNOWN, 299.0)
    assert disabled.version != later.version
    assert disabled.why_resting(ONE.name, "acme") == Resting("an operator has disabled it", 0.0)


MODELS = (ONE, TWO, OTHER)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(MODELS),
        st.sampled_from(["succeeded", "left", *FailureClass]),
        st.floats(0.0, 20.0, allow_nan=False),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happened_to_calls_that_were_admitted_each_model_is_let_through_again(
    steps: list[tuple[object, object, float]],
) -> None:
    health, now = Health(RULES), 0.0
    for model, end, seconds in steps:
        now += seconds
        if not health.admits(model, now):  # type: ignore[arg-type]
            continue
        if end == "succeeded":
            health.succeeded(model, now)  # type: ignore[arg-type]
        elif end == "left":
            health.left(model)  # type: ignore[arg-type]
        else:
            health.failed(model, end, now)  # type: ignore[arg-type]
    for model in MODELS:
        assert health.admits(model, now + 1_000.0)
        health.succeeded(model, now + 1_000.0)
