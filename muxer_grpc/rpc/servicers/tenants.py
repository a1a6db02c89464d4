"""TenantService: those with accounts of their own, and what their requests may do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import grpc
from muxer.v1 import tenant_service_pb2 as pb

from muxer_grpc.domain.administration import RESERVED_TENANTS, Tenants
from muxer_grpc.domain.directory import Tenant
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.tenancy import NO_POLICY
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import (
    check_display_name,
    check_revision_given,
    check_tenant_id,
    rate_limit_message,
    read_mask,
    read_rate_limit,
    time_message,
)
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.tenant_access import Now, actor_of, check_everywhere, tenant_meant
from muxer_grpc.rpc.tenant_policies import POLICY_FIELDS, policy_message, policy_with, read_policy
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.TenantService"

_POLICY = "policy"
_POLICY_PATHS = {f"{_POLICY}.{name}": name for name in POLICY_FIELDS}
CHANGEABLE = ("display_name", "suspended", "rate_limit", _POLICY, *_POLICY_PATHS)
FIXED = ("id", "revision", "create_time", "update_time")


class TenantServicer:
    """Serves the admin listener. `now` gives the seconds since the epoch."""

    def __init__(self, tenants: Tenants, fleet: Fleet, now: Now = time.time) -> None:
        self._tenants = tenants
        self._fleet = fleet
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "CreateTenant": calls.unary(pb.CreateTenantRequest, self.create_tenant),
            "GetTenant": calls.unary(pb.GetTenantRequest, self.get_tenant),
            "ListTenants": calls.unary(pb.ListTenantsRequest, self.list_tenants),
            "UpdateTenant": calls.unary(pb.UpdateTenantRequest, self.update_tenant),
            "DeleteTenant": calls.unary(pb.DeleteTenantRequest, self.delete_tenant),
        }

    async def create_tenant(self, request: pb.CreateTenantRequest, limit: TimeLimit) -> pb.CreateTenantResponse:
        """Makes a tenant."""
        check_everywhere(limit.principal, "make tenants")
        given = request.tenant
        violations = Violations()
        check_tenant_id(given.id, "tenant.id", violations)
        free = given.id not in RESERVED_TENANTS
        violations.check(free, "tenant.id", "reserved", f"{given.id} is the service's own: choose another id")
        change = self._read_change(given, ("display_name", "suspended", "rate_limit", _POLICY), violations)
        violations.raise_if_any()
        tenant = change(Tenant(given.id))
        actor = actor_of(limit.principal, self._now)
        made = await limit.wait(lambda: self._tenants.create(tenant, actor))
        return pb.CreateTenantResponse(tenant=_message(made))

    async def get_tenant(self, request: pb.GetTenantRequest, limit: TimeLimit) -> pb.GetTenantResponse:
        """Shows one tenant."""
        tenant_id = tenant_meant(limit.principal, request.tenant_id)
        violations = Violations()
        check_tenant_id(tenant_id, "tenant_id", violations)
        violations.raise_if_any()
        return pb.GetTenantResponse(tenant=_message(await limit.wait(lambda: self._tenants.get(tenant_id))))

    async def list_tenants(self, request: pb.ListTenantsRequest, limit: TimeLimit) -> pb.ListTenantsResponse:
        """Lists tenants by id; to a principal of one tenant, that one."""
        suspended = request.suspended if request.HasField("suspended") else None
        violations = Violations()
        listing = ("tenants", limit.principal.everywhere, suspended)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=1)
        violations.raise_if_any()
        found: Sequence[Tenant]
        if limit.principal.everywhere:
            found = await limit.wait(lambda: self._tenants.page(paging.request, suspended=suspended))
        else:
            own = await limit.wait(lambda: self._tenants.get(limit.principal.subject.tenant_id))
            found = [own] if suspended in (None, own.suspended) else []
        page, following = paging.cut(found, lambda tenant: (tenant.id,))
        return pb.ListTenantsResponse(tenants=[_message(each) for each in page], next_page_token=following)

    async def update_tenant(self, request: pb.UpdateTenantRequest, limit: TimeLimit) -> pb.UpdateTenantResponse:
        """Changes a tenant; calls from then on follow it."""
        given = request.tenant
        tenant_id = tenant_meant(limit.principal, given.id)
        check_everywhere(limit.principal, "change tenants")
        violations = Violations()
        violations.check(bool(given.id), "tenant.id", "required", "give the id of a tenant")
        check_tenant_id(tenant_id, "tenant.id", violations)
        revision = check_revision_given(given.revision, "tenant.revision", violations)
        paths = read_mask(request.update_mask, CHANGEABLE, FIXED, violations)
        change = self._read_change(given, paths, violations)
        violations.raise_if_any()
        actor = actor_of(limit.principal, self._now)
        changed = await limit.wait(lambda: self._tenants.change(tenant_id, revision, change, actor))
        return pb.UpdateTenantResponse(tenant=_message(changed))

    async def delete_tenant(self, request: pb.DeleteTenantRequest, limit: TimeLimit) -> pb.DeleteTenantResponse:
        """Deletes a tenant."""
        tenant_id = tenant_meant(limit.principal, request.tenant_id)
        check_everywhere(limit.principal, "delete tenants")
        violations = Violations()
        violations.check(bool(request.tenant_id), "tenant_id", "required", "give the id of a tenant")
        check_tenant_id(tenant_id, "tenant_id", violations)
        revision = check_revision_given(request.revision, "revision", violations)
        violations.raise_if_any()
        actor = actor_of(limit.principal, self._now)
        await limit.wait(lambda: self._tenants.delete(tenant_id, revision, actor, force=request.force))
        return pb.DeleteTenantResponse()

    def _read_change(
        self, given: pb.Tenant, paths: Sequence[str], violations: Violations
    ) -> Callable[[Tenant], Tenant]:
        """Reads the named fields, and gives what makes a tenant into one that has them."""
        values: dict[str, Any] = {}
        if "display_name" in paths:
            values["display_name"] = check_display_name(given.display_name, "tenant.display_name", violations)
        if "suspended" in paths:
            values["suspended"] = given.suspended
        if "rate_limit" in paths:
            values["limit"] = read_rate_limit(given.rate_limit, "tenant.rate_limit", violations)
        whole = _POLICY in paths
        named = set(POLICY_FIELDS) if whole else {_POLICY_PATHS[path] for path in paths if path in _POLICY_PATHS}
        policy = read_policy(given.policy, named, "tenant.policy", self._fleet.catalogue, violations)

        def change(tenant: Tenant) -> Tenant:
            if not named:
                return replace(tenant, **values)
            kept = NO_POLICY if whole else tenant.policy
            return replace(tenant, **values, policy=policy_with(kept, policy, "tenant.policy"))

        return change


def _message(tenant: Tenant) -> pb.Tenant:
    return pb.Tenant(
        id=tenant.id,
        display_name=tenant.display_name,
        suspended=tenant.suspended,
        policy=policy_message(tenant.policy),
        rate_limit=rate_limit_message(tenant.limit),
        revision=tenant.revision,
        create_time=time_message(tenant.created_us),
        update_time=time_message(tenant.updated_us),
    )
