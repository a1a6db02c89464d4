"""Figures: counters that add up, windows that are bounded, groups that hold what they say."""

from __future__ import annotations

import pytest

from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.completion import Attempt, Outcome, Summary
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.figures import Dimension, Figures, FiguresQuery
from muxer_grpc.domain.money import Cost, Usage
from muxer_grpc.domain.tallies import WINDOW, percentile
from muxer_grpc.domain.tasks import Intent
from tests.rpc.service import model
from tests.unit.test_routing import asked, decided

SMALL, LARGE = model("acme/small", Tier.ECONOMY), model("acme/large", Tier.PREMIUM)


def ended(figures: Figures, answered_by: object = SMALL, outcome: Outcome = Outcome.COMPLETE, at: float = 1.0) -> None:
    usage = Usage(input_tokens=10, output_tokens=5)
    cost = Cost(input_pico=7_000)
    failure = FailureClass.OVERLOAD if outcome is Outcome.FAILED else None
    attempt = Attempt(1, SMALL, outcome, usage, cost, 0.5, 0.1, failure)
    figures.began()
    decision = decided(asked("hi"))
    summary = Summary("c", decision, outcome, usage, cost, (attempt,), 0.5, 0.1, answered_by=answered_by)  # type: ignore[arg-type]
    figures.ended(summary, at)


def test_counts_tokens_and_money_add_up() -> None:
    figures = Figures()
    for outcome in (Outcome.COMPLETE, Outcome.LENGTH, Outcome.CANCELLED, Outcome.FAILED):
        ended(figures, outcome=outcome)
    total = figures.total(FiguresQuery())
    assert (total.requests, total.successes, total.cancelled) == (4, 2, 1)
    assert total.failures == {FailureClass.OVERLOAD: 1}
    assert (total.usage.input_tokens, total.cost_nano_usd) == (40, 28)
    assert figures.in_flight == 0


def test_consecutive_failures_end_with_a_success() -> None:
    figures = Figures()
    for number, outcome in enumerate([Outcome.FAILED, Outcome.COMPLETE, Outcome.FAILED, Outcome.FAILED]):
        ended(figures, outcome=outcome, at=float(number))
    assert figures.total(FiguresQuery()).consecutive_failures == 2
    ended(figures, at=9.0)
    assert figures.total(FiguresQuery()).consecutive_failures == 0


def test_a_success_of_another_model_ends_the_failures_of_their_group() -> None:
    figures = Figures()
    ended(figures, SMALL, Outcome.FAILED, at=1.0)
    ended(figures, LARGE, Outcome.COMPLETE, at=2.0)
    ended(figures, SMALL, Outcome.FAILED, at=3.0)
    assert figures.total(FiguresQuery()).consecutive_failures == 1


def test_rows_are_grouped_and_filtered() -> None:
    figures = Figures()
    ended(figures, SMALL)
    ended(figures, LARGE)
    by_provider = figures.rows(FiguresQuery(group_by=(Dimension.PROVIDER,)))
    assert [(row.group[Dimension.PROVIDER], row.tally.requests) for row in by_provider] == [("acme", 2)]
    only_large = figures.rows(FiguresQuery(models=frozenset({"acme/large"})))
    assert [row.group[Dimension.MODEL] for row in only_large] == ["acme/large"]
    assert figures.rows(FiguresQuery(intents=frozenset({Intent.VISION}))) == []


def test_windows_are_bounded() -> None:
    figures = Figures()
    for number in range(3 * WINDOW):
        ended(figures, at=float(number))
    total = figures.total(FiguresQuery())
    assert (total.requests, len(total.samples)) == (3 * WINDOW, WINDOW)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.9, 90.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0)])
def test_percentiles_are_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([3.0], 0.5) == 3.0
