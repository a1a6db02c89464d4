"""Keeps the price book in force: takes up stored prices when they come to hold, and stores new ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.price_book import (
    BookKind,
    KeptBook,
    PriceBook,
    PriceBooks,
    PriceDifference,
    PriceSource,
    PriceSources,
    differences,
    stored_book,
)
from muxer_grpc.domain.refusals import PreconditionFailed, StorageUnavailable

_log = logging.getLogger(__name__)

# As many as an error can name.
MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is to be stored, what it changes in the book in force, and the models whose prices the settings have."""

    kept: KeptBook
    compared_version: str
    differences: tuple[PriceDifference, ...]
    overruled: tuple[str, ...]


class PriceUpdates:
    """Holds the book in force.

    `put_in_force` is told of each book that comes to be in force; `now` gives seconds since the epoch. Without `books`
    nothing is stored, and prices change with time alone. A price that is stored may rise or fall by `most_factor`.
    """

    def __init__(
        self,
        sources: PriceSources,
        put_in_force: Callable[[PriceBook], None],
        books: PriceBooks | None,
        now: Callable[[], float],
        most_factor: float = 10.0,
    ) -> None:
        self._sources = sources
        self._listeners = [put_in_force]
        self._books = books
        self._now = now
        self._most_factor = most_factor
        self._lock = asyncio.Lock()
        self._recorded = ""
        self._since_us = self._now_us()
        self._book = sources.book(self._since_us, None)
        put_in_force(self._book)

    def tell(self, listener: Callable[[PriceBook], None]) -> None:
        """Has somebody else told of each book that comes to be in force from now on."""
        self._listeners.append(listener)

    @property
    def book(self) -> PriceBook:
        """Gives the book in force."""
        return self._book

    @property
    def models(self) -> frozenset[str]:
        """Gives the full names of the models that can have a price."""
        return self._sources.models

    @property
    def in_force(self) -> KeptBook:
        """Gives the book in force, and since when it is here."""
        return KeptBook(self._book, BookKind.MERGED, self._since_us)

    @property
    def books(self) -> PriceBooks:
        """Gives where books are kept. Raises PreconditionFailed where they are not."""
        if self._books is None:
            msg = "this service keeps no prices: it has no database"
            raise PreconditionFailed(msg)
        return self._books

    async def refresh(self) -> PriceBook:
        """Takes up what holds by now, and gives it. Raises StorageUnavailable; then the book in force stays."""
        async with self._lock:
            book = await self._current(self._sources)
            if book.version != self._book.version:
                self._put_in_force(book)
            return book

    async def follow(self, sources: PriceSources, swap: Callable[[], None]) -> None:
        """Takes other sources, as models were found; `swap` puts those models in place right before they are priced.

        Raises StorageUnavailable; then all stays as it was.
        """
        async with self._lock:
            book = await self._current(sources)
            self._sources = sources
            swap()
            self._put_in_force(book)

    async def _current(self, sources: PriceSources) -> PriceBook:
        """Gives the book that holds now, by sources. Raises StorageUnavailable."""
        at_us = self._now_us()
        stored = None if self._books is None else await self._books.effective(at_us)
        book = sources.book(at_us, stored)
        if self._books is not None and self._recorded != book.version:
            # Kept before anything is priced by it, so that whatever is can be checked later.
            await self._books.record(KeptBook(book, BookKind.MERGED, at_us))
            self._recorded = book.version
        return book

    def _put_in_force(self, book: PriceBook) -> None:
        if book.version != self._book.version:
            _log.info("prices: %s is in force in place of %s", book.version, self._book.version)
            self._book, self._since_us = book, self._now_us()
        for listener in self._listeners:
            listener(book)

    async def watch(self, seconds: float) -> None:
        """Refreshes every so many seconds, until it is cancelled; where that fails, the book in force stays."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.refresh()
            except StorageUnavailable:
                _log.warning("prices: stored prices cannot be read; %s stays in force", self._book.version)
            except Exception:
                _log.exception("prices: refreshing met a defect; %s stays in force", self._book.version)

    def propose(self, prices: Mapping[str, Price], effective_us: int | None, actor: Actor, note: str) -> Proposal:
        """Says what storing prices would change in the book in force, once they hold (None: now)."""
        effective = actor.at_us if effective_us is None else effective_us
        stored = stored_book(prices, effective)
        after = self._sources.book(max(effective, actor.at_us), stored)
        return Proposal(
            kept=KeptBook(stored, BookKind.STORED, actor.at_us, actor.name, note),
            compared_version=self._book.version,
            differences=tuple(differences(self._book, after, self._most_factor)),
            overruled=tuple(sorted(m for m in prices if after.sources.get(m) is PriceSource.SETTINGS)),
        )

    async def store(self, proposal: Proposal, actor: Actor, *, force: bool) -> None:
        """Stores what was proposed, and takes it up here where it holds by now.

        Raises PreconditionFailed on a jump that is not forced, and without a database; ResourceExists;
        StorageUnavailable.
        """
        jumping = [each for each in proposal.differences if each.jumps]
        if jumping and not force:
            named = "; ".join(f"{each.model}: {', '.join(each.jumps)}" for each in jumping[:MOST_NAMED])
            msg = (
                f"{len(jumping)} models would cost over {self._most_factor:g} times more or less than in the book in "
                f"force: set force if that is right ({named})"
            )
            raise PreconditionFailed(msg[:1_000], {"jumps": str(len(jumping)), "compared": proposal.compared_version})
        await self.books.create(proposal.kept, actor)
        try:
            await self.refresh()
        except StorageUnavailable:
            _log.warning("prices: %s is stored, and not yet taken up here", proposal.kept.book.version)

    def _now_us(self) -> int:
        return int(self._now() * MICROSECONDS)
