"""Thousands of streams left, overtaken by deadlines and cut at random points: each is settled once, as it ended."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest
from muxer.v1 import chat_pb2, muxer_service_pb2, muxer_service_pb2_grpc

from muxer_grpc.storage.database import Database
from tests.fakes.provider import fake_provider
from tests.process.callers import COMPLETE, connected, named_spec, names_at
from tests.process.replicas import LONG, replica, variables
from tests.storage.reckoning import Row, differences, read_books
from tests.storage.records import add_budget, budget

STREAMS = 5_000 if LONG else 1_000
AT_ONCE = 100
CUTS = ("cut-0", "cut-1", "cut-7", "cut-30", "cut-59")
MODELS = ("stall-0", "stall-5", "stall-20", "tokens-200", "plain", "delay-30", *CUTS)
CHARACTERS_PER_TOKEN = 4


@dataclass
class Told:
    """What a caller was told before it left, or the stream ended: characters of text, and a summary or none."""

    how: str
    characters: int = 0
    complete: bool = False


async def leave(
    stub: muxer_service_pb2_grpc.MuxerServiceStub, asked: chat_pb2.CompletionSpec, told: Told, chance: random.Random
) -> None:
    """Reads a stream to its end, or until it is cut, or its time is over, or its caller leaves it."""
    request = muxer_service_pb2.StreamCompleteRequest(spec=asked)
    stream = stub.StreamComplete(request, timeout=chance.random() * 0.2 if told.how == "deadline" else 30)

    async def read() -> None:
        async for event in stream:
            told.characters += len(event.text_delta.text)
            told.complete = event.summary.outcome == COMPLETE

    reading = asyncio.ensure_future(read())
    if told.how == "cancel":
        await asyncio.wait([reading], timeout=chance.random() ** 2 * 0.2)
        stream.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    if told.how == "read" and not told.complete:
        assert isinstance(reading.exception(), grpc.aio.AioRpcError)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_each_stream_is_settled_once_as_it_ended(database: Database, database_url: str, tmp_path: Path) -> None:
    await add_budget(database, budget(10**15))
    chance, gate = random.Random(5), asyncio.Semaphore(AT_ONCE)
    told: dict[str, Told] = {}

    async def one(stub: muxer_service_pb2_grpc.MuxerServiceStub) -> None:
        async with gate:
            model = chance.choice(MODELS)
            # What never ends is never read to its end.
            how = chance.choice(("cancel", "deadline") if "stall" in model else ("cancel", "deadline", "read"))
            asked = named_spec(model)
            told[asked.request_id] = Told(how)
            await leave(stub, asked, told[asked.request_id], chance)

    async with fake_provider() as provider:
        settings = variables(database_url, f"{provider.url}/v1", *MODELS)
        async with replica(tmp_path / "replica", **settings) as running, connected(running.target) as stub:
            await asyncio.gather(*(one(stub) for _ in range(STREAMS)))
            while (await asyncio.to_thread(read_books, database)).reservations:
                await asyncio.sleep(0.05)
            log = running.log.read_text()
            assert "incident" not in log
            assert "broke" not in log
        books = await asyncio.to_thread(read_books, database)
        assert differences(books) == []
        entries: dict[str, list[Row]] = defaultdict(list)
        for row in books.entries:
            entries[row["request_id"]].append(row)
        assert entries.keys() <= told.keys()
        for name, times in names_at(provider).items():
            assert times <= len(entries[name]), f"{name}: {times} calls, {entries[name]}"
    kinds = Counter(check(each, sorted(entries[name], key=attempt_of)) for name, each in told.items())
    # The points were random: some of each kind there is.
    assert min(kinds[kind] for kind in ("complete", "estimated", "none", "nothing")) > STREAMS / 100, kinds


def attempt_of(row: Row) -> int:
    return int(row["attempt"])


def check(told: Told, rows: list[Row]) -> str:
    """Holds the entries of a completion against what its caller saw; gives the kind of its end."""
    if not rows:
        assert (told.characters, told.complete) == (0, False)
        return "nothing"
    assert [row["attempt"] for row in rows] == list(range(1, len(rows) + 1))
    assert len({row["completion_id"] for row in rows}) == 1
    last = rows[-1]
    assert {row["outcome"] for row in rows[:-1]} <= {"failed"}
    assert "abandoned" not in {row["outcome"] for row in rows}
    if told.complete:
        assert last["outcome"] == "complete"
    if last["outcome"] == "complete":
        assert (last["usage_source"], last["failure_class"]) == ("provider", "")
        return "complete"
    for row in rows:
        assert (row["failure_class"] != "") is (row["outcome"] == "failed")
        assert (row["cost_nano_usd"] > 0) is (row["usage_source"] != "none")
    seen_by_provider = sum(row["output_tokens"] for row in rows) * CHARACTERS_PER_TOKEN
    assert told.characters <= seen_by_provider, "what a caller was sent is paid for"
    assert last["usage_source"] in ("none", "estimated", "provider")
    return str(last["usage_source"])
