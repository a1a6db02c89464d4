"""A provider that speaks OpenAI's Chat Completions; vendors are deltas of it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import orjson

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest, merge_adjacent
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.providers.failures import failure_of
from muxer_grpc.providers.http import HttpReply, HttpTransport
from muxer_grpc.providers.openai_chat_reply import CHARACTERS_PER_TOKEN, ReplyReader
from muxer_grpc.providers.openai_chat_request import Dialect, request_body
from muxer_grpc.providers.probing import probe_models
from muxer_grpc.providers.registry import Connection
from muxer_grpc.providers.sse import SseParser

COMPLETIONS = "/chat/completions"
MODELS = "/models"

_END = b"[DONE]"


class OpenAIChat:
    """A vendor connection in OpenAI's dialect. The base URL ends with the version: `https://api.openai.com/v1`."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        headers = {"authorization": f"Bearer {connection.api_key}"} if connection.api_key else {}
        self._name = connection.name
        self._dialect = dialect
        self._transport = HttpTransport(connection, headers)

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Calls the model; see the port."""
        body = request_body(request, self._name, self._dialect)
        reader = ReplyReader(
            len(body) // CHARACTERS_PER_TOKEN, reports_reasoning_apart=self._dialect.reports_reasoning_apart
        )
        async with self._transport.post(COMPLETIONS, body) as reply:
            if reply.status != 200:
                raise failure_of(reply.status, await reply.read_error(), reply.headers, time.time())
            if not request.stream:
                for event in await _whole(reply, reader):
                    yield event
                return
            async with aclosing(self._streamed(reply, reader)) as events:
                async for event in events:
                    yield event

    async def probe(self) -> ProbeResult:
        """Lists the vendor's models; see the port."""
        return await probe_models(self._transport, MODELS, "data", "id")

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()

    async def _streamed(self, reply: HttpReply, reader: ReplyReader) -> AsyncGenerator[ProviderEvent, None]:
        if reply.media_type != "text/event-stream":
            # Some servers answer a stream's error, or the whole answer, as JSON.
            if reply.media_type == "application/json":
                for event in await _whole(reply, reader):
                    yield event
                return
            raise ProviderFailure(FailureClass.PROTOCOL, "a stream that is no event stream")
        parser = SseParser()
        try:
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    datas = [event.data for event in parser.feed(chunk)]
                    ended = _END in datas
                    for merged in merge_adjacent(_read_all(datas, reader)):
                        yield merged
                    if ended:
                        break
            await reply.drain()
        except ProviderFailure as failure:
            # A line that breaks after the vendor said why it stopped has lost nothing but the end mark.
            if not reader.finished or failure.failure_class is not FailureClass.TRANSIENT:
                raise
        for last in reader.ending():
            yield last


async def _whole(reply: HttpReply, reader: ReplyReader) -> Iterable[ProviderEvent]:
    """Reads an answer that comes in one piece."""
    value = _loaded(await reply.read())
    return merge_adjacent([*reader.read_whole(value), *reader.ending()])


def _read_all(datas: list[bytes], reader: ReplyReader) -> list[ProviderEvent]:
    """Reads the events of one network read, up to the end mark."""
    found: list[ProviderEvent] = []
    for data in datas:
        if data == _END:
            break
        found += reader.read_chunk(_loaded(data))
    return found


def _loaded(data: bytes) -> object:
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ProviderFailure(FailureClass.PROTOCOL, "a reply or an event that is no JSON") from error
    return value
