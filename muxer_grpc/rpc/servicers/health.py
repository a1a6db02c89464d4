"""grpc.health.v1.Health: Check, List and Watch.

The packaged servicer lets open Watch streams hold up a shutdown for the whole grace, and has no List. Protocol:
grpc/grpc doc/health-checking.md; List: gRFC A90.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import grpc

from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc import health_messages as messages
from muxer_grpc.rpc.calls import Calls

SERVICE = "grpc.health.v1.Health"


class HealthServicer:
    """Says whether services can serve. Readiness is the process's own: a provider that is down does not change it.

    The empty name stands for the whole process.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses = dict.fromkeys(("", *services), messages.NOT_SERVING)
        self._draining = False
        self._changed = asyncio.Event()

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name; they are admitted under any load."""
        return {
            "Check": calls.unary(messages.HealthCheckRequest, self.check, exempt=True),
            "List": calls.unary(messages.HealthListRequest, self.list, exempt=True),
            "Watch": calls.server_stream(messages.HealthCheckRequest, self.watch, exempt=True),
        }

    def serve(self) -> None:
        """Declares every service ready."""
        self._set(messages.SERVING)

    def drain(self) -> None:
        """Declares every service not ready, for good; Watch streams say so and end."""
        self._draining = True
        self._set(messages.NOT_SERVING)

    def _set(self, status: int) -> None:
        for name in self._statuses:
            self._statuses[name] = status
        self._changed.set()
        self._changed = asyncio.Event()

    async def check(self, request: Any, _limit: TimeLimit) -> Any:
        """Gives the status of a service. Raises ResourceNotFound for an unknown one."""
        if request.service not in self._statuses:
            raise ResourceNotFound("Service", request.service[:200])
        return messages.HealthCheckResponse(status=self._statuses[request.service])

    async def list(self, _request: Any, _limit: TimeLimit) -> Any:
        """Gives the status of all services."""
        statuses = {name: messages.HealthCheckResponse(status=status) for name, status in self._statuses.items()}
        return messages.HealthListResponse(statuses=statuses)

    async def watch(self, request: Any, _limit: TimeLimit) -> AsyncGenerator[Any, None]:
        """Gives the status of a service and every change, until the process drains."""
        told: int | None = None
        while True:
            # All three are of one moment: a drain that begins while a status is sent is told in the next round.
            changed, last = self._changed, self._draining
            status = self._statuses.get(request.service, messages.SERVICE_UNKNOWN)
            if status != told:
                yield messages.HealthCheckResponse(status=status)
                told = status
            if last:
                return
            if changed is self._changed:
                await changed.wait()
