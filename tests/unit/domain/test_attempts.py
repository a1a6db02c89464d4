"""The plan of attempts: what is tried after each failure, how long it may take, and when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.catalogue import Feature, Model
from muxer_grpc.domain.decision import Candidate
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.resilience.attempts import (
    REASONING_PATIENCE,
    AttemptRules,
    Failed,
    Next,
    Situation,
    fallback_chain,
    next_attempt,
)
from muxer_grpc.domain.resilience.treatments import TREATMENTS, Reach
from tests.unit.domain.fleet_of import candidate

RULES = AttemptRules(
    most_attempts=4, most_at_one_model=2, first_wait=0.25, most_wait=2.5, first_token_seconds=12.0, gap_seconds=15.0
)
ONE, TWO, THREE = candidate("a/one"), candidate("a/two"), candidate("b/one")
FLEET = (ONE, TWO, THREE)


def planned(
    *failed: tuple[Candidate, FailureClass] | Failed,
    candidates: Sequence[Candidate] = FLEET,
    left: float = 60.0,
    rules: AttemptRules = RULES,
    retry_allowed: bool = True,
    admits: Callable[[Model, float], bool] = lambda _model, _wait: True,
    jitter: float = 0.5,
) -> Next | None:
    """Plans what follows some failures."""
    before = [f if isinstance(f, Failed) else Failed(f[0].model, f[1]) for f in failed]
    situation = Situation(candidates, before, left, rules)
    return next_attempt(situation, retry_allowed=retry_allowed, admits=admits, jitter=jitter)


def name_of(step: Next | None) -> str | None:
    return None if step is None else step.candidate.model.name


def test_the_best_candidate_is_tried_first_and_at_once() -> None:
    step = planned()
    assert name_of(step) == "a/one"
    assert step is not None
    assert step.wait_seconds == 0.0


def test_the_first_attempt_is_made_whatever_time_there_is() -> None:
    assert name_of(planned(left=0.01)) == "a/one"


def test_a_candidate_that_its_breaker_does_not_admit_is_passed_over() -> None:
    assert name_of(planned(admits=lambda model, _: model.name != "a/one")) == "a/two"
    assert planned(admits=lambda _model, _wait: False) is None


RETRIED = [each for each in FailureClass if TREATMENTS[each].retries]
LEFT_FOR_ANOTHER = [each for each in FailureClass if TREATMENTS[each].fall_back and not TREATMENTS[each].retries]
FINAL = [each for each in FailureClass if not TREATMENTS[each].fall_back and not TREATMENTS[each].retries]


def test_the_classes_are_retried_left_or_final_as_designed() -> None:
    assert set(FINAL) == {FailureClass.CALLER_FAULT, FailureClass.CONTENT_FILTER}
    assert set(RETRIED) == {
        FailureClass.RATE_LIMIT,
        FailureClass.OVERLOAD,
        FailureClass.TRANSIENT,
        FailureClass.PROTOCOL,
    }


@pytest.mark.parametrize("failure_class", RETRIED)
def test_what_may_pass_is_tried_again_at_the_same_model_and_then_elsewhere(failure_class: FailureClass) -> None:
    assert name_of(planned((ONE, failure_class))) == "a/one"
    assert name_of(planned((ONE, failure_class), (ONE, failure_class))) != "a/one"


@pytest.mark.parametrize("failure_class", LEFT_FOR_ANOTHER)
def test_what_does_not_pass_is_tried_at_another_model_only(failure_class: FailureClass) -> None:
    larger = (ONE, candidate("b/large", context_window=99_999))
    assert name_of(planned((ONE, failure_class), candidates=larger)) == "b/large"
    assert planned((ONE, failure_class), candidates=(ONE,)) is None


@pytest.mark.parametrize("failure_class", FINAL)
def test_what_another_model_would_refuse_too_ends_it(failure_class: FailureClass) -> None:
    assert planned((ONE, failure_class)) is None


def test_a_silent_model_is_not_asked_twice() -> None:
    assert name_of(planned((ONE, FailureClass.TIMEOUT))) != "a/one"
    assert planned((ONE, FailureClass.TIMEOUT), candidates=(ONE,)) is None


def test_after_a_context_that_was_too_long_only_larger_ones_are_asked() -> None:
    small, equal, large = (candidate(f"a/{n}", context_window=w) for n, w in (("s", 9), ("e", 10), ("l", 11)))
    first = candidate("b/first", context_window=10)
    assert (
        name_of(planned((first, FailureClass.CONTEXT_LENGTH), candidates=(first, small, equal, large)))
        == large.model.name
    )
    assert planned((first, FailureClass.CONTEXT_LENGTH), candidates=(first, small, equal)) is None


def test_a_provider_whose_account_is_refused_is_left_with_all_its_models() -> None:
    assert name_of(planned((ONE, FailureClass.CREDENTIAL))) == "b/one"
    assert name_of(planned((ONE, FailureClass.QUOTA))) == "b/one"
    assert planned((ONE, FailureClass.QUOTA), candidates=(ONE, TWO)) is None


def test_another_provider_comes_before_another_model_of_one_that_failed() -> None:
    assert name_of(planned((ONE, FailureClass.TIMEOUT))) == "b/one"
    assert name_of(planned((ONE, FailureClass.TIMEOUT), (THREE, FailureClass.TIMEOUT))) == "a/two"
    # What says nothing of the provider changes no order.
    assert name_of(planned((ONE, FailureClass.MODEL_GONE))) == "a/two"


def test_waits_between_attempts_grow_and_are_spread_by_jitter() -> None:
    many = replace(RULES, most_at_one_model=4, most_attempts=9)
    waits = []
    for jitter in (0.0, 1.0):
        for tries in (1, 2, 3):
            step = planned(*[(ONE, FailureClass.TRANSIENT)] * tries, candidates=(ONE,), rules=many, jitter=jitter)
            assert step is not None
            waits.append(step.wait_seconds)
    assert waits == pytest.approx([0.125, 0.25, 0.5, 0.375, 0.75, 1.5])


def test_what_a_provider_asks_for_is_waited_and_never_less() -> None:
    for jitter in (0.0, 1.0):
        step = planned(Failed(ONE.model, FailureClass.RATE_LIMIT, 2.0), jitter=jitter)
        assert name_of(step) == "a/one"
        assert step is not None
        assert 2.0 <= step.wait_seconds <= 2.1


def test_a_long_wait_is_for_where_there_is_no_other_model() -> None:
    asked = Failed(ONE.model, FailureClass.RATE_LIMIT, 20.0)
    assert name_of(planned(asked)) == "a/two"
    alone = planned(asked, candidates=(ONE,))
    assert alone is not None
    assert alone.wait_seconds >= 20.0


def test_a_wait_that_does_not_fit_is_not_begun() -> None:
    asked = Failed(ONE.model, FailureClass.RATE_LIMIT, 20.0)
    assert planned(asked, candidates=(ONE,), left=20.1) is None
    assert planned(asked, candidates=(ONE,), left=20.5) is not None


def test_the_breaker_is_asked_about_the_time_after_the_wait() -> None:
    asked: list[tuple[str, float]] = []

    def admits(model: Model, wait: float) -> bool:
        asked.append((model.name, wait))
        return wait >= 2.0

    step = planned(Failed(ONE.model, FailureClass.RATE_LIMIT, 2.0), admits=admits)
    assert name_of(step) == "a/one"
    assert asked == [("a/one", pytest.approx(2.05))]


def test_where_no_retry_is_left_in_the_budget_another_model_is_asked() -> None:
    assert name_of(planned((ONE, FailureClass.TRANSIENT), retry_allowed=False)) == "b/one"
    assert planned((ONE, FailureClass.TRANSIENT), candidates=(ONE,), retry_allowed=False) is None


def test_no_further_attempt_is_begun_that_cannot_finish() -> None:
    assert planned((ONE, FailureClass.TIMEOUT), left=RULES.least_seconds / 2) is None


def test_the_time_is_divided_over_the_attempts_that_remain() -> None:
    step = planned(left=6.0)
    assert step is not None
    assert step.first_token_seconds == pytest.approx(2.0)
    assert step.gap_seconds == pytest.approx(2.0)
    last = planned((ONE, FailureClass.TIMEOUT), (THREE, FailureClass.TIMEOUT), left=2.0)
    assert last is not None
    assert (last.first_token_seconds, last.gap_seconds) == (None, None)


def test_with_much_time_the_timers_are_those_of_the_rules() -> None:
    step = planned(left=3_600.0)
    assert step is not None
    assert (step.first_token_seconds, step.gap_seconds) == (12.0, 15.0)


def test_a_model_that_is_slow_by_nature_is_not_given_up_for_its_share() -> None:
    slow = candidate("a/slow", latency=5.0)
    step = planned(candidates=(slow, TWO, THREE), left=6.0)
    assert step is not None
    assert step.first_token_seconds == pytest.approx(5.0)


def test_a_model_that_reasons_may_keep_silent_for_longer() -> None:
    thinker = candidate("a/thinker", features=frozenset({Feature.REASONING}))
    step = planned(candidates=(thinker, THREE), left=3_600.0)
    assert step is not None
    assert step.first_token_seconds == pytest.approx(12.0 * REASONING_PATIENCE)
    short = planned(candidates=(thinker, THREE), left=30.0)
    assert short is not None
    assert short.first_token_seconds == pytest.approx(15.0)


def test_where_no_attempt_may_follow_there_are_no_timers() -> None:
    step = planned(rules=replace(RULES, most_attempts=1))
    assert step is not None
    assert (step.first_token_seconds, step.gap_seconds) == (None, None)


def test_candidates_that_could_not_take_the_input_do_not_share_the_time() -> None:
    first, small, large = candidate("a/f"), candidate("a/s", context_window=9), candidate("b/l", context_window=99_999)
    step = planned((first, FailureClass.CONTEXT_LENGTH), candidates=(first, small, large), left=6.0)
    assert name_of(step) == "b/l"
    assert step is not None
    assert step.first_token_seconds is None


# The whole run of a completion, whatever its attempts come to.

MODELS = st.builds(
    lambda provider, number, window, latency: candidate(
        f"{provider}/m{number}", latency=latency, context_window=window, max_output_tokens=1
    ),
    st.sampled_from("abc"),
    st.integers(0, 3),
    st.sampled_from([1_000, 10_000, 100_000]),
    st.floats(0.1, 40.0),
)
FLEETS = st.lists(MODELS, min_size=1, max_size=6, unique_by=lambda c: c.model.name)
ENDS = st.lists(
    st.tuples(st.sampled_from(list(FailureClass)), st.none() | st.floats(0.0, 90.0), st.floats(0.0, 1.0)),
    min_size=30,
    max_size=30,
)
ALL_RULES = st.builds(
    AttemptRules, most_attempts=st.integers(1, 10), most_at_one_model=st.integers(1, 10), most_wait=st.floats(0.0, 30.0)
)


@given(FLEETS, ENDS, ALL_RULES, st.floats(0.0, 600.0), st.sets(st.text("abcm/0123", min_size=4, max_size=4)))
def test_every_run_keeps_its_bounds(
    fleet: list[Candidate],
    ends: list[tuple[FailureClass, float | None, float]],
    rules: AttemptRules,
    left: float,
    closed: set[str],
) -> None:
    failed: list[Failed] = []
    tried: Counter[str] = Counter()
    for failure_class, retry_after, share in ends:
        step = next_attempt(
            Situation(fleet, failed, left, rules),
            retry_allowed=share < 0.9,
            admits=lambda model, _wait: model.name not in closed,
            jitter=share,
        )
        if step is None:
            break
        model = step.candidate.model
        check_step(step, failed, rules, left)
        assert model.name not in closed
        tried[model.name] += 1
        left -= step.wait_seconds
        spent = min(left, step.first_token_seconds if step.first_token_seconds is not None else left) * share
        left -= spent
        failed.append(Failed(model, failure_class, retry_after))
    else:
        pytest.fail("it never ends")
    assert sum(tried.values()) <= rules.most_attempts
    assert max(tried.values(), default=0) <= rules.most_at_one_model


def check_step(step: Next, failed: list[Failed], rules: AttemptRules, left: float) -> None:
    """Checks one step against what failed before it."""
    model = step.candidate.model
    for before in failed:
        treatment = TREATMENTS[before.failure_class]
        assert treatment.retries or treatment.fall_back
        if treatment.reach is Reach.PROVIDER:
            assert model.provider != before.model.provider
        if before.failure_class is FailureClass.CONTEXT_LENGTH:
            assert model.context_window > before.model.context_window
        if not treatment.retries:
            assert model.name != before.model.name
    if failed:
        assert step.wait_seconds + rules.least_seconds <= left + 1e-9
        asked = failed[-1].retry_after_seconds
        if model.name == failed[-1].model.name and asked is not None:
            assert step.wait_seconds >= asked
        if model.name != failed[-1].model.name:
            assert step.wait_seconds == 0.0
    else:
        assert step.wait_seconds == 0.0
    if step.first_token_seconds is not None and left > 0:
        assert 0 < step.first_token_seconds <= left + 1e-9
        assert step.gap_seconds is not None
        assert step.gap_seconds > 0


# What stands behind the first.


def test_all_others_stand_behind_the_first_where_they_are_few() -> None:
    assert fallback_chain(FLEET, 3) == (TWO, THREE)
    assert fallback_chain((ONE,), 3) == ()


def test_the_best_of_another_provider_is_among_the_fallbacks_in_its_place() -> None:
    same = [candidate(f"a/{n}") for n in range(6)]
    other = candidate("b/one")
    assert fallback_chain((*same, other), 3) == (same[1], same[2], other)


def test_the_best_with_a_larger_context_is_among_the_fallbacks() -> None:
    same = [candidate(f"a/{n}") for n in range(6)]
    large, other = candidate("a/large", context_window=99_999), candidate("b/one")
    assert fallback_chain((*same, other, large), 3) == (same[1], other, large)
    assert fallback_chain((*same, large, other), 3) == (same[1], large, other)


def test_one_that_is_both_takes_one_place() -> None:
    same = [candidate(f"a/{n}") for n in range(6)]
    both = candidate("b/large", context_window=99_999)
    assert fallback_chain((*same, both), 3) == (same[1], same[2], both)


def test_no_room_means_no_fallback() -> None:
    assert fallback_chain(FLEET, 0) == ()
