"""The measures of an evaluation, on cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from muxer_grpc.training.measures import accuracy, calibration_error, macro_f1, rank_correlation, router_score

WEAK = np.array([0.0, 0.0, 1.0, 1.0])
STRONG = np.array([1.0, 1.0, 1.0, 1.0])


def test_accuracy_is_the_share_of_equal_labels() -> None:
    assert accuracy(["a", "b", "a"], ["a", "a", "a"]) == pytest.approx(2 / 3)


def test_macro_f1_counts_a_rare_label_as_much_as_a_common_one() -> None:
    assert macro_f1(["a", "a", "a", "a"], ["a", "a", "a", "b"]) == pytest.approx((6 / 7 + 0) / 2)


def test_a_confidence_that_is_right_as_often_as_it_says_has_no_error() -> None:
    assert calibration_error([0.5, 0.5], [True, False]) == pytest.approx(0.0)
    assert calibration_error([0.9, 0.9], [True, False]) == pytest.approx(0.4)


def test_rank_correlation_sees_order_alone_and_shares_the_ranks_of_ties() -> None:
    assert rank_correlation([1, 2, 3], [10, 200, 3000]) == pytest.approx(1.0)
    assert rank_correlation([3, 2, 1], [1, 2, 3]) == pytest.approx(-1.0)
    assert rank_correlation([1, 1, 2], [1, 2, 3]) == pytest.approx(0.8660, abs=1e-4)


def test_a_perfect_router_recovers_the_gap_with_the_calls_that_need_it() -> None:
    score = router_score(np.array([2.0, 2.0, 1.0, 1.0]), WEAK, STRONG)
    assert score.apgr == pytest.approx(0.75)
    assert score.cpt50 == pytest.approx(0.25)
    assert score.cpt80 == pytest.approx(0.40)


def test_a_router_that_tells_nothing_apart_is_as_good_as_chance() -> None:
    assert router_score(np.zeros(4), WEAK, STRONG).apgr == pytest.approx(0.5)


def test_what_is_saved_is_the_bill_at_95_percent_of_the_strong_models_quality() -> None:
    costs = (np.full(4, 1.0), np.full(4, 11.0))
    saved = router_score(np.array([2.0, 2.0, 1.0, 1.0]), WEAK, STRONG, costs).saved
    # 95 percent is reached with 45 percent of the calls: 4 + 0.45 * 40 instead of 44.
    assert saved == pytest.approx(1 - 22 / 44)
