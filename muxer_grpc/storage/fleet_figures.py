"""Figures of all processes, from the ledger: sums by one query each, percentiles from a bounded number of timings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, RowMapping, and_, case, func, select

from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.figure_counts import LEAST_PACED_SECONDS, GroupFigures
from muxer_grpc.domain.figures import Dimension, FiguresQuery, FiguresReport, ReportRow
from muxer_grpc.domain.ledger import EntryOutcome
from muxer_grpc.domain.money import Usage, add_usage
from muxer_grpc.domain.reporting import FAILURES
from muxer_grpc.domain.spreads import spread_of
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.entry_rows import TOKEN_KINDS, columns
from muxer_grpc.storage.snapshots import snapshot

# The latest entries of which timings are read.
MOST_TIMINGS = 10_000
# What PostgreSQL may take for one statement, in seconds: callers of the data listener wait for it.
STATEMENT_SECONDS = 10

_COLUMN_OF = {
    Dimension.PROVIDER: columns.provider,
    Dimension.MODEL: columns.model,
    Dimension.INTENT: columns.intent,
    Dimension.STRATEGY: columns.strategy,
}
_SUCCEEDED = (EntryOutcome.COMPLETE.value, EntryOutcome.LENGTH.value, EntryOutcome.FILTERED.value)
_FAILED = sorted(outcome.value for outcome in FAILURES)
_CLASSES = {failure.value: failure for failure in FailureClass}

_Group = tuple[str, ...]


class _Timing(NamedTuple):
    """One entry, in microseconds."""

    outcome: str
    duration_us: int
    first_token_us: int | None


@dataclass(slots=True)
class _Timings:
    """What the timings of a group come to; they are added the latest first."""

    durations: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    consecutive_failures: int = 0
    succeeded: bool = False

    def add(self, timing: _Timing) -> None:
        """Adds an entry that ended before all others."""
        if timing.outcome in _SUCCEEDED:
            self.durations.append(timing.duration_us / MICROSECONDS)
            self.succeeded = True
        elif timing.outcome in _FAILED and not self.succeeded:
            self.consecutive_failures += 1
        if timing.first_token_us is not None:
            self.first_tokens.append(timing.first_token_us / MICROSECONDS)


class FleetFiguresTable:
    """Implements the port FleetFigures."""

    def __init__(self, database: Database, most_timings: int = MOST_TIMINGS) -> None:
        self._database = database
        self._most_timings = most_timings

    async def report(self, query: FiguresQuery, tenant_id: str | None, since_us: int, until_us: int) -> FiguresReport:
        """Gives the figures of what was settled in a time, of one tenant or all."""
        meant = _meant(query, tenant_id, since_us, until_us)
        dimensions = query.dimensions
        group = [_COLUMN_OF[dimension] for dimension in dimensions]
        sums = select(*group, *_sums()).where(*meant).group_by(*group).order_by(*group)
        failed = (*group, columns.failure_class)
        failures = (
            select(*failed, func.count().label("number"))
            .where(*meant, columns.outcome.in_(_FAILED))
            .group_by(*failed)
            .order_by(*failed)
        )
        timings = (
            select(*group, columns.outcome, columns.duration_us, columns.first_token_us)
            .where(*meant)
            .order_by(columns.settled_us.desc(), columns.seq.desc())
            .limit(self._most_timings)
        )
        async with snapshot(self._database, STATEMENT_SECONDS) as connection:
            summed = (await connection.execute(sums)).mappings().all()
            classed = (await connection.execute(failures)).all()
            timed = (await connection.execute(timings)).all()
        size = len(dimensions)
        known = _grouped(timed, lambda row: (tuple(row[:size]), _Timing(*row[size:])))
        by_class: dict[_Group, dict[FailureClass | None, int]] = {}
        for *names, failure_class, number in classed:
            counts = by_class.setdefault(tuple(names), {})
            failure = _CLASSES.get(failure_class)
            counts[failure] = counts.get(failure, 0) + number
        rows = []
        for row in summed:
            values = tuple(row[column.name] for column in group)
            figures = _figures(row, by_class.get(values, {}), known.get(values, _Timings()))
            rows.append(ReportRow(dict(zip(dimensions, values, strict=True)), figures))
        rows.sort(key=lambda each: tuple(each.group.values()))
        whole = _grouped(timed, lambda row: ((), _Timing(*row[size:])))
        total = _total([row.figures for row in rows], whole.get((), _Timings()))
        return FiguresReport(since_us / MICROSECONDS, rows, total)


def _meant(query: FiguresQuery, tenant_id: str | None, since_us: int, until_us: int) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [columns.settled_us >= since_us, columns.settled_us <= until_us]
    if tenant_id is not None:
        conditions.append(columns.tenant_id == tenant_id)
    narrowed: Mapping[Dimension, Iterable[str]] = {
        Dimension.PROVIDER: query.providers,
        Dimension.MODEL: query.models,
        Dimension.INTENT: [intent.value for intent in query.intents],
        Dimension.STRATEGY: query.strategies,
    }
    conditions += [_COLUMN_OF[dimension].in_(sorted(names)) for dimension, names in narrowed.items() if names]
    return conditions


def _sums() -> list[ColumnElement[Any]]:
    succeeded = columns.outcome.in_(_SUCCEEDED)
    pace_us = columns.duration_us - columns.first_token_us
    paced = and_(succeeded, columns.first_token_us.is_not(None), pace_us >= int(LEAST_PACED_SECONDS * MICROSECONDS))
    output = columns.output_tokens + columns.reasoning_tokens
    return [
        *(func.sum(columns[kind]).label(kind) for kind in TOKEN_KINDS),
        func.count().label("requests"),
        func.sum(case((succeeded, 1), else_=0)).label("successes"),
        func.sum(case((columns.outcome == EntryOutcome.CANCELLED.value, 1), else_=0)).label("cancelled"),
        func.sum(columns.cost_nano_usd).label("cost"),
        func.sum(case((paced, output), else_=0)).label("paced_tokens"),
        func.sum(case((paced, pace_us), else_=0)).label("paced_us"),
        func.max(columns.settled_us).label("last_us"),
    ]


def _grouped(rows: Sequence[Any], split: Callable[[Any], tuple[_Group, _Timing]]) -> dict[_Group, _Timings]:
    found: dict[_Group, _Timings] = {}
    for row in rows:
        values, timing = split(row)
        timings = found.get(values)
        if timings is None:
            timings = found[values] = _Timings()
        timings.add(timing)
    return found


def _figures(row: RowMapping, failures: Mapping[FailureClass | None, int], timings: _Timings) -> GroupFigures:
    # PostgreSQL sums 64-bit integers as numerics.
    kinds: dict[str, Any] = {kind: int(row[kind]) for kind in TOKEN_KINDS}
    return _timed(
        GroupFigures(
            requests=row["requests"],
            successes=int(row["successes"]),
            cancelled=int(row["cancelled"]),
            failures=failures,
            usage=Usage(**kinds),
            cost_nano_usd=int(row["cost"]),
            paced_tokens=int(row["paced_tokens"]),
            paced_seconds=int(row["paced_us"]) / MICROSECONDS,
            last_at=row["last_us"] / MICROSECONDS,
        ),
        timings,
    )


def _timed(figures: GroupFigures, timings: _Timings) -> GroupFigures:
    return replace(
        figures,
        consecutive_failures=timings.consecutive_failures,
        latency=spread_of(timings.durations),
        first_token=spread_of(timings.first_tokens),
    )


def _total(parts: Sequence[GroupFigures], timings: _Timings) -> GroupFigures:
    """Sums the figures of all groups."""
    failures: dict[FailureClass | None, int] = {}
    usage = Usage()
    for part in parts:
        usage = add_usage(usage, part.usage)
        for failure, count in part.failures.items():
            failures[failure] = failures.get(failure, 0) + count
    total = GroupFigures(
        requests=sum(part.requests for part in parts),
        successes=sum(part.successes for part in parts),
        cancelled=sum(part.cancelled for part in parts),
        failures=failures,
        usage=usage,
        cost_nano_usd=sum(part.cost_nano_usd for part in parts),
        paced_tokens=sum(part.paced_tokens for part in parts),
        paced_seconds=sum(part.paced_seconds for part in parts),
        last_at=max((part.last_at for part in parts if part.last_at is not None), default=None),
    )
    return _timed(total, timings)
