"""Whether the books balance: every counter against the entries, open promises and leases that it is the sum of.

Money is in nano-USD, times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from muxer_grpc.domain.administration import BudgetRecord
from muxer_grpc.domain.buckets import Buckets, BucketSize
from muxer_grpc.domain.budgeting import ALWAYS, Budget, CounterKey, Period
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.refusals import time_text
from muxer_grpc.domain.tenancy import Subject

_SIZES = {Period.DAILY: BucketSize.DAY, Period.MONTHLY: BucketSize.MONTH}


class Imbalance(Named):
    """Names what does not balance."""

    COUNTER_SPENT = "counter_spent"
    COUNTER_RESERVED = "counter_reserved"
    RESERVATION_OVERDUE = "reservation_overdue"
    RESERVATION_SETTLED = "reservation_settled"
    ATTEMPTS = "attempts"
    ROUNDING = "rounding"
    LEASE_SPENT = "lease_spent"
    LEASE_RESERVED = "lease_reserved"
    LEASE_OVERDUE = "lease_overdue"
    LEASE_UNKNOWN = "lease_unknown"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not balance: what it is of, what the books say it should be, and what it is."""

    kind: Imbalance
    resource: str
    expected: int
    found: int
    detail: str


@dataclass(frozen=True, slots=True)
class LedgerSize:
    """What was looked through, and what it comes to."""

    budgets: int = 0
    counters: int = 0
    entries: int = 0
    completions: int = 0
    spent_nano_usd: int = 0
    open_reservations: int = 0
    reserved_nano_usd: int = 0
    open_leases: int = 0
    held_nano_usd: int = 0


@dataclass(frozen=True, slots=True)
class Overrun:
    """A hard budget of which more is spent than its limit, and why that can be."""

    resource: str
    limit_nano_usd: int
    spent_nano_usd: int
    detail: str


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """What a check found, at one moment; the books balance where there are no differences, be there overruns or not."""

    at_us: int
    size: LedgerSize
    differences: tuple[Difference, ...]
    overruns: tuple[Overrun, ...] = ()


class LedgerChecks(Protocol):
    """Checks the books."""

    async def check(self, tenant_id: str | None, at_us: int, grace_us: int) -> LedgerCheck:
        """Checks those of a tenant, or all of them, at one moment.

        Promises and leases may be overdue by `grace_us` before they count as left behind. Raises StorageUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What a counter holds."""

    spent_nano_usd: int = 0
    reserved_nano_usd: int = 0


@dataclass(frozen=True, slots=True)
class Booked:
    """What counts for a subject in a bucket of time."""

    subject: Subject
    bucket: int
    spent_nano_usd: int
    reserved_nano_usd: int


@dataclass(frozen=True, slots=True)
class Cut:
    """How budgets cut time into periods: those of the same cut are summed together."""

    period: Period
    zone: str

    @classmethod
    def of(cls, budget: Budget) -> Cut:
        """Gives the cut of a budget; a total has no zone."""
        return cls(budget.period, "" if budget.period is Period.TOTAL else budget.time_zone)

    @property
    def buckets(self) -> Buckets | None:
        """Gives the buckets; None for totals, which are one."""
        size = _SIZES.get(self.period)
        return None if size is None else Buckets(size, self.zone)

    def start_of(self, bucket: int) -> int:
        """Gives the beginning of a period, as Budget.period_start does."""
        return ALWAYS if self.buckets is None else self.buckets.bounds(bucket)[0]


def check_counters(
    records: Sequence[BudgetRecord], booked: Mapping[Cut, Iterable[Booked]], counters: Mapping[CounterKey, Kept]
) -> Iterator[Difference]:
    """Compares each counter with what is booked, and finds those that are missing.

    A period that was over before its budget was made needs no counter for what was spent.
    """
    expected = _expected(records, booked)
    by_id = {record.budget.id: record for record in records}
    for key in sorted({*expected, *counters}):
        record = by_id.get(key[0])
        if record is None:
            continue
        kept, should = counters.get(key), expected.get(key, Kept())
        found = kept or Kept()
        end = record.budget.reset_at(key[1])
        if kept is None and end is not None and end <= record.created_us:
            should = Kept(0, should.reserved_nano_usd)
        about = f"budgets/{key[0]}/periods/{key[1]}"
        when = "for all time" if key[1] == ALWAYS else f"in the period from {time_text(key[1])}"
        for kind, word, is_now, must_be in (
            (Imbalance.COUNTER_SPENT, "spent", found.spent_nano_usd, should.spent_nano_usd),
            (Imbalance.COUNTER_RESERVED, "reserved", found.reserved_nano_usd, should.reserved_nano_usd),
        ):
            if is_now != must_be:
                told = f"{word} {when} is {is_now} nano-USD, and the ledger says {must_be}"
                yield Difference(kind, about, must_be, is_now, told)


def overruns_of(records: Iterable[BudgetRecord], counters: Mapping[CounterKey, Kept]) -> Iterator[Overrun]:
    """Finds hard budgets over their limits. No promise takes one there, but two things can.

    It was lowered or made hard below what was spent already; or a process that was given up for dead spoke late, and
    what its calls cost took the place of the lower guess that had been booked for them.
    """
    hard = {record.budget.id: record.budget for record in records if record.budget.hard}
    for (budget_id, start), kept in sorted(counters.items()):
        budget = hard.get(budget_id)
        if budget is None or kept.spent_nano_usd <= budget.limit_nano_usd:
            continue
        when = "for all time" if start == ALWAYS else f"in the period from {time_text(start)}"
        yield Overrun(
            f"budgets/{budget_id}/periods/{start}",
            budget.limit_nano_usd,
            kept.spent_nano_usd,
            f"{kept.spent_nano_usd} nano-USD are spent {when} of a hard limit of {budget.limit_nano_usd}: "
            "it was lowered since, or calls of a process that was given up for dead cost more than was guessed",
        )


def _expected(records: Sequence[BudgetRecord], booked: Mapping[Cut, Iterable[Booked]]) -> dict[CounterKey, Kept]:
    by_cut: dict[Cut, dict[Subject, list[Budget]]] = {}
    for record in records:
        budget = record.budget
        bound = Subject(budget.tenant_id, budget.user_id, budget.key_id)
        by_cut.setdefault(Cut.of(budget), {}).setdefault(bound, []).append(budget)
    expected: dict[CounterKey, Kept] = {}
    for cut, budgets in by_cut.items():
        for each in booked[cut]:
            start = cut.start_of(each.bucket)
            for budget in _holding(budgets, each.subject):
                before = expected.get((budget.id, start), Kept())
                expected[budget.id, start] = Kept(
                    before.spent_nano_usd + each.spent_nano_usd, before.reserved_nano_usd + each.reserved_nano_usd
                )
    return expected


def _holding(budgets: Mapping[Subject, Sequence[Budget]], subject: Subject) -> Iterator[Budget]:
    """Finds the budgets that hold for a subject, as Budget.holds_for does, without asking each."""
    tenant, user, key = subject.tenant_id, subject.user_id, subject.key_id
    bounds = {Subject(tenant), Subject(tenant, user), Subject(tenant, "", key), Subject(tenant, user, key)}
    for bound in bounds:
        yield from budgets.get(bound, ())
