"""Budgets: who may spend how much in which period, and the one place that decides whether a cost still fits.

All money is in nano-USD, all times are microseconds since the epoch, in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.tenancy import Subject

MICROSECONDS = 1_000_000
DEFAULT_ALERT_SHARES = (50, 80, 100)
ALWAYS = 0
# Every zone's days begin at a whole quarter of an hour.
_QUARTER_HOUR = 900 * MICROSECONDS


class Period(Named):
    """Names the time after which a budget begins anew; TOTAL never does."""

    DAILY = "daily"
    MONTHLY = "monthly"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on what a tenant, one of its users, or one key may spend in a period.

    With an empty `user_id` and `key_id` it is the tenant's. Days and months begin in `time_zone`. A `hard` budget
    refuses what does not fit; a soft one only tells. `alert_shares` are percent of the limit, rising.
    """

    id: str
    tenant_id: str
    period: Period
    limit_nano_usd: int
    user_id: str = ""
    key_id: str = ""
    time_zone: str = "UTC"
    hard: bool = True
    alert_shares: tuple[int, ...] = DEFAULT_ALERT_SHARES

    def holds_for(self, subject: Subject) -> bool:
        """Tells whether what a subject spends counts here."""
        return (
            self.tenant_id == subject.tenant_id
            and self.user_id in ("", subject.user_id)
            and self.key_id in ("", subject.key_id)
        )

    def period_start(self, at_us: int) -> int:
        """Gives the beginning of the period that a time falls into; ALWAYS for a total."""
        return _bounds(self.period, self.time_zone, at_us // _QUARTER_HOUR)[0]

    def reset_at(self, at_us: int) -> int | None:
        """Gives the end of that period; None for a total, which has none."""
        return _bounds(self.period, self.time_zone, at_us // _QUARTER_HOUR)[1]


@lru_cache(maxsize=4_096)
def _bounds(period: Period, time_zone: str, quarter_hour: int) -> tuple[int, int | None]:
    """Gives beginning and end of a period."""
    if period is Period.TOTAL:
        return ALWAYS, None
    zone = ZoneInfo(time_zone)
    local = datetime.fromtimestamp(quarter_hour * 900, UTC).astimezone(zone)
    day = local.date()
    if period is Period.MONTHLY:
        first = day.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
    else:
        first, after = day, day + timedelta(days=1)
    begin, end = (
        int(datetime(each.year, each.month, each.day, tzinfo=zone).timestamp()) * MICROSECONDS
        for each in (first, after)
    )
    return begin, end


CounterKey = tuple[str, int]


@dataclass(slots=True)
class Counter:
    """What was spent and is reserved in one period of a budget, and the highest share that was told (percent)."""

    spent_nano_usd: int = 0
    reserved_nano_usd: int = 0
    alerted_share: int = 0


class BudgetSpending(NamedTuple):
    """What is gone of a budget in its present period; `tenant_name` is how its tenant is shown, or empty."""

    budget: Budget
    tenant_name: str
    spent_nano_usd: int
    reserved_nano_usd: int


@dataclass(frozen=True, slots=True)
class BudgetRefusal:
    """Why a cost does not fit: the budget, what is gone of it, and when it begins anew."""

    budget: Budget
    asked_nano_usd: int
    spent_nano_usd: int
    reserved_nano_usd: int
    reset_at_us: int | None


@dataclass(frozen=True, slots=True)
class BudgetAlert:
    """A budget of which a share is spent, for the first time in a period."""

    budget: Budget
    period_start_us: int
    share: int
    spent_nano_usd: int
    at_us: int


class BudgetsInForce:
    """The budgets of some tenants, which tells those that a subject's spending at a time counts in.

    What was told is remembered, since most of what is posted together is of few subjects.
    """

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._budgets = budgets
        self._told: dict[tuple[Subject, int], list[tuple[Budget, CounterKey]]] = {}

    def of(self, subject: Subject, at_us: int) -> list[tuple[Budget, CounterKey]]:
        """Lists the budgets, each with the key of its counter."""
        about = (subject, at_us // _QUARTER_HOUR)
        told = self._told.get(about)
        if told is None:
            told = [
                (budget, (budget.id, budget.period_start(at_us)))
                for budget in self._budgets
                if budget.holds_for(subject)
            ]
            self._told[about] = told
        return told


class Counters:
    """A working copy of counters, for as long as whoever holds it holds them locked.

    The rules of reserving and settling stand here once: what is decided is then written in one transaction.
    """

    def __init__(self, budgets: BudgetsInForce, counters: Mapping[CounterKey, Counter]) -> None:
        self._budgets = budgets
        self._counters = dict(counters)
        self.changed: set[CounterKey] = set()
        self.alerts: list[BudgetAlert] = []

    def __getitem__(self, key: CounterKey) -> Counter:
        """Gives the counter of a budget and the beginning of a period."""
        return self._counters[key]

    def reserve(self, subject: Subject, amount: int, at_us: int) -> BudgetRefusal | None:
        """Holds an amount on every budget of a subject, or on none: then says which hard one it does not fit."""
        concerned = self._budgets.of(subject, at_us)
        for budget, key in concerned:
            counter = self._counters[key]
            if budget.hard and counter.spent_nano_usd + counter.reserved_nano_usd + amount > budget.limit_nano_usd:
                return BudgetRefusal(
                    budget, amount, counter.spent_nano_usd, counter.reserved_nano_usd, budget.reset_at(at_us)
                )
        for _, key in concerned:
            self._counters[key].reserved_nano_usd += amount
            self.changed.add(key)
        return None

    def settle(self, subject: Subject, amount: int, cost: int, *, reserved_at_us: int, at_us: int) -> None:
        """Turns a held amount into a cost, in the period in which it was held; the cost may differ from the amount."""
        for budget, key in self._budgets.of(subject, reserved_at_us):
            counter = self._counters[key]
            counter.reserved_nano_usd -= amount
            counter.spent_nano_usd += cost
            self.changed.add(key)
            shares = budget.alert_shares
            if shares and counter.alerted_share < shares[-1]:
                self._alert(budget, key[1], counter, at_us)

    def _alert(self, budget: Budget, period_start: int, counter: Counter, at_us: int) -> None:
        for share in budget.alert_shares:
            if share > counter.alerted_share and counter.spent_nano_usd * 100 >= share * budget.limit_nano_usd:
                self.alerts.append(BudgetAlert(budget, period_start, share, counter.spent_nano_usd, at_us))
                counter.alerted_share = share
