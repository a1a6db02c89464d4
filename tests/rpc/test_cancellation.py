"""Cancelled calls leave no task, no open generator and no connection, in the process itself."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncGenerator

import pytest

from muxer_grpc.bootstrap import assemble
from muxer_grpc.domain.catalogue import Catalogue, ProviderEntry, Tier
from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.completion import Summary
from muxer_grpc.domain.figures import FiguresQuery
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.providers.registry import Connection, adapters
from tests.fakes.answers import of_tokens
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider
from tests.rpc.service import model

REQUEST = CompletionRequest(Conversation((Message(Role.USER, (TextPart("hi"),)),)))


@pytest.fixture
async def fake() -> AsyncGenerator[FakeProvider, None]:
    async with fake_provider(record=False) as running:
        yield running


async def test_runs_closed_at_random_points_leave_nothing_open(fake: FakeProvider) -> None:
    fake.script("small", Play(of_tokens(40), pause=0.0005))
    provider = adapters()["compatible"].build(Connection("acme", fake.url))
    entry = ProviderEntry("acme", configured=True)
    catalogue = Catalogue.of([model("acme/small", Tier.ECONOMY)], [entry], version="f", price_book_version="p")
    app = assemble(catalogue, {"acme": provider})
    chance = random.Random(7)
    before = len(asyncio.all_tasks())

    async def leave_after(events_wanted: int, pause: float) -> None:
        limit = TimeLimit(asyncio.get_running_loop().time() + 30)
        run = app.pipeline.run(REQUEST, limit)
        try:
            async with asyncio.timeout(pause):
                async for _ in run:
                    events_wanted -= 1
                    if not events_wanted:
                        break
        except TimeoutError:
            pass
        finally:
            await run.aclose()

    for _ in range(20):
        await asyncio.gather(*(leave_after(chance.randint(1, 30), chance.random() * 0.03) for _ in range(50)))
    assert app.figures.in_flight == 0
    assert app.figures.total(FiguresQuery()).requests == 1_000
    await provider.aclose()
    await fake.wait_until_idle()
    assert len(asyncio.all_tasks()) == before
    gc.collect()
    open_generators = [
        each
        for each in gc.get_objects()
        if type(each).__name__ == "async_generator" and each.ag_frame is not None and "muxer" in str(each.ag_code)
    ]
    assert open_generators == []


async def test_a_completion_that_is_left_is_counted_once_as_cancelled(fake: FakeProvider) -> None:
    fake.script("small", Play(stall_after=3, stall=60))
    provider = adapters()["compatible"].build(Connection("acme", fake.url))
    entry = ProviderEntry("acme", configured=True)
    catalogue = Catalogue.of([model("acme/small", Tier.ECONOMY)], [entry], version="f", price_book_version="p")
    app = assemble(catalogue, {"acme": provider})
    run = app.pipeline.run(REQUEST, TimeLimit(asyncio.get_running_loop().time() + 30))
    events = [await anext(run), await anext(run)]
    await run.aclose()
    await run.aclose()
    assert not any(isinstance(event, Summary) for event in events)
    total = app.figures.total(FiguresQuery())
    assert (total.requests, total.cancelled) == (1, 1)
    await provider.aclose()
