"""A snapshot of how models do at present: what strategies read besides the catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple


class LiveFigures(NamedTuple):
    """How one model does: medians in seconds (None without samples), shares of 1, and counts.

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


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """The figures of all models that were called, by name; `version` is a hash of them, empty when there are none."""

    figures: Mapping[str, LiveFigures]
    version: str

    @classmethod
    def of(cls, figures: Mapping[str, LiveFigures]) -> LiveSnapshot:
        """Names a snapshot by its contents; the time of the last request steers nothing and is left out."""
        if not figures:
            return NOTHING_KNOWN
        told = [(name, figures[name][:-1]) for name in sorted(figures)]
        return cls(MappingProxyType(dict(figures)), hashlib.sha256(repr(told).encode()).hexdigest()[:12])


NOTHING_KNOWN = LiveSnapshot(MappingProxyType({}), "")
