"""The ledger's writer: one thread with one connection, which posts what many requests ask for in one transaction.

While a transaction runs, the next requests gather; so the cost of a request falls as the load rises. A promise is told
to be made, and a settlement to be done, only when their transaction is committed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any

from muxer_grpc.domain.budgeting import MICROSECONDS, BudgetAlert
from muxer_grpc.domain.ledger import KeptDecision, KnownRequest, Reservation, Settlement
from muxer_grpc.domain.money_leases import LeaseEnding, MoneyLease
from muxer_grpc.domain.observing import LedgerObserver
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.storage.connection import WriterConnection
from muxer_grpc.storage.database import Database, is_passing
from muxer_grpc.storage.gathering import let_gather
from muxer_grpc.storage.posting import Batch, Posted, Postings
from muxer_grpc.storage.request_ids import known_request

_log = logging.getLogger(__name__)

MOST_IN_A_BATCH = 256
# How often it is looked for those who have waited too long, in seconds.
WATCH_SECONDS = 0.1
# Between attempts at a database that cannot be written, in seconds: doubling from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.02, 1.0

Operation = Reservation | Settlement | KeptDecision | MoneyLease | LeaseEnding


@dataclass(slots=True)
class _Asked:
    """Something to post, whom to tell (None: nobody), and until when they wait (a steady clock's seconds).

    It is `in_doubt` where a transaction with it failed that may have come through all the same.
    """

    operation: Operation
    told: asyncio.Future[Any] | None
    give_up_at: float
    in_doubt: bool = False
    bare: bool = False

    @property
    def given_up(self) -> bool:
        """Tells whether whoever asked waits no more."""
        return self.told is None or self.told.done()


@dataclass(frozen=True, slots=True)
class WriterRules:
    """How long a promise is tried and a settlement is waited for, in seconds."""

    patience_seconds: float = 3.0
    settle_seconds: float = 10.0


@dataclass(slots=True)
class WriterFigures:
    """What the writer did: transactions, what they held, how long they took (seconds), and how often it had to wait."""

    transactions: int = 0
    posted: int = 0
    seconds: float = 0.0
    failures: int = 0
    largest_batch: int = 0
    recent_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=1_000))


class LedgerWriter:
    """Implements the ports Accounts and LeaseLedger. Build it inside the running loop; `aclose` posts what is left."""

    def __init__(
        self,
        database: Database,
        rules: WriterRules | None = None,
        *,
        now: Callable[[], float] = time.time,
        alerted: Callable[[Sequence[BudgetAlert]], None] = lambda _alerts: None,
    ) -> None:
        self._database = database
        self._rules = rules or WriterRules()
        self._now = now
        self._alerted = alerted
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._postings = Postings()
        self._connection = WriterConnection(database)
        self._waiting: list[_Asked] = []
        # Who waits, by how long they do, so that each line is in the order in which they give up.
        self._lines: dict[float, deque[_Asked]] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._closing = False
        # Until when it is tried to post what is left, once it closes.
        self._close_by = 0.0
        self._passing = False
        self.figures = WriterFigures()
        # Is told of each transaction, where there is one; from the writer's thread.
        self.observer: LedgerObserver | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Counts what waits to be posted."""
        return self._queue.qsize() + len(self._waiting)

    async def reserve(self, reservation: Reservation) -> KnownRequest | None:
        """Writes a promise; see the port."""
        known: KnownRequest | None = await self._ask(reservation, self._rules.patience_seconds)
        return known

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Writes a settlement; see the port."""
        return self._ask(settlement, self._rules.settle_seconds)

    def release(self, completion_id: str) -> None:
        """Takes back a promise whose caller left before it was told of it: nothing was called, nothing is paid."""
        self._queue.put(_taken_back(completion_id))

    def keep(self, decision: KeptDecision) -> asyncio.Future[None]:
        """Writes a decision into the history; whoever needs it there waits for the future."""
        return self._ask(decision, self._rules.patience_seconds)

    async def open_lease(self, lease: MoneyLease) -> None:
        """Holds a lease of money; see the port."""
        told = self._ask(lease, self._rules.patience_seconds)
        try:
            await told
        except asyncio.CancelledError:
            if not told.cancelled() and told.exception() is None:
                # It was made in the moment in which whoever asked left.
                self._queue.put(_ended(lease.id))
            raise

    async def end_lease(self, lease_id: str) -> MoneyLease | None:
        """Releases a lease of money; see the port."""
        lease: MoneyLease | None = await self._ask(LeaseEnding(lease_id), self._rules.patience_seconds)
        return lease

    async def known(self, tenant_id: str, request_id: str) -> KnownRequest | None:
        """Looks up a request id; see the port."""
        return await known_request(self._database, tenant_id, request_id)

    async def aclose(self) -> None:
        """Posts what is left, for as long as a settlement may take, and closes the connection."""
        self._close_by = time.monotonic() + self._rules.settle_seconds
        self._closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._rules.settle_seconds + LAST_PAUSE)
        if not self._thread.is_alive() and not self._queue.empty():
            # Promises that came through at last, when their callers had been refused.
            await asyncio.to_thread(self._post_rest)
        if self._watch is not None:
            self._watch.cancel()
        for line in self._lines.values():
            self._dismiss(line, float("inf"))

    def _ask(self, operation: Operation, patience: float) -> asyncio.Future[Any]:
        told = self._loop.create_future()
        if self._closing:
            _tell_error(told, StorageUnavailable())
            return told
        asked = _Asked(operation, told, time.monotonic() + patience)
        line = self._lines.get(patience)
        if line is None:
            line = self._lines[patience] = deque()
        line.append(asked)
        if self._watch is None:
            self._watch = self._loop.call_later(WATCH_SECONDS, self._look)
        self._queue.put(asked)
        return told

    def _look(self) -> None:
        """Lets those go who have waited too long, whatever keeps the writer; it goes on with settlements."""
        now = time.monotonic()
        for line in self._lines.values():
            self._dismiss(line, now)
        waiting = any(self._lines.values())
        self._watch = self._loop.call_later(WATCH_SECONDS, self._look) if waiting else None

    def _dismiss(self, line: deque[_Asked], now: float) -> None:
        while line and (line[0].given_up or line[0].give_up_at <= now):
            asked = line.popleft()
            if asked.told is not None and not asked.told.done():
                _tell_error(asked.told, StorageUnavailable())

    # What follows runs in the writer's thread.

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while self._gather(wait=not self._waiting and not self._closing):
            together = len(self._waiting)
            if self._post_next():
                pause = FIRST_PAUSE
                let_gather(together, self._queue.qsize)
                continue
            self._give_up()
            if self._waiting:
                time.sleep(pause)
                pause = min(LAST_PAUSE, 2 * pause)
                if self._closing and time.monotonic() >= self._close_by:
                    break
        if self._waiting:
            _log.error("the ledger closes with %d postings unwritten", len(self._waiting))
        self._connection.close()

    def _post_rest(self) -> None:
        self._gather(wait=False)
        self._post_next()
        self._connection.close()

    def _gather(self, *, wait: bool) -> bool:
        """Takes all that is asked for, waiting where there is nothing yet. False: there is no more to do."""
        while True:
            try:
                asked = self._queue.get() if wait else self._queue.get_nowait()
            except Empty:
                break
            wait = False
            if asked is not None:
                self._waiting.append(asked)
        return bool(self._waiting) or not self._closing

    def _post_next(self) -> bool:
        """Posts the first of what waits, together, or one by one where one breaks the transaction. False: not now."""
        batch = self._waiting[:MOST_IN_A_BATCH]
        if not batch or self._post_these(batch):
            return True
        return len(batch) > 1 and not self._passing and all(self._post_these([asked]) for asked in batch)

    def _post_these(self, batch: list[_Asked]) -> bool:
        """Posts a batch, tells of it and takes it off what waits. One that breaks alone is told, and is off too."""
        results: list[tuple[_Asked, Any]]
        alerts: Sequence[BudgetAlert] = ()
        try:
            posted = self._post(batch)
        except Exception as error:
            self.figures.failures += 1
            if self.observer is not None:
                self.observer.failed()
            if self._connection.in_doubt:
                for asked in batch:
                    asked.in_doubt = True
            self._passing = is_passing(error)
            if self._passing:
                _log.warning("the ledger cannot be written: %s", type(error).__name__)
                self._connection.close()
                return False
            if len(batch) > 1:
                return False
            _log.exception("a posting broke")
            if _laid_bare(batch[0]):
                return self._post_these(batch)
            results = [(batch[0], error)]
        else:
            results = [(asked, _result_of(asked.operation, posted)) for asked in batch]
            alerts = posted.alerts
        done = set(map(id, batch))
        self._waiting = [asked for asked in self._waiting if id(asked) not in done]
        self._tell(results, alerts)
        return True

    def _post(self, batch: list[_Asked]) -> Posted:
        """Posts a batch in one transaction."""
        began = time.perf_counter()
        at_us = int(self._now() * MICROSECONDS)
        with self._connection.transaction() as cursor:
            operations = self._connection.unposted(
                cursor, [asked.operation for asked in batch], sure=not any(asked.in_doubt for asked in batch)
            )
            posted = self._postings.post(cursor, sorted_out(operations), at_us)
        took = time.perf_counter() - began
        figures = self.figures
        figures.transactions += 1
        figures.posted += len(batch)
        figures.seconds += took
        figures.largest_batch = max(figures.largest_batch, len(batch))
        figures.recent_seconds.append(took)
        if self.observer is not None:
            made = [asked.operation for asked in batch]
            reserved = sum(each.amount_nano_usd for each in made if isinstance(each, Reservation))
            settled = sum(each.cost_nano_usd for each in made if isinstance(each, Settlement))
            self.observer.committed(took, len(batch), reserved, settled)
        return posted

    def _give_up(self) -> None:
        """Forgets promises and decisions for which nobody waits any more. Settlements stay until they are done."""
        kept: list[_Asked] = []
        unmade = set()
        for asked in self._waiting:
            operation = asked.operation
            if isinstance(operation, Settlement):
                # What takes back a promise that was never made has nothing to do.
                if operation.entries or operation.completion_id not in unmade:
                    kept.append(asked)
            elif isinstance(operation, LeaseEnding) or not asked.given_up:
                kept.append(asked)
            elif isinstance(operation, MoneyLease) and asked.in_doubt:
                kept.append(_ended(operation.id))
            elif isinstance(operation, Reservation):
                if asked.in_doubt:
                    kept.append(_taken_back(operation.completion_id))
                else:
                    unmade.add(operation.completion_id)
        self._waiting = kept

    def _tell(self, results: list[tuple[_Asked, Any]], alerts: Sequence[BudgetAlert]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliver, results, alerts)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            _log.debug("nobody is left to be told of %d postings", len(results))

    # What follows runs in the loop again.

    def _deliver(self, results: list[tuple[_Asked, Any]], alerts: Sequence[BudgetAlert]) -> None:
        for asked, result in results:
            told = asked.told
            if told is None:
                continue
            if told.done():
                if isinstance(asked.operation, Reservation) and result is None:
                    self.release(asked.operation.completion_id)
                elif isinstance(asked.operation, MoneyLease) and result is None:
                    self._queue.put(_ended(asked.operation.id))
            elif isinstance(result, BaseException):
                _tell_error(told, result)
            else:
                told.set_result(result)
        if alerts:
            self._alerted(alerts)


def _tell_error(told: asyncio.Future[Any], error: BaseException) -> None:
    told.set_exception(error)
    # Whoever waits is told; where nobody does any more, that is no mistake.
    told.exception()


def _taken_back(completion_id: str) -> _Asked:
    return _Asked(Settlement(completion_id, (), 0), None, 0.0)


def _ended(lease_id: str) -> _Asked:
    return _Asked(LeaseEnding(lease_id), None, 0.0)


def _laid_bare(asked: _Asked) -> bool:
    """Takes off a settlement that cannot be posted what is not money, so that no promise stays open for ever."""
    settlement = asked.operation
    if asked.bare or not isinstance(settlement, Settlement):
        return False
    asked.bare = True
    entries = tuple(replace(entry, labels={}, reported_model="", principal="") for entry in settlement.entries)
    asked.operation = replace(settlement, entries=entries, answer=None, decision=None, content=None)
    return True


def _result_of(operation: Operation, posted: Posted) -> Any:
    """Gives what whoever asked is told."""
    if isinstance(operation, MoneyLease):
        return posted.refused.get(operation.id)
    if isinstance(operation, LeaseEnding):
        return posted.leases.get(operation.lease_id)
    if not isinstance(operation, Reservation):
        return None
    return posted.refused.get(operation.completion_id) or posted.known.get(operation.completion_id)


def sorted_out(operations: Sequence[Operation]) -> Batch:
    """Sorts what is posted together. A promise that is taken back in the same breath is not made at all."""
    settled: dict[str, Settlement] = {}
    for operation in operations:
        if isinstance(operation, Settlement):
            before = settled.get(operation.completion_id)
            if before is None or before.provisional:
                settled[operation.completion_id] = operation
    batch = Batch(settle=list(settled.values()))
    for operation in operations:
        if isinstance(operation, Reservation):
            if operation.completion_id not in settled:
                batch.reserve.append(operation)
        elif isinstance(operation, KeptDecision):
            batch.keep.append(operation)
        elif isinstance(operation, MoneyLease):
            batch.open_leases.append(operation)
        elif isinstance(operation, LeaseEnding):
            batch.end_leases.append(operation)
    return batch
