"""Looks up request ids, for repeats that wait for the answer of a request under way."""

from __future__ import annotations

from sqlalchemy import select

from muxer_grpc.domain.ledger import KnownRequest, RequestState
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import idempotent_requests


async def known_request(database: Database, tenant_id: str, request_id: str) -> KnownRequest | None:
    """Tells what is known of a tenant's request id. Raises StorageUnavailable."""
    columns = idempotent_requests.c
    query = select(columns.completion_id, columns.done, columns.fingerprint, columns.answer).where(
        columns.tenant_id == tenant_id, columns.request_id == request_id
    )
    async with database.read() as connection:
        row = (await connection.execute(query)).first()
    if row is None:
        return None
    state = RequestState.DONE if row.done else RequestState.RUNNING
    answer = None if row.answer is None else bytes(row.answer)
    return KnownRequest(row.completion_id, state, bytes(row.fingerprint), answer)
