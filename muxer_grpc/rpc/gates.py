"""What a call passes before its method runs: who calls, whether they may, whether they call too often."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from muxer_grpc.domain.ports import Identity, RateLimiter
from muxer_grpc.domain.refusals import PermissionDenied, Unauthenticated
from muxer_grpc.domain.tenancy import Credentials, Principal, Scope
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.scopes import PROCESS_WIDE, SCOPES

Context = grpc.aio.ServicerContext[Any, Any]

AUTHORIZATION = "authorization"
API_KEY = "x-api-key"
FORWARDED = "x-forwarded-client-cert"
_PROOFS = frozenset({AUTHORIZATION, API_KEY, FORWARDED})


@dataclass(frozen=True, slots=True)
class Guards:
    """What stands before all methods. Without an `identity` whoever calls is LOCAL, without a `limiter` nobody counts.

    `reads_certificates` tells whether the identity asks for the names in them. `now` gives the seconds since the epoch.
    """

    identity: Identity | None = None
    limiter: RateLimiter | None = None
    reads_certificates: bool = False
    scopes: Mapping[str, Scope] = field(default_factory=lambda: SCOPES)
    now: Callable[[], float] = time.time

    def gate(self, method: str) -> Gate | None:
        """Gives what stands before a method, by its full name; None where every call may pass."""
        scope = self.scopes.get(method)
        if scope is Scope.PUBLIC:
            return None
        limiter = self.limiter if scope is Scope.COMPLETE else None
        if scope is not None and self.identity is None and limiter is None:
            return None
        return Gate(self, scope, limiter, process_wide=method in PROCESS_WIDE)


class Gate:
    """What stands before one method; without a scope, nobody passes."""

    __slots__ = ("_guards", "_limiter", "_process_wide", "_scope")

    def __init__(
        self, guards: Guards, scope: Scope | None, limiter: RateLimiter | None = None, *, process_wide: bool = False
    ) -> None:
        self._guards = guards
        self._scope = scope
        self._limiter = limiter
        self._process_wide = process_wide

    async def admit(self, context: Context, limit: TimeLimit) -> None:
        """Lets a call pass, and says in `limit` whose it is. All waiting is within the call's own time.

        Raises Unauthenticated, PermissionDenied, RateLimited, StorageUnavailable, DeadlineExceeded.
        """
        scope = self._scope
        if scope is None:
            msg = "nobody may call this method"
            raise PermissionDenied(msg)
        guards = self._guards
        identity = guards.identity
        if identity is not None:
            credentials = read_credentials(context, certificates=guards.reads_certificates)
            now = guards.now()
            limit.principal = await limit.wait(lambda: identity.authenticate(credentials, now))
            self._check(limit.principal, scope)
        limiter = self._limiter
        if limiter is not None and limiter.limits(limit.principal):
            await limit.wait(lambda: limiter.admit_request(limit.principal))

    def _check(self, principal: Principal, scope: Scope) -> None:
        if not principal.may(scope):
            msg = f"this needs the scope {scope.value}, which the role {principal.role.value} does not have"
            raise PermissionDenied(msg, scope)
        if self._process_wide and not principal.everywhere:
            msg = "this concerns all tenants: only those who act on all tenants may do it"
            raise PermissionDenied(msg, scope)


# Before a method that no service has registered: nobody passes.
CLOSED = Gate(Guards(), None)


def read_credentials(context: Context, *, certificates: bool = False) -> Credentials:
    """Reads what a call brought to prove who makes it. Raises Unauthenticated where it brought one thing twice."""
    found: dict[str, str] = {}
    for name, value in context.invocation_metadata() or ():
        if name in _PROOFS:
            if name in found:
                msg = f"the call brings {name} more than once"
                raise Unauthenticated(msg)
            # An empty one is one that is wrong, and not none.
            found[str(name)] = str(value) or "-"
    return Credentials(
        authorization=found.get(AUTHORIZATION, ""),
        api_key=found.get(API_KEY, ""),
        certificate_names=_certificate_names(context) if certificates else (),
        forwarded=found.get(FORWARDED, ""),
        peer=context.peer(),
    )


def _certificate_names(context: Context) -> tuple[str, ...]:
    """Gives the URIs and host names in the peer's certificate, which gRPC has verified; nothing without TLS.

    The two are told apart by `://`: a host name that holds it is none, and is left out, as is a URI without.
    """
    proven = context.auth_context()
    uris = [_text(name) for name in proven.get("peer_uri", ())]
    hosts = [_text(name) for name in proven.get("peer_dns", ())]
    return (*(uri for uri in uris if "://" in uri), *(host for host in hosts if "://" not in host))


def _text(name: bytes) -> str:
    """Reads a name; what is no ASCII stays visibly wrong, and fits no rule."""
    return name.decode("ascii", "replace")
