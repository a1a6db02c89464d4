"""Follows what operators set, here or at another replica: here at once, elsewhere within a second or two."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.errors import MuxerError
from muxer_grpc.domain.overrides import Document, Override, OverrideName, Overrides

_log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


class OverrideFeed:
    """Reads overrides again and again, and hands them to `take_over`, in the order in which they were read."""

    def __init__(
        self,
        overrides: Overrides,
        take_over: Callable[[Sequence[Override]], None],
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._overrides = overrides
        self._take_over = take_over
        self._poll_seconds = poll_seconds
        # Held from a reading until it is in force, so that no older one comes after a newer.
        self._turn = asyncio.Lock()
        self._away = False

    async def refresh(self) -> None:
        """Takes up what is kept now. Raises StorageUnavailable; then all stays as it is."""
        async with self._turn:
            self._take_over(await self._overrides.all())

    async def change(
        self, name: OverrideName, revision: int, change: Callable[[Document], Document], actor: Actor, *, action: str
    ) -> Override:
        """Changes an override where it is kept, and then here. Raises as the port's method does."""
        kept = await self._overrides.change(name, revision, change, actor, action=action)
        try:
            await self.refresh()
        except MuxerError as error:
            _log.warning("%s is changed, and not yet taken up here: %s", name.resource, error.message)
        return kept

    async def watch(self) -> None:
        """Refreshes again and again, until it is cancelled; while that fails, what is in force stays."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self.refresh()
            except MuxerError as error:
                if not self._away:
                    _log.warning("what operators set cannot be read, what is in force stays: %s", error.message)
                self._away = True
            except Exception:
                _log.exception("following what operators set met a defect; what is in force stays")
            else:
                self._away = False
