"""What reports tell of the ledger: usage by whatever it is asked by, entries, decisions and alerts; and their ports.

Where a `tenant_id` narrows a look-up, None looks in all tenants; empty texts narrow nothing. What is reported counts at
the time at which it was reserved, from `since_us` on and before `until_us`: microseconds since the epoch. Money is in
nano-USD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.buckets import Buckets
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.figures import FiguresQuery, FiguresReport
from muxer_grpc.domain.ledger import EntryOutcome, LedgerEntry
from muxer_grpc.domain.money import NO_USAGE, Usage

# Attempts of these outcomes count as failures: they failed, or their process died before it could say.
FAILURES = frozenset({EntryOutcome.FAILED, EntryOutcome.ABANDONED})


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Narrows what is read of the ledger; an entry has all the `labels` that are given."""

    tenant_id: str | None = None
    user_id: str = ""
    key_id: str = ""
    model: str = ""
    provider: str = ""
    intent: str = ""
    strategy: str = ""
    outcome: EntryOutcome | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    since_us: int | None = None
    until_us: int | None = None
    completion_id: str = ""
    request_id: str = ""
    money_lease_id: str = ""
    flagged: bool | None = None


class UsageDimension(Named):
    """Names what usage can be grouped by, apart from time and labels."""

    TENANT = "tenant"
    USER = "user"
    KEY = "key"
    MODEL = "model"
    PROVIDER = "provider"
    INTENT = "intent"
    STRATEGY = "strategy"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Asks for usage: of which entries, and grouped by what. Groups come in the order of their keys, time first."""

    wanted: EntryFilter = EntryFilter()
    dimensions: tuple[UsageDimension, ...] = ()
    label_keys: tuple[str, ...] = ()
    buckets: Buckets | None = None


@dataclass(frozen=True, slots=True)
class UsageSums:
    """What a group of entries comes to.

    `completions` counts those that have an entry in the group: one that fell back to another model is in the groups of
    both. `attempts` counts entries, `failures` those whose outcome is one of FAILURES.
    """

    cost_nano_usd: int = 0
    reserved_nano_usd: int = 0
    usage: Usage = NO_USAGE
    completions: int = 0
    attempts: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One group: its values by dimension and by label (empty: none), its bucket of time, and its sums."""

    values: Mapping[UsageDimension, str]
    labels: Mapping[str, str]
    bucket: int | None
    sums: UsageSums

    @property
    def key(self) -> tuple[str, ...]:
        """Gives what orders the groups."""
        time = () if self.bucket is None else (str(self.bucket),)
        return (*time, *self.values.values(), *self.labels.values())


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """An entry as it is kept; later ones have higher numbers."""

    sequence: int
    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class CompletionRecord:
    """What the ledger holds of a completion: its entries in order, or what is reserved for one still under way."""

    entries: Sequence[EntryRecord]
    reserved_nano_usd: int = 0


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Narrows a listing of decisions; `dry_run` tells those that nothing was answered with from all others."""

    tenant_id: str | None = None
    user_id: str = ""
    strategy: str = ""
    intent: str = ""
    selected_model: str = ""
    dry_run: bool | None = None
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision as history keeps it. `document` is a RouteDecision message; a listing leaves it out."""

    decision_id: str
    tenant_id: str
    user_id: str
    completion_id: str
    strategy: str
    intent: str
    selected_model: str
    created_us: int
    expires_us: int
    document: bytes = b""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Narrows a listing of alerts."""

    tenant_id: str | None = None
    budget_id: str = ""
    user_id: str = ""
    key_id: str = ""
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as it is kept: a share (percent) of a budget's limit was spent. Later ones have higher numbers."""

    sequence: int
    tenant_id: str
    budget_id: str
    user_id: str
    key_id: str
    period_start_us: int
    share: int
    spent_nano_usd: int
    limit_nano_usd: int
    created_us: int


class FleetFigures(Protocol):
    """Tells figures of all processes that share the ledger. Each method raises StorageUnavailable."""

    async def report(self, query: FiguresQuery, tenant_id: str | None, since_us: int, until_us: int) -> FiguresReport:
        """Gives the figures of what was settled in a time, of one tenant or all (None)."""
        ...


class UsageReports(Protocol):
    """Sums the ledger. Each method raises StorageUnavailable."""

    async def page(self, query: UsageQuery, asked: PageRequest) -> Sequence[UsageRow]:
        """Lists groups by their keys."""
        ...

    async def total(self, query: UsageQuery) -> UsageSums:
        """Sums all that a query is about."""
        ...


class LedgerEntries(Protocol):
    """Shows the ledger's entries. Each method raises StorageUnavailable."""

    async def page(self, wanted: EntryFilter, asked: PageRequest, *, oldest_first: bool) -> Sequence[EntryRecord]:
        """Lists entries by their numbers."""
        ...

    async def completion(self, tenant_id: str | None, completion_id: str) -> CompletionRecord:
        """Reads one completion. Raises ResourceNotFound."""
        ...


class DecisionHistory(Protocol):
    """Shows decisions, for as long as they are kept. Each method raises StorageUnavailable."""

    async def page(self, wanted: DecisionFilter, asked: PageRequest) -> Sequence[DecisionRecord]:
        """Lists decisions without their documents, the latest first."""
        ...

    async def get(self, tenant_id: str | None, decision_id: str) -> DecisionRecord:
        """Reads one. Raises ResourceNotFound."""
        ...


class AlertLog(Protocol):
    """Shows alerts. Each method raises StorageUnavailable."""

    async def page(self, wanted: AlertFilter, asked: PageRequest) -> Sequence[AlertRecord]:
        """Lists alerts, the latest first."""
        ...

    async def after(self, sequence: int, tenant_id: str | None, length: int) -> Sequence[AlertRecord]:
        """Lists at most so many alerts with a higher number, the earliest first."""
        ...

    async def last(self) -> int:
        """Gives the number of the latest alert of all; 0 before the first."""
        ...
