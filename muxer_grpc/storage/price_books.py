"""Price books: what operators stored, from when on it holds, and what was in force."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import RowMapping, insert, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from muxer_grpc.domain.administration import Actor, PageRequest
from muxer_grpc.domain.price_book import BookKind, KeptBook, PriceBook, book_document, book_from
from muxer_grpc.domain.refusals import ResourceExists
from muxer_grpc.storage import audit
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import price_books

_log = logging.getLogger(__name__)

RESOURCE = "PriceBook"
ORDER = (price_books.c.effective_us, price_books.c.created_us, price_books.c.version)
# So many broken books in a row are passed over for the one before them.
MOST_PASSED_OVER = 20


class PriceBookTable:
    """Implements the port PriceBooks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._latest: PriceBook | None = None
        self._refused: set[str] = set()

    async def effective(self, at_us: int) -> PriceBook | None:
        """Gives what an operator stored for a time; a book that is broken leaves the one before it in force."""
        query = (
            select(price_books.c.version)
            .where(price_books.c.source == BookKind.STORED.value, price_books.c.effective_us <= at_us)
            .order_by(*(column.desc() for column in ORDER))
            .limit(MOST_PASSED_OVER)
        )
        async with self._database.read() as connection:
            for version in (await connection.execute(query)).scalars().all():
                # A book never changes: what was read once is not read again.
                if self._latest is not None and self._latest.version == version:
                    return self._latest
                kept = await self._read(connection, version)
                if kept is not None:
                    self._latest = kept.book
                    return kept.book
        return None

    async def get(self, version: str) -> KeptBook | None:
        """Looks up a book of either kind."""
        async with self._database.read() as connection:
            return await self._read(connection, version)

    async def page(self, kind: BookKind, asked: PageRequest) -> Sequence[KeptBook]:
        """Lists the books of a kind, those that hold latest first, without prices."""
        columns = (column for column in price_books.c if column.name != "prices")
        query = (
            select(*columns)
            .where(price_books.c.source == kind.value)
            .order_by(*(column.desc() for column in ORDER))
            .limit(asked.length)
        )
        if asked.after:
            effective, created, version = asked.after
            query = query.where(tuple_(*ORDER) < tuple_(_time(effective), _time(created), version))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_kept(row, PriceBook(row["version"], row["effective_us"], {}, {})) for row in rows]

    async def create(self, kept: KeptBook, actor: Actor) -> None:
        """Stores a book, and says so in the audit log."""
        book = kept.book
        try:
            async with self._database.change() as connection:
                await _insert(connection, kept)
                told = {"effective_us": book.effective_us, "note": kept.note, "prices": book_document(book)}
                await audit.append(
                    connection, actor, "CreatePriceBook", f"priceBooks/{book.version}", tenant_id="", after=told
                )
        except IntegrityError:
            raise ResourceExists(RESOURCE, book.version) from None

    async def record(self, kept: KeptBook) -> None:
        """Keeps a book that comes in force; one that is kept already stays as it is."""
        known = select(price_books.c.version).where(price_books.c.version == kept.book.version)
        async with self._database.read() as connection:
            if (await connection.execute(known)).first() is not None:
                return
        try:
            async with self._database.change() as connection:
                await _insert(connection, kept)
        except IntegrityError:
            _log.debug("prices: another process has kept %s in the meantime", kept.book.version)

    async def _read(self, connection: AsyncConnection, version: str) -> KeptBook | None:
        """Reads a book; None, and a line in the log once, where there is none that can be read."""
        try:
            query = select(price_books).where(price_books.c.version == version)
            row = (await connection.execute(query)).mappings().first()
            if row is None:
                return None
            return _kept(row, book_from(row["version"], row["effective_us"], row["prices"]))
        except ValueError as error:
            if version not in self._refused:
                self._refused.add(version)
                _log.error("prices: the stored book %s is refused: %s", version, error)
            return None


async def _insert(connection: AsyncConnection, kept: KeptBook) -> None:
    book = kept.book
    row = {
        "version": book.version,
        "source": kept.kind.value,
        "note": kept.note,
        "prices": book_document(book),
        "created_by": kept.created_by,
        "created_us": kept.created_us,
        "effective_us": book.effective_us,
    }
    await connection.execute(insert(price_books).values(row))


def _kept(row: RowMapping, book: PriceBook) -> KeptBook:
    return KeptBook(
        book=book,
        kind=BookKind(row["source"]),
        created_us=row["created_us"],
        created_by=row["created_by"],
        note=row["note"],
    )


def _time(text: str) -> int:
    """Reads a time of a key; what is none of ours is before all of them."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 18 else -1
