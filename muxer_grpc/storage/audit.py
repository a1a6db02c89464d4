"""The audit log: written by the changes themselves, each in its own transaction, and read by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import Actor, AuditEntry, AuditFilter, PageRequest
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import audit_log

MOST_NAME_CHARACTERS = 256


async def append(
    connection: AsyncConnection,
    actor: Actor,
    action: str,
    resource: str,
    *,
    tenant_id: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Writes what somebody does, within the transaction that does it."""
    await connection.execute(
        insert(audit_log).values(
            tenant_id=tenant_id,
            principal=actor.name[:MOST_NAME_CHARACTERS],
            action=action,
            resource=resource,
            # Without these the columns would hold JSON's null instead of SQL's.
            **({} if before is None else {"before": dict(before)}),
            **({} if after is None else {"after": dict(after)}),
            created_us=actor.at_us,
        )
    )


class AuditTable:
    """Implements the ports AuditLog and AuditNotes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self, actor: Actor, action: str, resource: str, *, tenant_id: str, after: Mapping[str, Any] | None = None
    ) -> None:
        """Writes what somebody is about to do."""
        async with self._database.change() as connection:
            await append(connection, actor, action, resource, tenant_id=tenant_id, after=after)

    async def page(self, wanted: AuditFilter, asked: PageRequest) -> Sequence[AuditEntry]:
        """Lists entries, the latest first."""
        query = select(audit_log).where(*_conditions(wanted)).order_by(audit_log.c.seq.desc()).limit(asked.length)
        if asked.after:
            query = query.where(audit_log.c.seq < int(asked.after[0]))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            AuditEntry(
                sequence=row["seq"],
                tenant_id=row["tenant_id"],
                principal=row["principal"],
                action=row["action"],
                resource=row["resource"],
                before=row["before"],
                after=row["after"],
                created_us=row["created_us"],
            )
            for row in rows
        ]


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    columns = audit_log.c
    given: list[tuple[object, ColumnElement[bool]]] = [
        (wanted.principal, columns.principal == wanted.principal),
        (wanted.action, columns.action == wanted.action),
        (wanted.resource, columns.resource == wanted.resource),
    ]
    conditions = [condition for value, condition in given if value]
    if wanted.tenant_id is not None:
        conditions.append(columns.tenant_id == wanted.tenant_id)
    if wanted.since_us is not None:
        conditions.append(columns.created_us >= wanted.since_us)
    if wanted.until_us is not None:
        conditions.append(columns.created_us < wanted.until_us)
    return conditions
