"""Answers that are kept, from one end to the other: who gets them, what they cost, and what is never kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import grpc.aio
import pytest
from muxer.v1 import chat_pb2, completion_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.bootstrap import new_id
from muxer_grpc.bootstrap_cache import open_cache
from muxer_grpc.bootstrap_storage import open_storage
from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.settings import Settings
from muxer_grpc.settings_cache import CacheSettings
from muxer_grpc.settings_resilience import BreakerSettings, ResilienceSettings
from muxer_grpc.settings_storage import StorageSettings
from tests.rpc.accounting import COST, answer, books_of, complete, events, give, small
from tests.rpc.service import PLAIN, Script, Service, play, running, told
from tests.services import shared
from tests.services.server import Session
from tests.storage.records import budget

ONE_ATTEMPT = ResilienceSettings(max_attempts=1, breaker=BreakerSettings(enabled=False))
OFF = chat_pb2.CachePolicy(mode=chat_pb2.CACHE_MODE_OFF)
REFRESH = chat_pb2.CachePolicy(mode=chat_pb2.CACHE_MODE_REFRESH)


@asynccontextmanager
async def caching(script: Script | None = None, url: str = "", **changes: object) -> AsyncGenerator[Service, None]:
    """Runs a service with a cache in memory, and with accounts where a database is given."""
    settings = Settings(
        cache=CacheSettings(enabled=True, **changes),  # type: ignore[arg-type]
        resilience=ONE_ATTEMPT,
        **({"storage": StorageSettings(url=url)} if url else {}),  # type: ignore[arg-type]
    )
    async with open_cache(settings) as answers:
        if not url:
            async with running(script, settings=settings, answers=answers) as service:
                yield service
            return
        async with (
            open_storage(settings, new_id()) as storage,
            running(script, settings=settings, storage=storage, answers=answers) as service,
        ):
            yield service


def calls_of(service: Service) -> int:
    return len(service.acme.requests)


METHODS = ("Complete", "StreamComplete")


@pytest.mark.parametrize("first", METHODS)
@pytest.mark.parametrize("second", METHODS)
async def test_the_same_request_is_answered_once_and_told_again_whichever_way_it_is_asked(
    first: str, second: str
) -> None:
    async with caching() as service:
        made = await answer(service, first, small())
        again = await answer(service, second, small())
        assert calls_of(service) == 1
    assert not made[2].cache_hit
    assert again[1] == made[1] == "Hello world"
    assert again[0] == made[0]
    summary = again[2]
    assert (summary.cache_hit, summary.saved_nano_usd, summary.cost.total_nano_usd) == (True, COST, 0)
    assert (summary.completion_id, summary.decision_id) == (made[2].completion_id, made[2].decision_id)
    assert (summary.selected_model, summary.reported_model) == ("acme/small", "vendor-model-1")
    assert (summary.outcome, list(summary.attempts)) == (completion_pb2.OUTCOME_COMPLETE, [])
    assert 0 < summary.duration.ToNanoseconds() < made[2].duration.ToNanoseconds() + 10**9


async def test_reasoning_and_tool_calls_come_again_as_they_were() -> None:
    script = play(
        ReasoningDelta("hm", ""),
        ReasoningDelta(" yes", "proof"),
        TextDelta("Let me look"),
        ToolCallDelta(0, "id-1", "look", '{"a":'),
        ToolCallDelta(0, "", "", "1}"),
        ToolCallDelta(1, "id-2", "look", "{}"),
        UsageReported(Usage(input_tokens=100, output_tokens=20, source=UsageSource.PROVIDER)),
        Finished(FinishReason.TOOL_CALLS, "tool_calls"),
    )
    tool = chat_pb2.Tool(name="look", parameters_schema_json='{"type":"object"}')
    asked = small(tools=[tool])
    async with caching(script) as service:
        made = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked))
        again = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked))
        streamed = await events(service, asked)
        assert calls_of(service) == 1
    assert again.message == made.message
    assert len(made.message.parts) == 4
    kinds = [event.WhichOneof("event") for event in streamed]
    assert kinds == ["decision", "reasoning_delta", "text_delta", "tool_call_delta", "tool_call_delta", "summary"]
    assert [event.tool_call_delta.index for event in streamed if event.HasField("tool_call_delta")] == [0, 1]


LENGTH: tuple[ProviderEvent, ...] = (TextDelta("Hello"), Finished(FinishReason.LENGTH, "length"))
FILTERED: tuple[ProviderEvent, ...] = (TextDelta("Hello"), Finished(FinishReason.CONTENT_FILTER, "filter"))
CUT = (TextDelta("Hello"), ProviderFailure(FailureClass.TRANSIENT, "cut"))


@pytest.mark.parametrize("steps", [LENGTH, FILTERED, CUT], ids=["length", "filtered", "cut"])
@pytest.mark.parametrize("method", METHODS)
async def test_what_is_not_whole_is_not_kept(steps: tuple[ProviderEvent | Exception, ...], method: str) -> None:
    async with caching(play(*steps)) as service:
        for _ in range(2):
            try:
                await answer(service, method, small())
            except grpc.aio.AioRpcError as error:
                assert steps is CUT, error
        service.acme.script = play(*PLAIN)
        assert not (await complete(service, small())).cache_hit
        assert (await complete(service, small())).cache_hit
        assert calls_of(service) == 3


async def test_requests_that_differ_in_anything_that_counts_are_answered_apart() -> None:
    others = [
        small("y"),
        small(sampling=chat_pb2.Sampling(temperature=0.5)),
        small(stop=["."]),
        small(routing=routing_pb2.RoutingPolicy(strategy="cost")),
        small(stream_recovery=chat_pb2.STREAM_RECOVERY_FAIL),
    ]
    async with caching() as service:
        await complete(service, small())
        for other in others:
            assert not (await complete(service, other)).cache_hit, other
        for same in (small(labels={"team": "red"}), small(cache=chat_pb2.CachePolicy())):
            assert (await complete(service, same)).cache_hit, same


async def test_a_caller_may_opt_out_and_ask_for_a_fresh_answer() -> None:
    async with caching() as service:
        first = await complete(service, small())
        assert not (await complete(service, small(cache=OFF))).cache_hit
        assert (await complete(service, small())).completion_id == first.completion_id
        fresh = await complete(service, small(cache=REFRESH))
        assert not fresh.cache_hit
        assert (await complete(service, small())).completion_id == fresh.completion_id


async def test_a_request_id_and_a_decision_that_is_taken_up_read_no_cache(database_url: str) -> None:
    async with caching(url=database_url) as service:
        first = await complete(service, small())
        named = await complete(service, small(request_id="r-1"))
        assert not named.cache_hit
        # The same id gives the same answer, with its account.
        assert await complete(service, small(request_id="r-1")) == named
        decision = (await service.stub.Route(muxer_service_pb2.RouteRequest(spec=small()))).decision
        request = muxer_service_pb2.CompleteRequest(spec=small(), decision_id=decision.decision_id)
        taken = (await service.stub.Complete(request)).summary
        assert (taken.cache_hit, taken.decision_id) == (False, decision.decision_id)
        assert first.completion_id != named.completion_id
        assert calls_of(service) == 3


async def test_a_hit_leaves_no_entry_and_takes_nothing_from_a_budget_that_is_used_up(database_url: str) -> None:
    async with caching(url=database_url) as service:
        await complete(service, small())
        await give(database_url, budget(1))
        assert (await complete(service, small())).cache_hit
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await complete(service, small("y"))
        assert told(raised.value).reason == "BUDGET_EXCEEDED"
        assert len(books_of(database_url).entries) == 1


async def test_equal_requests_at_once_are_one_call_and_one_charge(database_url: str) -> None:
    going_on = asyncio.Event()
    async with caching(play(PLAIN[0], PLAIN[1], going_on, *PLAIN[2:]), url=database_url) as service:
        asking = [asyncio.create_task(answer(service, METHODS[n % 2], small())) for n in range(30)]
        while not calls_of(service):
            await asyncio.sleep(0.005)
        going_on.set()
        said = await asyncio.gather(*asking)
        assert calls_of(service) == 1
        assert len(books_of(database_url).entries) == 1
    assert {text for _, text, _ in said} == {"Hello world"}
    assert Counter(summary.cache_hit for _, _, summary in said) == {False: 1, True: 29}
    assert sum(summary.cost.total_nano_usd for _, _, summary in said) == COST


@pytest.mark.parametrize("method", METHODS)
async def test_when_the_first_caller_leaves_another_takes_over(method: str) -> None:
    going_on = asyncio.Event()
    async with caching(play(PLAIN[0], PLAIN[1], going_on, *PLAIN[2:])) as service:
        first = asyncio.create_task(answer(service, method, small()))
        while calls_of(service) < 1:
            await asyncio.sleep(0.005)
        others = [asyncio.create_task(answer(service, method, small())) for _ in range(5)]
        while service.calls.under_way < 6:
            await asyncio.sleep(0.005)
        first.cancel()
        while calls_of(service) < 2:
            await asyncio.sleep(0.005)
        going_on.set()
        said = await asyncio.gather(*others)
        assert calls_of(service) == 2
    assert Counter(summary.cache_hit for _, _, summary in said) == {False: 1, True: 4}


@pytest.mark.parametrize("method", METHODS)
async def test_what_the_first_caller_paid_for_is_given_to_others_also_when_it_leaves_before_it_is_booked(
    method: str, services: Session, tmp_path: Path
) -> None:
    going_on = asyncio.Event()
    url = shared.migrated_sqlite(services, tmp_path / "muxer.db")
    async with caching(play(PLAIN[0], PLAIN[1], going_on, *PLAIN[2:]), url=url) as service:
        first = asyncio.create_task(answer(service, method, small()))
        while calls_of(service) < 1:
            await asyncio.sleep(0.005)
        other = asyncio.create_task(answer(service, method, small()))
        while service.calls.under_way < 2:
            await asyncio.sleep(0.005)
        with closing(sqlite3.connect(tmp_path / "muxer.db", isolation_level=None, check_same_thread=False)) as busy:
            await asyncio.to_thread(busy.execute, "BEGIN IMMEDIATE")
            going_on.set()
            while service.acme.open:
                await asyncio.sleep(0.005)
            assert not first.done()
            first.cancel()
            _, text, summary = await other
        assert calls_of(service) == 1
    assert (text, summary.cache_hit) == ("Hello world", True)
    assert len(books_of(url).entries) == 1


async def test_when_the_first_fails_one_of_those_who_wait_goes_on() -> None:
    going_on = asyncio.Event()
    failing = play(going_on, ProviderFailure(FailureClass.TRANSIENT, "down"))
    async with caching(failing) as service:
        first = asyncio.create_task(complete(service, small()))
        while calls_of(service) < 1:
            await asyncio.sleep(0.005)
        others = [asyncio.create_task(complete(service, small())) for _ in range(5)]
        while service.calls.under_way < 6:
            await asyncio.sleep(0.005)
        service.acme.script = play(*PLAIN)
        going_on.set()
        with pytest.raises(grpc.aio.AioRpcError):
            await first
        said = await asyncio.gather(*others)
        assert calls_of(service) == 2
    assert Counter(summary.cache_hit for summary in said) == {False: 1, True: 4}


async def test_a_request_that_is_refused_before_it_is_answered_keeps_nobody_waiting() -> None:
    nobody = small(routing=routing_pb2.RoutingPolicy(max_cost_nano_usd=0))
    async with caching() as service:
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await complete(service, nobody, timeout=30)
            assert told(raised.value).reason == "NO_ELIGIBLE_MODEL"


async def test_a_kept_answer_is_given_while_every_provider_is_down() -> None:
    async with caching() as service:
        await complete(service, small())
        service.acme.script = play(ProviderFailure(FailureClass.TRANSIENT, "down"))
        assert (await complete(service, small())).cache_hit


WRONG = {
    "an unknown mode": (chat_pb2.CachePolicy(mode=9), "spec.cache.mode"),  # type: ignore[arg-type]
    "no time": ({"ttl": {}}, "spec.cache.ttl"),
    "a time before": ({"ttl": {"seconds": -1}}, "spec.cache.ttl"),
    "too long a time": ({"ttl": {"seconds": 30 * 86_400, "nanos": 1}}, "spec.cache.ttl"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wish_that_cannot_be_met_is_refused(case: str) -> None:
    policy, field = WRONG[case]
    async with caching() as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await complete(service, small(cache=policy))
    assert list(told(raised.value).fields) == [field]
