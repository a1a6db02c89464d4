"""The services that report and lease, over a real server and a real database, called by people with keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from muxer.v1 import alert_service_pb2, alert_service_pb2_grpc

from muxer_grpc.bootstrap import new_id
from muxer_grpc.bootstrap_reports import lease_services, report_services
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.pipeline.alert_feed import AlertFeed, AlertTold
from muxer_grpc.rpc.listener import Servicer
from muxer_grpc.settings import Settings
from muxer_grpc.storage.alerts import AlertTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.writer import LedgerWriter
from tests.rpc.administered import SETTINGS, START, Administered, Caller, administered
from tests.rpc.service import CATALOGUE, Clock
from tests.storage.bookings import book, row

SECOND = 1_000_000
NOW = int(START) * SECOND


@dataclass
class Reported:
    """The services, the ledger's writer behind them, and the feed of alerts."""

    world: Administered
    writer: LedgerWriter
    feed: AlertFeed

    @property
    def root(self) -> Caller:
        return self.world.root

    @property
    def acme(self) -> Caller:
        return self.world.acme

    @property
    def other(self) -> Caller:
        return self.world.other

    @property
    def clock(self) -> Clock:
        return self.world.clock

    async def book(self, *rows: dict[str, Any]) -> None:
        await book(self.world.database, rows)

    def watch(self, caller: Caller, timeout: float | None = None, **wanted: Any) -> Any:
        """Opens a stream of alerts."""
        stub = alert_service_pb2_grpc.AlertServiceStub(self.world.channel)
        request = alert_service_pb2.WatchAlertsRequest(**wanted)
        return stub.WatchAlerts(request, metadata=(("x-api-key", caller.key),), timeout=timeout)


def entry(name: str, cost: int = 1, *, at_us: int = NOW, **changes: Any) -> dict[str, Any]:
    """Makes an entry's row."""
    return row(name, at_us, cost, **changes)


@asynccontextmanager
async def reported(database: Database, settings: Settings = SETTINGS) -> AsyncGenerator[Reported, None]:
    """Serves the services that report and lease, beside those of administration."""
    feed = AlertFeed(AlertTable(database), 0.02)
    clocks: list[Clock] = []

    def now() -> float:
        return clocks[0]()

    writer = LedgerWriter(database, now=now, alerted=AlertTold(feed))

    def services(clock: Clock) -> Mapping[str, Servicer]:
        clocks.append(clock)
        return {
            **report_services(settings, database, feed, Fleet(CATALOGUE), now=clock),
            **lease_services(settings.money_leases, database, writer, now=clock, new_id=new_id),
        }

    try:
        async with administered(database, settings, services) as world:
            try:
                yield Reported(world, writer, feed)
            finally:
                feed.close()
    finally:
        await writer.aclose()


async def all_of(caller: Caller, request: Any, items: str) -> list[Any]:
    """Reads a listing whole, page by page."""
    found: list[Any] = []
    while True:
        reply = await caller(request)
        found.extend(getattr(reply, items))
        if not reply.next_page_token:
            return found
        request.page_token = reply.next_page_token
