"""The cache of answers: what an answer is known by, what is kept of it, and the port behind which it is kept.

An answer is kept under a digest of the whole effective request: of every field of the contract's CompletionSpec but
those in NOT_IN_KEY, of the tenant, and of the tenant's policy. Whatever is new in the contract counts until it stands
in that list. The model that was chosen does not count: the request is the same whichever model answers it, so that with
automatic routing the answer of the one that did is given again, with the decision that led to it. A caller to whom the
model matters names it, and what is named counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import NamedTuple, Protocol

from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.records import record
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tenancy import NO_POLICY, TenantPolicy

# Changes with what the digests are made of, so that no process takes another version's for its own.
KEY_VERSION = b"1"
DIGEST_BYTES = 32

# Fields of CompletionSpec that an answer does not depend on, with the reasons.
NOT_IN_KEY: Mapping[str, str] = {
    "labels": "they tag the request for accounts and reports, and no provider or model ever sees them",
    "request_id": "it makes a call repeatable, and says nothing of what is asked; such calls read no cache at all",
    "money_lease": "it says who pays, and a kept answer costs nothing",
    "cache": "it says how the cache is used, not what is asked",
    "priority": "it says what is shed first under load, not what is asked",
}

# Fields of a tenant's policy that its answers do not depend on, with the reasons.
POLICY_NOT_IN_KEY: Mapping[str, str] = {
    "content": "it says what the records keep of an answer, not what is asked",
    "content_days": "it says how long the records keep it",
    "allows_high_priority": "it says what may be shed last under load, not what is asked",
}


@record
class CacheKey:
    """What an answer is known by: a digest of 32 bytes, and the `whole` that it is of, which is kept nowhere."""

    tenant_id: str
    digest: bytes
    whole: bytes = field(repr=False)

    @property
    def sealing_key(self) -> bytes:
        """Gives a key of 32 bytes that seals the answer where others could read it.

        Neither it nor the digest can be worked out from the other without the request.
        """
        return hashlib.blake2b(self.whole, digest_size=DIGEST_BYTES, person=b"muxer cache seal").digest()


def content_digest(content: bytes) -> bytes:
    """Gives the digest of a request's canonical content, which must not hold the fields of NOT_IN_KEY."""
    # Requests with pictures are long: this hash has instructions of its own on most processors.
    digest = hashlib.sha256(b"muxer content\0")
    digest.update(content)
    return digest.digest()


def cache_key(request: CompletionRequest, tenant_id: str, policy: TenantPolicy = NO_POLICY) -> CacheKey:
    """Gives the key of a request, whose `cache.content` must be set, for a tenant with a policy."""
    tenant = tenant_id.encode()
    # Each part is of a known length but the tenant, which comes last.
    whole = b"".join((KEY_VERSION, request.cache.content, _policy_digest(policy), tenant))
    return CacheKey(tenant_id, hashlib.blake2b(whole, digest_size=DIGEST_BYTES, person=b"muxer cache").digest(), whole)


@lru_cache(maxsize=4_096)
def _policy_digest(policy: TenantPolicy) -> bytes:
    """Gives a digest of what a policy narrows; sets are sorted, since their own order differs between processes."""
    told = []
    for each in fields(policy):
        if each.name not in POLICY_NOT_IN_KEY:
            value = getattr(policy, each.name)
            told.append((each.name, sorted(value) if isinstance(value, frozenset) else value))
    return hashlib.blake2b(repr(told).encode(), digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer as it is kept.

    `document` is the reply that a hit gives, written as the port Documents writes answers; `labels` are those of the
    request that it was made for; `saved_nano_usd` is what it had cost; `created_at` is in seconds since the epoch.
    `intent` and `strategy` are those of its decision; empty: not known.
    """

    document: bytes = field(repr=False)
    model: str
    labels: tuple[tuple[str, str], ...]
    saved_nano_usd: int
    created_at: float
    intent: str = ""
    strategy: str = ""


class Found(NamedTuple):
    """What a look-up came to.

    `mark` notes when it was, for `put`: an answer that was asked for before others were forgotten must not be kept
    after it. Whoever is handed one makes nothing of it; None: nothing can be kept now.
    """

    answer: CachedAnswer | None
    mark: object | None


@dataclass(frozen=True, slots=True)
class Invalidation:
    """Names answers to forget: of a tenant (None: of all), of a model or with a label (neither: whichever)."""

    tenant_id: str | None = None
    model: str = ""
    label: tuple[str, str] | None = None

    def means(self, tenant_id: str, answer: CachedAnswer) -> bool:
        """Tells whether an answer of a tenant is among them."""
        return (
            (self.tenant_id is None or self.tenant_id == tenant_id)
            and (not self.model or self.model == answer.model)
            and (self.label is None or self.label in answer.labels)
        )


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What a store of answers holds and did since the process began; None where it does not know.

    `stored` counts answers that were kept, `evicted` those that made room, `failures` what it could not do; `away`
    tells that it cannot be reached now.
    """

    backend: str
    stored: int = 0
    evicted: int = 0
    failures: int = 0
    away: bool = False
    answers: int | None = None
    held_bytes: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """What the cache did for this process since it began. `shared` counts answers of the same request under way."""

    store: StoreFigures
    hits: int = 0
    shared: int = 0
    misses: int = 0
    saved_nano_usd: int = 0


class CacheObserver(Protocol):
    """Learns what the cache did for each request that asked it; `now` is in seconds since the epoch."""

    def cache_hit(self, answer: CachedAnswer, now: float, *, shared: bool) -> None:
        """Is told that an answer was given again; `shared` says that the same request was under way."""
        ...

    def cache_missed(self, decision: Decision, now: float) -> None:
        """Is told that nothing was kept for a request, which came to this decision."""
        ...


class ResponseCache(Protocol):
    """Keeps answers, each for a time. What it cannot do is a miss, and never an error, but for `invalidate`."""

    async def get(self, key: CacheKey) -> Found:
        """Looks an answer up."""
        ...

    async def put(self, key: CacheKey, answer: CachedAnswer, mark: object, ttl_seconds: float) -> None:
        """Keeps an answer in place of one that is there, with the mark of the look-up that came before."""
        ...

    async def invalidate(self, what: Invalidation) -> int | None:
        """Forgets answers; gives their number where it is known. When it returns, none of them is given any more.

        Raises StorageUnavailable.
        """
        ...

    def figures(self) -> StoreFigures:
        """Tells what it holds and did."""
        ...

    async def aclose(self) -> None:
        """Closes what is open."""
        ...
