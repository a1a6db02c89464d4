"""LedgerService: entries, and whether the books balance."""

from __future__ import annotations

import time
from typing import Any

import grpc
from muxer.v1 import ledger_service_pb2 as pb

from muxer_grpc.domain.ledger_check import LedgerChecks
from muxer_grpc.domain.reporting import LedgerEntries
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import check_made_id, check_tenant_id, time_message
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import LEDGER_IMBALANCES
from muxer_grpc.rpc.ledger_fields import entry_message, read_filter
from muxer_grpc.rpc.listings import check_numbers, named
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.tenant_access import Now, microseconds, tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.LedgerService"
MAX_DIFFERENCES = 1_000


class LedgerServicer:
    """Serves the admin listener. `now` gives the seconds since the epoch.

    Promises may be without a sign of life for `grace_us` microseconds before a check calls them left behind.
    """

    def __init__(self, entries: LedgerEntries, checks: LedgerChecks, grace_us: int, now: Now = time.time) -> None:
        self._entries = entries
        self._checks = checks
        self._grace_us = grace_us
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "ListEntries": calls.unary(pb.ListEntriesRequest, self.list_entries),
            "GetCompletion": calls.unary(pb.GetCompletionRequest, self.get_completion),
            "CheckLedger": calls.unary(pb.CheckLedgerRequest, self.check_ledger),
        }

    async def list_entries(self, request: pb.ListEntriesRequest, limit: TimeLimit) -> pb.ListEntriesResponse:
        """Lists entries by their numbers."""
        violations = Violations()
        wanted = read_filter(request.filter, limit.principal, "filter.", violations)
        oldest_first = request.oldest_first
        listing = named("ledgerEntries", wanted, oldest_first)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=1)
        check_numbers(paging, 1, violations)
        violations.raise_if_any()
        found = await limit.wait(lambda: self._entries.page(wanted, paging.request, oldest_first=oldest_first))
        page, following = paging.cut(found, lambda record: (str(record.sequence),))
        return pb.ListEntriesResponse(entries=[entry_message(each) for each in page], next_page_token=following)

    async def get_completion(self, request: pb.GetCompletionRequest, limit: TimeLimit) -> pb.GetCompletionResponse:
        """Shows what the ledger holds of one completion."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        check_made_id(request.completion_id, "completion_id", violations)
        violations.raise_if_any()
        found = await limit.wait(lambda: self._entries.completion(tenant_id, request.completion_id))
        return pb.GetCompletionResponse(
            entries=[entry_message(each) for each in found.entries],
            cost_nano_usd=sum(each.entry.cost_nano_usd for each in found.entries),
            reserved_nano_usd=found.reserved_nano_usd,
        )

    async def check_ledger(self, request: pb.CheckLedgerRequest, limit: TimeLimit) -> pb.CheckLedgerResponse:
        """Says whether the books balance."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        violations.raise_if_any()
        at_us = microseconds(self._now)
        found = await limit.wait(lambda: self._checks.check(tenant_id, at_us, self._grace_us))
        size = found.size
        return pb.CheckLedgerResponse(
            differences=[
                pb.LedgerDifference(
                    imbalance=LEDGER_IMBALANCES[each.kind],  # type: ignore[arg-type]
                    resource=each.resource,
                    expected=each.expected,
                    found=each.found,
                    detail=each.detail,
                )
                for each in found.differences[:MAX_DIFFERENCES]
            ],
            difference_count=len(found.differences),
            budgets=size.budgets,
            counters=size.counters,
            entries=size.entries,
            completions=size.completions,
            spent_nano_usd=size.spent_nano_usd,
            open_reservations=size.open_reservations,
            reserved_nano_usd=size.reserved_nano_usd,
            open_leases=size.open_leases,
            held_nano_usd=size.held_nano_usd,
            check_time=time_message(found.at_us),
        )
