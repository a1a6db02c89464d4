"""Requests and tokens per minute, per key and per tenant: counted in this process, or in a Redis for all processes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from muxer_grpc.domain.refusals import RateKind, RateLimited, StorageUnavailable
from muxer_grpc.domain.tenancy import UNLIMITED, Principal, RateLimit
from muxer_grpc.identity.counting import LOOK_AGAIN_SECONDS, Counter, WindowsAway

if TYPE_CHECKING:
    from muxer_grpc.identity.rate_windows import MemoryWindows
    from muxer_grpc.identity.shared_windows import SharedWindows


@dataclass(frozen=True, slots=True)
class DefaultLimits:
    """What holds for tenants and for keys that have no limit of their own, for requests and tokens each."""

    tenant: RateLimit = UNLIMITED
    key: RateLimit = UNLIMITED


class RateLimits:
    """Implements domain.ports.RateLimiter.

    Without `shared` windows this process counts alone. With them, while Redis is away: if `refuse_when_away`, limited
    callers are refused; else this process counts alone, so that each of N processes lets in up to the limit. Callers
    without a limit never wait for anything.
    """

    def __init__(
        self,
        shared: SharedWindows | None = None,
        *,
        defaults: DefaultLimits = DefaultLimits(),
        refuse_when_away: bool = False,
    ) -> None:
        self._shared = shared
        self._defaults = defaults
        self._refuse = refuse_when_away

    @cached_property
    def _own(self) -> MemoryWindows:
        """Counts in this process. What it counts with takes long to load, and where nobody is limited is not needed."""
        from muxer_grpc.identity.rate_windows import MemoryWindows

        return MemoryWindows()

    def follow(self, defaults: DefaultLimits) -> None:
        """Takes other defaults; what was counted stays."""
        self._defaults = defaults

    def limits(self, principal: Principal) -> bool:
        """Tells whether anything limits a principal; nobody else needs to be admitted."""
        defaults = self._defaults
        return not (
            defaults.key.unbounded
            and defaults.tenant.unbounded
            and principal.key_limit.unbounded
            and principal.tenant_limit.unbounded
        )

    async def admit_request(self, principal: Principal) -> None:
        """Counts a request. Raises RateLimited, and then has counted nothing; StorageUnavailable where it refuses."""
        defaults = self._defaults
        counters = _counters(
            principal,
            RateKind.REQUESTS,
            _first(principal.key_limit.requests_per_minute, defaults.key.requests_per_minute),
            _first(principal.tenant_limit.requests_per_minute, defaults.tenant.requests_per_minute),
        )
        if counters:
            await self._admit(counters, 1)

    async def admit_tokens(self, principal: Principal, tokens: int) -> None:
        """Counts the tokens that a request may take. Raises as admit_request does.

        More tokens than a minute's limit are refused without a time to retry: they can never be let in.
        """
        defaults = self._defaults
        counters = _counters(
            principal,
            RateKind.TOKENS,
            _first(principal.key_limit.tokens_per_minute, defaults.key.tokens_per_minute),
            _first(principal.tenant_limit.tokens_per_minute, defaults.tenant.tokens_per_minute),
        )
        if counters and tokens > 0:
            await self._admit(counters, tokens)

    async def aclose(self) -> None:
        """Closes the connections to Redis, where there are any."""
        if self._shared is not None:
            await self._shared.aclose()

    async def _admit(self, counters: tuple[Counter, ...], amount: int) -> None:
        for counter in counters:
            if amount > counter.limit:
                raise RateLimited(counter.kind, counter.limit, counter.subject, None, asked=amount)
        if self._shared is None:
            refusal = await self._own.take(counters, amount)
        else:
            try:
                refusal = await self._shared.take(counters, amount)
            except WindowsAway:
                if self._refuse:
                    msg = "the rate limits cannot be looked up now"
                    raise StorageUnavailable(msg, LOOK_AGAIN_SECONDS) from None
                refusal = await self._own.take(counters, amount)
        if refusal is not None:
            counter = refusal.counter
            raise RateLimited(counter.kind, counter.limit, counter.subject, refusal.wait_seconds, asked=amount)


def _first(own: int | None, default: int | None) -> int | None:
    return default if own is None else own


def _counters(
    principal: Principal, kind: RateKind, key_limit: int | None, tenant_limit: int | None
) -> tuple[Counter, ...]:
    """Lists what counts a principal's uses; its key first, so that a refusal names the narrower limit."""
    subject = principal.subject
    found: tuple[Counter, ...] = ()
    if tenant_limit is not None:
        found = (Counter(kind, f"tenants/{subject.tenant_id}", tenant_limit),)
    if key_limit is not None and subject.key_id:
        found = (Counter(kind, f"keys/{subject.key_id}", key_limit), *found)
    return found
