"""From the wire to how a caller wants the cache of answers used, and to what its request is known by there."""

from __future__ import annotations

from google.protobuf import duration_pb2
from muxer.v1 import chat_pb2

from muxer_grpc.domain.caching import NOT_IN_KEY, content_digest
from muxer_grpc.domain.routing.policy import NO_CACHE_WISH, CacheMode, CacheWish
from muxer_grpc.rpc.enums import CACHE_MODE_OF
from muxer_grpc.rpc.violations import Violations

MAX_TTL_SECONDS = 30 * 86_400
NANOS = 1_000_000_000

_not_in_key = tuple(NOT_IN_KEY)


def read_cache_wish(spec: chat_pb2.CompletionSpec, violations: Violations, *, caches: bool) -> CacheWish:
    """Reads how the cache is to be used; where the service has one (`caches`), with what the request is known by."""
    mode, ttl = CacheMode.DEFAULT, None
    if spec.HasField("cache"):
        told = CACHE_MODE_OF.get(spec.cache.mode)
        violations.check(told is not None, "spec.cache.mode", "unknown", f"{spec.cache.mode} is not a cache mode")
        mode = told or mode
        if spec.cache.HasField("ttl"):
            ttl = _read_ttl(spec.cache.ttl, violations)
    elif not caches:
        return NO_CACHE_WISH
    wanted = caches and mode is not CacheMode.OFF
    return CacheWish(mode, ttl, content_digest(counting_content(spec)) if wanted else b"")


def plain_cache_wish(spec: chat_pb2.CompletionSpec) -> CacheWish:
    """Gives the wish of a spec that says nothing of the cache, and has no field that does not count."""
    return CacheWish(content=content_digest(spec.SerializeToString(deterministic=True)))


def counting_content(spec: chat_pb2.CompletionSpec) -> bytes:
    """Gives the canonical content of a spec without the fields that do not count.

    Fields that this version does not know count too. Another version of protobuf may write the same spec in other
    bytes: then answers are not shared with it, and never mixed up.
    """
    if spec.labels or spec.request_id or spec.money_lease or spec.priority or spec.HasField("cache"):
        bare = chat_pb2.CompletionSpec()
        bare.CopyFrom(spec)
        for name in _not_in_key:
            bare.ClearField(name)
        spec = bare
    return spec.SerializeToString(deterministic=True)


def _read_ttl(ttl: duration_pb2.Duration, violations: Violations) -> float:
    fits = 0 <= ttl.seconds <= MAX_TTL_SECONDS and 0 <= ttl.nanos < NANOS
    seconds = ttl.seconds + ttl.nanos / NANOS if fits else 0.0
    holds = 0 < seconds <= MAX_TTL_SECONDS
    violations.check(holds, "spec.cache.ttl", "range", f"give more than 0 s, to {MAX_TTL_SECONDS:,} s")
    return seconds
