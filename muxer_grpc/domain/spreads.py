"""The spread of a duration: counted in buckets that grow by a factor, so that percentiles have a bounded error.

The buckets are those of DDSketch (C. Masson, J. Rim, H. Lee: DDSketch, VLDB 2019): bucket i holds the values from
LEAST * GROWTH^(i-1) to LEAST * GROWTH^i, and stands for the one value of which both are equally far away in relation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# The most by which a percentile is off, as a share of the exact one.
ERROR = 0.04
# Durations of up to LEAST seconds fall into the first bucket, those of more than MOST into the last.
LEAST, MOST = 1e-4, 7_200.0
GROWTH = (1 + ERROR) / (1 - ERROR)
_PER_LOG = 1 / math.log(GROWTH)
LAST_BUCKET = math.ceil(math.log(MOST / LEAST) * _PER_LOG)
PER_MILLE = (500, 900, 950, 990)


class Spread(NamedTuple):
    """Nearest-rank percentiles of some durations, in seconds."""

    samples: int
    p50: float
    p90: float
    p95: float
    p99: float


def bucket_of(seconds: float) -> int:
    """Gives the bucket of a duration."""
    if seconds <= LEAST:
        return 0
    return min(LAST_BUCKET, math.ceil(math.log(seconds / LEAST) * _PER_LOG))


def value_of(bucket: int) -> float:
    """Gives the duration that a bucket stands for, in seconds."""
    return LEAST if bucket == 0 else LEAST * GROWTH**bucket * (1 - ERROR)


def rank_of(per_mille: int, count: int) -> int:
    """Gives the nearest rank of a percentile among so many values, from 1."""
    return max(1, -(-per_mille * count // 1_000))


def spread_of_counts(counts: Mapping[int, int]) -> Spread | None:
    """Gives the spread of durations that were counted by bucket; None where there are none."""
    samples = sum(counts.values())
    if not samples:
        return None
    ranks = [rank_of(share, samples) for share in PER_MILLE]
    found: list[float] = []
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        while len(found) < len(ranks) and seen >= ranks[len(found)]:
            found.append(value_of(bucket))
    return Spread(samples, *found)


def spread_of(durations: Sequence[float]) -> Spread | None:
    """Gives the exact spread of durations, in whatever order; None where there are none."""
    if not durations:
        return None
    ordered = sorted(durations)
    return Spread(len(ordered), *(ordered[rank_of(share, len(ordered)) - 1] for share in PER_MILLE))
