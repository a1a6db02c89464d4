"""The account of a call that helps to decide: promised and booked like an attempt, to whoever's request it is made for.

Its entry stands alone: it comes before the decision, and one decision may be helped by a call for another request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.ledger import EntryOutcome, LedgerEntry, Reservation, Settlement
from muxer_grpc.domain.money import PICO_PER_NANO, Usage, UsageSource, round_half_even
from muxer_grpc.domain.refusals import BudgetExceeded, StorageUnavailable
from muxer_grpc.domain.tenancy import Principal
from muxer_grpc.pipeline.settlement import Bookkeeping

# What stands in place of a strategy in the entries.
JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class SideBooks:
    """What side calls are booked with; `new_id` gives a fresh unique id."""

    books: Bookkeeping
    new_id: Callable[[], str]


class SideAccount:
    """The account of one side call."""

    def __init__(self, with_: SideBooks, principal: Principal, model: Model, price_book_version: str) -> None:
        self._books = with_.books
        self._principal = principal
        self._model = model
        self._price_book_version = price_book_version
        self._id = f"jdg_{with_.new_id()}"
        self._began_us = 0
        self._promised = 0

    async def promise(self, most_nano_usd: int) -> bool:
        """Promises the most that the call can cost, durably; False where no budget or no database lets it be made."""
        books = self._books
        self._began_us = now_us = int(books.now() * MICROSECONDS)
        reservation = Reservation(
            completion_id=self._id,
            subject=self._principal.subject,
            amount_nano_usd=most_nano_usd,
            expected_nano_usd=most_nano_usd,
            created_us=now_us,
            lease_until_us=now_us + int(books.rules.lease_seconds * MICROSECONDS),
            instance_id=books.rules.instance_id,
            model=self._model.name,
            provider=self._model.provider,
            price_book_version=self._price_book_version,
        )
        try:
            await books.accounts.reserve(reservation)
        except (BudgetExceeded, StorageUnavailable):
            return False
        except BaseException:
            # Nobody waits for the answer any more.
            books.accounts.release(self._id)
            raise
        self._promised = most_nano_usd
        return True

    def book(self, usage: Usage | None, pico_usd: int, seconds: float, failure_class: str, *, left: bool) -> None:
        """Books what the call used and cost; `left` says that it was ended since nobody waited for it any more.

        Without `usage`, since the vendor did not tell it, the cost is what was taken for it.
        """
        outcome = EntryOutcome.FAILED if failure_class else EntryOutcome.COMPLETE
        now_us = int(self._books.now() * MICROSECONDS)
        if usage is None:
            usage = Usage(source=UsageSource.ESTIMATED if pico_usd else UsageSource.NONE)
        entry = LedgerEntry(
            completion_id=self._id,
            attempt=1,
            subject=self._principal.subject,
            cost_nano_usd=round_half_even(pico_usd, PICO_PER_NANO),
            cost_pico_usd=pico_usd,
            outcome=EntryOutcome.CANCELLED if left else outcome,
            created_us=self._began_us,
            settled_us=now_us,
            principal=self._principal.name,
            strategy=JUDGE,
            requested_model=self._model.name,
            model=self._model.name,
            provider=self._model.provider,
            failure_class="" if left else failure_class,
            usage=usage,
            price_book_version=self._price_book_version,
            reserved_nano_usd=self._promised,
            duration_us=int(seconds * MICROSECONDS),
        )
        self._books.accounts.settle(Settlement(self._id, (entry,), now_us))
