"""Keeps promises alive, settles those whose process is gone, and forgets what was to be kept for a time only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Table, delete, select, tuple_, update

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
# What is kept for a time only.
FORGOTTEN = (schema.idempotent_requests, schema.decisions, schema.contents)


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
        # When this process gave its last sign of life; and until when nobody is taken for dead.
        self._renewed: float | None = None
        self._failed = False
        self._spare_until = 0.0

    async def run(self) -> None:
        """Gives signs of life and sweeps, each three times in a lease, for ever, and neither in the other's way.

        A database that cannot be used is tried again at the next turn.
        """
        await self._guarded(self.sign)
        await asyncio.gather(self._repeat(self.sign), self._repeat(self.clear))

    async def _repeat(self, turn: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._guarded(turn)
            await asyncio.sleep(self._lease_seconds / 3)

    async def _guarded(self, turn: Callable[[], Awaitable[None]]) -> None:
        """Takes a turn; without signs of life others would settle what this process still works on."""
        try:
            await turn()
        except MuxerError as error:
            _log.warning("the promises could not be looked after: %s", error.message)
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            _log.exception("looking after the promises broke")

    async def turn(self) -> None:
        """Gives a sign of life, and sweeps once."""
        await self.sign()
        await self.clear()

    async def sign(self) -> None:
        """Gives a sign of life. Where one is long overdue, those of others may be as well: they get a lease's time.

        So it is after an outage, also for who was started in the midst of it, and when a machine was halted.
        """
        try:
            await self.renew()
        except BaseException:
            self._failed = True
            raise
        now, before = self._now(), self._renewed
        # A file is never away, so that a first look at it says who is alive.
        overdue = not self._database.is_sqlite if before is None else now - before > self._lease_seconds
        if overdue or self._failed:
            self._spare_until = now + self._lease_seconds
        self._renewed, self._failed = now, False

    async def clear(self) -> None:
        """Sweeps as long as there is something to sweep, and forgets."""
        while self._may_sweep() and await self.sweep() == MOST_AT_ONCE:
            pass
        while await self.end_leases() == MOST_AT_ONCE:
            pass
        for table in FORGOTTEN:
            while await self.forget(table) == MOST_AT_ONCE:
                pass

    def _may_sweep(self) -> bool:
        """Tells whether this process has been alive for long enough to say who is not."""
        if self._renewed is None or self._failed:
            return False
        now = self._now()
        return now >= self._spare_until and now - self._renewed <= self._lease_seconds

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
            .where(
                table.c.lease_until_us < now_us - int(CLOCK_SLACK * MICROSECONDS),
                table.c.instance_id != self._instance_id,
            )
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

    async def forget(self, table: Table) -> int:
        """Forgets some of the rows of a table whose time is over, and gives their number.

        Few at a time: who writes waits for it, and a statement that takes long is ended.
        """
        now_us = int(self._now() * MICROSECONDS)
        key = list(table.primary_key.columns)
        over = select(*key).where(table.c.expires_us < now_us).limit(MOST_AT_ONCE)
        if table is schema.idempotent_requests:
            # Whoever repeats a request that is still under way is told its answer, however long it takes.
            promise = schema.reservations
            running = select(promise.c.completion_id).where(promise.c.completion_id == table.c.completion_id)
            over = over.where(table.c.done | ~running.exists())
        async with self._database.change() as connection:
            gone = await connection.execute(delete(table).where(tuple_(*key).in_(over)))
        return gone.rowcount


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
