"""Attempts in time: silence, waits, deadlines, and the breakers that remember across completions."""

from __future__ import annotations

import asyncio

import pytest

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.completion import TextDelta
from muxer_grpc.domain.errors import DeadlineExceeded, FailureClass
from muxer_grpc.domain.resilience.attempts import AttemptRules
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.resilience.health import Health
from tests.unit.chained import ONE, Chain, Stage, Step, failing, saying

TIMEOUT = FailureClass.TIMEOUT


async def test_a_model_that_stays_silent_is_left_for_another() -> None:
    rules = AttemptRules(first_wait=0.0, first_token_seconds=0.01)
    chain = Chain(Stage({"a/one": [[asyncio.Event()]], "b/two": [saying("Hello")]}), rules=rules)
    await chain.run()
    assert chain.stage.asked == ["a/one", "b/two"]
    assert chain.chain.attempts[0].failure is not None
    assert chain.chain.attempts[0].failure.failure_class is TIMEOUT
    assert chain.stage.open == 0


async def test_a_model_that_falls_silent_is_left_for_another() -> None:
    rules = AttemptRules(first_wait=0.0, first_token_seconds=60.0, gap_seconds=0.01)
    play: list[Step] = [TextDelta("Hel"), asyncio.Event()]
    chain = Chain(Stage({"a/one": [play], "b/two": [saying("Hello")]}), rules=rules)
    await chain.run()
    assert [switch.failure_class for switch in chain.switches] == [TIMEOUT]
    assert chain.text == "Hello"


async def test_a_slow_caller_is_no_silence_of_the_provider() -> None:
    """How long the caller takes is longer than the provider may be silent; its own silence after that is short."""
    rules = AttemptRules(first_wait=0.0, first_token_seconds=60.0, gap_seconds=2)
    short_silence = asyncio.Event()
    chain = Chain(Stage({"a/one": [[TextDelta("Hel"), short_silence, TextDelta("lo"), *saying()]]}), rules=rules)
    events = []
    async for event in chain.chain.deltas(chain.limit):
        events.append(event)
        if event == TextDelta("Hel"):
            await asyncio.sleep(2.2)
            asyncio.get_running_loop().call_later(0.12, short_silence.set)
    chain.limit.close()
    assert events == [TextDelta("Hel"), TextDelta("lo")]


async def test_where_no_other_could_step_in_silence_is_waited_for() -> None:
    rules = AttemptRules(first_wait=0.0, first_token_seconds=0.01)
    late = asyncio.Event()
    chain = Chain(Stage({"a/one": [[late, *saying("Hello")]]}), candidates=(ONE,), rules=rules)
    asyncio.get_running_loop().call_later(0.05, late.set)
    await chain.run()
    assert chain.text == "Hello"


async def test_the_deadline_ends_it_amid_an_attempt_and_the_attempt_is_closed() -> None:
    chain = Chain(Stage({"a/one": [[TextDelta("Hel"), asyncio.Event()]]}), candidates=(ONE,), seconds=0.02)
    with pytest.raises(DeadlineExceeded):
        await chain.run()
    assert chain.stage.open == 0


async def half_open(model: Model) -> Health:
    """Gives a health in which the next call of a model is its probe."""
    health = Health()
    health.failed(model, FailureClass.RATE_LIMIT, asyncio.get_running_loop().time() - 5.0)
    return health


async def test_a_caller_that_leaves_amid_an_attempt_gives_the_probe_back() -> None:
    health = await half_open(ONE.model)
    chain = Chain(Stage({"a/one": [[TextDelta("Hel"), asyncio.Event()]]}), candidates=(ONE,), health=health)
    task = asyncio.create_task(chain.run())
    while not chain.events:
        await asyncio.sleep(0)
    assert not health.admits(ONE.model, asyncio.get_running_loop().time())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert health.admits(ONE.model, asyncio.get_running_loop().time())
    assert chain.stage.open == 0


async def test_a_caller_that_leaves_during_a_wait_gives_the_probe_back() -> None:
    health = Health()
    limited = failing(FailureClass.RATE_LIMIT, retry_after_seconds=600.0)
    chain = Chain(Stage({"a/one": [[limited]]}), candidates=(ONE,), health=health)
    task = asyncio.create_task(chain.run())
    while not health.resting(asyncio.get_running_loop().time()):
        await asyncio.sleep(0)
    later = asyncio.get_running_loop().time() + 601.0
    # The retry is promised the probe.
    assert not health.admits(ONE.model, later)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert health.admits(ONE.model, later)


async def test_a_caller_that_leaves_after_the_end_of_an_answer_gives_the_probe_back() -> None:
    """The line may stay open after the end: the provider has said all, and the attempt is not over."""
    health = await half_open(ONE.model)
    play: list[Step] = [*saying("Hello"), asyncio.Event()]
    chain = Chain(Stage({"a/one": [play]}), candidates=(ONE,), health=health)
    task = asyncio.create_task(chain.run())
    while not chain.chain.attempts or chain.chain.attempts[0].finished is None:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert health.admits(ONE.model, asyncio.get_running_loop().time())


async def test_a_retry_that_waits_is_not_made_once_the_breaker_has_opened() -> None:
    health = Health()
    rules = AttemptRules(first_wait=0.05)
    chain = Chain(Stage({"a/one": [[failing()]], "b/two": [saying("Hello")]}), health=health, rules=rules)
    task = asyncio.create_task(chain.run())
    while not health.of_models(["a/one"], 0.0)[0].consecutive_failures:
        await asyncio.sleep(0)
    for _ in range(2):
        health.failed(ONE.model, FailureClass.TRANSIENT, asyncio.get_running_loop().time() + 0.001)
    await task
    assert chain.stage.asked == ["a/one", "b/two"]


async def test_a_success_closes_the_breaker() -> None:
    health = await half_open(ONE.model)
    chain = Chain(Stage({"a/one": [saying("Hello")]}), candidates=(ONE,), health=health)
    await chain.run()
    assert health.of_models(["a/one"], asyncio.get_running_loop().time())[0].state is BreakerState.CLOSED


async def test_failures_open_the_breaker_for_completions_to_come() -> None:
    health = Health()
    for _ in range(2):
        chain = Chain(Stage({"a/one": [[failing()]], "b/two": [saying("Hello")]}), health=health)
        await chain.run()
    chain = Chain(Stage({"b/two": [saying("Hello")]}), health=health)
    await chain.run()
    assert chain.stage.asked == ["b/two"]
