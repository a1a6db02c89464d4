"""A second attempt beside a first one that is slow to begin: the first to answer wins, and both are paid for."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest
from muxer.v1 import completion_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.domain.completion import ProviderRequest
from muxer_grpc.pipeline.completion_run import CompletionRun
from muxer_grpc.settings import Settings
from muxer_grpc.settings_resilience import ResilienceSettings
from tests.rpc.service import PLAIN, Script, Service, play, running, spec, told

SLOW = "acme/small"


def hedged(prompt: str = "What is 2+2?") -> muxer_service_pb2.StreamCompleteRequest:
    policy = routing_pb2.RoutingPolicy(hedge=True, strategy="cost", allowed_providers=["acme"])
    return muxer_service_pb2.StreamCompleteRequest(spec=spec(prompt, routing=policy))


def slow_first(never: asyncio.Event) -> Script:
    """Plays a provider whose cheapest model never begins, and whose others answer."""

    def script(request: ProviderRequest):  # type: ignore[no-untyped-def]
        return (play(never, *PLAIN) if request.model.name == SLOW else play(*PLAIN))(request)

    return script


async def summary_of(
    service: Service, request: muxer_service_pb2.StreamCompleteRequest
) -> completion_pb2.CompletionSummary:
    events = [event async for event in service.stub.StreamComplete(request, timeout=30)]
    assert [event.WhichOneof("event") for event in events] == ["decision", "text_delta", "text_delta", "summary"]
    return events[-1].summary


async def test_a_slow_first_attempt_is_overtaken_and_ended_and_both_are_told() -> None:
    never = asyncio.Event()
    async with running(slow_first(never)) as service:
        summary = await summary_of(service, hedged())
        assert service.acme.open == 0
    assert summary.outcome == completion_pb2.OUTCOME_COMPLETE
    assert summary.selected_model != SLOW
    told = {attempt.model: attempt.outcome for attempt in summary.attempts}
    assert told == {SLOW: completion_pb2.OUTCOME_CANCELLED, summary.selected_model: completion_pb2.OUTCOME_COMPLETE}


async def test_a_first_attempt_that_begins_before_the_second_one_is_answered_in_full_and_both_are_told() -> None:
    begins, never = asyncio.Event(), asyncio.Event()

    def script(request: ProviderRequest):  # type: ignore[no-untyped-def]
        return (play(begins, *PLAIN) if request.model.name == SLOW else play(never, *PLAIN))(request)

    async with running(script) as service:
        summing = asyncio.ensure_future(summary_of(service, hedged()))
        while service.acme.open < 2:
            await asyncio.sleep(0.01)
        begins.set()
        summary = await summing
        assert service.acme.open == 0
    assert summary.outcome == completion_pb2.OUTCOME_COMPLETE
    assert summary.selected_model == SLOW
    [first, second] = summary.attempts
    assert (first.model, first.outcome) == (SLOW, completion_pb2.OUTCOME_COMPLETE)
    assert second.outcome == completion_pb2.OUTCOME_CANCELLED


async def test_a_first_attempt_that_begins_in_time_stays_alone() -> None:
    async with running() as service:
        summary = await summary_of(service, hedged())
    assert [attempt.model for attempt in summary.attempts] == [SLOW]


async def test_without_asking_for_it_nobody_is_hedged() -> None:
    never = asyncio.Event()
    async with running(slow_first(never)) as service:
        request = hedged()
        request.spec.routing.hedge = False
        call = service.stub.StreamComplete(request, timeout=30)
        reading = asyncio.ensure_future(call.read())
        while not service.acme.requests:
            await asyncio.sleep(0.01)
        done, _ = await asyncio.wait({reading}, timeout=2)
        assert not done
        assert [asked.model.name for asked in service.acme.requests] == [SLOW]
        call.cancel()


async def test_with_a_share_of_none_nobody_is_hedged_who_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompletionRun, "_hedge_after", lambda _run: 0.0)
    begins = asyncio.Event()
    settings = Settings(resilience=ResilienceSettings(hedge_share=0.0))
    async with running(slow_first(begins), settings=settings) as service:
        summing = asyncio.ensure_future(summary_of(service, hedged()))
        while not service.acme.requests:
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.1, begins.set)
        summary = await summing
    assert [attempt.model for attempt in summary.attempts] == [SLOW]


@pytest.mark.parametrize("broken", [KeyError("secret"), asyncio.CancelledError()], ids=["defect", "stray cancellation"])
async def test_an_attempt_that_breaks_loses_to_one_that_answers(broken: BaseException) -> None:
    breaks = asyncio.Event()

    async def breaking(_request: ProviderRequest):  # type: ignore[no-untyped-def]
        await breaks.wait()
        raise broken
        yield PLAIN[0]

    def script(request: ProviderRequest):  # type: ignore[no-untyped-def]
        return breaking(request) if request.model.name == SLOW else play(breaks, *PLAIN)(request)

    async with running(script) as service:
        asking = asyncio.create_task(summary_of(service, hedged()))
        while service.acme.open < 2:
            await asyncio.sleep(0.001)
        breaks.set()
        summary = await asking
    assert summary.outcome == completion_pb2.OUTCOME_COMPLETE
    assert summary.selected_model != SLOW


async def test_two_attempts_that_break_are_told_as_a_defect_and_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    breaks = asyncio.Event()

    async def script(_request: ProviderRequest):  # type: ignore[no-untyped-def]
        await breaks.wait()
        raise KeyError("secret")
        yield PLAIN[0]

    async with running(script) as service:
        asking = asyncio.create_task(summary_of(service, hedged()))
        while service.acme.open < 2:
            await asyncio.sleep(0.001)
        breaks.set()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await asking
    assert told(raised.value).reason == "INTERNAL"
    assert "secret" not in str(raised.value.details())
    assert "incident" in caplog.text


async def test_a_caller_who_leaves_ends_both_attempts() -> None:
    never = asyncio.Event()
    async with running(play(never, *PLAIN)) as service:
        call = service.stub.StreamComplete(hedged(), timeout=30)
        reading = asyncio.ensure_future(call.read())
        while service.acme.open < 2:
            await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait({reading})
        async with asyncio.timeout(10):
            while service.acme.open:
                await asyncio.sleep(0.01)
