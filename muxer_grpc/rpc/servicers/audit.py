"""AuditService: who changed what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import grpc
from muxer.v1 import audit_service_pb2 as pb

from muxer_grpc.domain.administration import AuditEntry, AuditFilter, AuditLog
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import check_filter, check_tenant_id, read_time, time_message
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.tenant_access import tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.AuditService"
MAX_SEQUENCE_DIGITS = 18


class AuditServicer:
    """Serves the admin listener."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {"ListAuditEntries": calls.unary(pb.ListAuditEntriesRequest, self.list_audit_entries)}

    async def list_audit_entries(
        self, request: pb.ListAuditEntriesRequest, limit: TimeLimit
    ) -> pb.ListAuditEntriesResponse:
        """Lists what was done, the latest first."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        for name in ("principal", "action", "resource"):
            check_filter(getattr(request, name), name, violations)
        since = read_time(request.since, "since", violations) if request.HasField("since") else None
        until = read_time(request.until, "until", violations) if request.HasField("until") else None
        listing = ("audit", tenant_id, request.principal, request.action, request.resource, since, until)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=1)
        ours = all(part.isascii() and part.isdigit() and len(part) <= MAX_SEQUENCE_DIGITS for part in paging.after)
        violations.check(ours, "page_token", "unknown", "give a token that this listing returned")
        violations.raise_if_any()
        wanted = AuditFilter(tenant_id, request.principal, request.action, request.resource, since, until)
        found = await limit.wait(lambda: self._log.page(wanted, paging.request))
        page, following = paging.cut(found, lambda entry: (str(entry.sequence),))
        return pb.ListAuditEntriesResponse(entries=[_message(each) for each in page], next_page_token=following)


def _message(entry: AuditEntry) -> pb.AuditEntry:
    return pb.AuditEntry(
        sequence=entry.sequence,
        tenant_id=entry.tenant_id,
        principal=entry.principal,
        action=entry.action,
        resource=entry.resource,
        before_json=_json(entry.before),
        after_json=_json(entry.after),
        create_time=time_message(entry.created_us),
    )


def _json(described: Mapping[str, Any] | None) -> str:
    return "" if described is None else json.dumps(described, ensure_ascii=False, sort_keys=True)
