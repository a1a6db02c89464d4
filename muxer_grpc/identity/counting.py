"""What rate limits count and how they refuse, apart from the libraries that count."""

from __future__ import annotations

from dataclasses import dataclass

from muxer_grpc.domain.refusals import RateKind

# Between looks at a Redis that is away, in seconds.
LOOK_AGAIN_SECONDS = 1.0


class WindowsAway(Exception):
    """Redis cannot be used now, and whether it has counted is not known."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit: what is counted, of whom (`keys/<id>` or `tenants/<id>`), and how many a minute at most."""

    kind: RateKind
    subject: str
    limit: int

    @property
    def key(self) -> str:
        """Names the windows of the counter. The limit is no part of it, so that a changed one holds at once."""
        return f"{self.kind.value}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first counter that had no room, and in how many seconds it has, if nobody else uses it meanwhile."""

    counter: Counter
    wait_seconds: float
