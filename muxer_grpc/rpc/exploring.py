"""Looks into decisions of the past: why they came out as they did, and how others would have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from muxer.v1 import decision_service_pb2 as pb

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.price_book import PriceBooks
from muxer_grpc.domain.replaying import PastDecisions, PastRecord, Replay, repriced
from muxer_grpc.domain.reporting import DecisionFilter, LedgerEntries
from muxer_grpc.domain.routing.alternatives import explain
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.explanations import explanation_response
from muxer_grpc.rpc.kept_decisions import read_document, read_past
from muxer_grpc.rpc.listings import read_tenant_span
from muxer_grpc.rpc.replays import read_given_prices, read_limit, read_policy, replay_response
from muxer_grpc.rpc.tenant_access import tenants_meant
from muxer_grpc.rpc.violations import Violations

# Decisions that are read and made again at a time: long enough to be quick, short enough to hold little.
PAGE = 100
# Decisions that are made again without a pause: some milliseconds.
SLICE = 10


class DecisionExplorer:
    """Makes decisions again. `catalogue` gives the one in force.

    A long replay lets others work in between, and only one runs at a time.
    """

    def __init__(
        self,
        past: PastDecisions,
        entries: LedgerEntries,
        books: PriceBooks,
        catalogue: Callable[[], Catalogue],
    ) -> None:
        self._past = past
        self._entries = entries
        self._books = books
        self._catalogue = catalogue
        self._turn = asyncio.Semaphore(1)

    async def decision_of(self, tenant_id: str | None, completion_id: str, limit: TimeLimit) -> str:
        """Gives the id of the decision that a completion rests on. Raises ResourceNotFound."""
        found = await limit.wait(lambda: self._entries.completion(tenant_id, completion_id))
        decision_id = found.entries[0].entry.decision_id if found.entries else ""
        if not decision_id:
            raise ResourceNotFound("Decision", f"of {completion_id}")
        return decision_id

    async def explain(self, record: pb.DecisionRecord, limit: TimeLimit) -> pb.ExplainDecisionResponse:
        """Explains a decision, with the models of today and, where they are kept, the prices of its time."""
        past = read_past(record.decision)
        catalogue = self._catalogue()
        if past.price_book_version != catalogue.price_book_version:
            kept = await limit.wait(lambda: self._books.get(past.price_book_version))
            if kept is not None:
                catalogue = kept.book.applied_to(catalogue)
        explanation = await limit.wait(lambda: asyncio.to_thread(explain, past, catalogue))
        return explanation_response(record, past, explanation, catalogue)

    async def replay(self, request: pb.ReplayDecisionsRequest, limit: TimeLimit) -> pb.ReplayDecisionsResponse:
        """Makes decisions again, the latest first."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        since_us, until_us = read_tenant_span(request, tenant_id, violations)
        catalogue = self._catalogue()
        most = read_limit(request, violations)
        policy = read_policy(request.policy, catalogue, violations)
        prices = read_given_prices(request, catalogue, violations)
        violations.raise_if_any()
        catalogue = repriced(catalogue, prices)
        wanted = DecisionFilter(tenant_id=tenant_id, since_us=since_us, until_us=until_us)
        replay = Replay(catalogue, policy)
        await limit.wait(self._turn.acquire)
        try:
            earliest_us, truncated = await self._run(replay, wanted, most, limit)
        finally:
            self._turn.release()
        return replay_response(replay.report, catalogue, earliest_us, truncated=truncated)

    async def _run(
        self, replay: Replay, wanted: DecisionFilter, most: int, limit: TimeLimit
    ) -> tuple[int | None, bool]:
        """Feeds a replay; gives the time of the earliest decision, and whether there were more than `most`."""
        after: tuple[str, ...] = ()
        earliest_us = None
        left = most
        while True:
            # One more than is wanted tells whether there are more.
            asked = PageRequest(min(PAGE, left + 1), after)
            found = await limit.wait(partial(self._past.page, wanted, asked))
            page = found[:left]
            if page:
                await limit.wait(partial(_add, replay, page))
                last = page[-1].record
                earliest_us, after = last.created_us, (str(last.created_us), last.decision_id)
            left -= len(page)
            if len(found) < asked.length or len(found) > len(page):
                return earliest_us, len(found) > len(page)


async def _add(replay: Replay, page: Sequence[PastRecord]) -> None:
    """Makes decisions again, and lets others work between a few of them."""
    for start in range(0, len(page), SLICE):
        some = page[start : start + SLICE]
        replay.add((read_past(read_document(each.record.document)), each.spent) for each in some)
        await asyncio.sleep(0)
