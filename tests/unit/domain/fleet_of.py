"""Models and candidates for tests of survival."""

from __future__ import annotations

from typing import Any

from muxer_grpc.domain.catalogue import Model, Tier
from muxer_grpc.domain.decision import Candidate
from muxer_grpc.domain.money import FREE


def model_named(name: str, **changes: Any) -> Model:
    """Makes a model of the provider that its name begins with."""
    provider, _, vendor_model = name.partition("/")
    facts: dict[str, Any] = {"context_window": 10_000, "max_output_tokens": 1_000, "price": FREE, **changes}
    return Model(name, provider, vendor_model, facts.pop("tier", Tier.BALANCED), **facts)


def candidate(name: str, latency: float = 1.0, **changes: Any) -> Candidate:
    """Makes a candidate that is expected to answer in so many seconds."""
    return Candidate(model_named(name, **changes), 0.5, (), 100, estimated_latency_seconds=latency)
