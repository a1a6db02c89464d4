"""The history of decisions, for as long as they are kept."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, RowMapping, select, tuple_

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.ledger import RoutedDecision
from muxer_grpc.domain.reporting import DecisionFilter, DecisionRecord
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import decisions

# What listings tell.
TOLD = [column for column in decisions.columns if column.name not in ("document", "fingerprint")]


class DecisionTable:
    """Implements the ports DecisionHistory and RoutedDecisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: DecisionFilter, asked: PageRequest) -> Sequence[DecisionRecord]:
        """Lists decisions without their documents, the latest first."""
        columns = decisions.c
        query = select(*TOLD).where(*decisions_meant(wanted)).limit(asked.length)
        query = query.order_by(columns.created_us.desc(), columns.id.desc())
        if asked.after:
            query = query.where(tuple_(columns.created_us, columns.id) < tuple_(int(asked.after[0]), asked.after[1]))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [decision_record(row) for row in rows]

    async def routed(self, tenant_id: str, decision_id: str) -> RoutedDecision | None:
        """Looks up a decision of Route, for whoever takes it up; see the port RoutedDecisions."""
        columns = decisions.c
        query = select(columns.fingerprint, columns.document)
        query = query.where(columns.id == decision_id, columns.tenant_id == tenant_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        # What Complete decided by itself for a spec without a request id has no fingerprint.
        return RoutedDecision(bytes(row[0]), bytes(row[1])) if row is not None and row[0] else None

    async def get(self, tenant_id: str | None, decision_id: str) -> DecisionRecord:
        """Reads one."""
        query = select(*TOLD, decisions.c.document).where(decisions.c.id == decision_id)
        if tenant_id is not None:
            query = query.where(decisions.c.tenant_id == tenant_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise ResourceNotFound("Decision", decision_id)
        return decision_record(row, bytes(row["document"]))


def decision_record(row: RowMapping, document: bytes = b"") -> DecisionRecord:
    """Reads a decision."""
    return DecisionRecord(
        decision_id=row["id"],
        tenant_id=row["tenant_id"],
        user_id=row["user_id"],
        completion_id=row["completion_id"],
        strategy=row["strategy"],
        intent=row["intent"],
        selected_model=row["selected_model"],
        created_us=row["created_us"],
        expires_us=row["expires_us"],
        document=document,
    )


def decisions_meant(wanted: DecisionFilter) -> list[ColumnElement[bool]]:
    """Says which decisions a filter means."""
    columns = decisions.c
    names = ("user_id", "strategy", "intent", "selected_model")
    conditions: list[ColumnElement[bool]] = [
        columns[name] == getattr(wanted, name) for name in names if getattr(wanted, name)
    ]
    if wanted.tenant_id is not None:
        conditions.append(columns.tenant_id == wanted.tenant_id)
    if wanted.dry_run is not None:
        conditions.append(columns.completion_id == "" if wanted.dry_run else columns.completion_id != "")
    if wanted.since_us is not None:
        conditions.append(columns.created_us >= wanted.since_us)
    if wanted.until_us is not None:
        conditions.append(columns.created_us < wanted.until_us)
    return conditions
