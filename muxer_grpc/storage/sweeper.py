"""Keeps promises alive, settles those whose process is gone, and forgets what was to be kept for a time only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, select, update

from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.errors import MuxerError
from muxer_grpc.domain.ledger import EntryOutcome, LedgerEntry, Settlement
from muxer_grpc.domain.money import PICO_PER_NANO, Usage, UsageSource
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage import schema
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.writer import LedgerWriter

_log = logging.getLogger(__name__)

# Of so many the clocks of replicas may differ, in seconds: a promise is left alone for that much longer.
CLOCK_SLACK = 2.0
MOST_AT_ONCE = 500


class Sweeper:
    """Looks after the promises of one process, and sweeps up after processes that are gone."""

    def __init__(
        self,
        database: Database,
        writer: LedgerWriter,
        instance_id: str,
        lease_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._writer = writer
        self._instance_id = instance_id
        self._lease_seconds = lease_seconds
        self._now = now
        self._silent = False
        self._spare_until = 0.0

    async def run(self) -> None:
        """Sweeps three times in a lease, for ever. A database that cannot be used is tried again at the next turn."""
        while True:
            try:
                await self.turn()
            except MuxerError as error:
                _log.warning("the promises could not be looked after: %s", error.message)
            except Exception:
                # Without signs of life others would settle what this process still works on.
                _log.exception("looking after the promises broke")
            await asyncio.sleep(self._lease_seconds / 3)

    async def turn(self) -> None:
        """Sweeps once, as long as there is something to sweep."""
        try:
            await self.renew()
        except BaseException:
            self._silent = True
            raise
        now = self._now()
        if self._silent:
            # Others could not give a sign of life either: they have a lease's time for it from now on.
            self._silent, self._spare_until = False, now + self._lease_seconds
        if now >= self._spare_until:
            while await self.sweep() == MOST_AT_ONCE:
                pass
        while await self.end_leases() == MOST_AT_ONCE:
            pass
        await self.forget()

    async def renew(self) -> None:
        """Gives a sign of life for the promises of this process."""
        until = int((self._now() + self._lease_seconds) * MICROSECONDS)
        table = schema.reservations
        async with self._database.change() as connection:
            await connection.execute(
                update(table).where(table.c.instance_id == self._instance_id).values(lease_until_us=until)
            )

    async def sweep(self) -> int:
        """Settles promises without a sign of life at what they were expected to cost; gives their number."""
        now_us = int(self._now() * MICROSECONDS)
        table = schema.reservations
        overdue = (
            select(table)
            .where(table.c.lease_until_us < now_us - int(CLOCK_SLACK * MICROSECONDS))
            .order_by(table.c.lease_until_us)
            .limit(MOST_AT_ONCE)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(overdue)).mappings().all()
        settled = [self._writer.settle(abandoned(row, now_us)) for row in rows]
        await asyncio.gather(*settled)
        if rows:
            _log.warning(
                "settled %d promises of processes that are gone, at what they were expected to cost", len(rows)
            )
        return len(rows)

    async def end_leases(self) -> int:
        """Releases leases of money whose time is over; gives their number."""
        now_us = int(self._now() * MICROSECONDS)
        table = schema.money_leases
        overdue = (
            select(table.c.id)
            .where(table.c.released.is_(False), table.c.expires_us < now_us - int(CLOCK_SLACK * MICROSECONDS))
            .order_by(table.c.expires_us)
            .limit(MOST_AT_ONCE)
        )
        async with self._database.read() as connection:
            ids = (await connection.execute(overdue)).scalars().all()
        await asyncio.gather(*(self._writer.end_lease(lease_id) for lease_id in ids))
        return len(ids)

    async def forget(self) -> None:
        """Forgets request ids, decisions and contents whose time is over."""
        now_us = int(self._now() * MICROSECONDS)
        async with self._database.change() as connection:
            for table in (schema.idempotent_requests, schema.decisions, schema.contents):
                await connection.execute(delete(table).where(table.c.expires_us < now_us))


def abandoned(row: Any, now_us: int) -> Settlement:
    """Makes the settlement of a promise whose process died before it could say what came of it."""
    cost = row["expected_nano_usd"]
    entry = LedgerEntry(
        completion_id=row["completion_id"],
        attempt=1,
        subject=Subject(row["tenant_id"], row["user_id"], row["key_id"]),
        cost_nano_usd=cost,
        cost_pico_usd=cost * PICO_PER_NANO,
        outcome=EntryOutcome.ABANDONED,
        created_us=row["created_us"],
        settled_us=now_us,
        request_id=row["request_id"],
        decision_id=row["decision_id"],
        model=row["model"],
        provider=row["provider"],
        usage=Usage(source=UsageSource.ESTIMATED),
        price_book_version=row["price_book_version"],
        reserved_nano_usd=row["amount_nano_usd"],
        money_lease_id=row["money_lease_id"],
    )
    return Settlement(row["completion_id"], (entry,), now_us, request_id=row["request_id"])
