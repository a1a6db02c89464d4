"""Leases of money within a transaction of the ledger: what is promised and paid from them, and what they give back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from muxer_grpc.domain.ledger import Reservation
from muxer_grpc.domain.money_leases import MoneyLease
from muxer_grpc.domain.refusals import MoneyLeaseEnded, MoneyLeaseExceeded
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage import statements as sql
from muxer_grpc.storage.statements import Cursor


@dataclass(slots=True)
class LockedLease:
    """A working copy of a lease, for as long as the transaction holds it locked."""

    lease: MoneyLease
    changed: bool = False

    def hold(self, reservation: Reservation, at_us: int) -> MoneyLeaseEnded | MoneyLeaseExceeded | None:
        """Holds a promise on the lease of the same user's; says why it cannot be. What budgets hold stays the same."""
        lease, payer = self.lease, reservation.subject
        theirs = (lease.subject.tenant_id, lease.subject.user_id) == (payer.tenant_id, payer.user_id)
        if not theirs or lease.released or lease.expires_us <= at_us:
            return MoneyLeaseEnded(reservation.money_lease_id)
        amount = reservation.amount_nano_usd
        if amount > lease.left_nano_usd:
            return MoneyLeaseExceeded(lease.id, asked=amount, left=max(0, lease.left_nano_usd))
        self._become(replace(lease, reserved_nano_usd=lease.reserved_nano_usd + amount))
        return None

    def settle(self, amount: int, cost: int) -> int:
        """Turns a promise into a cost; gives how much less the budgets then hold for the lease."""
        lease = self.lease
        return self._become(
            replace(
                lease,
                reserved_nano_usd=lease.reserved_nano_usd - amount,
                spent_nano_usd=lease.spent_nano_usd + cost,
            )
        )

    def release(self) -> int:
        """Gives back what is left; gives how much less the budgets then hold for the lease."""
        return 0 if self.lease.released else self._become(replace(self.lease, released=True))

    def _become(self, after: MoneyLease) -> int:
        freed = self.lease.held_nano_usd - after.held_nano_usd
        self.lease, self.changed = after, True
        return freed


def locked_leases(cursor: Cursor, ids: set[str]) -> dict[str, LockedLease]:
    """Reads and locks leases, in the order of their ids."""
    wanted = sorted(ids - {""})
    if not wanted:
        return {}
    lock = " FOR UPDATE" if cursor.locks else ""
    rows: Any = cursor.rows(sql.LEASES.format(many=sql.many(len(wanted))) + lock, wanted)
    return {row[0]: LockedLease(_lease_of(row)) for row in rows}


def write_leases(cursor: Cursor, locked: Mapping[str, LockedLease], opened: Sequence[MoneyLease]) -> None:
    """Writes leases that were changed, and new ones."""
    changed = [each.lease for each in locked.values() if each.changed]
    cursor.each(sql.SET_LEASES, [(e.spent_nano_usd, e.reserved_nano_usd, e.released, e.id) for e in changed])
    cursor.each(
        sql.ADD_LEASES,
        [
            (
                lease.id,
                lease.subject.tenant_id,
                lease.subject.user_id,
                lease.subject.key_id,
                lease.amount_nano_usd,
                0,
                0,
                False,
                json.dumps(dict(lease.labels)),
                lease.created_us,
                lease.expires_us,
            )
            for lease in opened
        ],
    )


def _lease_of(row: Sequence[Any]) -> MoneyLease:
    return MoneyLease(
        id=row[0],
        subject=Subject(row[1], row[2], row[3]),
        amount_nano_usd=row[4],
        spent_nano_usd=row[5],
        reserved_nano_usd=row[6],
        released=bool(row[7]),
        created_us=row[8],
        expires_us=row[9],
        labels=row[10] if isinstance(row[10], dict) else json.loads(row[10]),
    )
