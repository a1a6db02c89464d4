"""The board behind the status page: rates of two windows, the busiest models, the last decisions; nothing unbounded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muxer_grpc.domain.completion import Outcome, Summary
from muxer_grpc.domain.errors import InternalError
from muxer_grpc.domain.figure_slots import FiguresWindow
from muxer_grpc.domain.figures import Figures, FiguresQuery, FiguresReport
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.ops.recent import KEPT, RecentDecisions
from muxer_grpc.ops.status import KEPT_FACTOR, MOST_MODELS, StatusBoard, StatusSources
from muxer_grpc.pipeline.health_reports import HealthReports
from muxer_grpc.pipeline.runtime_control import ManualBreakers
from tests.rpc.service import model
from tests.unit.pasts import FLEET
from tests.unit.standing import LOAD, NOW, PROCESS
from tests.unit.test_figures import SMALL, ended
from tests.unit.test_routing import asked, decided


class Slow(Figures):
    """Figures that take long to report, by the clock of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.at, self.clock, self.takes, self.reported = NOW, 0.0, 0.0, 0

    def report(self, query: FiguresQuery, window: FiguresWindow, now: float, started_at: float) -> FiguresReport:
        self.reported += 1
        self.clock += self.takes
        return super().report(query, window, now, started_at)


def board(figures: Slow, started_at: float, recent: RecentDecisions | None = None) -> StatusBoard:
    health = Health()
    sources = StatusSources(
        process=lambda: replace(PROCESS, started_at=started_at),
        load=lambda: LOAD,
        figures=figures,
        reports=HealthReports(Fleet(FLEET), health, figures, ManualBreakers(health), now=lambda: figures.at),
        recent=recent or RecentDecisions(figures),
        budgets=None,
        now=lambda: figures.at,
        clock=lambda: figures.clock,
    )
    return StatusBoard(sources)


async def test_rates_are_of_the_time_that_they_were_counted_in_and_never_of_less_than_a_minute() -> None:
    figures = Slow()
    for _ in range(6):
        ended(figures, at=NOW - 10)
    [told] = [await board(figures, NOW - 20).look()]
    assert (told.five_minutes.requests_per_minute, told.hour.requests_per_minute) == (6.0, 6.0)
    figures.at = NOW + 100
    ended(figures, at=NOW + 100)
    told = await board(figures, NOW - 20).look()
    assert (told.five_minutes.requests_per_minute, told.hour.requests_per_minute) == (3.5, 3.5)
    figures.at = NOW + 1_200
    told = await board(figures, NOW - 20).look()
    assert (told.five_minutes.requests, told.hour.requests) == (0, 7)
    assert told.models[0].five_minutes.requests == 0
    assert told.models[0].hour.requests_per_minute == pytest.approx(7 * 60 / 1_220, abs=0.001)


async def test_the_busiest_models_come_first_and_the_others_are_counted() -> None:
    figures = Slow()
    for number in range(MOST_MODELS + 3):
        ended(figures, model(f"acme/m{number:02}", SMALL.tier), at=NOW - 1)
    for _ in range(2):
        ended(figures, model("acme/m52", SMALL.tier), outcome=Outcome.FAILED, at=NOW - 1)
    told = await board(figures, NOW - 60).look()
    assert [each.name for each in told.models[:3]] == ["acme/m52", "acme/m00", "acme/m01"]
    assert (len(told.models), told.more_models) == (MOST_MODELS, 3)
    assert told.models[0].hour.success_rate == 1 / 3


async def test_figures_are_made_anew_no_more_often_than_making_them_is_worth() -> None:
    figures = Slow()
    figures.takes = 0.1
    shown = board(figures, NOW - 60)
    await shown.look()
    made = figures.clock
    ended(figures, at=NOW)
    assert (await shown.look()).hour.requests == 0
    figures.clock = made + KEPT_FACTOR * 0.2 - 0.01
    assert (await shown.look()).hour.requests == 0
    figures.clock += 0.02
    assert (await shown.look()).hour.requests == 1
    assert figures.reported == 4


async def test_the_last_decisions_are_kept_and_no_more_of_them() -> None:
    figures = Slow()
    recent = RecentDecisions(figures)
    for number in range(KEPT + 5):
        ended(recent, at=NOW + number)  # type: ignore[arg-type]
    told = (await board(figures, NOW, recent).look()).decisions
    assert [each.at for each in told] == [NOW + number for number in range(KEPT + 4, 4, -1)]
    assert (told[0].selected_model, told[0].outcome, told[0].cost_nano_usd) == ("acme/small", "complete", 7)
    assert (figures.in_flight, figures.total(FiguresQuery()).requests) == (0, KEPT + 5)


def test_a_completion_that_failed_is_told_with_its_reason_and_without_a_model_that_answered() -> None:
    recent = RecentDecisions(Figures())
    recent.began()
    error = InternalError("incident")
    recent.ended(Summary("c", decided(asked("hi")), Outcome.FAILED, answered_by=SMALL, error=error), NOW)
    [told] = recent.latest()
    assert (told.outcome, told.error, told.answered_by) == ("failed", "INTERNAL", "")
