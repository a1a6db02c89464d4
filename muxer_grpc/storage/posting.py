"""One transaction of the ledger: the promises and settlements of many requests, decided together and written together.

The order of locks is the same for every writer, so that two of them wait for each other and never in a circle: request
ids, reservations, leases of money, tenants, counters; alerts last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muxer_grpc.domain.budgeting import Budget, BudgetAlert, BudgetsInForce, Counter, CounterKey, Counters, Period
from muxer_grpc.domain.ledger import KeptDecision, KnownRequest, RequestState, Reservation, Settlement
from muxer_grpc.domain.money_leases import LeaseEnding, MoneyLease
from muxer_grpc.domain.refusals import BudgetExceeded, MoneyLeaseEnded, MoneyLeaseExceeded
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage import statements as sql
from muxer_grpc.storage.lease_posting import LockedLease, locked_leases, write_leases
from muxer_grpc.storage.statements import Cursor

Refusal = BudgetExceeded | MoneyLeaseExceeded | MoneyLeaseEnded


@dataclass(slots=True)
class Batch:
    """What is posted together."""

    reserve: list[Reservation] = field(default_factory=list)
    settle: list[Settlement] = field(default_factory=list)
    keep: list[KeptDecision] = field(default_factory=list)
    open_leases: list[MoneyLease] = field(default_factory=list)
    end_leases: list[LeaseEnding] = field(default_factory=list)


@dataclass(slots=True)
class Posted:
    """What came of a batch, and the alerts that it raised.

    By completion: what is known of its request id, or why it was refused, as a new lease of money may be by its id.
    `leases` are those that were to be released, as they are now.
    """

    known: dict[str, KnownRequest] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    leases: dict[str, MoneyLease] = field(default_factory=dict)
    alerts: list[BudgetAlert] = field(default_factory=list)
    # Settlements that found no promise: they were settled before, by this process or by a sweeper.
    settled_before: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a settlement takes the place of: a promise, or what a sweeper booked for one whose process then spoke."""

    subject: Subject
    money_lease_id: str
    amount: int
    created_us: int
    booked: int = 0


class Postings:
    """Posts batches, and remembers the tenants' budgets between them for as long as their revisions stand."""

    def __init__(self) -> None:
        self._budgets: dict[str, tuple[int, tuple[Budget, ...]]] = {}

    def post(self, cursor: Cursor, batch: Batch, at_us: int) -> Posted:
        """Posts a batch within the open transaction; what it raises must undo the transaction."""
        posted = Posted()
        _Posting(cursor, batch, at_us, posted, self).run()
        return posted

    def budgets_of(self, cursor: Cursor, tenants: Iterable[str]) -> BudgetsInForce:
        """Reads the budgets of tenants, and holds the tenants so that none is added before this transaction's end."""
        wanted = sorted(set(tenants))
        if not wanted:
            return BudgetsInForce([])
        lock = " FOR KEY SHARE" if cursor.locks else ""
        revisions: dict[Any, Any] = dict(
            cursor.rows(sql.TENANTS.format(many=sql.many(len(wanted))) + lock, wanted)  # type: ignore[arg-type]
        )
        stale = [t for t in wanted if t in revisions and self._budgets.get(t, (None,))[0] != revisions[t]]
        if stale:
            found: dict[str, list[Budget]] = {tenant: [] for tenant in stale}
            for row in cursor.rows(sql.BUDGETS.format(many=sql.many(len(stale))), stale):
                budget = _budget_of(row)
                found[budget.tenant_id].append(budget)
            for tenant, budgets in found.items():
                self._budgets[tenant] = (revisions[tenant], tuple(budgets))
        return BudgetsInForce([b for tenant in wanted if tenant in revisions for b in self._budgets[tenant][1]])


def _budget_of(row: Sequence[Any]) -> Budget:
    shares = row[8] if isinstance(row[8], list) else json.loads(row[8])
    return Budget(
        id=row[0],
        tenant_id=row[1],
        period=Period(row[2]),
        limit_nano_usd=row[3],
        user_id=row[4],
        key_id=row[5],
        time_zone=row[6],
        hard=bool(row[7]),
        alert_shares=tuple(shares),
    )


class _Posting:
    """One posting: reads what it concerns, decides, writes."""

    def __init__(self, cursor: Cursor, batch: Batch, at_us: int, posted: Posted, over: Postings) -> None:
        self._cursor = cursor
        self._batch = batch
        self._at_us = at_us
        self._posted = posted
        self._over = over

    def run(self) -> None:
        """Posts the batch."""
        fresh = self._claim_request_ids(self._batch.reserve)
        taken = self._take_promises(self._batch.settle)
        if fresh or taken or self._batch.open_leases or self._batch.end_leases:
            self._count(fresh, taken)
        self._write_entries(taken)
        self._keep()
        self._alert()

    def _claim_request_ids(self, reservations: list[Reservation]) -> list[Reservation]:
        """Claims the request ids of a batch; gives the reservations whose id is theirs, or that have none."""
        named = [r for r in reservations if r.request_id]
        if not named:
            return reservations
        cursor = self._cursor
        named.sort(key=lambda r: (r.subject.tenant_id, r.request_id))
        ids = [value for r in named for value in (r.subject.tenant_id, r.request_id)]
        rows = sql.many(len(named), 2)
        cursor.run(sql.FORGET_REQUESTS.format(many=rows), [self._at_us, *ids])
        known: dict[tuple[str, str], KnownRequest] = {}
        while named:
            self._add_request_ids(named)
            known |= known_requests(cursor, [(r.subject.tenant_id, r.request_id) for r in named])
            # One that stood in the way may have been dropped before it could be read.
            named = [r for r in named if (r.subject.tenant_id, r.request_id) not in known]
        fresh = []
        for reservation in reservations:
            found = known.get((reservation.subject.tenant_id, reservation.request_id))
            if found is None or found.completion_id == reservation.completion_id:
                fresh.append(reservation)
            else:
                self._posted.known[reservation.completion_id] = found
        return fresh

    def _add_request_ids(self, named: Sequence[Reservation]) -> None:
        self._cursor.each(
            sql.ADD_REQUESTS,
            [
                (
                    r.subject.tenant_id,
                    r.request_id,
                    r.completion_id,
                    r.fingerprint,
                    False,
                    self._at_us,
                    r.idempotent_until_us,
                )
                for r in named
            ],
        )

    def _take_promises(self, settlements: list[Settlement]) -> dict[str, _Taken]:
        """Takes the promises that are settled out of their table; one that is not there was settled before."""
        if not settlements:
            return {}
        ids = sorted(settlement.completion_id for settlement in settlements)
        rows: Any = self._cursor.rows(sql.TAKE_RESERVATIONS.format(many=sql.many(len(ids))), ids)
        taken = {row[0]: _Taken(Subject(row[1], row[2], row[3]), row[4], row[5], row[6]) for row in rows}
        # A sweeper took this process for dead, and it was not: what it says replaces what was guessed for it.
        spoken = sorted(s.completion_id for s in settlements if s.completion_id not in taken and not s.provisional)
        if spoken:
            rows = self._cursor.rows(sql.TAKE_ABANDONED.format(many=sql.many(len(spoken))), spoken)
            for row in rows:
                taken[row[0]] = _Taken(Subject(row[1], row[2], row[3]), row[4], 0, row[6], booked=row[5])
        self._posted.settled_before = [name for name in ids if name not in taken]
        return taken

    def _count(self, fresh: list[Reservation], taken: Mapping[str, _Taken]) -> None:
        """Decides over counters and leases, and writes both."""
        cursor = self._cursor
        named = {r.money_lease_id for r in fresh} | {t.money_lease_id for t in taken.values()}
        leases = locked_leases(cursor, named | {ending.lease_id for ending in self._batch.end_leases})
        held = [*(each.lease for each in leases.values()), *self._batch.open_leases]
        # What is paid from a lease counts for whom, and when, the lease was made.
        subjects = [(lease.subject, lease.created_us) for lease in held]
        subjects += [(r.subject, r.created_us) for r in fresh if not r.money_lease_id]
        subjects += [(t.subject, t.created_us) for t in taken.values() if t.money_lease_id not in leases]
        budgets = self._over.budgets_of(cursor, (subject.tenant_id for subject, _ in subjects))
        keys = sorted({key for subject, at_us in subjects for _, key in budgets.of(subject, at_us)})
        counters = Counters(budgets, self._counters(keys))
        for settlement in self._batch.settle:
            promise = taken.get(settlement.completion_id)
            if promise is not None:
                self._settle(settlement, promise, counters, leases.get(promise.money_lease_id))
        self._end_leases(leases, counters)
        opened = [lease for lease in self._batch.open_leases if self._open_lease(lease, counters)]
        admitted = [r for r in fresh if self._admit(r, counters, leases)]
        cursor.each(sql.ADD_RESERVATIONS, [sql.reservation_row(reservation) for reservation in admitted])
        refused = [r.completion_id for r in fresh if r.completion_id in self._posted.refused and r.request_id]
        if refused:
            cursor.run(sql.DROP_REQUESTS.format(many=sql.many(len(refused))), refused)
        changed = [(counters[key], key) for key in sorted(counters.changed)]
        cursor.each(
            sql.SET_COUNTERS, [(c.spent_nano_usd, c.reserved_nano_usd, c.alerted_share, *key) for c, key in changed]
        )
        write_leases(cursor, leases, opened)
        self._posted.alerts = counters.alerts

    def _settle(self, settlement: Settlement, promise: _Taken, counters: Counters, locked: LockedLease | None) -> None:
        cost = settlement.cost_nano_usd - promise.booked
        if locked is None:
            counters.settle(promise.subject, promise.amount, cost, reserved_at_us=promise.created_us, at_us=self._at_us)
            return
        # The budgets hold the lease as a whole: what is spent of it becomes a cost there.
        freed = locked.settle(promise.amount, cost)
        lease = locked.lease
        counters.settle(lease.subject, freed, cost, reserved_at_us=lease.created_us, at_us=self._at_us)

    def _end_leases(self, leases: Mapping[str, LockedLease], counters: Counters) -> None:
        for locked in (leases[e.lease_id] for e in self._batch.end_leases if e.lease_id in leases):
            freed, lease = locked.release(), locked.lease
            counters.settle(lease.subject, freed, 0, reserved_at_us=lease.created_us, at_us=self._at_us)
            self._posted.leases[lease.id] = lease

    def _open_lease(self, lease: MoneyLease, counters: Counters) -> bool:
        exceeded = counters.reserve(lease.subject, lease.amount_nano_usd, lease.created_us)
        if exceeded is not None:
            self._posted.refused[lease.id] = BudgetExceeded(exceeded)
        return exceeded is None

    def _admit(self, reservation: Reservation, counters: Counters, leases: Mapping[str, LockedLease]) -> bool:
        refusal: Refusal | None = None
        if reservation.money_lease_id:
            locked = leases.get(reservation.money_lease_id)
            unknown = MoneyLeaseEnded(reservation.money_lease_id)
            refusal = unknown if locked is None else locked.hold(reservation, self._at_us)
        else:
            # In the period in which it was made, as it will be settled: midnight may be between then and now.
            exceeded = counters.reserve(reservation.subject, reservation.amount_nano_usd, reservation.created_us)
            refusal = None if exceeded is None else BudgetExceeded(exceeded)
        if refusal is not None:
            self._posted.refused[reservation.completion_id] = refusal
        return refusal is None

    def _counters(self, keys: Sequence[CounterKey]) -> dict[CounterKey, Counter]:
        """Reads and locks counters, and makes those that are not there yet."""
        if not keys:
            return {}
        found = self._read_counters(keys)
        if len(found) < len(keys):
            self._cursor.each(sql.ADD_COUNTERS, [key for key in keys if key not in found])
            found = self._read_counters(keys)
        return found

    def _read_counters(self, keys: Sequence[CounterKey]) -> dict[CounterKey, Counter]:
        lock = " FOR UPDATE" if self._cursor.locks else ""
        statement = sql.COUNTERS.format(many=sql.many(len(keys), 2)) + lock
        rows: Any = self._cursor.rows(statement, [value for key in keys for value in key])
        return {(row[0], row[1]): Counter(row[2], row[3], row[4]) for row in rows}

    def _write_entries(self, taken: Mapping[str, _Taken]) -> None:
        """Writes the entries of what was settled now, and its answers."""
        settled = [s for s in self._batch.settle if s.completion_id in taken]
        entries = [entry for settlement in settled for entry in settlement.entries]
        self._cursor.each(
            sql.ADD_ENTRIES, [sql.entry_row(e, json.dumps(dict(e.labels)) if e.labels else "{}") for e in entries]
        )
        named = [s for s in settled if s.request_id]
        self._cursor.each(sql.ANSWER_REQUESTS, [(True, s.answer, s.completion_id) for s in named if s.answered])
        # A promise that was taken back says no request id, and may have one.
        again = [s.completion_id for s in settled if not s.answered and (s.request_id or not s.entries)]
        if again:
            self._cursor.run(sql.DROP_REQUESTS.format(many=sql.many(len(again))), again)
        self._cursor.each(
            sql.ADD_CONTENTS,
            [
                (
                    s.completion_id,
                    s.entries[0].subject.tenant_id,
                    s.content.prompt_digest,
                    s.content.answer_digest,
                    s.content.prompt,
                    s.content.answer,
                    s.settled_us,
                    s.content.expires_us,
                )
                for s in settled
                if s.content is not None and s.entries
            ],
        )

    def _keep(self) -> None:
        """Writes decisions into the history."""
        kept = self._batch.keep + [s.decision for s in self._batch.settle if s.decision is not None]
        self._cursor.each(
            sql.ADD_DECISIONS,
            [
                (
                    k.decision_id,
                    k.subject.tenant_id,
                    k.subject.user_id,
                    k.completion_id,
                    k.strategy,
                    k.intent,
                    k.selected_model,
                    k.fingerprint,
                    k.document,
                    k.created_us,
                    k.expires_us,
                )
                for k in kept
            ],
        )

    def _alert(self) -> None:
        """Writes the alerts, in the order of their numbers: whoever follows them would miss one that came late."""
        alerts = self._posted.alerts
        if alerts and self._cursor.locks:
            self._cursor.run(sql.LOCK_ALERTS)
        self._cursor.each(
            sql.ADD_ALERTS,
            [
                (
                    alert.budget.tenant_id,
                    alert.budget.id,
                    alert.budget.user_id,
                    alert.budget.key_id,
                    alert.period_start_us,
                    alert.share,
                    alert.spent_nano_usd,
                    alert.budget.limit_nano_usd,
                    alert.at_us,
                )
                for alert in alerts
            ],
        )


def known_requests(cursor: Cursor, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], KnownRequest]:
    """Looks up request ids, each with its tenant."""
    rows: Any = cursor.rows(
        sql.KNOWN_REQUESTS.format(many=sql.many(len(names), 2)), [value for name in names for value in name]
    )
    return {
        (row[0], row[1]): KnownRequest(
            row[2],
            RequestState.DONE if row[3] else RequestState.RUNNING,
            bytes(row[4]),
            None if row[5] is None else bytes(row[5]),
        )
        for row in rows
    }
