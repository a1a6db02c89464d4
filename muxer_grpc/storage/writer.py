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
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from muxer_grpc.domain.budgeting import MICROSECONDS, BudgetAlert
from muxer_grpc.domain.ledger import KeptDecision, KnownRequest, Reservation, Settlement
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.storage.connection import WriterConnection
from muxer_grpc.storage.database import Database, is_passing
from muxer_grpc.storage.posting import Batch, Posted, Postings, known_requests

_log = logging.getLogger(__name__)

MOST_IN_A_BATCH = 256
# Between attempts at a database that cannot be written, in seconds: doubling from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.02, 1.0

Operation = Reservation | Settlement | KeptDecision


@dataclass(slots=True)
class _Asked:
    """Something to post, whom to tell (None: nobody any more), and until when they wait (a steady clock's seconds)."""

    operation: Operation
    told: asyncio.Future[Any] | None
    give_up_at: float
    posted_before: bool = False


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
    """Implements the port Accounts. Build it inside the running loop; `aclose` posts what is left."""

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
        self._closing = False
        self._passing = False
        self.figures = WriterFigures()
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
        self._queue.put(_Asked(Settlement(completion_id, (), 0), None, time.monotonic()))

    def keep(self, decision: KeptDecision) -> asyncio.Future[None]:
        """Writes a decision into the history; whoever needs it there waits for the future."""
        return self._ask(decision, self._rules.patience_seconds)

    async def known(self, tenant_id: str, request_id: str) -> KnownRequest | None:
        """Looks up a request id; see the port."""
        name = (tenant_id, request_id)
        async with self._database.read() as connection:
            found = await connection.run_sync(
                lambda sync: known_requests(self._connection.cursor_of(sync.connection.cursor()), [name])
            )
        return found.get(name)

    async def aclose(self) -> None:
        """Posts what is left, for as long as a settlement may take, and closes the connection."""
        self._closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._rules.settle_seconds)

    def _ask(self, operation: Operation, patience: float) -> asyncio.Future[Any]:
        told = self._loop.create_future()
        self._queue.put(_Asked(operation, told, time.monotonic() + patience))
        return told

    # What follows runs in the writer's thread.

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while self._gather(wait=not self._waiting and not self._closing):
            if self._post_next():
                pause = FIRST_PAUSE
                continue
            self._give_up(time.monotonic())
            if self._waiting:
                time.sleep(pause)
                pause = min(LAST_PAUSE, 2 * pause)
                if self._closing and pause >= LAST_PAUSE:
                    break
        if self._waiting:
            _log.error("the ledger closes with %d postings unwritten", len(self._waiting))
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
            for asked in batch:
                asked.posted_before = True
            self._passing = is_passing(error)
            if self._passing:
                _log.warning("the ledger cannot be written: %s", type(error).__name__)
                self._connection.close()
                return False
            if len(batch) > 1:
                return False
            _log.exception("a posting broke")
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
                cursor, [asked.operation for asked in batch], sure=not any(asked.posted_before for asked in batch)
            )
            posted = self._postings.post(cursor, _sorted_out(operations), at_us)
        took = time.perf_counter() - began
        figures = self.figures
        figures.transactions += 1
        figures.posted += len(batch)
        figures.seconds += took
        figures.largest_batch = max(figures.largest_batch, len(batch))
        figures.recent_seconds.append(took)
        return posted

    def _give_up(self, now: float) -> None:
        """Lets go who has waited too long. A settlement goes on without them; a promise is not made any more."""
        kept, late = [], []
        for asked in self._waiting:
            if asked.give_up_at > now:
                kept.append(asked)
                continue
            if asked.told is not None:
                late.append((_Asked(asked.operation, asked.told, now), StorageUnavailable()))
                asked.told = None
            if isinstance(asked.operation, Settlement):
                kept.append(asked)
            elif isinstance(asked.operation, Reservation) and asked.posted_before:
                # The transaction may have come through as the connection broke.
                kept.append(_Asked(Settlement(asked.operation.completion_id, (), 0), None, now))
        self._waiting = kept
        if late:
            self._tell(late, ())

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
            if told is None or told.done():
                continue
            if isinstance(result, BaseException):
                told.set_exception(result)
                # Whoever waits is told; where nobody does any more, that is no mistake.
                told.exception()
            else:
                told.set_result(result)
        if alerts:
            self._alerted(alerts)


def _result_of(operation: Operation, posted: Posted) -> Any:
    """Gives what whoever asked is told."""
    if not isinstance(operation, Reservation):
        return None
    return posted.refused.get(operation.completion_id) or posted.known.get(operation.completion_id)


def _sorted_out(operations: Sequence[Operation]) -> Batch:
    """Sorts what is posted together. A promise that is taken back in the same breath is not made at all."""
    settled = {o.completion_id for o in operations if isinstance(o, Settlement)}
    batch = Batch()
    for operation in operations:
        if isinstance(operation, Reservation):
            if operation.completion_id not in settled:
                batch.reserve.append(operation)
        elif isinstance(operation, Settlement):
            batch.settle.append(operation)
        else:
            batch.keep.append(operation)
    return batch
