"""Thresholds move with what verdicts show of the classifier's calibration, intent by intent and within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.artefact import load_learned
from muxer_grpc.domain.classification.learned import INTENTS
from muxer_grpc.domain.classification.thresholds import BELIEF, LEAST, MOST, WINDOW, Thresholds
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.training.rows import regression_rows
from tests.unit.classifying import LEARNED
from tests.unit.test_routing import asked

REGRESSION = Path(__file__).parents[1] / "regression"

CODE, CHAT = Intent.CODE_GEN, Intent.CHAT_LITE

confidences = st.floats(0, 1)
verdicts = st.lists(st.tuples(st.sampled_from(Intent), confidences, st.booleans()), max_size=300)


def told(thresholds: Thresholds, feedback: list[tuple[Intent, float, bool]]) -> Thresholds:
    for intent, confidence, right in feedback:
        thresholds.record(intent, confidence, right=right)
    return thresholds


def of_all(thresholds: Thresholds) -> list[tuple[float, float]]:
    return [(thresholds.low(intent), thresholds.direct(intent)) for intent in Intent]


@pytest.mark.parametrize(("low", "direct"), [(0.4, 0.7), (0.0, 1.0), (0.02, 0.99), (0.0, 0.0), (1.0, 1.0)])
def test_without_feedback_they_are_exactly_as_set(low: float, direct: float) -> None:
    assert set(of_all(Thresholds(low, direct))) == {(low, direct)}


@pytest.mark.parametrize("confidence", [0.1, 0.25, 0.5])
def test_a_calibrated_classifier_leaves_them_as_set(confidence: float) -> None:
    thresholds = Thresholds()
    for number in range(100):
        thresholds.record(CODE, confidence, right=number % 100 < 100 * confidence)
    assert (thresholds.low(CODE), thresholds.direct(CODE)) == (pytest.approx(0.4), pytest.approx(0.7))


def test_they_move_by_the_measured_excess_of_confidence_weighed_against_the_belief_in_calibration() -> None:
    thresholds = Thresholds()
    for number in range(BELIEF):
        thresholds.record(CODE, 0.3, right=number % 5 == 0)
    shift = (0.3 - 0.2) / 2
    assert thresholds.low(CODE) == pytest.approx(0.4 + shift)
    assert thresholds.direct(CODE) == pytest.approx(0.7 + shift)


def test_a_classifier_that_is_better_than_it_says_is_doubted_less() -> None:
    thresholds = told(Thresholds(), [(CODE, 0.3, True)] * 30)
    assert thresholds.low(CODE) < 0.4
    assert thresholds.direct(CODE) < 0.7


def test_more_of_the_same_feedback_moves_them_further() -> None:
    lows = [told(Thresholds(), [(CODE, 0.3, False)] * count).low(CODE) for count in (0, 1, 10, 100, WINDOW)]
    assert lows == sorted(set(lows))


@given(verdicts)
def test_feedback_on_one_intent_moves_no_other(feedback: list[tuple[Intent, float, bool]]) -> None:
    others = [(intent, confidence, right) for intent, confidence, right in feedback if intent is not CHAT]
    thresholds = told(Thresholds(), others)
    assert (thresholds.low(CHAT), thresholds.direct(CHAT)) == (0.4, 0.7)
    assert told(Thresholds(), feedback).low(CODE) == thresholds.low(CODE)


@given(verdicts)
def test_feedback_never_moves_them_out_of_bounds_nor_past_each_other(
    feedback: list[tuple[Intent, float, bool]],
) -> None:
    for low, direct in of_all(told(Thresholds(), feedback)):
        assert LEAST <= low <= direct <= MOST


def test_the_bounds_are_reached() -> None:
    assert told(Thresholds(0.4, 0.7), [(CODE, 1.0, False)] * WINDOW).direct(CODE) == MOST
    assert told(Thresholds(0.4, 0.7), [(CODE, 0.0, True)] * WINDOW).low(CODE) == LEAST


def test_bounds_do_not_exclude_where_they_were_set() -> None:
    thresholds = told(Thresholds(0.02, 0.98), [(CODE, 0.0, True)] * WINDOW)
    assert thresholds.low(CODE) == 0.02
    assert told(Thresholds(0.02, 0.98), [(CODE, 1.0, False)] * WINDOW).direct(CODE) == 0.98


@given(verdicts)
def test_the_same_feedback_always_gives_the_same_thresholds(feedback: list[tuple[Intent, float, bool]]) -> None:
    assert of_all(told(Thresholds(), feedback)) == of_all(told(Thresholds(), feedback))


@given(verdicts)
def test_only_the_latest_verdicts_count(feedback: list[tuple[Intent, float, bool]]) -> None:
    latest = [(CODE, 0.25, number % 3 == 0) for number in range(WINDOW)]
    forgotten = told(Thresholds(), [*feedback, *latest])
    assert forgotten.low(CODE) == told(Thresholds(), latest).low(CODE)


def test_the_learned_classifier_can_be_in_doubt_or_no_judge_would_ever_be_asked() -> None:
    doubted = [row for row in regression_rows(REGRESSION) if LEARNED.classify(asked(row.prompt)).confidence < 0.4]
    assert doubted


def test_the_less_a_prompt_tells_the_learned_classifier_the_less_sure_it_is_down_to_a_blind_guess() -> None:
    curve = load_learned()._confidence
    blind = 1 / len(INTENTS)
    stated = [curve.at(blind + step * (1 - blind) / 50) for step in range(51)]
    assert stated == sorted(stated)
    assert stated[0] == blind
