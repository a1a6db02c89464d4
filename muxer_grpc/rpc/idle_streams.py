"""Streams that wait for what their callers ask next: a drain ends them at once, since nothing is lost with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from muxer_grpc.domain.errors import MuxerError
from muxer_grpc.pipeline.time_limit import TimeLimit


class IdleStreams:
    """Knows the streams that wait at the moment."""

    def __init__(self) -> None:
        self._waiting: set[TimeLimit] = set()
        self._error: MuxerError | None = None

    def end_all(self, error: MuxerError) -> None:
        """Ends them with an error, and from now on each that comes to wait."""
        self._error = error
        for limit in tuple(self._waiting):
            limit.end(error)

    @contextmanager
    def waiting(self, limit: TimeLimit) -> Iterator[None]:
        """Counts a stream among them until the block is left; waits within end by its limit."""
        if self._error is not None:
            limit.end(self._error)
        self._waiting.add(limit)
        try:
            yield
        finally:
            self._waiting.discard(limit)
