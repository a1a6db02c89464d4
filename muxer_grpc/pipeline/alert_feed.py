"""Alerts as they come: those of this process at once, those of other replicas within a second or so."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from muxer_grpc.domain.budgeting import BudgetAlert
from muxer_grpc.domain.errors import MuxerError
from muxer_grpc.domain.reporting import AlertLog, AlertRecord

_log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
PAGE = 100


class AlertFeed:
    """Follows the table of alerts for all who watch it, with one look-up a turn; asks nothing while nobody watches."""

    def __init__(self, alerts: AlertLog, poll_seconds: float = POLL_SECONDS) -> None:
        self._alerts = alerts
        self._poll_seconds = poll_seconds
        self._watchers = 0
        self._poller: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._changed = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        """Says that this process has raised an alert."""
        self._woken.set()

    def close(self) -> None:
        """Ends all watching, for good."""
        self._closed = True
        self._tell()

    async def last(self) -> int:
        """Gives the number of the latest alert of all. Raises StorageUnavailable."""
        return await self._alerts.last()

    async def watch(self, after: int, tenant_id: str | None, ends_at: float) -> AsyncGenerator[AlertRecord, None]:
        """Yields the alerts behind a number, in order, as they come, of one tenant or of all.

        It ends when the feed is closed, and at a time of the event loop's clock. Raises StorageUnavailable.
        """
        self._watchers += 1
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        try:
            while True:
                # Of the moment before the look-up: what comes while it goes on, or is told of, is for the next one.
                changed, last = self._changed, self._closed
                found = await self._alerts.after(after, tenant_id, PAGE)
                for alert in found:
                    after = alert.sequence
                    yield alert
                if last:
                    return
                if len(found) < PAGE and changed is self._changed and not await _within(changed.wait, ends_at):
                    return
        finally:
            self._watchers -= 1
            if not self._watchers:
                # It ends by itself: a look-up that is cancelled costs its connection.
                self._woken.set()

    async def _poll(self) -> None:
        """Looks for alerts that nobody here was told of; while it cannot look, watchers do, and learn why."""
        latest: int | None = None
        while self._watchers:
            self._woken.clear()
            try:
                found = await self._alerts.last()
            except MuxerError as error:
                _log.warning("alerts cannot be looked for: %s", error.message)
                self._tell()
            except Exception:
                # Whoever watches looks by itself now and then, and learns why.
                _log.exception("looking for alerts broke")
                self._tell()
            else:
                if found != latest:
                    latest = found
                    self._tell()
            await _within(self._woken.wait, asyncio.get_running_loop().time() + self._poll_seconds)
        self._poller = None

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class AlertTold:
    """Tells of what this process raised: in the log, to those who watch, and to whoever else is named."""

    def __init__(self, feed: AlertFeed, send: Callable[[BudgetAlert], None] | None = None) -> None:
        self._feed = feed
        self._send = send
        # Counts the alerts by share, in percent.
        self.counts: Counter[int] = Counter()

    def __call__(self, alerts: Sequence[BudgetAlert]) -> None:
        """Tells of alerts; never waits."""
        for alert in alerts:
            budget = alert.budget
            self.counts[alert.share] += 1
            _log.warning(
                "alert: %d percent of budget %s of tenant %s is spent, %d of %d nano-USD",
                alert.share,
                budget.id,
                budget.tenant_id,
                alert.spent_nano_usd,
                budget.limit_nano_usd,
            )
            if self._send is not None:
                self._send(alert)
        self._feed.wake()


async def _within(wait: Callable[[], Awaitable[object]], ends_at: float) -> bool:
    """Waits until a time of the event loop's clock; tells whether what was waited for came."""
    try:
        async with asyncio.timeout_at(ends_at):
            await wait()
    except TimeoutError:
        return False
    return True
