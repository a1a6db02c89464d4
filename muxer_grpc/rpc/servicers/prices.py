"""PriceService: what models cost, and from when on."""

from __future__ import annotations

from typing import Any

import grpc
from muxer.v1 import price_service_pb2

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.price_book import key_of
from muxer_grpc.pipeline.price_updates import PriceUpdates
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import read_time
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import PRICE_BOOK_KIND_OF
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.prices import book_message, change_message, read_price
from muxer_grpc.rpc.tenant_access import Now, actor_of, check_everywhere
from muxer_grpc.rpc.violations import Violations, quote

SERVICE = "muxer.v1.PriceService"

MAX_PRICES = 1_000
MAX_NOTE_CHARACTERS = 1_024
MAX_VERSION_CHARACTERS = 64
# Clocks differ: a time that is so little ago still means now.
TOLERATED_US = 60_000_000


class PriceServicer:
    """Serves the admin listener. `now` gives seconds since the epoch."""

    def __init__(self, updates: PriceUpdates, now: Now) -> None:
        self._updates = updates
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "GetPriceBook": calls.unary(price_service_pb2.GetPriceBookRequest, self.get_price_book),
            "ListPriceBooks": calls.unary(price_service_pb2.ListPriceBooksRequest, self.list_price_books),
            "CreatePriceBook": calls.unary(price_service_pb2.CreatePriceBookRequest, self.create_price_book),
        }

    async def get_price_book(
        self, request: price_service_pb2.GetPriceBookRequest, limit: TimeLimit
    ) -> price_service_pb2.GetPriceBookResponse:
        """Shows the book in force, or one that is kept."""
        version = request.version
        kept = self._updates.in_force
        if version not in ("", kept.book.version):
            violations = Violations()
            fits = len(version) <= MAX_VERSION_CHARACTERS and version.isascii() and version.isprintable()
            violations.check(fits, "version", "pattern", "give a version that the service told")
            violations.raise_if_any()
            books = self._updates.books
            found = await limit.wait(lambda: books.get(version))
            if found is None:
                raise ResourceNotFound("PriceBook", version)
            kept = found
        return price_service_pb2.GetPriceBookResponse(price_book=book_message(kept))

    async def list_price_books(
        self, request: price_service_pb2.ListPriceBooksRequest, limit: TimeLimit
    ) -> price_service_pb2.ListPriceBooksResponse:
        """Lists the books that are kept, without their prices."""
        violations = Violations()
        known = request.kind in PRICE_BOOK_KIND_OF
        violations.check(known, "kind", "unknown", f"{request.kind} is not a kind of price books")
        listing = ("priceBooks", request.kind)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=3)
        violations.raise_if_any()
        kind = PRICE_BOOK_KIND_OF[request.kind]
        books = self._updates.books
        found = await limit.wait(lambda: books.page(kind, paging.request))
        page, following = paging.cut(found, key_of)
        return price_service_pb2.ListPriceBooksResponse(
            price_books=[book_message(kept) for kept in page], next_page_token=following
        )

    async def create_price_book(
        self, request: price_service_pb2.CreatePriceBookRequest, limit: TimeLimit
    ) -> price_service_pb2.CreatePriceBookResponse:
        """Stores prices, or shows what they would change."""
        check_everywhere(limit.principal, "set prices")
        actor = actor_of(limit.principal, self._now)
        prices, effective_us = _read_request(request, self._updates.models, actor)
        # What is compared with is what holds now, and not what held seconds ago.
        await limit.wait(self._updates.refresh)
        proposal = self._updates.propose(prices, effective_us, actor, request.note)
        if not request.dry_run:
            await limit.wait(lambda: self._updates.store(proposal, actor, force=request.force))
        return price_service_pb2.CreatePriceBookResponse(
            price_book=book_message(proposal.kept),
            changes=[change_message(each) for each in proposal.differences],
            overruled_models=proposal.overruled,
            compared_version=proposal.compared_version,
        )


def _read_request(
    request: price_service_pb2.CreatePriceBookRequest, models: frozenset[str], actor: Actor
) -> tuple[dict[str, Price], int | None]:
    """Reads the prices by model, and the time from which they hold. Raises InvalidRequest with all violations."""
    violations = Violations()
    violations.check(len(request.prices) <= MAX_PRICES, "prices", "length", f"give at most {MAX_PRICES:,} prices")
    violations.check(
        len(request.note) <= MAX_NOTE_CHARACTERS and request.note.isprintable(),
        "note",
        "length",
        f"give up to {MAX_NOTE_CHARACTERS:,} printable characters",
    )
    prices: dict[str, Price] = {}
    seen: set[str] = set()
    for index, given in enumerate(request.prices[:MAX_PRICES]):
        path = f"prices[{index}]"
        price = read_price(given, path, violations)
        known = given.model in models
        violations.check(known, f"{path}.model", "unknown", f"{quote(given.model)} is not the full name of a model")
        violations.check(given.model not in seen, f"{path}.model", "duplicate", f"{quote(given.model)} comes twice")
        seen.add(given.model)
        if price is not None:
            prices[given.model] = price
    effective_us = None
    if request.HasField("effective_time"):
        effective_us = read_time(request.effective_time, "effective_time", violations)
        late = effective_us < actor.at_us - TOLERATED_US
        violations.check(not late, "effective_time", "past", "give a time to come, or none for now")
    violations.raise_if_any()
    return prices, effective_us
