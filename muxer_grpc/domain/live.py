"""A snapshot of how models do at present: what strategies read besides the catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple


class LiveFigures(NamedTuple):
    """How one model does: medians and the 95th percentile in seconds (None without samples), shares of 1, counts.

    `cost_per_1k_nano_usd` is the mean cost of 1,000 tokens, input and output together. All values are rounded when the
    snapshot is taken, so that equal snapshots are equal everywhere.
    """

    samples: int
    latency_seconds: float | None
    first_token_seconds: float | None
    success_rate: float
    consecutive_failures: int
    cost_per_1k_nano_usd: int
    last_request_at: float
    p95_seconds: float | None = None


class Resting(NamedTuple):
    """Why a model gets no calls at present, and in how many seconds it may get one again (0: when an operator says)."""

    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """The figures of all models that were called, by name, and which of them rest.

    `version` is a hash of it, empty when there is nothing to tell; how long a model rests yet does not count.
    """

    figures: Mapping[str, LiveFigures]
    version: str
    resting: Mapping[str, Resting] = field(default_factory=dict)

    def why_resting(self, model: str, provider: str) -> Resting | None:
        """Tells why a model gets no calls now, itself or with all of its provider; None where it may."""
        if not self.resting:
            return None
        return self.resting.get(model) or self.resting.get(f"{provider}/")

    def with_resting(self, resting: Mapping[str, Resting]) -> LiveSnapshot:
        """Gives the same snapshot with the models and providers (as `provider/`) that rest."""
        told = repr(sorted((name, rest.detail) for name, rest in resting.items()))
        version = hashlib.sha256(f"{self.version}{told}".encode()).hexdigest()[:12]
        return LiveSnapshot(self.figures, version, resting)

    @classmethod
    def of(cls, figures: Mapping[str, LiveFigures]) -> LiveSnapshot:
        """Names a snapshot by its contents; the time of the last request steers nothing and is left out."""
        if not figures:
            return NOTHING_KNOWN
        told = [(name, figures[name]._replace(last_request_at=0.0)) for name in sorted(figures)]
        return cls(MappingProxyType(dict(figures)), hashlib.sha256(repr(told).encode()).hexdigest()[:12])


NOTHING_KNOWN = LiveSnapshot(MappingProxyType({}), "")
