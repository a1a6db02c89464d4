"""Budgets: periods in every zone of the world, and the rules by which amounts are held and costs are counted."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.budgeting import (
    ALWAYS,
    MICROSECONDS,
    Budget,
    BudgetsInForce,
    Counter,
    CounterKey,
    Counters,
    Period,
)
from muxer_grpc.domain.tenancy import Subject

# Files of the database that are no places.
ZONES = sorted(available_timezones() - {"localtime", "Factory"})
# From 2015 to 2044.
TIMES = st.integers(1_420_070_400 * MICROSECONDS, 2_366_841_600 * MICROSECONDS)
PERIODS = st.sampled_from([Period.DAILY, Period.MONTHLY])


def budget(name: str = "b", limit: int = 1_000, period: Period = Period.TOTAL, **changes: object) -> Budget:
    return Budget(name, "acme", period, limit, **changes)  # type: ignore[arg-type]


def at(zone: str, *fields: int, fold: int = 0) -> int:
    """Gives the time of a clock on a wall, in microseconds."""
    return int(datetime(*fields, tzinfo=ZoneInfo(zone), fold=fold).timestamp()) * MICROSECONDS  # type: ignore[misc, arg-type]


def local(zone: str, at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // MICROSECONDS, ZoneInfo(zone))


@given(zone=st.sampled_from(ZONES), at_us=TIMES, period=PERIODS)
def test_every_time_falls_into_one_period_and_periods_follow_each_other(zone: str, at_us: int, period: Period) -> None:
    limit = budget(period=period, time_zone=zone)
    begin, end = limit.period_start(at_us), limit.reset_at(at_us)
    assert end is not None
    assert begin <= at_us < end
    assert limit.period_start(begin) == limit.period_start(end - 1) == begin
    assert limit.period_start(end) == end
    assert limit.reset_at(begin - 1) == begin


@given(zone=st.sampled_from(ZONES), at_us=TIMES, period=PERIODS)
def test_a_period_begins_with_the_first_moment_of_its_date(zone: str, at_us: int, period: Period) -> None:
    limit = budget(period=period, time_zone=zone)
    begin = limit.period_start(at_us)
    today, first = local(zone, at_us).date(), local(zone, begin).date()
    assert first == (today if period is Period.DAILY else today.replace(day=1))
    assert local(zone, begin - 1).date() < first


@given(zone=st.sampled_from(ZONES), at_us=TIMES)
def test_a_day_has_between_22_and_26_hours_and_a_month_as_many_days_as_the_calendar_says(zone: str, at_us: int) -> None:
    hour = 3_600 * MICROSECONDS
    day, month = (budget(period=period, time_zone=zone) for period in (Period.DAILY, Period.MONTHLY))
    length = (day.reset_at(at_us) or 0) - day.period_start(at_us)
    assert 22 * hour <= length <= 26 * hour
    first = local(zone, month.period_start(at_us)).date()
    after = (first + timedelta(days=32)).replace(day=1)
    assert local(zone, month.reset_at(at_us) or 0).date() == after


@given(at_us=TIMES)
def test_a_total_has_one_period_without_end(at_us: int) -> None:
    assert budget().period_start(at_us) == ALWAYS
    assert budget().reset_at(at_us) is None


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        # The clock goes from midnight to one: the day begins at one.
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("Asia/Beirut", date(2026, 3, 29), 23),
        # The clock goes from midnight back to eleven: it is the day before that gets longer.
        ("America/Asuncion", date(2024, 3, 23), 25),
        # The clock goes from one back to midnight: the day begins at the first of both.
        ("America/Havana", date(2026, 11, 1), 25),
        ("UTC", date(2026, 6, 30), 24),
    ],
)
def test_a_day_on_which_the_clocks_change_has_as_many_hours_as_the_clocks_say(
    zone: str, day: date, hours: float
) -> None:
    limit = budget(period=Period.DAILY, time_zone=zone)
    noon = at(zone, day.year, day.month, day.day, 12)
    assert (limit.reset_at(noon) or 0) - limit.period_start(noon) == int(hours * 3_600) * MICROSECONDS


def test_a_month_in_another_zone_begins_when_it_begins_there() -> None:
    limit = budget(period=Period.MONTHLY, time_zone="Pacific/Kiritimati")
    begin = at("UTC", 2026, 6, 30, 10)
    assert limit.period_start(begin) == begin
    assert limit.period_start(begin - 1) == at("UTC", 2026, 5, 31, 10)


@pytest.mark.parametrize(
    ("user", "key", "holds"),
    [
        ("", "", {"ann by 1", "ann by 2", "bob by 3"}),
        ("ann", "", {"ann by 1", "ann by 2"}),
        ("ann", "1", {"ann by 1"}),
        ("", "3", {"bob by 3"}),
        ("bob", "1", set()),
    ],
)
def test_a_budget_holds_for_whom_it_names(user: str, key: str, holds: set[str]) -> None:
    subjects = {f"{u} by {k}": Subject("acme", u, k) for u, k in (("ann", "1"), ("ann", "2"), ("bob", "3"))}
    subjects["stranger"] = Subject("other", "ann", "1")
    limit = budget(user_id=user, key_id=key)
    assert {name for name, subject in subjects.items() if limit.holds_for(subject)} == holds


ANN = Subject("acme", "ann")
NOON = at("UTC", 2026, 7, 1, 12)


def counters(*budgets: Budget, **spent: int) -> Counters:
    keys = {(each.id, each.period_start(NOON)): Counter(spent.get(each.id, 0)) for each in budgets}
    return Counters(BudgetsInForce(budgets), keys)


@pytest.mark.parametrize(("amount", "fits"), [(399, True), (400, True), (401, False), (0, True)])
def test_an_amount_fits_up_to_the_limit_and_no_further(amount: int, fits: bool) -> None:
    held = counters(budget(), b=500)
    assert held.reserve(ANN, 100, NOON) is None
    refusal = held.reserve(ANN, amount, NOON)
    assert (refusal is None) is fits
    if refusal is not None:
        told = (refusal.asked_nano_usd, refusal.spent_nano_usd, refusal.reserved_nano_usd, refusal.reset_at_us)
        assert told == (amount, 500, 100, None)


def test_a_refusal_says_when_the_budget_begins_anew() -> None:
    held = counters(budget(limit=0, period=Period.DAILY, time_zone="Asia/Tokyo"))
    refusal = held.reserve(ANN, 1, NOON)
    assert refusal is not None
    assert refusal.reset_at_us == at("Asia/Tokyo", 2026, 7, 2)


def test_one_budget_that_has_no_room_keeps_all_others_as_they_are() -> None:
    held = counters(budget("wide"), budget("narrow", limit=10))
    refusal = held.reserve(ANN, 11, NOON)
    assert refusal is not None
    assert refusal.budget.id == "narrow"
    assert held["wide", ALWAYS] == Counter()
    assert held.changed == set()


def test_the_cost_counts_in_the_period_in_which_the_amount_was_held() -> None:
    limit = budget(period=Period.DAILY)
    tomorrow = NOON + 86_400 * MICROSECONDS
    keys: dict[CounterKey, Counter] = {("b", limit.period_start(each)): Counter() for each in (NOON, tomorrow)}
    held = Counters(BudgetsInForce([limit]), keys)
    held.reserve(ANN, 100, NOON)
    held.settle(ANN, 100, 60, reserved_at_us=NOON, at_us=tomorrow)
    assert held["b", limit.period_start(NOON)] == Counter(60, 0)
    assert held["b", limit.period_start(tomorrow)] == Counter()


AMOUNTS = st.integers(0, 400)


@given(
    limits=st.lists(st.tuples(st.integers(0, 2_000), st.booleans()), min_size=1, max_size=3),
    steps=st.lists(st.tuples(AMOUNTS, st.floats(0, 1), st.booleans()), max_size=40),
)
def test_counters_hold_what_is_open_and_what_was_spent_and_never_less_than_nothing(
    limits: list[tuple[int, bool]], steps: list[tuple[int, float, bool]]
) -> None:
    budgets = [budget(f"b{number}", limit, hard=hard) for number, (limit, hard) in enumerate(limits)]
    held = counters(*budgets)
    still_open: list[int] = []
    spent = 0
    alerts = {each.id: 0 for each in budgets}
    for amount, share, settles in steps:
        if held.reserve(ANN, amount, NOON) is None:
            still_open.append(amount)
        else:
            assert any(b.hard and spent + sum(still_open) + amount > b.limit_nano_usd for b in budgets)
        if settles and still_open:
            freed = still_open.pop(0)
            cost = int(freed * share)
            spent += cost
            held.settle(ANN, freed, cost, reserved_at_us=NOON, at_us=NOON)
        for each in budgets:
            counter = held[each.id, ALWAYS]
            assert (counter.spent_nano_usd, counter.reserved_nano_usd) == (spent, sum(still_open))
            assert not each.hard or spent + sum(still_open) <= each.limit_nano_usd
    for alert in held.alerts:
        assert alert.share > alerts[alert.budget.id], "each share once, and in order"
        alerts[alert.budget.id] = alert.share
        assert alert.spent_nano_usd * 100 >= alert.share * alert.budget.limit_nano_usd
