"""Requests that come again under the same id: one answer and one charge, also while the first is still running."""

from __future__ import annotations

import asyncio
from functools import partial

from muxer_grpc.domain.completion import Replay
from muxer_grpc.domain.ledger import KnownRequest, RequestState
from muxer_grpc.domain.refusals import AnswerNotKept, RequestConflict
from muxer_grpc.domain.routing.policy import RequestId
from muxer_grpc.pipeline.settlement import Bookkeeping
from muxer_grpc.pipeline.time_limit import TimeLimit

# Between looks at a request that another process is answering, in seconds: doubling from the first to the last.
FIRST_LOOK, LAST_LOOK = 0.02, 1.0


class Repeats:
    """Knows the requests with an id that this process is answering, so that their repeats need not ask the storage."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], tuple[object, asyncio.Event]] = {}

    def begin(self, tenant_id: str, request_id: str, owner: object) -> None:
        """Notes that this process answers a request; `owner` is what does."""
        self._running[tenant_id, request_id] = (owner, asyncio.Event())

    def end(self, tenant_id: str, request_id: str, owner: object) -> None:
        """Notes that it does no longer, and wakes whoever waits; a repeat that goes away changes nothing."""
        running = self._running.get((tenant_id, request_id))
        if running is not None and running[0] is owner:
            del self._running[tenant_id, request_id]
            running[1].set()

    async def answer(
        self, known: KnownRequest, request_id: RequestId, tenant_id: str, books: Bookkeeping, limit: TimeLimit
    ) -> Replay | None:
        """Gives the answer of the first request, as soon as it is there.

        None when the first one came to nothing, so that the repeat may try. Raises RequestConflict, AnswerNotKept, and
        what the limit raises.
        """
        found: KnownRequest | None = known
        pause = FIRST_LOOK
        while found is not None:
            if found.fingerprint != request_id.fingerprint:
                raise RequestConflict(request_id.id)
            if found.state is RequestState.DONE:
                opened = None if found.answer is None else books.sealer.open(found.answer, request_id.key)
                if opened is None:
                    raise AnswerNotKept(request_id.id, found.completion_id)
                return Replay(opened)
            running = self._running.get((tenant_id, request_id.id))
            if running is not None:
                await limit.wait(running[1].wait)
            else:
                await limit.wait(partial(asyncio.sleep, pause))
                pause = min(LAST_LOOK, 2 * pause)
            found = await limit.wait(lambda: books.accounts.known(tenant_id, request_id.id))
        return None
