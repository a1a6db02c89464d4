"""The ledger's entries, page by page, and all of one completion."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.reporting import CompletionRecord, EntryFilter, EntryRecord
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.entry_rows import columns, meant_by, record_of
from muxer_grpc.storage.schema import ledger_entries, reservations
from muxer_grpc.storage.snapshots import snapshot


class EntryTable:
    """Implements the port LedgerEntries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: EntryFilter, asked: PageRequest, *, oldest_first: bool) -> Sequence[EntryRecord]:
        """Lists entries by their numbers."""
        query = select(ledger_entries).where(*meant_by(wanted, sqlite=self._database.is_sqlite)).limit(asked.length)
        query = query.order_by(columns.seq if oldest_first else columns.seq.desc())
        if asked.after:
            last = int(asked.after[0])
            query = query.where(columns.seq > last if oldest_first else columns.seq < last)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [record_of(row) for row in rows]

    async def completion(self, tenant_id: str | None, completion_id: str) -> CompletionRecord:
        """Reads one completion."""
        entries = select(ledger_entries).where(columns.completion_id == completion_id).order_by(columns.attempt)
        still_open = select(reservations.c.amount_nano_usd).where(reservations.c.completion_id == completion_id)
        if tenant_id is not None:
            entries = entries.where(columns.tenant_id == tenant_id)
            still_open = still_open.where(reservations.c.tenant_id == tenant_id)
        async with snapshot(self._database) as connection:
            rows = (await connection.execute(entries)).mappings().all()
            reserved = (await connection.execute(still_open)).scalars().first()
        if not rows and reserved is None:
            raise ResourceNotFound("Completion", completion_id)
        return CompletionRecord([record_of(row) for row in rows], reserved or 0)
