"""A real server that keeps accounts in a real database, and how tests call it and read its books."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc.aio
import pytest
from muxer.v1 import chat_pb2, completion_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.bootstrap import new_id
from muxer_grpc.bootstrap_storage import open_storage
from muxer_grpc.domain.budgeting import Budget
from muxer_grpc.domain.tenancy import LOCAL, Credentials, Principal, TenantPolicy
from muxer_grpc.rpc.gates import Guards
from muxer_grpc.settings import Settings
from muxer_grpc.settings_storage import StorageSettings
from muxer_grpc.storage.database import Database
from tests.rpc.service import Script, Service, Told, running, spec, told
from tests.storage.reckoning import Books, differences, read_books
from tests.storage.records import add_budget

CANARY = "the prompt that nobody may read"
# 100 tokens in and 20 out at 0.1 and 0.2 USD per million.
COST = 100 * 100 + 20 * 200


class Someone:
    """Takes whoever calls for one principal."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def authenticate(self, _credentials: Credentials, _now: float) -> Principal:
        return self._principal


@asynccontextmanager
async def accounting(
    url: str,
    script: Script | None = None,
    *,
    policy: TenantPolicy | None = None,
    base: Settings | None = None,
    **changes: object,
) -> AsyncGenerator[Service, None]:
    """Runs a service that keeps accounts in a database, for callers of a tenant with a policy."""
    storage = StorageSettings(url=url, **changes)  # type: ignore[arg-type]
    settings = (base or Settings()).model_copy(update={"storage": storage})
    guards = None if policy is None else Guards(identity=Someone(replace(LOCAL, policy=policy)))
    async with (
        open_storage(settings, new_id()) as opened,
        running(script, settings=settings, storage=opened, guards=guards) as service,
    ):
        yield service


def small(text: str = "x", **changes: object) -> chat_pb2.CompletionSpec:
    return spec(text, requested_model="acme/small", max_output_tokens=100, **changes)


async def complete(
    service: Service, asked: chat_pb2.CompletionSpec, **options: object
) -> completion_pb2.CompletionSummary:
    reply = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked), **options)  # type: ignore[arg-type]
    return reply.summary


async def refused(service: Service, asked: chat_pb2.CompletionSpec, **options: object) -> Told:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await complete(service, asked, **options)
    return told(raised.value)


async def events(service: Service, asked: chat_pb2.CompletionSpec) -> list[muxer_service_pb2.StreamCompleteResponse]:
    call = service.stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=asked))
    return [event async for event in call]


async def give(url: str, made: Budget) -> Budget:
    database = Database(url)
    try:
        return await add_budget(database, made)
    finally:
        await database.aclose()


def books_of(url: str) -> Books:
    books = read_books(Database(url))
    assert differences(books) == []
    return books


async def until(holds: Callable[[], bool]) -> None:
    """Waits for what must come; that it never does is for the test's time limit to tell."""
    while not await asyncio.to_thread(holds):
        await asyncio.sleep(0.01)


async def answer(
    service: Service, method: str, asked: chat_pb2.CompletionSpec
) -> tuple[routing_pb2.RouteDecision, str, completion_pb2.CompletionSummary]:
    """Gives decision, text and summary, whichever method told them."""
    if method == "Complete":
        whole = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked))
        return whole.decision, "".join(part.text for part in whole.message.parts), whole.summary
    told_events = await events(service, asked)
    text = "".join(event.text_delta.text for event in told_events)
    return told_events[0].decision, text, told_events[-1].summary
