"""What the domain needs from outside; adapters implement these. At most five methods each."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest, Summary
from muxer_grpc.domain.errors import FailureClass


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found: whether the provider answers, how fast (seconds), and the vendor models it offers."""

    ok: bool
    latency_seconds: float
    models: tuple[str, ...] = ()
    failure_class: FailureClass | None = None


class Provider(Protocol):
    """A vendor connection."""

    def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Calls the model and yields its answer as it comes.

        The last event is Finished, preceded by at most one UsageReported that counts. Neighbouring deltas that were
        ready together come merged. Raises ProviderFailure for everything that goes wrong, an answer that ends
        before the vendor said why it stopped included. Closing the generator ends the call at the vendor.
        """
        ...

    async def probe(self) -> ProbeResult:
        """Asks the vendor for a sign of life, at no cost. Never raises ProviderFailure; says it in the result."""
        ...

    async def aclose(self) -> None:
        """Closes all connections."""
        ...


class CompletionObserver(Protocol):
    """Learns of every completion's beginning and end."""

    def began(self) -> None:
        """Is told that a completion began."""
        ...

    def ended(self, summary: Summary, now: float) -> None:
        """Is told, exactly once per completion, how it ended; `now` is in seconds since the epoch."""
        ...
