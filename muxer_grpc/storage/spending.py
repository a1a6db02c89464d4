"""What savings are estimated from: spending by model and kind of task, and on requests that came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Subquery, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.ledger import EntryOutcome
from muxer_grpc.domain.money import Usage
from muxer_grpc.domain.reporting import EntryFilter
from muxer_grpc.domain.savings import ModelSpending, RepeatSpending, SpendingReport
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.entry_rows import columns, meant_by
from muxer_grpc.storage.policies import policy_of
from muxer_grpc.storage.schema import contents, decisions, tenants
from muxer_grpc.storage.snapshots import snapshot

_INPUT = columns.input_tokens + columns.cached_input_tokens + columns.cache_write_tokens + columns.cache_write_1h_tokens
_OUTPUT = columns.output_tokens + columns.reasoning_tokens
_KINDS = (
    columns.input_tokens,
    columns.cached_input_tokens,
    columns.cache_write_tokens,
    columns.cache_write_1h_tokens,
    columns.output_tokens,
    columns.reasoning_tokens,
)


class SpendingTable:
    """Implements the port Spendings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spending(self, tenant_id: str | None, since_us: int | None, until_us: int | None) -> SpendingReport:
        """Reads what was spent, of one tenant or all."""
        wanted = EntryFilter(tenant_id, since_us=since_us, until_us=until_us)
        conditions = meant_by(wanted, sqlite=self._database.is_sqlite)
        async with snapshot(self._database) as connection:
            by_model = await _by_model(connection, conditions)
            repeats = await _repeats(connection, conditions)
            own = select(tenants.c.id, tenants.c.policy).where(tenants.c.id.in_({row.tenant_id for row in by_model}))
            policies = {name: policy_of(told) for name, told in await connection.execute(own)}
        return SpendingReport(by_model, repeats, policies)


async def _by_model(connection: AsyncConnection, conditions: list[ColumnElement[bool]]) -> list[ModelSpending]:
    group = (columns.tenant_id, columns.intent, columns.model)
    requested = case((columns.requested_model == columns.model, columns.completion_id))
    query = (
        select(
            *group,
            *(func.sum(kind).label(kind.name) for kind in _KINDS),
            func.sum(columns.cost_nano_usd).label("cost"),
            func.sum(columns.reserved_nano_usd).label("reserved"),
            func.count().label("attempts"),
            func.count(requested.distinct()).label("requested"),
            func.max(_INPUT).label("most_input"),
            func.max(_OUTPUT).label("most_output"),
        )
        .where(*conditions, columns.model != "")
        .group_by(*group)
        .order_by(*group)
    )
    found = []
    for row in (await connection.execute(query)).mappings():
        # PostgreSQL sums 64-bit integers as numerics.
        kinds: dict[str, Any] = {kind.name: int(row[kind.name]) for kind in _KINDS}
        found.append(
            ModelSpending(
                tenant_id=row["tenant_id"],
                intent=row["intent"],
                model=row["model"],
                usage=Usage(**kinds),
                cost_nano_usd=int(row["cost"]),
                reserved_nano_usd=int(row["reserved"]),
                attempts=row["attempts"],
                requested=row["requested"],
                most_input_tokens=row["most_input"],
                most_output_tokens=row["most_output"],
            )
        )
    return found


async def _repeats(connection: AsyncConnection, conditions: list[ColumnElement[bool]]) -> Sequence[RepeatSpending]:
    """Counts the whole answers to requests that an earlier one is like, where it is known what was asked.

    That is known by the fingerprint of the spec in the history of decisions, or else by the digest of the prompt where
    the tenant's policy keeps one: for requests that were routed first, that have an id, or whose content is kept.
    """
    answered = _answered(conditions)
    alike = (
        select(
            answered.c.tenant_id,
            answered.c.asked,
            func.count().label("number"),
            (func.sum(answered.c.cost) - func.max(answered.c.cost)).label("repeated_cost"),
        )
        .group_by(answered.c.tenant_id, answered.c.asked)
        .subquery()
    )
    known = alike.c.asked.is_not(None)
    query = select(
        alike.c.tenant_id,
        func.sum(alike.c.number).label("completions"),
        func.sum(case((known, alike.c.number), else_=0)).label("known"),
        func.sum(case((known, alike.c.number - 1), else_=0)).label("repeats"),
        func.sum(case((known, alike.c.repeated_cost), else_=0)).label("cost"),
    ).group_by(alike.c.tenant_id)
    return [
        RepeatSpending(
            tenant_id=row["tenant_id"],
            completions=int(row["completions"]),
            known=int(row["known"]),
            repeats=int(row["repeats"]),
            cost_nano_usd=int(row["cost"]),
        )
        for row in (await connection.execute(query)).mappings()
    ]


def _answered(conditions: list[ColumnElement[bool]]) -> Subquery:
    """Lists the completions that were answered whole: what they cost, and what stands for what they asked."""
    whole = case((columns.outcome == EntryOutcome.COMPLETE.value, 1), else_=0)
    completions = (
        select(
            columns.tenant_id,
            columns.completion_id,
            func.max(columns.decision_id).label("decision_id"),
            func.sum(columns.cost_nano_usd).label("cost"),
        )
        .where(*conditions)
        .group_by(columns.tenant_id, columns.completion_id)
        .having(func.max(whole) == 1)
        .subquery()
    )
    fingerprint = case((func.length(decisions.c.fingerprint) > 0, decisions.c.fingerprint))
    return (
        select(
            completions.c.tenant_id,
            completions.c.cost,
            func.coalesce(fingerprint, contents.c.prompt_digest).label("asked"),
        )
        .select_from(
            completions.outerjoin(decisions, decisions.c.id == completions.c.decision_id).outerjoin(
                contents, contents.c.completion_id == completions.c.completion_id
            )
        )
        .subquery()
    )
