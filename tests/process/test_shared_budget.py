"""200 callers on 4 processes, and one hard budget that fits about half of what they ask for."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from muxer.v1 import chat_pb2, muxer_service_pb2_grpc

from muxer_grpc.storage.database import Database
from tests.fakes.provider import fake_provider
from tests.process.callers import Seen, call, check_calls, connected, named_spec
from tests.process.replicas import replica, variables
from tests.storage.reckoning import counters_of, differences, read_books
from tests.storage.records import add_budget, budget

PROCESSES = 4
CALLERS = 200
CALLS = 3
# About as many tokens as the fake provider counts, so that a promise is little more than the cost.
PROMPT = "It was a bright cold day in April, and the clocks were striking thirteen. " * 3


def asked() -> chat_pb2.CompletionSpec:
    spec = named_spec("plain", max_output_tokens=20)
    spec.messages[0].parts[0].text += PROMPT
    return spec


async def call_until_refused(stub: muxer_service_pb2_grpc.MuxerServiceStub, seen: Seen) -> None:
    """Makes some calls; one that is refused while others hold money is made again, as one that settles frees some."""
    for _ in range(CALLS):
        while True:
            spec = asked()
            reason = await call(stub, spec, seen)
            if not reason:
                break
            assert reason == "BUDGET_EXCEEDED", seen.reasons
            if seen.refusals[spec.request_id]["reserved_nano_usd"] == "0":
                return


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_many_callers_on_many_processes_spend_a_budget_to_its_end_and_not_beyond(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with fake_provider() as provider, AsyncExitStack() as stack:
        settings = variables(database_url, f"{provider.url}/v1", "plain", MUXER_STORAGE__PATIENCE_SECONDS="30")
        replicas = [
            await stack.enter_async_context(replica(tmp_path / str(number), **settings)) for number in range(PROCESSES)
        ]
        stubs = [await stack.enter_async_context(connected(each.target)) for each in replicas]
        seen = Seen()
        assert await call(stubs[0], asked(), seen) == ""
        [first] = read_books(database).entries
        price, promised = first["cost_nano_usd"], first["reserved_nano_usd"]
        assert price <= promised < 1.5 * price
        limit = price + promised * CALLERS * CALLS // 2
        await add_budget(database, budget(limit))
        calling = asyncio.gather(*(call_until_refused(stubs[n % PROCESSES], seen) for n in range(CALLERS)))
        observed = 0
        while not calling.done():
            [counter] = await asyncio.to_thread(counters_of, database)
            assert counter.spent_nano_usd + counter.reserved_nano_usd <= limit
            observed += 1
        await calling
        assert observed > 10
        books = read_books(database)
        assert differences(books) == []
        check_calls(books, seen, provider)
        assert len(seen.complete) == len(books.entries)
        assert 0 <= limit - books.spent < promised
        assert seen.reasons.keys() == {"BUDGET_EXCEEDED"}
