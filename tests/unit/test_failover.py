"""Attempts one after another: what is tried, what the caller gets of it, and what it is told in the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.chat import JsonFormat
from muxer_grpc.domain.completion import AttemptSwitched, ReasoningDelta, TextDelta, ToolCallDelta
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.resilience.attempts import AttemptRules
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.resilience.retry_budget import RetryBudget
from muxer_grpc.domain.routing.policy import StreamRecovery
from muxer_grpc.pipeline.failover import USUAL_REST
from tests.unit.chained import ONE, Chain, Stage, continued_text, failing, saying
from tests.unit.domain.fleet_of import candidate
from tests.unit.test_routing import asked

TIMEOUT, OVERLOAD = FailureClass.TIMEOUT, FailureClass.OVERLOAD


async def test_an_answer_at_once_is_passed_on_as_it_comes() -> None:
    chain = Chain(Stage({"a/one": [saying("Hel", "lo")]}))
    assert await chain.run() == [TextDelta("Hel"), TextDelta("lo")]
    assert chain.stage.asked == ["a/one"]


async def test_a_failure_before_the_first_piece_is_made_good_without_a_mark() -> None:
    chain = Chain(Stage({"a/one": [[failing()], saying("Hello")]}))
    assert await chain.run() == [TextDelta("Hello")]
    assert chain.stage.asked == ["a/one", "a/one"]


async def test_a_cut_answer_begins_anew_and_what_was_sent_is_void() -> None:
    chain = Chain(Stage({"a/one": [[TextDelta("Hel"), failing()]], "b/two": [saying("Hello")]}))
    events = await chain.run()
    first, second = chain.switches
    assert (first.attempt, first.model, first.provider, first.safe_offset) == (2, "a/one", "a", 0)
    assert (second.attempt, second.model, second.failure_class) == (3, "b/two", FailureClass.TRANSIENT)
    assert events[-1] == TextDelta("Hello")
    assert chain.text == "Hello"


async def test_a_cut_answer_is_continued_where_asked_for_and_the_model_can() -> None:
    chain = Chain(
        Stage({"a/one": [[TextDelta("Hello "), TextDelta("wor "), failing(TIMEOUT)]], "b/two": [saying("ld")]}),
        recovery=StreamRecovery.CONTINUE,
    )
    events = await chain.run()
    assert events[2:] == [AttemptSwitched(2, "b/two", "b", TIMEOUT, len("Hello wor")), TextDelta("ld")]
    assert chain.text == "Hello world"
    # Without the blanks at its end, which vendors refuse.
    assert continued_text(chain.stage.requests[1]) == "Hello wor"


async def test_an_answer_that_is_cut_twice_is_continued_twice() -> None:
    plays = {
        "a/one": [[TextDelta("Hello "), failing(TIMEOUT)]],
        "b/two": [[TextDelta(" wo"), failing(TIMEOUT)]],
        "c/three": [saying("rld")],
    }
    chain = Chain(Stage(plays), recovery=StreamRecovery.CONTINUE)  # type: ignore[arg-type]
    await chain.run()
    assert [switch.safe_offset for switch in chain.switches] == [5, 8]
    assert [continued_text(request) for request in chain.stage.requests] == ["", "Hello", "Hello wo"]
    assert chain.text == "Hello world"


async def test_a_model_that_refuses_the_begun_answer_begins_it_anew() -> None:
    refused = failing(FailureClass.CALLER_FAULT, http_status=400)
    chain = Chain(
        Stage({"a/one": [[TextDelta("Hel"), failing(TIMEOUT)]], "b/two": [[refused], saying("Hello")]}),
        recovery=StreamRecovery.CONTINUE,
    )
    await chain.run()
    assert chain.stage.asked == ["a/one", "b/two", "b/two"]
    assert [continued_text(request) for request in chain.stage.requests] == ["", "Hel", ""]
    assert [switch.safe_offset for switch in chain.switches] == [3, 0]
    assert chain.text == "Hello"
    # The refusal spoke of the prefill, and hides neither the first failure nor the model's health.
    assert chain.chain.first_failure is not None
    assert chain.chain.first_failure.failure_class is TIMEOUT


async def test_a_refusal_of_the_request_itself_is_not_taken_for_one_of_the_prefill() -> None:
    chain = Chain(
        Stage({"a/one": [[TextDelta("Hel"), failing(TIMEOUT)]], "b/two": [[failing(FailureClass.CALLER_FAULT)]]}),
        recovery=StreamRecovery.CONTINUE,
    )
    with pytest.raises(ProviderFailure) as raised:
        await chain.run()
    assert chain.stage.asked == ["a/one", "b/two", "b/two"]
    assert raised.value.failure_class is TIMEOUT


async def test_a_model_without_the_feature_begins_anew() -> None:
    plain = candidate("b/two")
    chain = Chain(
        Stage({"a/one": [[TextDelta("Hel"), failing(TIMEOUT)]], "b/two": [saying("Hello")]}),
        candidates=(ONE, plain),
        recovery=StreamRecovery.CONTINUE,
    )
    await chain.run()
    assert [switch.safe_offset for switch in chain.switches] == [0]
    assert continued_text(chain.stage.requests[1]) == ""


@pytest.mark.parametrize(
    "piece", [ToolCallDelta(0, "id", "look", '{"x'), ReasoningDelta("hm")], ids=["tool call", "reasoning"]
)
async def test_what_is_not_text_alone_is_never_continued(piece: ToolCallDelta | ReasoningDelta) -> None:
    chain = Chain(
        Stage({"a/one": [[piece, TextDelta("Hel"), failing(TIMEOUT)]], "b/two": [saying("Hello")]}),
        recovery=StreamRecovery.CONTINUE,
    )
    await chain.run()
    assert [switch.safe_offset for switch in chain.switches] == [0]
    assert chain.text == "Hello"


async def test_an_answer_in_a_form_is_never_continued() -> None:
    chain = Chain(
        Stage({"a/one": [[TextDelta('{"a'), failing(TIMEOUT)]], "b/two": [saying("{}")]}),
        recovery=StreamRecovery.CONTINUE,
        conversation=replace(asked("hi"), response_format=JsonFormat()),
    )
    await chain.run()
    assert chain.text == "{}"


async def test_after_a_restart_of_what_could_not_be_continued_text_can_be() -> None:
    plays = {
        "a/one": [[ReasoningDelta("hm"), failing(TIMEOUT)]],
        "b/two": [[TextDelta("Hel"), failing(TIMEOUT)]],
        "c/three": [saying("lo")],
    }
    chain = Chain(Stage(plays), recovery=StreamRecovery.CONTINUE)  # type: ignore[arg-type]
    await chain.run()
    assert [switch.safe_offset for switch in chain.switches] == [0, 3]
    assert chain.text == "Hello"


async def test_a_stream_that_shall_fail_fails_once_a_piece_was_sent_and_not_before() -> None:
    chain = Chain(Stage({"a/one": [[failing()], [TextDelta("Hel"), failing(TIMEOUT)]]}), recovery=StreamRecovery.FAIL)
    with pytest.raises(ProviderFailure) as raised:
        await chain.run()
    assert raised.value.failure_class is FailureClass.TRANSIENT
    assert chain.stage.asked == ["a/one", "a/one"]
    assert chain.switches == []


async def test_a_unary_answer_is_rescued_whatever_a_stream_would_want() -> None:
    chain = Chain(
        Stage({"a/one": [[TextDelta("Hel"), failing(TIMEOUT)]], "b/two": [saying("Hello")]}),
        recovery=StreamRecovery.FAIL,
        stream=False,
    )
    await chain.run()
    assert chain.text == "Hello"


async def test_where_all_fail_the_first_failure_is_told() -> None:
    first = failing(FailureClass.QUOTA)
    chain = Chain(Stage({"a/one": [[first]], "b/two": [[failing(OVERLOAD)]], "c/three": [[failing(TIMEOUT)]]}))
    with pytest.raises(ProviderFailure) as raised:
        await chain.run()
    assert raised.value is first
    assert raised.value.retry_after_seconds is None
    failures = [attempt.failure for attempt in chain.chain.attempts]
    assert [f.failure_class.value for f in failures if f] == ["quota", "overload", "overload", "timeout"]


async def test_where_waiting_helps_the_caller_is_told_how_long() -> None:
    chain = Chain(Stage({"a/one": [[failing(OVERLOAD)]]}), candidates=(ONE,))
    with pytest.raises(ProviderFailure) as raised:
        await chain.run()
    assert raised.value.retry_after_seconds == USUAL_REST


async def test_where_no_breaker_lets_a_call_pass_nothing_is_called_and_the_wait_is_told() -> None:
    health = Health()
    health.failed(ONE.model, FailureClass.RATE_LIMIT, asyncio.get_running_loop().time(), retry_after_seconds=30.0)
    chain = Chain(Stage({}), candidates=(ONE,), health=health)
    with pytest.raises(ProviderFailure) as raised:
        await chain.run()
    assert chain.stage.asked == []
    assert raised.value.failure_class is OVERLOAD
    assert raised.value.retry_after_seconds is not None
    assert 29 < raised.value.retry_after_seconds <= 30


async def test_attempts_end_at_their_bound() -> None:
    chain = Chain(
        Stage({name: [[failing()]] for name in ("a/one", "b/two", "c/three")}),
        rules=AttemptRules(first_wait=0.0, most_attempts=3),
    )
    with pytest.raises(ProviderFailure):
        await chain.run()
    assert chain.stage.asked == ["a/one", "a/one", "b/two"]


async def test_without_a_retry_in_the_budget_the_same_model_is_not_asked_again() -> None:
    chain = Chain(Stage({"a/one": [[failing()]], "b/two": [saying("Hello")]}), retries=RetryBudget(0.2, 0.0))
    await chain.run()
    assert chain.stage.asked == ["a/one", "b/two"]


async def test_a_failure_that_was_made_good_keeps_nothing_alive() -> None:
    """Its traceback would keep all that the attempt had read, until the collector comes by."""
    chain = Chain(Stage({"a/one": [[TextDelta("Hel"), failing(TIMEOUT)]], "b/two": [saying("Hello")]}))
    await chain.run()
    failure = chain.chain.attempts[0].failure
    assert failure is not None
    assert failure.__traceback__ is None


async def test_a_retry_is_taken_from_the_budget_and_a_fallback_is_not() -> None:
    retries = RetryBudget(0.001, 1.0)
    chain = Chain(Stage({"a/one": [[failing(TIMEOUT)]], "b/two": [saying("Hello")]}), retries=retries)
    await chain.run()
    assert retries.allows
    chain = Chain(Stage({"a/one": [[failing()], saying("Hello")]}), retries=retries)
    await chain.run()
    assert not retries.allows


# Money


async def test_the_costs_of_all_attempts_are_summed() -> None:
    chain = Chain(Stage({"a/one": [[TextDelta("x" * 40), failing(TIMEOUT)]], "b/two": [saying("Hello")]}))
    await chain.run()
    # Ten tokens in and ten out, estimated of what was cut; ten and five counted of what answered; 1,000 nano each.
    assert [attempt.cost().total_nano for attempt in chain.chain.attempts] == [20_000, 15_000]
    assert chain.chain.spent_nano_usd == 35_000


async def test_an_attempt_that_sent_nothing_costs_nothing() -> None:
    chain = Chain(Stage({"a/one": [[failing(OVERLOAD)]], "b/two": [saying("Hello")]}))
    await chain.run()
    assert [attempt.cost().total_nano for attempt in chain.chain.attempts] == [0, 0, 15_000]


async def test_a_further_attempt_may_write_what_is_left_of_the_promise_pays() -> None:
    asked_of: list[tuple[str, int]] = []

    def bound(model: Model, spent: int) -> int | None:
        asked_of.append((model.name, spent))
        return 1_000 if not spent else (None if model.name == "b/two" else 77)

    chain = Chain(
        Stage({"a/one": [[TextDelta("x" * 40), failing(TIMEOUT)]], "c/three": [saying("Hello")]}), bound=bound
    )
    await chain.run()
    assert chain.stage.asked == ["a/one", "c/three"]
    assert [request.max_output_tokens for request in chain.stage.requests] == [1_000, 77]
    assert ("c/three", 20_000) in asked_of


async def test_where_nothing_is_left_to_pay_with_it_ends() -> None:
    chain = Chain(
        Stage({"a/one": [[TextDelta("x"), failing(TIMEOUT)]]}), bound=lambda _model, spent: None if spent else 1_000
    )
    with pytest.raises(ProviderFailure) as raised:
        await chain.run()
    assert raised.value.failure_class is TIMEOUT


async def test_what_continues_an_answer_may_write_what_is_left_of_its_bound() -> None:
    chain = Chain(
        Stage({"a/one": [[TextDelta("x" * 400), failing(TIMEOUT)]], "b/two": [saying("y")]}),
        recovery=StreamRecovery.CONTINUE,
        bound=lambda _model, _spent: 150,
    )
    await chain.run()
    assert [request.max_output_tokens for request in chain.stage.requests] == [150, 50]


# How a vendor is asked


@pytest.mark.parametrize(("tokens", "stream"), [(100, False), (5_000, True)], ids=["a short answer", "a long answer"])
async def test_a_unary_answer_that_may_take_long_is_asked_for_as_a_stream(tokens: int, stream: bool) -> None:
    """A vendor's unary endpoint is silent until all is there: no timer could tell a long answer from none."""
    chain = Chain(Stage({"a/one": [saying("Hello")]}), stream=False, bound=lambda _model, _spent: tokens)
    await chain.run()
    assert chain.stage.requests[0].stream is stream


async def test_a_unary_answer_that_nobody_else_could_give_is_asked_for_whole() -> None:
    chain = Chain(
        Stage({"a/one": [saying("Hello")]}), candidates=(ONE,), stream=False, bound=lambda _model, _spent: 5_000
    )
    await chain.run()
    assert chain.stage.requests[0].stream is False
