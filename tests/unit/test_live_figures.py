"""The live snapshot: what counts against a model, how figures are rounded, when versions are equal, how old it gets."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.catalogue import Model, Tier
from muxer_grpc.domain.completion import Attempt, Outcome, Summary
from muxer_grpc.domain.decision import Classification, Decision
from muxer_grpc.domain.errors import CompletionFailed, Draining, FailureClass, InternalError, MuxerError
from muxer_grpc.domain.figures import SNAPSHOT_SECONDS, Dimension, Figures, FiguresQuery
from muxer_grpc.domain.live import NOTHING_KNOWN, LiveFigures, LiveSnapshot
from muxer_grpc.domain.money import NO_USAGE, Cost, Usage, cost_of
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.ranking import Aim, known_strategies
from muxer_grpc.domain.tallies import PRIOR_SUCCESSES, WINDOW
from muxer_grpc.domain.tasks import Intent
from tests.rpc.service import CATALOGUE, model

SMALL, LARGE = CATALOGUE.models["acme/small"], CATALOGUE.models["acme/large"]
BLAMELESS = {FailureClass.CALLER_FAULT, FailureClass.CONTEXT_LENGTH, FailureClass.CONTENT_FILTER}
BLAMED = set(FailureClass) - BLAMELESS


def decision(of: Model, intent: Intent = Intent.CHAT_LITE, strategy: str = "learned") -> Decision:
    """Makes a decision for a model, as far as figures read it."""
    task = Classification(intent, 0.9, (), 0.1, (), "test")
    ranking = known_strategies()["cost"].rank([Contender(of, 1)], Aim(task))
    return Decision("d", 0.0, "", strategy, "", task, ranking.candidates, (), "", "", "", 1)


class Told:
    """Figures that are told of completions, one after another; `now` is the time of the next."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.now = 1_000.0

    def ended(
        self,
        of: Model = SMALL,
        outcome: Outcome = Outcome.COMPLETE,
        *,
        failure: FailureClass | None = None,
        error: MuxerError | None = None,
        duration: float = 0.5,
        first_token: float | None = 0.1,
        usage: Usage = NO_USAGE,
        cost: Cost | None = None,
        under: Decision | None = None,
    ) -> None:
        paid = cost_of(usage, of.price) if cost is None and of.price is not None else cost or Cost()
        attempt = Attempt(1, of, outcome, usage, paid, duration, first_token, failure)
        summary = Summary(
            "c",
            under or decision(of),
            outcome,
            usage,
            paid,
            (attempt,),
            duration,
            first_token,
            answered_by=of,
            error=error,
        )
        self.figures.began()
        self.figures.ended(summary, self.now)

    def failed(self, failure: FailureClass = FailureClass.OVERLOAD, of: Model = SMALL) -> None:
        self.ended(of, Outcome.FAILED, failure=failure, first_token=None)

    def snapshot(self) -> LiveSnapshot:
        """Takes a snapshot that rests on everything so far."""
        self.now += SNAPSHOT_SECONDS
        return self.figures.snapshot(self.now)

    def of(self, which: Model = SMALL) -> LiveFigures:
        return self.snapshot().figures[which.name]


def rate(successes: int, failures: int) -> float:
    """Gives the success rate as it is told: with the successes that are taken for granted, rounded."""
    granted = successes + PRIOR_SUCCESSES
    return round(granted / (granted + failures), 2)


@pytest.mark.parametrize("failure", FailureClass)
def test_a_failure_counts_against_a_model_unless_the_caller_is_the_reason(failure: FailureClass) -> None:
    told = Told()
    told.failed(failure)
    told.failed(failure)
    counted = 2 if failure in BLAMED else 0
    figures = told.of()
    assert (figures.samples, figures.consecutive_failures) == (counted, counted)
    assert figures.success_rate == rate(0, counted)


def test_a_cancelled_completion_counts_neither_for_nor_against_a_model() -> None:
    told = Told()
    told.failed()
    told.ended(outcome=Outcome.CANCELLED)
    figures = told.of()
    assert (figures.samples, figures.consecutive_failures, figures.success_rate) == (1, 1, rate(0, 1))


@pytest.mark.parametrize(("error", "counted"), [(Draining("stop"), 0), (InternalError("i"), 1)])
def test_a_completion_that_a_drain_ended_does_not_count_and_one_that_broke_does(
    error: MuxerError, counted: int
) -> None:
    """What broke would break again for another caller."""
    told = Told()
    of_the_summary = CompletionFailed(error.reason, error.message, Summary("c", decision(SMALL), Outcome.FAILED))
    told.ended(outcome=Outcome.FAILED, error=of_the_summary)
    assert told.of().consecutive_failures == counted


@pytest.mark.parametrize("outcome", [Outcome.COMPLETE, Outcome.LENGTH, Outcome.FILTERED])
def test_an_answer_ends_a_row_of_failures_however_it_ended(outcome: Outcome) -> None:
    told = Told()
    told.failed()
    told.ended(outcome=outcome)
    told.failed()
    figures = told.of()
    assert (figures.samples, figures.consecutive_failures, figures.success_rate) == (3, 1, rate(1, 2))


def test_a_blameless_failure_within_a_row_of_failures_does_not_end_it() -> None:
    told = Told()
    for failure in (FailureClass.TIMEOUT, FailureClass.CONTENT_FILTER, FailureClass.TIMEOUT):
        told.failed(failure)
    assert told.of().consecutive_failures == 2


def test_one_failure_of_a_model_that_was_hardly_called_is_no_rate() -> None:
    told = Told()
    told.failed()
    assert told.of().success_rate == 0.8


def test_a_rate_forgets_what_left_the_window() -> None:
    told = Told()
    for _ in range(WINDOW):
        told.failed()
    assert told.of().success_rate == rate(0, WINDOW)
    for _ in range(WINDOW):
        told.ended()
    figures = told.of()
    assert (figures.samples, figures.success_rate, figures.consecutive_failures) == (WINDOW, 1.0, 0)


def test_a_models_figures_join_those_of_all_its_intents_and_strategies() -> None:
    told = Told()
    kinds = list(itertools.product((Intent.CODE_GEN, Intent.VISION), ("cost", "hybrid")))
    for number, (intent, strategy) in enumerate(kinds):
        told.now += 0.01
        told.ended(duration=number + 1.0, under=decision(SMALL, intent, strategy))
    told.failed()
    told.failed(of=LARGE)
    snapshot = told.snapshot()
    assert set(snapshot.figures) == {SMALL.name, LARGE.name}
    small = snapshot.figures[SMALL.name]
    assert (small.samples, small.latency_seconds, small.consecutive_failures) == (5, 2.0, 1)


DURATIONS = {0.00123456: 0.0012, 0.123456: 0.12, 0.1251: 0.13, 1.26: 1.3, 12.6: 13.0, 1234.5: 1200.0, 0.0: 0.0}


@pytest.mark.parametrize("duration", DURATIONS)
def test_times_are_rounded_to_two_digits(duration: float) -> None:
    told = Told()
    told.ended(duration=duration, first_token=duration)
    figures = told.of()
    assert (figures.latency_seconds, figures.first_token_seconds) == (DURATIONS[duration], DURATIONS[duration])


def test_times_are_medians_and_failures_have_no_latency() -> None:
    told = Told()
    for duration in (9.0, 1.0, 2.0):
        told.ended(duration=duration, first_token=duration / 10)
    told.ended(outcome=Outcome.FAILED, failure=FailureClass.TIMEOUT, duration=60.0, first_token=None)
    figures = told.of()
    assert (figures.latency_seconds, figures.first_token_seconds) == (2.0, 0.2)


def test_a_model_that_never_answered_has_no_times() -> None:
    told = Told()
    told.failed()
    figures = told.of()
    assert (figures.latency_seconds, figures.first_token_seconds, figures.cost_per_1k_nano_usd) == (None, None, 0)


def test_rates_are_rounded_to_two_digits() -> None:
    told = Told()
    for number in range(62):
        told.failed() if number % 7 == 0 else told.ended()
    assert told.of().success_rate == round((62 - 9 + 4) / 66, 2) == 0.86


def test_the_cost_of_a_thousand_tokens_counts_every_kind_of_token() -> None:
    """At one price for all kinds, the mean is that price, whatever the mix."""
    even = model("acme/even", Tier.BALANCED, "3", "3")
    mixes = (
        Usage(input_tokens=100, output_tokens=20),
        Usage(input_tokens=10, cached_input_tokens=900, cache_write_tokens=50, output_tokens=20, reasoning_tokens=700),
    )
    for usage in mixes:
        told = Told()
        told.ended(even, usage=usage)
        assert told.of(even).cost_per_1k_nano_usd == 3_000_000


FIGURES = LiveFigures(50, 1.2, 0.3, 0.97, 1, 420, 1_000.0)
OTHER: dict[str, Any] = {
    "samples": 51,
    "latency_seconds": 1.3,
    "first_token_seconds": None,
    "success_rate": 0.96,
    "consecutive_failures": 0,
    "cost_per_1k_nano_usd": 421,
    "p95_seconds": 2.5,
}
some_figures = st.builds(
    LiveFigures,
    st.integers(0, WINDOW),
    st.none() | st.floats(0, 100),
    st.none() | st.floats(0, 100),
    st.floats(0, 1),
    st.integers(0, WINDOW),
    st.integers(0, 10**9),
    st.floats(0, 2e9),
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), some_figures), st.randoms(use_true_random=False))
def test_snapshots_of_equal_contents_are_of_one_version_in_whatever_order_they_came(
    figures: Mapping[str, LiveFigures],
    seed,  # type: ignore[no-untyped-def]
) -> None:
    names = list(figures)
    seed.shuffle(names)
    turned = {name: figures[name]._replace(last_request_at=5.0) for name in names}
    assert LiveSnapshot.of(turned).version == LiveSnapshot.of(figures).version
    assert bool(LiveSnapshot.of(figures).version) is bool(figures)


def test_a_version_is_the_same_in_every_process() -> None:
    assert LiveSnapshot.of({"acme/small": FIGURES}).version == "35b921631590"


@pytest.mark.parametrize("changed", OTHER)
def test_a_snapshot_that_differs_in_one_figure_is_of_another_version(changed: str) -> None:
    assert set(OTHER) == set(LiveFigures._fields) - {"last_request_at"}
    other = LiveSnapshot.of({"acme/small": FIGURES._replace(**{changed: OTHER[changed]})})
    assert other.version != LiveSnapshot.of({"acme/small": FIGURES}).version


def test_a_snapshot_that_differs_in_a_models_name_is_of_another_version() -> None:
    versions = {
        LiveSnapshot.of(dict.fromkeys(names, FIGURES)).version
        for names in (("a/x",), ("a/y",), ("a/x", "a/y"), ("a/x', 'a/y",))
    }
    assert len(versions) == 4


def test_times_that_round_alike_make_no_new_version() -> None:
    versions = set()
    for duration in (0.1202, 0.1249):
        told = Told()
        told.ended(duration=duration)
        versions.add(told.snapshot().version)
    assert len(versions) == 1


def test_before_any_completion_nothing_is_known_and_the_version_is_empty() -> None:
    assert Figures().snapshot(1_000.0) is NOTHING_KNOWN
    assert (NOTHING_KNOWN.version, dict(NOTHING_KNOWN.figures)) == ("", {})


def test_a_snapshot_that_was_handed_out_never_changes() -> None:
    told = Told()
    told.ended()
    before = told.snapshot()
    kept = dict(before.figures)
    told.failed()
    after = told.snapshot()
    assert before.figures == kept != after.figures
    assert before.version != after.version
    with pytest.raises(TypeError):
        before.figures["acme/small"] = FIGURES  # type: ignore[index]


steps = st.lists(st.tuples(st.floats(0, 2.5), st.booleans()), min_size=1, max_size=60)


@given(steps)
def test_a_snapshot_is_at_most_a_second_old_and_stays_for_a_second(moves: list[tuple[float, bool]]) -> None:
    told = Told()
    ends: list[float] = []
    taken: tuple[float, LiveSnapshot] | None = None
    for wait, ends_one in moves:
        told.now += wait
        if ends_one:
            told.ended()
            ends.append(told.now)
            continue
        snapshot = told.figures.snapshot(told.now)
        seen = snapshot.figures[SMALL.name].samples if snapshot.figures else 0
        assert sum(at <= told.now - SNAPSHOT_SECONDS for at in ends) <= seen <= len(ends)
        if taken is not None and told.now - taken[0] < SNAPSHOT_SECONDS:
            assert snapshot is taken[1]
        else:
            assert seen == len(ends)
            taken = (told.now, snapshot)


def test_a_clock_that_is_set_back_does_not_freeze_the_snapshot() -> None:
    told = Told()
    told.ended()
    told.snapshot()
    told.now -= 500
    told.ended()
    assert told.figures.snapshot(told.now).figures[SMALL.name].samples == 2


def test_what_figures_keep_is_bounded_by_models_intents_and_strategies() -> None:
    told = Told()
    strategies = ["learned", "cost"]
    kinds = itertools.product([SMALL, LARGE], Intent, strategies)
    for of, intent, strategy in kinds:
        under = decision(of, intent, strategy)
        for number in range(WINDOW + 20):
            told.ended(of, Outcome.FAILED if number % 2 else Outcome.COMPLETE, under=under)
    rows = told.figures.rows(FiguresQuery(group_by=tuple(Dimension)))
    assert len(rows) == 2 * len(Intent) * len(strategies)
    assert {len(row.tally.samples) for row in rows} == {WINDOW}
    snapshot = told.snapshot()
    assert {figures.samples for figures in snapshot.figures.values()} == {WINDOW}
    assert len(snapshot.figures) == 2
