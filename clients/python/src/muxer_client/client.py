"""The clients: async and sync, with the same methods."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, Unpack

import grpc
import grpc.aio
from muxer.v1 import (
    catalogue_service_pb2,
    catalogue_service_pb2_grpc,
    muxer_service_pb2,
    muxer_service_pb2_grpc,
    routing_pb2,
)

from muxer_client.channel import TlsOptions, call_metadata, channel_options, check_api_key, current_traceparent
from muxer_client.errors import typed_errors
from muxer_client.replies import Completion
from muxer_client.requests import Prompt, SpecOptions, build_spec
from muxer_client.streams import AsyncCompletionStream, CompletionStream

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_ADMIN_TARGET = "127.0.0.1:50052"
DEFAULT_TIMEOUT_SECONDS = 60.0
PAGE_SIZE = 1_000

Decision = routing_pb2.RouteDecision | str | None


class _Connection:
    """What both clients are built from. Every call has a deadline: `timeout` seconds unless the call says otherwise.

    `repeatable` gives each completion a request id where it has none: one that is sent again, its connection having
    been lost, then has one answer, paid for once. The service keeps it for that, and does not look into its cache.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        admin_target: str = DEFAULT_ADMIN_TARGET,
        tls: TlsOptions | None = None,
        api_key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        repeatable: bool = False,
        traceparent: Callable[[], str | None] = current_traceparent,
    ) -> None:
        for each in (target, admin_target):
            check_api_key(api_key, each, secure=tls is not None)
        self._target = target
        self._admin_target = admin_target
        self._tls = tls
        self._api_key = api_key
        self._timeout = timeout
        self._repeatable = repeatable
        self._traceparent = traceparent
        self._channels: dict[str, Any] = {}

    def _open(self, library: Any, target: str) -> Any:
        """Gives the channel to a target; one for its whole life."""
        channel = self._channels.get(target)
        if channel is None:
            if self._tls is None:
                channel = library.insecure_channel(target, options=channel_options())
            else:
                channel = library.secure_channel(target, self._tls.credentials(), options=channel_options())
            self._channels[target] = channel
        return channel

    def _request(self, kind: Any, prompt: Prompt, decision: Decision, options: SpecOptions) -> Any:
        """Makes a request that takes up a decision, given whole or by its id; None: it is decided anew.

        Raises ValueError for a decision without an id, which would be decided anew without a word.
        """
        decision_id = decision.decision_id if isinstance(decision, routing_pb2.RouteDecision) else decision
        if decision_id == "":
            msg = "the decision has no id; give one that route() returned, or None to decide anew"
            raise ValueError(msg)
        request = kind(spec=build_spec(prompt, **options), decision_id=decision_id)
        if self._repeatable and not request.spec.request_id:
            request.spec.request_id = str(uuid.uuid4())
        return request

    def _call_options(self, timeout: float | None) -> dict[str, Any]:
        return {
            "timeout": self._timeout if timeout is None else timeout,
            "metadata": call_metadata(self._api_key, self._traceparent),
        }


def _completion(reply: muxer_service_pb2.CompleteResponse) -> Completion:
    return Completion(reply.decision, reply.message, reply.summary)


class AsyncMuxerClient(_Connection):
    """Calls the service from an event loop. Use it in `async with`, or close it with `aclose`.

    Every method raises a MuxerError when the call fails. Prompts and options are those of `build_spec`.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def complete(
        self,
        prompt: Prompt,
        *,
        decision: Decision = None,
        timeout: float | None = None,
        **options: Unpack[SpecOptions],
    ) -> Completion:
        """Answers in one reply; with `decision`, by that of a `route` of the same prompt and options."""
        request = self._request(muxer_service_pb2.CompleteRequest, prompt, decision, options)
        with typed_errors():
            return _completion(await self._muxer().Complete(request, **self._call_options(timeout)))

    def stream(
        self,
        prompt: Prompt,
        *,
        decision: Decision = None,
        timeout: float | None = None,
        **options: Unpack[SpecOptions],
    ) -> AsyncCompletionStream:
        """Answers as a stream; `decision` as in `complete`."""
        request = self._request(muxer_service_pb2.StreamCompleteRequest, prompt, decision, options)
        return AsyncCompletionStream(self._muxer().StreamComplete(request, **self._call_options(timeout)))

    async def route(
        self, prompt: Prompt, *, timeout: float | None = None, **options: Unpack[SpecOptions]
    ) -> routing_pb2.RouteDecision:
        """Decides which model would answer; `complete` and `stream` take the decision up."""
        request = muxer_service_pb2.RouteRequest(spec=build_spec(prompt, **options))
        with typed_errors():
            reply = await self._muxer().Route(request, **self._call_options(timeout))
        decision: routing_pb2.RouteDecision = reply.decision
        return decision

    async def metrics(
        self, request: muxer_service_pb2.GetMetricsRequest | None = None, *, timeout: float | None = None
    ) -> muxer_service_pb2.GetMetricsResponse:
        """Shows figures."""
        wanted = request or muxer_service_pb2.GetMetricsRequest()
        with typed_errors():
            reply: muxer_service_pb2.GetMetricsResponse = await self._muxer().GetMetrics(
                wanted, **self._call_options(timeout)
            )
        return reply

    async def models(self, provider: str = "", *, timeout: float | None = None) -> list[catalogue_service_pb2.Model]:
        """Lists the models of the catalogue (admin listener)."""
        found: list[catalogue_service_pb2.Model] = []
        request = catalogue_service_pb2.ListModelsRequest(page_size=PAGE_SIZE, provider=provider)
        with typed_errors():
            while True:
                reply = await self._catalogue().ListModels(request, **self._call_options(timeout))
                found.extend(reply.models)
                if not reply.next_page_token:
                    return found
                request.page_token = reply.next_page_token

    async def providers(self, *, timeout: float | None = None) -> list[catalogue_service_pb2.Provider]:
        """Lists the providers (admin listener)."""
        request = catalogue_service_pb2.ListProvidersRequest(page_size=PAGE_SIZE)
        with typed_errors():
            reply = await self._catalogue().ListProviders(request, **self._call_options(timeout))
        return list(reply.providers)

    def _muxer(self) -> Any:
        return muxer_service_pb2_grpc.MuxerServiceStub(self._open(grpc.aio, self._target))

    def _catalogue(self) -> Any:
        return catalogue_service_pb2_grpc.CatalogueServiceStub(self._open(grpc.aio, self._admin_target))


class MuxerClient(_Connection):
    """Calls the service without an event loop. Use it in `with`, or close it with `close`.

    Every method raises a MuxerError when the call fails. Prompts and options are those of `build_spec`.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def complete(
        self,
        prompt: Prompt,
        *,
        decision: Decision = None,
        timeout: float | None = None,
        **options: Unpack[SpecOptions],
    ) -> Completion:
        """Answers in one reply; with `decision`, by that of a `route` of the same prompt and options."""
        request = self._request(muxer_service_pb2.CompleteRequest, prompt, decision, options)
        with typed_errors():
            return _completion(self._muxer().Complete(request, **self._call_options(timeout)))

    def stream(
        self,
        prompt: Prompt,
        *,
        decision: Decision = None,
        timeout: float | None = None,
        **options: Unpack[SpecOptions],
    ) -> CompletionStream:
        """Answers as a stream; `decision` as in `complete`."""
        request = self._request(muxer_service_pb2.StreamCompleteRequest, prompt, decision, options)
        return CompletionStream(self._muxer().StreamComplete(request, **self._call_options(timeout)))

    def route(
        self, prompt: Prompt, *, timeout: float | None = None, **options: Unpack[SpecOptions]
    ) -> routing_pb2.RouteDecision:
        """Decides which model would answer; `complete` and `stream` take the decision up."""
        request = muxer_service_pb2.RouteRequest(spec=build_spec(prompt, **options))
        with typed_errors():
            decision: routing_pb2.RouteDecision = self._muxer().Route(request, **self._call_options(timeout)).decision
        return decision

    def metrics(
        self, request: muxer_service_pb2.GetMetricsRequest | None = None, *, timeout: float | None = None
    ) -> muxer_service_pb2.GetMetricsResponse:
        """Shows figures."""
        wanted = request or muxer_service_pb2.GetMetricsRequest()
        with typed_errors():
            reply: muxer_service_pb2.GetMetricsResponse = self._muxer().GetMetrics(
                wanted, **self._call_options(timeout)
            )
        return reply

    def models(self, provider: str = "", *, timeout: float | None = None) -> list[catalogue_service_pb2.Model]:
        """Lists the models of the catalogue (admin listener)."""
        found: list[catalogue_service_pb2.Model] = []
        request = catalogue_service_pb2.ListModelsRequest(page_size=PAGE_SIZE, provider=provider)
        with typed_errors():
            while True:
                reply = self._catalogue().ListModels(request, **self._call_options(timeout))
                found.extend(reply.models)
                if not reply.next_page_token:
                    return found
                request.page_token = reply.next_page_token

    def providers(self, *, timeout: float | None = None) -> list[catalogue_service_pb2.Provider]:
        """Lists the providers (admin listener)."""
        request = catalogue_service_pb2.ListProvidersRequest(page_size=PAGE_SIZE)
        with typed_errors():
            reply = self._catalogue().ListProviders(request, **self._call_options(timeout))
        return list(reply.providers)

    def _muxer(self) -> Any:
        return muxer_service_pb2_grpc.MuxerServiceStub(self._open(grpc, self._target))

    def _catalogue(self) -> Any:
        return catalogue_service_pb2_grpc.CatalogueServiceStub(self._open(grpc, self._admin_target))
