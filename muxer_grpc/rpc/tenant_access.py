"""Whose things a principal may see and change: its own tenant's, or, where it acts everywhere, everybody's.

What a principal may not know of is refused before it is looked up, so that a refusal never tells what is there.
"""

from __future__ import annotations

from collections.abc import Callable

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.refusals import PermissionDenied
from muxer_grpc.domain.tenancy import Principal

Now = Callable[[], float]


def tenant_meant(principal: Principal, tenant_id: str) -> str:
    """Gives the tenant that a request names, or else the caller's own. Raises PermissionDenied."""
    return _seen(principal, tenant_id or principal.subject.tenant_id)


def tenants_meant(principal: Principal, tenant_id: str) -> str | None:
    """Gives the tenant that narrows a look-up; None where it may look in all. Raises PermissionDenied."""
    if not tenant_id and principal.everywhere:
        return None
    return tenant_meant(principal, tenant_id)


def check_everywhere(principal: Principal, what: str) -> None:
    """Raises PermissionDenied for a principal of one tenant: what bounds a whole tenant is not its own to change."""
    if not principal.everywhere:
        msg = f"only an admin of all tenants may {what}"
        raise PermissionDenied(msg)


def actor_of(principal: Principal, now: Now) -> Actor:
    """Says who acts, and when."""
    return Actor(principal.name, microseconds(now))


def microseconds(now: Now) -> int:
    """Reads a clock."""
    return int(now() * MICROSECONDS)


def _seen(principal: Principal, tenant_id: str) -> str:
    if not principal.sees(tenant_id):
        msg = f"you may act in the tenant {principal.subject.tenant_id} alone"
        raise PermissionDenied(msg)
    return tenant_id
