"""A provider that speaks OpenAI's Chat Completions; vendors are deltas of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.providers.event_streams import answer
from muxer_grpc.providers.http import HttpTransport
from muxer_grpc.providers.openai_chat_reply import CHARACTERS_PER_TOKEN, ReplyReader
from muxer_grpc.providers.openai_chat_request import Dialect, begun_answer, request_body
from muxer_grpc.providers.probing import probe_models
from muxer_grpc.providers.registry import Connection

COMPLETIONS = "/chat/completions"
MODELS = "/models"


class OpenAIChat:
    """A vendor connection in OpenAI's dialect. The base URL ends with the version: `https://api.openai.com/v1`."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        headers = {"authorization": f"Bearer {connection.api_key}"} if connection.api_key else {}
        self._name = connection.name
        self._dialect = dialect
        self._transport = HttpTransport(connection, headers)

    def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Calls the model; see the port."""
        body = request_body(request, self._name, self._dialect)
        estimated = len(body) // CHARACTERS_PER_TOKEN
        reader = ReplyReader(
            estimated,
            reports_reasoning_apart=self._dialect.reports_reasoning_apart,
            echo=begun_answer(request.conversation, self._dialect),
        )
        return answer(self._transport, COMPLETIONS, body, reader, request)

    async def probe(self) -> ProbeResult:
        """Lists the vendor's models; see the port."""
        return await probe_models(self._transport, MODELS, "data", "id")

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()
