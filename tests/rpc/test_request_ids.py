"""Request ids over real servers and real databases: one answer and one charge, however often it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc.aio
import pytest

from muxer_grpc.domain.completion import (
    ProviderEvent,
    ProviderRequest,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.storage import schema
from muxer_grpc.storage.database import Database
from tests.rpc.accounting import (
    CANARY,
    COST,
    accounting,
    answer,
    books_of,
    complete,
    refused,
    small,
    until,
)
from tests.rpc.service import PLAIN, play
from tests.storage.reckoning import rows_of


@pytest.mark.parametrize("first", ["Complete", "StreamComplete"])
@pytest.mark.parametrize("again", ["Complete", "StreamComplete"])
async def test_a_request_id_gives_the_same_answer_for_one_charge(postgresql_url: str, first: str, again: str) -> None:
    await same_answer(postgresql_url, first, again)


async def test_a_request_id_gives_the_same_answer_on_sqlite(database_url: str) -> None:
    await same_answer(database_url, "Complete", "StreamComplete")


async def same_answer(url: str, first: str, again: str) -> None:
    async with accounting(url) as service:
        one = await answer(service, first, small(request_id="r"))
        other = await answer(service, again, small(request_id="r"))
        assert len(service.acme.requests) == 1
    assert one == other
    assert one[1] == "Hello world"
    assert books_of(url).spent == COST


async def test_repeats_of_a_request_under_way_wait_for_its_answer(database_url: str) -> None:
    go = asyncio.Event()
    async with accounting(database_url, play(*PLAIN[:2], go, *PLAIN[2:])) as service:
        calls = [
            asyncio.ensure_future(answer(service, ("Complete", "StreamComplete")[number % 2], small(request_id="r")))
            for number in range(20)
        ]
        await until(lambda: bool(service.acme.open))
        assert not any(call.done() for call in calls)
        go.set()
        answers = await asyncio.gather(*calls)
        assert len(service.acme.requests) == 1
    assert len({each[2].completion_id for each in answers}) == 1
    assert {each[1] for each in answers} == {"Hello world"}
    assert len(books_of(database_url).entries) == 1


@pytest.mark.usefixtures("much_to_spare")
async def test_a_repeat_that_leaves_does_not_disturb_the_others(database_url: str) -> None:
    go = asyncio.Event()
    async with accounting(database_url, play(go, *PLAIN)) as service:
        first, other = (asyncio.ensure_future(complete(service, small(request_id="r"))) for _ in range(2))
        await until(lambda: bool(service.acme.open))
        error = await refused(service, small(request_id="r"), timeout=5)
        assert error.reason == "DEADLINE_EXCEEDED"
        assert (await refused(service, small("y", request_id="r"))).reason == "REQUEST_CONFLICT"
        go.set()
        assert await first == await other
        assert len(service.acme.requests) == 1


async def test_another_request_under_the_same_id_is_a_conflict(database_url: str) -> None:
    async with accounting(database_url) as service:
        await complete(service, small(request_id="r"))
        for other in (small("y", request_id="r"), small(request_id="r", stop=["."])):
            error = await refused(service, other)
            assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_CONFLICT")
            assert error.metadata == {"request_id": "r"}
    assert len(books_of(database_url).entries) == 1


async def test_two_processes_on_one_database_answer_a_request_once(database_url: str) -> None:
    go = asyncio.Event()
    script = play(go, *PLAIN)
    async with accounting(database_url, script) as one, accounting(database_url, script) as other:
        calls = [asyncio.ensure_future(answer(one, "Complete", small(request_id="r")))]
        await until(lambda: bool(one.acme.open))
        calls += [asyncio.ensure_future(answer(other, "StreamComplete", small(request_id="r"))) for _ in range(3)]
        await asyncio.sleep(0)
        go.set()
        answers = await asyncio.gather(*calls)
        assert (len(one.acme.requests), len(other.acme.requests)) == (1, 0)
    assert len({each[2].completion_id for each in answers}) == 1
    assert len(books_of(database_url).entries) == 1


async def test_a_restart_forgets_no_answer(database_url: str) -> None:
    async with accounting(database_url) as service:
        first = await answer(service, "Complete", small(request_id="r"))
    async with accounting(database_url) as service:
        assert await answer(service, "Complete", small(request_id="r")) == first
        assert service.acme.requests == []


async def test_after_a_first_try_that_failed_a_repeat_tries_again(database_url: str) -> None:
    failing = play(ProviderFailure(FailureClass.CALLER_FAULT, "bad"))
    async with accounting(database_url, failing) as service:
        assert (await refused(service, small(request_id="r"))).reason == "PROVIDER_REJECTED"
        service.acme.script = play(*PLAIN)
        summary = await complete(service, small(request_id="r"))
    outcomes = {row["completion_id"]: row["outcome"] for row in books_of(database_url).entries}
    assert outcomes[summary.completion_id] == "complete"
    assert sorted(outcomes.values()) == ["complete", "failed"]


async def test_repeats_that_wait_for_a_try_that_fails_try_one_after_another(database_url: str) -> None:
    go = asyncio.Event()
    tries = 0

    async def fails_once(request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        nonlocal tries
        tries += 1
        first = tries == 1
        await go.wait()
        if first:
            raise ProviderFailure(FailureClass.CALLER_FAULT, "bad")
        async with aclosing(play(*PLAIN)(request)) as told_events:
            async for event in told_events:
                yield event

    async with accounting(database_url, fails_once) as service:
        calls = [asyncio.ensure_future(complete(service, small(request_id="r"))) for _ in range(10)]
        await until(lambda: bool(service.acme.open))
        go.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(each, grpc.aio.AioRpcError) for each in results) == 1
    assert len({each.completion_id for each in results if not isinstance(each, BaseException)}) == 1
    assert tries == 2
    assert sorted(row["outcome"] for row in books_of(database_url).entries) == ["complete", "failed"]


async def test_an_answer_whose_time_is_over_is_forgotten(database_url: str) -> None:
    async with accounting(database_url, request_id_seconds=0) as service:
        await complete(service, small(request_id="r"))
        await complete(service, small(request_id="r"))
        assert len(service.acme.requests) == 2
    assert len(books_of(database_url).entries) == 2


async def test_what_is_kept_of_an_answer_can_be_read_by_nobody_who_has_the_database_alone(database_url: str) -> None:
    async with accounting(database_url) as service:
        await complete(service, small(CANARY, request_id="r"))
    [row] = rows_of(Database(database_url), schema.idempotent_requests)
    assert row["answer"]
    assert b"Hello" not in row["answer"]
    assert CANARY.encode() not in row["answer"]
