"""Reads the books whole, and says where they contradict themselves. Knows nothing of how they were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select

from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.budgeting import Counter as Spending
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage import schema
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import budget_counters

Row = dict[str, Any]


@dataclass(frozen=True)
class Books:
    """All that the database holds of money at one moment."""

    entries: list[Row]
    reservations: list[Row]
    budgets: list[Row]
    counters: list[Row]
    leases: list[Row]
    requests: list[Row]

    @property
    def spent(self) -> int:
        return sum(row["cost_nano_usd"] for row in self.entries)

    @property
    def reserved(self) -> int:
        return sum(row["amount_nano_usd"] for row in self.reservations)

    def of(self, completion_id: str) -> list[Row]:
        """Gives the entries of a completion, by attempt."""
        rows = [row for row in self.entries if row["completion_id"] == completion_id]
        return sorted(rows, key=lambda row: int(row["attempt"]))


def read_books(database: Database) -> Books:
    """Reads everything in one transaction, so that it is of one moment."""
    tables = (
        schema.ledger_entries,
        schema.reservations,
        schema.budgets,
        schema.budget_counters,
        schema.money_leases,
        schema.idempotent_requests,
    )
    engine = database.sync_engine()
    try:
        with engine.connect().execution_options(**_snapshot(database)) as connection:
            return Books(*([dict(row) for row in connection.execute(select(t)).mappings()] for t in tables))
    finally:
        engine.dispose()


def _snapshot(database: Database) -> dict[str, Any]:
    if database.is_sqlite:
        return {"muxer_read_only": True}
    return {"isolation_level": "REPEATABLE READ"}


def differences(books: Books) -> list[str]:
    """Lists what does not add up; empty where all does."""
    return [*_twice(books), *_both(books), *_wrong_counters(books), *_orphans(books)]


def _twice(books: Books) -> Iterable[str]:
    attempts = Counter((row["completion_id"], row["attempt"]) for row in books.entries)
    for (completion, attempt), times in attempts.items():
        if times > 1:
            yield f"attempt {attempt} of {completion} is booked {times} times"


def _both(books: Books) -> Iterable[str]:
    settled = {row["completion_id"] for row in books.entries}
    for row in books.reservations:
        if row["completion_id"] in settled:
            yield f"{row['completion_id']} is settled and still promised"


def _orphans(books: Books) -> Iterable[str]:
    """A request id that is being answered has a promise."""
    promised = {row["completion_id"] for row in books.reservations}
    for row in books.requests:
        if not row["done"] and row["completion_id"] not in promised:
            yield f"request {row['request_id']!r} waits for {row['completion_id']}, of which there is no promise"


def _wrong_counters(books: Books) -> Iterable[str]:
    """Each counter holds the sum of the entries, and of the promises, that were made in its period."""
    for row in books.budgets:
        budget = Budget(
            id=row["id"],
            tenant_id=row["tenant_id"],
            user_id=row["user_id"],
            key_id=row["key_id"],
            period=Period(row["period"]),
            time_zone=row["time_zone"],
            limit_nano_usd=row["limit_nano_usd"],
            hard=row["hard"],
        )
        spent, reserved = _sums(budget, books)
        there = {c["period_start_us"]: c for c in books.counters if c["budget_id"] == budget.id}
        for start in sorted(there.keys() | spent.keys() | reserved.keys()):
            counter = there.get(start, {"spent_nano_usd": 0, "reserved_nano_usd": 0})
            told = (counter["spent_nano_usd"], counter["reserved_nano_usd"])
            if told != (spent[start], reserved[start]):
                yield f"the counter of {budget.id} from {start} holds {told}, not {(spent[start], reserved[start])}"


def _sums(budget: Budget, books: Books) -> tuple[Counter[int], Counter[int]]:
    spent: Counter[int] = Counter()
    reserved: Counter[int] = Counter()

    def add(to: Counter[int], row: Row, amount: int) -> None:
        if budget.holds_for(Subject(row["tenant_id"], row["user_id"], row["key_id"])):
            to[budget.period_start(row["created_us"])] += amount

    for row in books.entries:
        if not row["money_lease_id"]:
            add(spent, row, row["cost_nano_usd"])
    for row in books.reservations:
        if not row["money_lease_id"]:
            add(reserved, row, row["amount_nano_usd"])
    for row in books.leases:
        add(spent, row, row["spent_nano_usd"])
        unspent = 0 if row["released"] else row["amount_nano_usd"] - row["spent_nano_usd"]
        add(reserved, row, max(unspent, row["reserved_nano_usd"]))
    return spent, reserved


def counters_of(database: Database) -> list[Spending]:
    """Reads all counters of budgets, as they are at one moment."""
    return [Spending(row["spent_nano_usd"], row["reserved_nano_usd"]) for row in rows_of(database, budget_counters)]


def rows_of(database: Database, table: Table) -> list[Row]:
    """Reads a table whole."""
    engine = database.sync_engine()
    try:
        with engine.connect().execution_options(**_snapshot(database)) as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]
    finally:
        engine.dispose()
