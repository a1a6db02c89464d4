"""Puts together what keeps accounts: the database, the ledger's writer, and who looks after its promises."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from muxer_grpc.bootstrap_admin import default_budgets
from muxer_grpc.bootstrap_reports import open_webhook
from muxer_grpc.domain.budgeting import BudgetAlert
from muxer_grpc.domain.ports import Directory
from muxer_grpc.pipeline.alert_feed import AlertFeed, AlertTold
from muxer_grpc.pipeline.settlement import AccountRules, Bookkeeping
from muxer_grpc.rpc.documents import WireDocuments
from muxer_grpc.settings import Settings
from muxer_grpc.storage.alerts import AlertTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.decision_history import DecisionTable
from muxer_grpc.storage.directory import DirectoryTable
from muxer_grpc.storage.migrating import make_ready
from muxer_grpc.storage.sealing import ContentSealer
from muxer_grpc.storage.sweeper import Sweeper
from muxer_grpc.storage.writer import LedgerWriter, WriterRules

DAY_SECONDS = 86_400
ID_BYTES = 12


@dataclass(frozen=True, slots=True)
class Storage:
    """An open database, and what keeps accounts in it."""

    database: Database
    writer: LedgerWriter
    books: Bookkeeping
    directory: Directory
    alert_feed: AlertFeed
    alerts_told: AlertTold


@asynccontextmanager
async def open_storage(settings: Settings, instance_id: str) -> AsyncGenerator[Storage, None]:
    """Opens the database, and posts what is left on leaving. Raises SchemaUnfit, StorageUnavailable."""
    # Alerts that the last postings raise are sent too.
    async with open_webhook(settings.alerts) as send, _opened(settings, instance_id, send) as storage:
        yield storage


@asynccontextmanager
async def _opened(
    settings: Settings, instance_id: str, send: Callable[[BudgetAlert], None] | None
) -> AsyncGenerator[Storage, None]:
    chosen = settings.storage
    database = Database(chosen.url.get_secret_value())
    await asyncio.to_thread(make_ready, database)
    feed = AlertFeed(AlertTable(database))
    told = AlertTold(feed, send)
    writer = LedgerWriter(database, WriterRules(chosen.patience_seconds, chosen.settle_seconds), alerted=told)
    sweeper = Sweeper(database, writer, instance_id, chosen.lease_seconds, time.time)
    sweeping = asyncio.create_task(sweeper.run())
    rules = AccountRules(
        instance_id=instance_id,
        lease_seconds=chosen.lease_seconds,
        request_id_seconds=chosen.request_id_seconds,
        decision_seconds=chosen.decision_days * DAY_SECONDS,
        default_max_output_tokens=chosen.default_max_output_tokens,
    )
    try:
        sealer = ContentSealer(settings.identity.pepper_bytes or b"")
        books = Bookkeeping(writer, WireDocuments(), sealer, rules, DecisionTable(database))
        directory = DirectoryTable(
            database, default_budgets(settings.budgets), now=time.time, new_id=lambda: secrets.token_hex(ID_BYTES)
        )
        yield Storage(database, writer, books, directory, feed, told)
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await writer.aclose()
        await database.aclose()
