"""Puts together the services that report from the ledger, that tell of alerts, and that lease money."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from muxer_grpc.domain.budgeting import MICROSECONDS, BudgetAlert
from muxer_grpc.domain.ledger_check import LedgerCheck
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.pipeline.alert_feed import AlertFeed
from muxer_grpc.rpc.exploring import DecisionExplorer
from muxer_grpc.rpc.listener import Servicer
from muxer_grpc.rpc.servicers import alerts, decisions, leases, ledger, savings, usage
from muxer_grpc.settings import Settings
from muxer_grpc.settings_alerts import AlertSettings
from muxer_grpc.settings_leases import MoneyLeaseSettings
from muxer_grpc.storage.alerts import AlertTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.decision_history import DecisionTable
from muxer_grpc.storage.entries import EntryTable
from muxer_grpc.storage.ledger_check import LedgerCheckTable
from muxer_grpc.storage.migrating import check_ready
from muxer_grpc.storage.money_leases import MoneyLeaseTable
from muxer_grpc.storage.past_decisions import PastDecisionTable
from muxer_grpc.storage.price_books import PriceBookTable
from muxer_grpc.storage.reports import UsageTable
from muxer_grpc.storage.spending import SpendingTable
from muxer_grpc.storage.sweeper import CLOCK_SLACK
from muxer_grpc.storage.tenants import TenantTable
from muxer_grpc.storage.writer import LedgerWriter

Now = Callable[[], float]
NewId = Callable[[], str]
# What settling takes after a sweeper found what is left behind, in seconds.
SETTLING_SECONDS = 10.0


def report_services(
    settings: Settings, database: Database, feed: AlertFeed, fleet: Fleet, *, now: Now
) -> Mapping[str, Servicer]:
    """Gives the admin services that report, by full name."""
    return {
        usage.SERVICE: usage.UsageServicer(UsageTable(database)),
        ledger.SERVICE: ledger.LedgerServicer(
            EntryTable(database), LedgerCheckTable(database), grace_us(settings), now
        ),
        decisions.SERVICE: decisions.DecisionServicer(
            DecisionTable(database),
            DecisionExplorer(
                PastDecisionTable(database), EntryTable(database), PriceBookTable(database), lambda: fleet.catalogue
            ),
        ),
        alerts.SERVICE: alerts.AlertServicer(AlertTable(database), feed),
        savings.SERVICE: savings.SavingsServicer(SpendingTable(database), lambda: fleet.catalogue),
    }


def lease_services(
    chosen: MoneyLeaseSettings, database: Database, writer: LedgerWriter, *, now: Now, new_id: NewId
) -> Mapping[str, Servicer]:
    """Gives the services of the data listener that keep leases of money, by full name."""
    times = leases.LeaseTimes(chosen.default_seconds, chosen.most_seconds)
    return {leases.SERVICE: leases.LeaseServicer(MoneyLeaseTable(database), writer, new_id, times, now)}


def grace_us(settings: Settings) -> int:
    """Gives how long promises may be overdue before nobody seems to sweep, in microseconds.

    Whoever has just started spares everybody for a lease; then comes a turn.
    """
    lease = settings.storage.lease_seconds
    return int((lease + lease / 3 + CLOCK_SLACK + SETTLING_SECONDS) * MICROSECONDS)


async def check_books(settings: Settings, tenant_id: str | None) -> LedgerCheck:
    """Checks the books of a tenant, or all, in the configured database.

    Raises ResourceNotFound, SchemaUnfit, StorageUnavailable.
    """
    database = Database(settings.storage.url.get_secret_value())
    try:
        await asyncio.to_thread(check_ready, database)
        if tenant_id is not None:
            # No books would balance all too well.
            await TenantTable(database).get(tenant_id)
        at_us = int(time.time() * MICROSECONDS)
        return await LedgerCheckTable(database).check(tenant_id, at_us, grace_us(settings))
    finally:
        await database.aclose()


@asynccontextmanager
async def open_webhook(chosen: AlertSettings) -> AsyncGenerator[Callable[[BudgetAlert], None] | None, None]:
    """Opens the operator's webhook, where there is one; gives what sends alerts to it."""
    if chosen.webhook_url is None:
        yield None
        return
    secret = b"" if chosen.webhook_secret is None else chosen.webhook_secret.get_secret_value().encode()
    # Loads an HTTP client, which nobody needs without a webhook.
    from muxer_grpc.telemetry.alert_webhook import AlertWebhook

    webhook = AlertWebhook(chosen.webhook_url.get_secret_value(), secret, chosen.webhook_timeout_seconds, time.time)
    try:
        yield webhook.send
    finally:
        await webhook.aclose()
