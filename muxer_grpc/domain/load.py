"""Load shedding: which calls a process takes on while it has little room, or falls behind. A plain function of counts.

Times are seconds of any steady clock, given by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.errors import Overloaded


class Priority(Named):
    """Names how much a request matters when load is shed."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class LoadRules:
    """When load is shed.

    Unary calls are shed while the event loop lags by more than `unary_lag_seconds`, streams by `stream_lag_seconds`; 0:
    never. From `crowded_share` of the places on, calls of low priority are shed, and no tenant may hold more than
    `tenant_factor` times an equal share of the places. The last `kept_share` of them is for high priority.
    """

    unary_lag_seconds: float = 1.0
    stream_lag_seconds: float = 0.5
    crowded_share: float = 0.7
    tenant_factor: float = 1.5
    kept_share: float = 0.05


# By how much of the lag each priority is shed.
_LAG_FACTORS = {Priority.LOW: 0.5, Priority.NORMAL: 1.0, Priority.HIGH: 2.0}

# What a refused caller is told to wait. What can wait is told to wait for longer.
RETRY_SECONDS = 0.25
LOW_RETRY_SECONDS = 1.0

# A tenant that was refused counts as one that wants places for so long; of so many at once.
WANTING_SECONDS = 5.0
MOST_WANTING = 256


class Places:
    """The places of one kind of calls, unary or streams, in a process, and who holds them.

    `lag` gives by how much the event loop is late, `now` the time.
    """

    def __init__(self, most: int, lag: Callable[[], float], now: Callable[[], float]) -> None:
        self._most = most
        self._lag = lag
        self._now = now
        self._held = 0
        self._by_tenant: dict[str, int] = {}
        self._wanting: dict[str, float] = {}
        self._lag_bound = 0.0
        self._factor = 1.0
        self._crowded = self._ordinary = self._tight = most
        self.follow(LoadRules(), 0.0)

    def follow(self, rules: LoadRules, lag_bound: float) -> None:
        """Takes other rules, and the lag from which on calls are shed (0: never); who is in stays."""
        self._lag_bound = lag_bound
        self._factor = rules.tenant_factor
        self._crowded = min(self._most, max(1, round(rules.crowded_share * self._most)))
        self._ordinary = self._most - int(rules.kept_share * self._most)
        self._tight = min(self._crowded, self._ordinary)

    @property
    def held(self) -> int:
        """Counts the places that are taken."""
        return self._held

    def take(self, tenant_id: str, priority: Priority) -> None:
        """Takes a place; whoever has one gives it back. Raises Overloaded."""
        held, bound = self._held, self._lag_bound
        if bound and self._lag() > bound * _LAG_FACTORS[priority]:
            raise self._refusal("lag", "the service falls behind its work", tenant_id, priority)
        if held >= self._tight:
            self._squeeze(held, tenant_id, priority)
        self._held = held + 1
        self._by_tenant[tenant_id] = self._by_tenant.get(tenant_id, 0) + 1

    def give_back(self, tenant_id: str) -> None:
        """Gives a place back."""
        self._held -= 1
        left = self._by_tenant[tenant_id] - 1
        if left:
            self._by_tenant[tenant_id] = left
        else:
            del self._by_tenant[tenant_id]

    def _squeeze(self, held: int, tenant_id: str, priority: Priority) -> None:
        """Takes on only what there is room for. Raises Overloaded."""
        crowded = held >= self._crowded
        if (crowded and priority is Priority.LOW) or held >= (
            self._most if priority is Priority.HIGH else self._ordinary
        ):
            raise self._refusal("calls", "too many calls are under way", tenant_id, priority)
        if not crowded:
            return
        own = self._by_tenant.get(tenant_id, 0)
        share = max(1.0, self._most / self._active(tenant_id))
        if own >= max(1.0, share * self._factor):
            msg = "the tenant has its share of the calls under way while others wait"
            raise self._refusal("share", msg, "", priority)

    def _active(self, tenant_id: str) -> int:
        """Counts the tenants that hold places or want some, the one that asks included."""
        now, holding = self._now(), self._by_tenant
        waiting = sum(
            until > now and name not in holding and name != tenant_id for name, until in self._wanting.items()
        )
        return len(holding) + waiting + (tenant_id not in holding)

    def _refusal(self, cause: str, message: str, tenant_id: str, priority: Priority) -> Overloaded:
        """Makes the refusal; the tenant, where it is named, is remembered as one that wants a place."""
        if tenant_id and priority is not Priority.LOW:
            self._wanting.pop(tenant_id, None)
            self._wanting[tenant_id] = self._now() + WANTING_SECONDS
            if len(self._wanting) > MOST_WANTING:
                del self._wanting[next(iter(self._wanting))]
        wait = LOW_RETRY_SECONDS if priority is Priority.LOW else RETRY_SECONDS
        return Overloaded(message, metadata={"cause": cause}, retry_after_seconds=max(wait, self._lag()))
