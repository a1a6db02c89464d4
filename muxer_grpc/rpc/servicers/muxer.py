"""MuxerService: Route, Complete, StreamComplete, GetMetrics."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
from muxer.v1 import chat_pb2, muxer_service_pb2

from muxer_grpc.domain.completion import Replay, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tenancy import ContentStorage
from muxer_grpc.pipeline.pipeline import EarlierDecision, Pipeline
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.documents import replayed, whole_reply
from muxer_grpc.rpc.metrics import Metrics
from muxer_grpc.rpc.replies import complete_response, route_response, stream_response
from muxer_grpc.rpc.requests import fingerprint_of, read_request
from muxer_grpc.rpc.written import Written

SERVICE = "muxer.v1.MuxerService"


class MuxerServicer:
    """Serves the data listener. With `caches`, requests bring what they are known by in the cache of answers."""

    def __init__(
        self,
        pipeline: Pipeline,
        fleet: Fleet,
        metrics: Metrics,
        *,
        caches: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._caches = caches
        self._fleet = fleet
        self._metrics = metrics

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "Route": calls.unary(muxer_service_pb2.RouteRequest, self.route),
            "Complete": calls.unary(muxer_service_pb2.CompleteRequest, self.complete),
            "StreamComplete": calls.server_stream(muxer_service_pb2.StreamCompleteRequest, self.stream_complete),
            "GetMetrics": calls.unary(muxer_service_pb2.GetMetricsRequest, self._metrics.get),
        }

    async def route(self, request: muxer_service_pb2.RouteRequest, limit: TimeLimit) -> Written:
        """Decides."""
        spec = request.spec
        asked = self._read(spec, limit)
        return route_response(await self._pipeline.route(asked, limit, fingerprint_of(spec)))

    async def complete(
        self, request: muxer_service_pb2.CompleteRequest, limit: TimeLimit
    ) -> muxer_service_pb2.CompleteResponse | Written:
        """Decides and answers in one reply."""
        completion = await self._pipeline.complete(self._read(request.spec, limit), limit, _earlier(request))
        if isinstance(completion, Replay):
            return whole_reply(completion)
        return complete_response(completion)

    async def stream_complete(
        self, request: muxer_service_pb2.StreamCompleteRequest, limit: TimeLimit
    ) -> AsyncGenerator[muxer_service_pb2.StreamCompleteResponse | Written, None]:
        """Decides and answers as a stream.

        The decision waits for the first event after it: sending it would commit the call, and the connection would
        carry it as a message of its own.
        """
        decision: Decision | None = None
        asked = self._read(request.spec, limit)
        async with aclosing(self._pipeline.run(asked, limit, earlier=_earlier(request))) as events:
            async for event in events:
                if isinstance(event, Decision):
                    decision = event
                    continue
                if isinstance(event, Replay):
                    for reply in replayed(event):
                        yield reply
                    return
                if decision is not None:
                    yield stream_response(decision)
                    decision = None
                yield stream_response(event)
                if isinstance(event, Summary) and event.error is not None:
                    raise event.error

    def _read(self, spec: chat_pb2.CompletionSpec, limit: TimeLimit) -> CompletionRequest:
        keeps_content = limit.principal.policy.content is not ContentStorage.OFF
        return read_request(spec, self._fleet.catalogue, keeps_content=keeps_content, caches=self._caches)


def _earlier(
    request: muxer_service_pb2.CompleteRequest | muxer_service_pb2.StreamCompleteRequest,
) -> EarlierDecision | None:
    """Reads the decision that a caller wants taken up; None for a new one."""
    if not request.decision_id:
        return None
    return EarlierDecision(request.decision_id, fingerprint_of(request.spec))
