"""Anthropic. https://docs.claude.com/en/api/messages"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.providers.anthropic_reply import CHARACTERS_PER_TOKEN, ReplyReader
from muxer_grpc.providers.anthropic_request import request_body
from muxer_grpc.providers.event_streams import answer
from muxer_grpc.providers.http import HttpTransport
from muxer_grpc.providers.probing import probe_models
from muxer_grpc.providers.registry import Adapter, Connection

MESSAGES = "/v1/messages"
MODELS = "/v1/models?limit=1000"
VERSION = "2023-06-01"


class Anthropic:
    """A connection to Anthropic's API."""

    def __init__(self, connection: Connection) -> None:
        self._name = connection.name
        headers = {"x-api-key": connection.api_key, "anthropic-version": VERSION}
        self._transport = HttpTransport(connection, headers)

    def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Calls the model; see the port."""
        body = request_body(request, self._name)
        reader = ReplyReader(len(body) // CHARACTERS_PER_TOKEN)
        return answer(self._transport, MESSAGES, body, reader, request)

    async def probe(self) -> ProbeResult:
        """Lists the vendor's models; see the port."""
        return await probe_models(self._transport, MODELS, "data", "id")

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()


ADAPTER = Adapter(
    name="anthropic",
    build=Anthropic,
    default_base_url="https://api.anthropic.com",
    key_variable="ANTHROPIC_API_KEY",
    base_url_variable="ANTHROPIC_BASE_URL",
    # Without inference_geo, speed and service_tier: they change prices, and the catalogue's would be wrong.
    vendor_options=frozenset({"cache_control", "metadata"}),
)
