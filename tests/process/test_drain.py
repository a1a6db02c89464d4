"""A drain under many open streams: each hears how it ended, and what it cost is booked, before the process is gone."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import grpc.aio
import pytest
from muxer.v1 import completion_pb2, muxer_service_pb2, muxer_service_pb2_grpc

from muxer_grpc.storage.database import Database
from tests.fakes.provider import fake_provider
from tests.process.replicas import variables
from tests.process.running import muxer
from tests.rpc.service import spec, told
from tests.storage.reckoning import differences, read_books

STREAMS = 200
# Silent after 20 tokens, never a first token, and one byte after the other.
MODELS = ("stall-20", "stall-0", "trickle-20")
GRACE_SECONDS = 8


class Listener:
    """Reads a stream to its end."""

    def __init__(self, stub: muxer_service_pb2_grpc.MuxerServiceAsyncStub, model: str) -> None:
        asked = spec("x", requested_model=f"fake/{model}")
        self.model = model
        self.events: list[muxer_service_pb2.StreamCompleteResponse] = []
        self.begun = asyncio.Event()
        self.reason = ""
        self._stream = stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=asked))

    async def listen(self) -> None:
        try:
            async for event in self._stream:
                self.events.append(event)
                self.begun.set()
        except grpc.aio.AioRpcError as error:
            self.reason = told(error).reason

    @property
    def summary(self) -> completion_pb2.CompletionSummary:
        """Gives the summary, which is the last event and the only one of its kind."""
        assert [event.WhichOneof("event") == "summary" for event in self.events].count(True) == 1
        assert self.events[-1].WhichOneof("event") == "summary"
        return self.events[-1].summary


@pytest.mark.slow
async def test_two_hundred_open_streams_all_end_with_a_summary_and_a_settled_account(
    tmp_path: Path, database_url: str
) -> None:
    grace = {"MUXER_SERVER__DRAIN_GRACE_SECONDS": str(GRACE_SECONDS)}
    async with fake_provider() as fake:
        options = variables(database_url, f"{fake.url}/v1", *MODELS, **grace)
        async with muxer(tmp_path, **options) as service, grpc.aio.insecure_channel(service.target) as channel:
            stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
            listeners = [Listener(stub, MODELS[number % len(MODELS)]) for number in range(STREAMS)]
            listening = [asyncio.create_task(each.listen()) for each in listeners]
            # Whatever the model: the provider is at work on all of them, and those that say something have begun to.
            await fake.wait_until_called(STREAMS, seconds=60)
            await asyncio.gather(*(each.begun.wait() for each in listeners if each.model == "stall-20"))
            service.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*listening)
            assert await service.process.wait() == 0
            log = service.log.read_text()
    assert "Traceback" not in log
    assert {each.reason for each in listeners} == {"DRAINING"}
    assert {each.summary.outcome for each in listeners} == {completion_pb2.OUTCOME_FAILED}
    # Each was ended at once, and not by its own account.
    books = await asyncio.to_thread(lambda: read_books(Database(database_url)))
    assert differences(books) == []
    assert books.reservations == []
    costs = {each.summary.completion_id: each.summary.cost.total_nano_usd for each in listeners}
    assert len(costs) == STREAMS
    booked: Counter[str] = Counter()
    for row in books.entries:
        booked[row["completion_id"]] += row["cost_nano_usd"]
    assert dict(booked) == costs
    spoke = [each for each in listeners if each.model == "stall-20"]
    assert all(each.summary.usage.output_tokens > 0 and each.summary.cost.total_nano_usd > 0 for each in spoke)
