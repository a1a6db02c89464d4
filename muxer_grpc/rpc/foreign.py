"""Packaged services (reflection, channelz) behind the same gates as our own: their methods know nothing of callers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.calls import Call, Calls, Context, Handler


class GuardedRegistrar:
    """Takes the place of a server where generated code registers a packaged servicer on it."""

    def __init__(self, server: grpc.aio.Server, calls: Calls) -> None:
        self._server = server
        self._calls = calls

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        """Registers handlers, each behind the gate of its method."""
        self._server.add_generic_rpc_handlers(tuple(_Guarded(handler, self._calls) for handler in handlers))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Does nothing, as a grpc.aio server does: what is registered is found through the handlers above."""


class _Guarded(grpc.GenericRpcHandler):
    """Finds the methods of another handler, and guards them."""

    def __init__(self, inner: grpc.GenericRpcHandler, calls: Calls) -> None:
        self._inner = inner
        self._calls = calls
        self._guarded: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Gives the guarded method; None where there is none."""
        method = handler_call_details.method
        if method not in self._guarded:
            found = self._inner.service(handler_call_details)
            if found is None:
                return None
            self._guarded[method] = _guarded(self._calls, method, found)
        return self._guarded[method]


def _guarded(calls: Calls, method: str, handler: Handler) -> Handler:
    """Guards a method that answers once, or one that streams both ways; packaged services have no others."""
    streams = bool(handler.request_streaming)
    entrance = calls.entrance(method, streams=streams)
    behaviour: Any = handler.stream_stream if streams else handler.unary_unary

    async def once(request: Any, context: Context) -> Any:
        async with Call(calls, context, entrance):
            return await behaviour(request, context)
        raise AssertionError  # unreachable: leaving the block with an error aborts the call

    async def stream(requests: Any, context: Context) -> AsyncGenerator[Any, None]:
        async with (
            Call(calls, context, entrance) as limit,
            aclosing(_awaited(requests, calls, limit)) as awaited,
            aclosing(behaviour(awaited, context)) as replies,
        ):
            async for reply in replies:
                yield reply

    make: Any = grpc.stream_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
    guarded: Handler = make(stream if streams else once, handler.request_deserializer, handler.response_serializer)
    return guarded


async def _awaited(requests: Any, calls: Calls, limit: TimeLimit) -> AsyncGenerator[Any, None]:
    """Yields the requests of a stream. Raises what the limit raises, and Draining where none is waited for any more."""
    coming = aiter(requests)
    while True:
        with calls.idle_streams.waiting(limit):
            try:
                request = await limit.wait(coming.__anext__)
            except StopAsyncIteration:
                return
        yield request
