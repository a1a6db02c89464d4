"""Leases of money: an amount that budgets hold for many calls together, as those of an agent's run or of a batch.

A lease is held on all budgets of whoever took it, in the period in which it was made. Calls are promised and paid from
it; what is left of it is given back when it is released, at the latest soon after it expires. Money is in nano-USD,
times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.tenancy import Subject


@dataclass(frozen=True, slots=True)
class MoneyLease:
    """A lease of money, and how far it is used."""

    id: str
    subject: Subject
    amount_nano_usd: int
    created_us: int
    expires_us: int
    spent_nano_usd: int = 0
    reserved_nano_usd: int = 0
    released: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def left_nano_usd(self) -> int:
        """Gives what may yet be promised from it; below 0 where calls cost more than they promised."""
        return self.amount_nano_usd - self.spent_nano_usd - self.reserved_nano_usd

    @property
    def held_nano_usd(self) -> int:
        """Gives what budgets hold for it: all that is not spent, and once it is released what calls under way may cost.

        Every budget's counter of reserved money is the sum of these and of what is reserved without a lease.
        """
        unspent = 0 if self.released else self.amount_nano_usd - self.spent_nano_usd
        return max(unspent, self.reserved_nano_usd)


@dataclass(frozen=True, slots=True)
class LeaseEnding:
    """Asks that a lease be released; one that is released stays as it is."""

    lease_id: str


@dataclass(frozen=True, slots=True)
class LeaseFilter:
    """Narrows a listing of leases; None or nothing: all. `open_at_us` keeps those that can be used then."""

    tenant_id: str | None = None
    user_id: str = ""
    open_at_us: int | None = None


class LeaseLedger(Protocol):
    """Takes and releases leases, under the same locks as all that is promised and paid."""

    async def open_lease(self, lease: MoneyLease) -> None:
        """Holds a lease on all budgets of its subject; durable when this returns.

        Raises BudgetExceeded, StorageUnavailable.
        """
        ...

    async def end_lease(self, lease_id: str) -> MoneyLease | None:
        """Gives back what is left of a lease, once; gives it as it is then, or None where there is none of that id.

        Raises StorageUnavailable.
        """
        ...


class MoneyLeases(Protocol):
    """Shows leases. Each method raises StorageUnavailable."""

    async def get(self, lease_id: str) -> MoneyLease | None:
        """Reads one."""
        ...

    async def page(self, wanted: LeaseFilter, asked: PageRequest) -> Sequence[MoneyLease]:
        """Lists leases, the latest first."""
        ...
