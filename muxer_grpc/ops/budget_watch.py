"""Asks for budgets on behalf of whoever looks: one question at a time, and nobody waits long for a slow database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from muxer_grpc.domain.budgeting import BudgetSpending
from muxer_grpc.domain.errors import MuxerError

_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0
# An answer holds for so long, and for so many times as long as it took: looking takes a bounded share of the database.
LEAST_KEPT_SECONDS, KEPT_FACTOR = 2.0, 20.0
CLOSING_SECONDS = 1.0

Ask = Callable[[], Awaitable[Sequence[BudgetSpending]]]


class KnownBudgets(NamedTuple):
    """What is known of budgets; None: nothing."""

    spending: Sequence[BudgetSpending] | None


UNKNOWN = KnownBudgets(None)


class BudgetWatch:
    """Keeps the last answer for as long as it holds. `now` gives seconds of the event loop's clock."""

    def __init__(self, ask: Ask, now: Callable[[], float], patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._ask = ask
        self._now = now
        self._patience_seconds = patience_seconds
        self._asking: asyncio.Task[None] | None = None
        self._known = UNKNOWN
        self._asked_at = self._holds_until = 0.0

    async def look(self) -> KnownBudgets:
        """Tells what is known, after the bounded wait for an answer where there is none that holds; never raises."""
        if self._asking is None and self._now() >= self._holds_until:
            self._asked_at = self._now()
            self._asking = asyncio.create_task(self._take_answer())
        if self._asking is not None:
            # A question that takes longer goes on: it is not asked again beside itself, and its answer serves later.
            patience = self._asked_at + self._patience_seconds - self._now()
            await asyncio.wait({self._asking}, timeout=max(0.0, patience))
        return self._known if self._now() < self._holds_until else UNKNOWN

    async def aclose(self) -> None:
        """Ends a question that is under way; one that cannot be ended is left."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=CLOSING_SECONDS)

    async def _take_answer(self) -> None:
        try:
            self._known = KnownBudgets(await self._ask())
        except MuxerError:
            self._known = UNKNOWN
        except Exception:
            _log.exception("the budgets could not be read")
            self._known = UNKNOWN
        finally:
            self._asking = None
        now = self._now()
        self._holds_until = now + max(LEAST_KEPT_SECONDS, KEPT_FACTOR * (now - self._asked_at))
