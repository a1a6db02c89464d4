"""Keys and answers, as tests of the cache need them."""

from __future__ import annotations

import hashlib

from muxer_grpc.domain.caching import CachedAnswer, CacheKey


def key(name: str, tenant: str = "acme") -> CacheKey:
    """Makes a key; one name is one request, of each tenant its own."""
    whole = f"{tenant}/{name}".encode()
    return CacheKey(tenant, hashlib.sha256(whole).digest(), whole)


def answer(text: str = "Hello", model: str = "openai/gpt", saved: int = 1_000, **labels: str) -> CachedAnswer:
    """Makes an answer that was kept."""
    return CachedAnswer(
        text.encode(), model, tuple(sorted(labels.items())), saved, 1_000_000.25, intent="code_gen", strategy="cost"
    )
