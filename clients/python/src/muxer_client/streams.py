"""Streams of a completion: events, text, and the whole answer; ended for sure on leaving the block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

from muxer.v1 import completion_pb2, routing_pb2

from muxer_client.errors import StreamTruncated, typed_errors
from muxer_client.replies import Completion, Event, Folding


class _Folded:
    """What both kinds of stream know of what came so far."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._folding = Folding()

    @property
    def decision(self) -> routing_pb2.RouteDecision | None:
        """Gives the decision, once it came."""
        return self._folding.decision

    @property
    def summary(self) -> completion_pb2.CompletionSummary | None:
        """Gives the summary, once it came."""
        return self._folding.summary

    def _take(self, event: Event) -> Event:
        self._folding.add(event)
        return event

    def _check_end(self) -> None:
        """Raises StreamTruncated when the stream ended without its summary."""
        if self._folding.summary is None:
            raise StreamTruncated

    def _finished(self) -> Completion:
        completion = self._folding.completion()
        if completion is None:
            raise StreamTruncated
        return completion


class AsyncCompletionStream(_Folded):
    """An answer as it comes. Use it in `async with`: leaving the block cancels what is still under way.

    Without that, an abandoned call goes on at the service, and costs money (grpc/grpc#43462).
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.cancel()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yields the events. Raises a MuxerError when the stream fails, StreamTruncated when it is cut."""
        with typed_errors():
            async for event in self._call:
                yield self._take(event)
        self._check_end()

    async def text(self) -> AsyncIterator[str]:
        """Yields the pieces of text. A switch of attempts is hidden: what it voids cannot be taken back from here,
        so where the service may restart an answer, show `completion()` or watch the events instead.
        """
        async for event in self:
            if event.WhichOneof("event") == "text_delta":
                yield event.text_delta.text

    async def completion(self) -> Completion:
        """Reads to the end and gives the whole answer."""
        async for _ in self:
            pass
        return self._finished()


class CompletionStream(_Folded):
    """An answer as it comes, for callers without an event loop. Use it in `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.cancel()

    def __iter__(self) -> Iterator[Event]:
        """Yields the events. Raises a MuxerError when the stream fails, StreamTruncated when it is cut."""
        with typed_errors():
            for event in self._call:
                yield self._take(event)
        self._check_end()

    def text(self) -> Iterator[str]:
        """Yields the pieces of text; see AsyncCompletionStream.text."""
        for event in self:
            if event.WhichOneof("event") == "text_delta":
                yield event.text_delta.text

    def completion(self) -> Completion:
        """Reads to the end and gives the whole answer."""
        for _ in self:
            pass
        return self._finished()
