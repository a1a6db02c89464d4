"""Answers that come as server-sent events, or whole as JSON: what the vendors who do so have in common."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Protocol

import orjson

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest, merge_adjacent
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.providers.failures import failure_of
from muxer_grpc.providers.http import HttpReply, HttpTransport
from muxer_grpc.providers.sse import SseEvent, SseParser

# What ends a line, other than the vendor.
LINE_FAULTS = frozenset({FailureClass.TRANSIENT, FailureClass.TIMEOUT})


class ReplyReader(Protocol):
    """Turns one vendor's reply into events. Each method raises ProviderFailure where the reply is an error.

    `end_mark` is the data of the event that ends a stream, where that is no JSON; `stopped` tells that the end came.
    """

    end_mark: bytes | None
    stopped: bool

    @property
    def finished(self) -> bool:
        """Tells whether the vendor said why it stopped."""
        ...

    @property
    def complete(self) -> bool:
        """Tells whether it also counted since: then nothing but the end mark can follow."""
        ...

    def read_whole(self, reply: Any) -> list[ProviderEvent]:
        """Reads a reply that came in one piece."""
        ...

    def read_event(self, event: Any) -> list[ProviderEvent]:
        """Reads one event of a stream."""
        ...

    def ending(self) -> list[ProviderEvent]:
        """Gives what ends the answer. Raises ProviderFailure when the vendor never said why it stopped."""
        ...


async def answer(
    transport: HttpTransport, path: str, body: bytes, reader: ReplyReader, request: ProviderRequest
) -> AsyncGenerator[ProviderEvent, None]:
    """Makes a call and yields its answer, as the Provider port asks."""
    stream = request.stream
    async with transport.post(path, body, request.headers) as reply:
        if reply.status != 200:
            raise failure_of(reply.status, await reply.read_error(), reply.headers, time.time())
        if not stream or reply.media_type == "application/json":
            # Some servers answer a stream's error, or the whole answer, as JSON.
            for event in await _whole(reply, reader):
                yield event
            return
        if reply.media_type != "text/event-stream":
            raise ProviderFailure(FailureClass.PROTOCOL, "a stream that is no event stream")
        async with aclosing(_streamed(reply, reader)) as events:
            async for event in events:
                yield event


def loaded(data: bytes) -> Any:
    """Parses JSON. Raises ProviderFailure (PROTOCOL) where it is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ProviderFailure(FailureClass.PROTOCOL, "a reply or an event that is no JSON") from error


async def _whole(reply: HttpReply, reader: ReplyReader) -> Iterable[ProviderEvent]:
    value = loaded(await reply.read())
    return merge_adjacent([*reader.read_whole(value), *reader.ending()])


async def _streamed(reply: HttpReply, reader: ReplyReader) -> AsyncGenerator[ProviderEvent, None]:
    parser = SseParser()
    try:
        async with aclosing(reply.chunks()) as chunks:
            async for chunk in chunks:
                for merged in merge_adjacent(_read(parser.feed(chunk), reader)):
                    yield merged
                if reader.stopped or reader.complete:
                    break
                if reader.finished:
                    reply.expect_end()
        await reply.drain()
    except ProviderFailure as failure:
        # A line that breaks or falls silent after the vendor said why it stopped has lost no piece of the answer.
        if not reader.finished or failure.failure_class not in LINE_FAULTS:
            raise
    for last in reader.ending():
        yield last


def _read(events: list[SseEvent], reader: ReplyReader) -> list[ProviderEvent]:
    """Reads the events of one network read, up to the end mark."""
    found: list[ProviderEvent] = []
    for event in events:
        if event.data == reader.end_mark:
            reader.stopped = True
            break
        if reader.complete:
            break
        found += reader.read_event(loaded(event.data))
    return found
