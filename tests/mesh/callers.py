"""Callers with the client that ships, who note what they saw; each call's name stands in its prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from muxer.v1 import completion_pb2
from muxer_client import AsyncMuxerClient, MuxerError

from tests.process.callers import COMPLETE

TIMEOUT_SECONDS = 30.0
# Between the calls of a caller, in seconds.
PACE = 0.05

_numbers = count()


@dataclass
class Tenant:
    """The callers of one tenant, and what became of their calls: in full by name, or refused and failed by reason."""

    id: str
    client: AsyncMuxerClient
    answered: dict[str, completion_pb2.CompletionSummary] = field(default_factory=dict)
    streamed: dict[str, completion_pb2.CompletionSummary] = field(default_factory=dict)
    failed: list[MuxerError] = field(default_factory=list)
    cut: list[MuxerError] = field(default_factory=list)
    over: bool = False

    async def complete(self, model: str) -> MuxerError | None:
        """Makes a unary call; gives its failure."""
        name = f"call-{next(_numbers)}"
        try:
            answer = await self.client.complete(
                f"{name}: tell me something", model=f"fake/{model}", max_output_tokens=60, timeout=TIMEOUT_SECONDS
            )
        except MuxerError as error:
            self.failed.append(error)
            return error
        assert answer.summary.outcome == COMPLETE
        self.answered[name] = answer.summary
        return None

    async def stream(self, model: str, whole: str) -> None:
        """Makes a call that streams; one that ends as a success has the whole answer."""
        name = f"call-{next(_numbers)}"
        try:
            async with self.client.stream(
                f"{name}: tell me something", model=f"fake/{model}", max_output_tokens=90, timeout=TIMEOUT_SECONDS
            ) as stream:
                answer = await stream.completion()
        except MuxerError as error:
            self.cut.append(error)
            return
        assert answer.summary.outcome == COMPLETE
        assert answer.text == whole
        self.streamed[name] = answer.summary

    async def keep_completing(self, model: str, until: Callable[[MuxerError], bool] = lambda _error: False) -> None:
        """Calls until it is over, or a failure says that there is no more to be had."""
        while not self.over:
            error = await self.complete(model)
            if error is not None and until(error):
                return
            await asyncio.sleep(PACE)

    async def keep_streaming(self, model: str, whole: str) -> None:
        while not self.over:
            await self.stream(model, whole)

    async def wait_until_answered(self, more: int, seconds: float = 60.0) -> None:
        """Waits until so many more unary calls are answered."""
        wanted = len(self.answered) + more
        async with asyncio.timeout(seconds):
            while len(self.answered) < wanted:
                await asyncio.sleep(0.01)
