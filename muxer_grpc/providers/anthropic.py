"""Anthropic. https://docs.claude.com/en/api/messages"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest, merge_adjacent
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.providers.anthropic_reply import CHARACTERS_PER_TOKEN, ReplyReader
from muxer_grpc.providers.anthropic_request import request_body
from muxer_grpc.providers.failures import failure_of
from muxer_grpc.providers.http import HttpReply, HttpTransport
from muxer_grpc.providers.probing import probe_models
from muxer_grpc.providers.registry import Adapter, Connection
from muxer_grpc.providers.sse import SseParser

MESSAGES = "/v1/messages"
MODELS = "/v1/models?limit=1000"
VERSION = "2023-06-01"


class Anthropic:
    """A connection to Anthropic's API."""

    def __init__(self, connection: Connection) -> None:
        self._name = connection.name
        headers = {"x-api-key": connection.api_key, "anthropic-version": VERSION}
        self._transport = HttpTransport(connection, headers)

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Calls the model; see the port."""
        body = request_body(request, self._name)
        reader = ReplyReader(len(body) // CHARACTERS_PER_TOKEN)
        async with self._transport.post(MESSAGES, body) as reply:
            if reply.status != 200:
                raise failure_of(reply.status, await reply.read_error(), reply.headers, time.time())
            events = self._streamed(reply, reader) if request.stream else self._whole(reply, reader)
            async with aclosing(events):
                async for event in events:
                    yield event

    async def probe(self) -> ProbeResult:
        """Lists the vendor's models; see the port."""
        return await probe_models(self._transport, MODELS, "data", "id")

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()

    async def _whole(self, reply: HttpReply, reader: ReplyReader) -> AsyncGenerator[ProviderEvent, None]:
        events = reader.read_whole(_loaded(await reply.read()))
        for event in merge_adjacent([*events, *reader.ending()]):
            yield event

    async def _streamed(self, reply: HttpReply, reader: ReplyReader) -> AsyncGenerator[ProviderEvent, None]:
        if reply.media_type == "application/json":
            async with aclosing(self._whole(reply, reader)) as events:
                async for event in events:
                    yield event
            return
        if reply.media_type != "text/event-stream":
            raise ProviderFailure(FailureClass.PROTOCOL, "a stream that is no event stream")
        parser = SseParser()
        try:
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    found = [each for event in parser.feed(chunk) for each in reader.read_event(_loaded(event.data))]
                    for merged in merge_adjacent(found):
                        yield merged
                    if reader.stopped:
                        break
            await reply.drain()
        except ProviderFailure as failure:
            # A line that breaks after the vendor said why it stopped has lost nothing but the end mark.
            if not reader.finished or failure.failure_class is not FailureClass.TRANSIENT:
                raise
        for last in reader.ending():
            yield last


def _loaded(data: bytes) -> object:
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ProviderFailure(FailureClass.PROTOCOL, "a reply or an event that is no JSON") from error
    return value


ADAPTER = Adapter(
    name="anthropic",
    build=Anthropic,
    default_base_url="https://api.anthropic.com",
    key_variable="ANTHROPIC_API_KEY",
    base_url_variable="ANTHROPIC_BASE_URL",
    # Without inference_geo: it raises all prices by a tenth, and the catalogue's would no longer be true.
    vendor_options=frozenset({"cache_control", "metadata", "service_tier"}),
)
