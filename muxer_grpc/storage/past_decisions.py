"""Decisions of the past with their documents, and what the completions that they led to used."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, tuple_

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.money import PICO_PER_NANO, round_half_even
from muxer_grpc.domain.replaying import PastRecord, Spent
from muxer_grpc.domain.reporting import DecisionFilter, EntryRecord
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.decision_history import TOLD, decision_record, decisions_meant
from muxer_grpc.storage.entry_rows import columns as entries
from muxer_grpc.storage.entry_rows import record_of
from muxer_grpc.storage.schema import decisions, ledger_entries
from muxer_grpc.storage.snapshots import snapshot


class PastDecisionTable:
    """Implements the port PastDecisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: DecisionFilter, asked: PageRequest) -> Sequence[PastRecord]:
        """Lists decisions, the latest first."""
        made = decisions.c
        query = select(*TOLD, made.document).where(*decisions_meant(wanted)).limit(asked.length)
        query = query.order_by(made.created_us.desc(), made.id.desc())
        if asked.after:
            query = query.where(tuple_(made.created_us, made.id) < tuple_(int(asked.after[0]), asked.after[1]))
        async with snapshot(self._database) as connection:
            rows = (await connection.execute(query)).mappings().all()
            answered = [row["completion_id"] for row in rows if row["completion_id"]]
            # In the order of attempts, so that of each completion the last one stays.
            found = select(ledger_entries).where(entries.completion_id.in_(answered)).order_by(entries.attempt)
            attempts = (await connection.execute(found)).mappings().all() if answered else ()
        last = {each["completion_id"]: record_of(each) for each in attempts}
        return [
            PastRecord(decision_record(row, bytes(row["document"])), _spent(last.get(row["completion_id"])))
            for row in rows
        ]


def _spent(record: EntryRecord | None) -> Spent | None:
    """Reads what an attempt used; None where that is not known, as of one whose process died."""
    if record is None:
        return None
    entry = record.entry
    usage = entry.usage
    if entry.cost_pico_usd and not (usage.all_input_tokens or usage.output_tokens or usage.reasoning_tokens):
        return None
    return Spent(entry.model, usage, round_half_even(entry.cost_pico_usd, PICO_PER_NANO))
