"""Usage: the ledger's sums by whatever is asked, in one query each, exact integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, RowMapping, Select, String, case, func, literal, select, tuple_

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.money import Usage
from muxer_grpc.domain.reporting import FAILURES, EntryFilter, UsageDimension, UsageQuery, UsageRow, UsageSums
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.entry_rows import TOKEN_KINDS, bucket, columns, label, meant_by
from muxer_grpc.storage.snapshots import snapshot

COLUMN_OF: Mapping[UsageDimension, str] = {
    UsageDimension.TENANT: "tenant_id",
    UsageDimension.USER: "user_id",
    UsageDimension.KEY: "key_id",
    UsageDimension.MODEL: "model",
    UsageDimension.PROVIDER: "provider",
    UsageDimension.INTENT: "intent",
    UsageDimension.STRATEGY: "strategy",
    UsageDimension.OUTCOME: "outcome",
}
_SUMMED = ("cost_nano_usd", "reserved_nano_usd", *TOKEN_KINDS)
_FAILED = sorted(outcome.value for outcome in FAILURES)


class UsageTable:
    """Implements the port UsageReports."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sqlite = database.is_sqlite

    async def page(self, query: UsageQuery, asked: PageRequest) -> Sequence[UsageRow]:
        """Lists groups by their keys."""
        async with snapshot(self._database) as connection:
            span = (await connection.execute(self._span(query.wanted))).one()
            if span[0] is None:
                return []
            grouped = self._grouped(query, asked, span[0], span[1])
            rows = (await connection.execute(grouped)).mappings().all()
        return [_row(row, query) for row in rows]

    async def total(self, query: UsageQuery) -> UsageSums:
        """Sums all that a query is about."""
        entries = select(*_measured()).where(*meant_by(query.wanted, sqlite=self._sqlite)).subquery()
        async with snapshot(self._database) as connection:
            row = (await connection.execute(select(*_sums(entries.c)))).mappings().one()
        return _sums_of(row)

    def _span(self, wanted: EntryFilter) -> Select[Any]:
        times = func.min(columns.created_us), func.max(columns.created_us)
        return select(*times).where(*meant_by(wanted, sqlite=self._sqlite))

    def _grouped(self, query: UsageQuery, asked: PageRequest, first_us: int, last_us: int) -> Select[Any]:
        # Keys are made within, so that PostgreSQL, for which two equal parameters are two, groups by what it selects.
        keys = [key.label(f"key_{n}") for n, key in enumerate(self._keys(query, first_us, last_us))]
        entries = select(*keys, *_measured()).where(*meant_by(query.wanted, sqlite=self._sqlite)).subquery()
        names = [entries.c[key.name] for key in keys]
        grouped = select(*names, *_sums(entries.c)).group_by(*names).order_by(*names).limit(asked.length)
        if asked.after:
            parts = list(asked.after)
            after: list[ColumnElement[Any]] = [literal(part, String) for part in parts]
            if query.buckets is not None:
                after[0] = literal(int(parts[0]), BigInteger)
            grouped = grouped.where(tuple_(*names) > tuple_(*after))
        return grouped

    def _keys(self, query: UsageQuery, first_us: int, last_us: int) -> list[ColumnElement[Any]]:
        keys: list[ColumnElement[Any]] = []
        if query.buckets is not None:
            keys.append(bucket(query.buckets, columns.created_us, first_us, last_us))
        keys += [columns[COLUMN_OF[dimension]] for dimension in query.dimensions]
        keys += [func.coalesce(label(key, sqlite=self._sqlite), "") for key in query.label_keys]
        return keys


def _measured() -> list[ColumnElement[Any]]:
    return [*(columns[name] for name in _SUMMED), columns.completion_id, columns.outcome]


def _sums(entries: Any) -> list[ColumnElement[Any]]:
    failed = case((entries.outcome.in_(_FAILED), 1), else_=0)
    return [
        *(func.coalesce(func.sum(entries[name]), 0).label(name) for name in _SUMMED),
        func.count(entries.completion_id.distinct()).label("completions"),
        func.count().label("attempts"),
        func.coalesce(func.sum(failed), 0).label("failures"),
    ]


def _sums_of(row: RowMapping) -> UsageSums:
    # PostgreSQL sums 64-bit integers as numerics.
    kinds: dict[str, Any] = {kind: int(row[kind]) for kind in TOKEN_KINDS}
    return UsageSums(
        cost_nano_usd=int(row["cost_nano_usd"]),
        reserved_nano_usd=int(row["reserved_nano_usd"]),
        usage=Usage(**kinds),
        completions=row["completions"],
        attempts=row["attempts"],
        failures=int(row["failures"]),
    )


def _row(row: RowMapping, query: UsageQuery) -> UsageRow:
    keys = [value for name, value in row.items() if name.startswith("key_")]
    time = keys.pop(0) if query.buckets is not None else None
    values = dict(zip(query.dimensions, keys, strict=False))
    labels = dict(zip(query.label_keys, keys[len(query.dimensions) :], strict=True))
    return UsageRow(values, labels, time, _sums_of(row))
