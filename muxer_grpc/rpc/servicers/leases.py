"""LeaseService: amounts of money that budgets hold for many calls together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import duration_pb2
from muxer.v1 import lease_service_pb2 as pb

from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.money_leases import LeaseFilter, LeaseLedger, MoneyLease, MoneyLeases
from muxer_grpc.domain.refusals import PermissionDenied
from muxer_grpc.domain.tenancy import Principal, Role
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import NANOSECONDS, check_made_id, check_tenant_id, check_user_id, time_message
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.listings import check_numbers, named
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.requests import read_labels
from muxer_grpc.rpc.tenant_access import Now, microseconds, tenant_meant, tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.LeaseService"
KIND = "MoneyLease"
# Nine million USD, exactly as far as every language's numbers reach.
MAX_NANO_USD = 9 * 10**15


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long a lease is held whose caller does not say, and at most, in seconds."""

    default_seconds: int = 3_600
    most_seconds: int = 86_400


class LeaseServicer:
    """Serves the data listener. `new_id` makes unique ids, `now` gives the seconds since the epoch."""

    def __init__(
        self,
        leases: MoneyLeases,
        ledger: LeaseLedger,
        new_id: Callable[[], str],
        times: LeaseTimes | None = None,
        now: Now = time.time,
    ) -> None:
        self._leases = leases
        self._ledger = ledger
        self._new_id = new_id
        self._times = times or LeaseTimes()
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "CreateMoneyLease": calls.unary(pb.CreateMoneyLeaseRequest, self.create_money_lease),
            "GetMoneyLease": calls.unary(pb.GetMoneyLeaseRequest, self.get_money_lease),
            "ListMoneyLeases": calls.unary(pb.ListMoneyLeasesRequest, self.list_money_leases),
            "ReleaseMoneyLease": calls.unary(pb.ReleaseMoneyLeaseRequest, self.release_money_lease),
        }

    async def create_money_lease(
        self, request: pb.CreateMoneyLeaseRequest, limit: TimeLimit
    ) -> pb.CreateMoneyLeaseResponse:
        """Holds an amount on all budgets of the caller."""
        violations = Violations()
        amount = request.amount_nano_usd
        violations.check(1 <= amount <= MAX_NANO_USD, "amount_nano_usd", "range", f"give 1 to {MAX_NANO_USD:,}")
        lasts_us = self._times.default_seconds * MICROSECONDS
        if request.HasField("duration"):
            lasts_us = self._read_duration(request.duration, violations)
        labels = read_labels(request.labels, "labels", violations)
        violations.raise_if_any()
        at_us = microseconds(self._now)
        subject = limit.principal.subject
        lease = MoneyLease(f"lease_{self._new_id()}", subject, amount, at_us, at_us + lasts_us, labels=labels)
        await limit.wait(lambda: self._ledger.open_lease(lease))
        return pb.CreateMoneyLeaseResponse(money_lease=_message(lease, at_us))

    async def get_money_lease(self, request: pb.GetMoneyLeaseRequest, limit: TimeLimit) -> pb.GetMoneyLeaseResponse:
        """Shows one lease."""
        lease = await self._seen(request.money_lease_id, limit)
        return pb.GetMoneyLeaseResponse(money_lease=_message(lease, microseconds(self._now)))

    async def list_money_leases(
        self, request: pb.ListMoneyLeasesRequest, limit: TimeLimit
    ) -> pb.ListMoneyLeasesResponse:
        """Lists leases, the latest first."""
        tenant_id, user_id = _whose(limit.principal, request)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        if user_id:
            check_user_id(user_id, "user_id", violations)
        listing = named("moneyLeases", tenant_id, user_id, request.open_only)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=2)
        check_numbers(paging, 1, violations)
        violations.raise_if_any()
        at_us = microseconds(self._now)
        wanted = LeaseFilter(tenant_id, user_id, at_us if request.open_only else None)
        found = await limit.wait(lambda: self._leases.page(wanted, paging.request))
        page, following = paging.cut(found, lambda lease: (str(lease.created_us), lease.id))
        return pb.ListMoneyLeasesResponse(
            money_leases=[_message(each, at_us) for each in page], next_page_token=following
        )

    async def release_money_lease(
        self, request: pb.ReleaseMoneyLeaseRequest, limit: TimeLimit
    ) -> pb.ReleaseMoneyLeaseResponse:
        """Gives back what is left of a lease."""
        lease = await self._seen(request.money_lease_id, limit)
        released = await limit.wait(lambda: self._ledger.end_lease(lease.id))
        return pb.ReleaseMoneyLeaseResponse(money_lease=_message(released or lease, microseconds(self._now)))

    async def _seen(self, lease_id: str, limit: TimeLimit) -> MoneyLease:
        """Reads a lease. Raises ResourceNotFound too where it is somebody else's."""
        violations = Violations()
        check_made_id(lease_id, "money_lease_id", violations)
        violations.raise_if_any()
        lease = await limit.wait(lambda: self._leases.get(lease_id))
        if lease is None or not _sees(limit.principal, lease):
            raise ResourceNotFound(KIND, lease_id)
        return lease

    def _read_duration(self, given: duration_pb2.Duration, violations: Violations) -> int:
        most = self._times.most_seconds
        lasts_us = given.seconds * MICROSECONDS + given.nanos // NANOSECONDS
        fits = MICROSECONDS <= lasts_us <= most * MICROSECONDS
        violations.check(fits, "duration", "range", f"give 1 to {most:,} seconds")
        return lasts_us


def _whose(principal: Principal, request: pb.ListMoneyLeasesRequest) -> tuple[str | None, str]:
    """Says whose leases are listed: an admin's tenant's, or else the caller's own. Raises PermissionDenied."""
    if principal.role is Role.ADMIN:
        return tenants_meant(principal, request.tenant_id), request.user_id
    tenant_id = tenant_meant(principal, request.tenant_id)
    own = principal.subject.user_id
    if request.user_id not in ("", own):
        msg = "you may see your own leases alone"
        raise PermissionDenied(msg)
    return tenant_id, own


def _sees(principal: Principal, lease: MoneyLease) -> bool:
    if principal.role is Role.ADMIN:
        return principal.sees(lease.subject.tenant_id)
    own = principal.subject
    return (lease.subject.tenant_id, lease.subject.user_id) == (own.tenant_id, own.user_id)


def _message(lease: MoneyLease, at_us: int) -> pb.MoneyLease:
    state = pb.MONEY_LEASE_STATE_OPEN
    if lease.released:
        state = pb.MONEY_LEASE_STATE_RELEASED
    elif lease.expires_us <= at_us:
        state = pb.MONEY_LEASE_STATE_EXPIRED
    left = max(0, lease.left_nano_usd) if state == pb.MONEY_LEASE_STATE_OPEN else 0
    return pb.MoneyLease(
        id=lease.id,
        tenant_id=lease.subject.tenant_id,
        user_id=lease.subject.user_id,
        key_id=lease.subject.key_id,
        amount_nano_usd=lease.amount_nano_usd,
        spent_nano_usd=lease.spent_nano_usd,
        reserved_nano_usd=lease.reserved_nano_usd,
        left_nano_usd=left,
        state=state,
        labels=dict(lease.labels),
        create_time=time_message(lease.created_us),
        expire_time=time_message(lease.expires_us),
    )
