"""Reports of figures: what a window tells of each group, of money, of pace, of the cache, and of hedged attempts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.caching import CachedAnswer
from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.completion import Attempt, Outcome, Summary
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.figure_counts import GroupFigures
from muxer_grpc.domain.figure_slots import FiguresWindow
from muxer_grpc.domain.figures import Dimension, Figures, FiguresQuery, FiguresReport
from muxer_grpc.domain.live import NOTHING_KNOWN
from muxer_grpc.domain.money import NO_COST, NO_USAGE, Cost, Usage
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.resilience.health_state import HealthState, health_state
from muxer_grpc.domain.spreads import ERROR
from muxer_grpc.domain.tasks import Intent
from tests.rpc.service import CATALOGUE
from tests.unit.test_live_figures import Told, decision

SMALL, LARGE, TINY = (CATALOGUE.models[name] for name in ("acme/small", "acme/large", "other/tiny"))
START = 1_000.0
ALL = tuple(FiguresWindow)
MINUTE, FIVE, HOUR, SINCE_START = ALL
OUTPUT = Usage(input_tokens=100, output_tokens=30, reasoning_tokens=20)


def told() -> Told:
    """Makes figures whose clock stands at the start of a slot of every size."""
    made = Told()
    made.now = 1_200_000.0
    return made


def report(of: Told, window: FiguresWindow = SINCE_START, query: FiguresQuery | None = None) -> FiguresReport:
    return of.figures.report(query or FiguresQuery(), window, of.now, START)


def by_model(found: FiguresReport) -> dict[str, GroupFigures]:
    return {row.group[Dimension.MODEL]: row.figures for row in found.rows}


def attempt(model: Model, outcome: Outcome, usage: Usage = NO_USAGE, cost: int = 0, **changes: object) -> Attempt:
    made = Attempt(1, model, outcome, usage, Cost(output_pico=1_000 * cost), 2.0, 0.5)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_each_window_tells_what_ended_in_it_and_all_tell_the_last_minute_alike() -> None:
    figures = told()
    ages = {"acme/small": 30.0, "acme/large": 200.0, "other/tiny": 3_000.0}
    now = figures.now
    for name, age in sorted(ages.items(), key=lambda item: -item[1]):
        figures.now = now - age
        figures.ended(CATALOGUE.models[name])
    figures.now = now
    seen = {window: set(by_model(report(figures, window))) for window in ALL}
    assert seen == {MINUTE: {"acme/small"}, FIVE: {"acme/small", "acme/large"}, HOUR: set(ages), SINCE_START: set(ages)}
    assert len({str(by_model(report(figures, window))["acme/small"]) for window in ALL}) == 1
    figures.now = now + 3_600 + 240
    assert report(figures, HOUR).rows == []
    assert report(figures, HOUR).total == GroupFigures()
    assert report(figures).total.requests == 3


def test_a_window_begins_no_earlier_than_the_process() -> None:
    figures = told()
    young = figures.now - 5
    assert figures.figures.report(FiguresQuery(), HOUR, figures.now, young).since == young
    assert figures.figures.report(FiguresQuery(), SINCE_START, figures.now, young).since == young
    assert report(figures, MINUTE).since == figures.now - 60


def test_rates_and_money_of_a_group_follow_from_its_counts() -> None:
    figures = told()
    figures.ended(usage=OUTPUT, cost=Cost(output_pico=33_000))
    figures.ended(outcome=Outcome.LENGTH, usage=OUTPUT, cost=Cost(output_pico=34_000))
    figures.ended(outcome=Outcome.CANCELLED)
    figures.failed(FailureClass.TIMEOUT)
    for window in ALL:
        found = report(figures, window).total
        assert (found.requests, found.successes, found.cancelled) == (4, 2, 1)
        assert found.failures == {FailureClass.TIMEOUT: 1}
        assert found.success_rate == 2 / 3
        assert (found.cost_nano_usd, found.cost_per_1k_nano_usd) == (67, 223)
        assert found.usage.all_output_tokens == 100
        assert found.last_at == figures.now
        assert found.consecutive_failures == 1


def test_without_requests_that_tell_there_are_no_rates() -> None:
    figures = told()
    figures.ended(outcome=Outcome.CANCELLED, first_token=None)
    found = report(figures, MINUTE).total
    assert (found.success_rate, found.output_tokens_per_second, found.cost_per_1k_nano_usd) == (None, None, None)
    assert (found.latency, found.first_token, found.cache) == (None, None, None)


def test_answers_have_a_pace_from_their_first_token_to_their_end_unless_they_came_whole() -> None:
    figures = told()
    figures.ended(usage=OUTPUT, duration=2.5, first_token=0.5)
    figures.ended(usage=OUTPUT, duration=1.0, first_token=0.5)
    assert report(figures, MINUTE).total.output_tokens_per_second == 100 / 2.5
    figures.ended(usage=OUTPUT, duration=0.505, first_token=0.5)
    figures.ended(usage=OUTPUT, duration=0.5, first_token=None)
    figures.ended(outcome=Outcome.CANCELLED, usage=OUTPUT, duration=9.0, first_token=0.5)
    assert report(figures, MINUTE).total.output_tokens_per_second == 100 / 2.5


def test_latency_is_of_answers_and_first_tokens_of_whoever_had_one() -> None:
    figures = told()
    figures.ended(duration=1.0, first_token=0.25)
    figures.ended(outcome=Outcome.CANCELLED, duration=50.0, first_token=0.5)
    figures.failed(FailureClass.TIMEOUT)
    found = report(figures, FIVE).total
    assert found.latency is not None
    assert found.first_token is not None
    assert (found.latency.samples, found.first_token.samples) == (1, 2)
    assert found.latency.p99 == pytest.approx(1.0, rel=ERROR)
    assert found.first_token.p50 == pytest.approx(0.25, rel=ERROR)
    assert found.first_token.p99 == pytest.approx(0.5, rel=ERROR)


def test_failures_in_a_row_are_counted_beyond_the_window_that_is_asked_for() -> None:
    figures = told()
    for _ in range(3):
        figures.failed()
        figures.now += 400
    figures.failed()
    assert by_model(report(figures, MINUTE))["acme/small"].consecutive_failures == 4


@pytest.mark.parametrize("window", ALL)
def test_groups_and_filters_hold_in_every_window(window: FiguresWindow) -> None:
    figures = told()
    figures.ended(SMALL, under=decision(SMALL, Intent.CODE_GEN, "cost"))
    figures.ended(LARGE, under=decision(LARGE, Intent.VISION, "cost"))
    figures.ended(TINY, under=decision(TINY, Intent.VISION, "learned"))
    by_intent = report(figures, window, FiguresQuery(group_by=(Dimension.INTENT,)))
    assert [(row.group, row.figures.requests) for row in by_intent.rows] == [
        ({Dimension.INTENT: "code_gen"}, 1),
        ({Dimension.INTENT: "vision"}, 2),
    ]
    everything = report(figures, window, FiguresQuery(group_by=tuple(Dimension)))
    assert [tuple(row.group.values()) for row in everything.rows] == [
        ("acme", "acme/large", "vision", "cost"),
        ("acme", "acme/small", "code_gen", "cost"),
        ("other", "other/tiny", "vision", "learned"),
    ]
    narrowed = {
        "acme": FiguresQuery(providers=frozenset({"acme"})),
        "tiny": FiguresQuery(models=frozenset({"other/tiny"})),
        "vision": FiguresQuery(intents=frozenset({Intent.VISION})),
        "both": FiguresQuery(intents=frozenset({Intent.VISION}), strategies=frozenset({"cost"})),
    }
    totals = {name: report(figures, window, query).total.requests for name, query in narrowed.items()}
    assert totals == {"acme": 2, "tiny": 1, "vision": 2, "both": 1}


outcomes = st.sampled_from([Outcome.COMPLETE, Outcome.FAILED, Outcome.CANCELLED])
models = st.sampled_from([SMALL, LARGE, TINY])


@given(st.lists(st.tuples(models, outcomes, st.floats(0, 300)), max_size=40), st.sampled_from(ALL))
def test_the_total_is_the_sum_of_all_rows(ends: list[tuple[Model, Outcome, float]], window: FiguresWindow) -> None:
    figures = told()
    for model, outcome, wait in ends:
        failure = FailureClass.TRANSIENT if outcome is Outcome.FAILED else None
        figures.ended(model, outcome, failure=failure, usage=OUTPUT, cost=Cost(input_pico=1_000))
        figures.now += wait
    found = report(figures, window)
    for name in ("requests", "successes", "cancelled", "cost_nano_usd", "paced_tokens"):
        assert getattr(found.total, name) == sum(getattr(row.figures, name) for row in found.rows)
    answered = [row.figures.latency.samples for row in found.rows if row.figures.latency is not None]
    assert (found.total.latency.samples if found.total.latency else 0) == sum(answered)


def test_a_hedged_attempt_that_lost_is_neither_a_failure_nor_the_answer_s_account() -> None:
    """The winner comes first or last in the order of attempts; each model has its own tokens and money."""
    for winner_first in (True, False):
        figures = told()
        won = attempt(LARGE, Outcome.COMPLETE, OUTPUT, 50)
        lost = attempt(SMALL, Outcome.CANCELLED, Usage(input_tokens=7), 3, time_to_first_token=None)
        attempts = (won, lost) if winner_first else (lost, won)
        figures.figures.began()
        whole = Summary("c", decision(SMALL), Outcome.COMPLETE, OUTPUT, NO_COST, attempts, 2.5, 0.7)
        summary = replace(whole, answered_by=LARGE)
        figures.figures.ended(summary, figures.now)
        found = by_model(report(figures, MINUTE))
        assert (found["acme/large"].successes, found["acme/large"].cost_nano_usd) == (1, 50)
        assert found["acme/large"].usage == OUTPUT
        small = found["acme/small"]
        assert (small.requests, small.cancelled, small.cost_nano_usd, small.failures) == (1, 1, 3, {})
        assert (small.consecutive_failures, small.usage.input_tokens) == (0, 7)
        assert figures.of(SMALL).samples == 0


def test_attempts_that_others_took_over_from_are_their_own_models() -> None:
    figures = told()
    first = attempt(SMALL, Outcome.FAILED, Usage(input_tokens=5), 2, failure_class=FailureClass.OVERLOAD)
    again = replace(first, number=2, failure_class=FailureClass.TIMEOUT)
    last = attempt(LARGE, Outcome.COMPLETE, OUTPUT, 50, number=3)
    figures.figures.began()
    summary = Summary("c", decision(SMALL), Outcome.COMPLETE, attempts=(first, again, last), answered_by=LARGE)
    figures.figures.ended(summary, figures.now)
    found = by_model(report(figures))
    assert found["acme/small"].failures == {FailureClass.OVERLOAD: 1, FailureClass.TIMEOUT: 1}
    assert (found["acme/small"].cost_nano_usd, found["acme/small"].consecutive_failures) == (4, 2)
    assert (found["acme/large"].requests, found["acme/large"].cost_nano_usd) == (1, 50)


def kept(saved: int = 40, intent: str = "code_gen", model: str = "acme/small") -> CachedAnswer:
    return CachedAnswer(b"", model, (), saved, 1.0, intent, "cost")


def test_hits_shared_answers_and_misses_count_for_their_model_intent_and_strategy() -> None:
    figures = told()
    figures.figures.cache_missed(decision(SMALL, Intent.CODE_GEN, "cost"), figures.now)
    figures.figures.cache_hit(kept(), figures.now, shared=False)
    figures.figures.cache_hit(kept(2), figures.now, shared=True)
    figures.figures.cache_hit(kept(1, "vision"), figures.now, shared=False)
    for window in ALL:
        found = report(figures, window, FiguresQuery(group_by=tuple(Dimension)))
        rows = {tuple(row.group.values()): row.figures.cache for row in found.rows}
        code = rows["acme", "acme/small", "code_gen", "cost"]
        vision = rows["acme", "acme/small", "vision", "cost"]
        assert code is not None
        assert vision is not None
        assert (code.hits, code.shared, code.misses, code.saved_nano_usd) == (1, 1, 1, 42)
        assert code.hit_rate == 2 / 3
        assert (vision.hits, vision.misses, vision.hit_rate) == (1, 0, 1.0)
        assert found.total.cache is not None
        assert (found.total.requests, found.total.last_at, found.total.cache.asked) == (0, None, 4)


def test_answers_of_an_earlier_version_count_for_their_model_alone() -> None:
    figures = told()
    figures.figures.cache_hit(kept(intent=""), figures.now, shared=False)
    found = report(figures, MINUTE, FiguresQuery(group_by=(Dimension.MODEL, Dimension.INTENT)))
    assert [tuple(row.group.values()) for row in found.rows] == [("acme/small", "")]


def test_what_the_cache_answers_tells_strategies_nothing_of_a_model() -> None:
    figures = told()
    figures.figures.cache_hit(kept(), figures.now, shared=False)
    figures.figures.cache_missed(decision(LARGE), figures.now)
    figures.figures._stale = True
    assert figures.snapshot() is NOTHING_KNOWN


BAD = GroupFigures(requests=10, successes=9, failures={FailureClass.TIMEOUT: 1})
STATES = [
    (BreakerState.CLOSED, 0, GroupFigures(), HealthState.HEALTHY),
    (BreakerState.CLOSED, 1, GroupFigures(), HealthState.DEGRADED),
    (BreakerState.HALF_OPEN, 0, GroupFigures(), HealthState.DEGRADED),
    (BreakerState.OPEN, 3, GroupFigures(), HealthState.DOWN),
    (BreakerState.DISABLED, 3, GroupFigures(), HealthState.DISABLED),
    (BreakerState.CLOSED, 0, BAD, HealthState.DEGRADED),
    (BreakerState.CLOSED, 0, replace(BAD, requests=11, successes=10), HealthState.HEALTHY),
    (BreakerState.CLOSED, 0, replace(BAD, requests=9, successes=8), HealthState.HEALTHY),
    (BreakerState.CLOSED, 0, replace(BAD, failures={FailureClass.CONTENT_FILTER: 5}), HealthState.HEALTHY),
]


@pytest.mark.parametrize(("breaker", "failures", "figures", "expected"), STATES)
def test_health_is_told_by_the_breaker_the_last_calls_and_the_share_of_failures(
    breaker: BreakerState, failures: int, figures: GroupFigures, expected: HealthState
) -> None:
    assert health_state(breaker, failures, figures) is expected


def test_figures_that_were_never_told_anything_report_nothing() -> None:
    for window in ALL:
        found = Figures().report(FiguresQuery(), window, 1_200_000.0, START)
        assert (found.rows, found.total) == ([], GroupFigures())
