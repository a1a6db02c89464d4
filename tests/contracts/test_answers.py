"""What comes out of each provider for each kind of answer: the same events, unary and stream."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest

from muxer_grpc.domain.chat import Conversation, ImagePart, Message, Role
from muxer_grpc.domain.completion import FinishReason, ModelReported, ReasoningDelta, TextDelta
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import UsageSource
from muxer_grpc.domain.ports import Provider
from muxer_grpc.providers.registry import Timeouts, adapters
from tests.contracts.cases import CASES, QUICK, SIMULATED, Case, heard, opened, request_of
from tests.fakes import answers
from tests.fakes.dialects import OLLAMA
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider


def test_every_adapter_is_under_contract() -> None:
    assert set(adapters()) == set(CASES) | SIMULATED
    assert {name for name, adapter in adapters().items() if adapter.simulated} == SIMULATED


@pytest.mark.parametrize("name", sorted(SIMULATED))
async def test_a_simulated_provider_keeps_the_same_order_of_events(name: str, stream: bool) -> None:
    async with opened(name, "") as provider:
        answer = await heard(provider, request_of(name, stream=stream))
        assert (await provider.probe()).ok
    assert answer.text
    assert answer.finish.reason is FinishReason.STOP
    assert len(answer.reported_models) == 1


async def test_a_plain_answer(case: Case, provider: Provider, stream: bool) -> None:
    answer = await heard(provider, request_of(case.name, stream=stream))
    assert answer.text == answers.PLAIN.text
    assert (answer.finish.reason, answer.usage.source) == (FinishReason.STOP, UsageSource.PROVIDER)


async def test_the_model_that_answered_is_reported_first(case: Case, provider: Provider, stream: bool) -> None:
    answer = await heard(provider, request_of(case.name, stream=stream))
    assert answer.reported_models == ["m1-001"]
    assert isinstance(answer.events[0], ModelReported)


SAID = {
    "plain": answers.PLAIN,
    "reasoning": answers.WITH_REASONING,
    "refused": answers.REFUSED,
    "cut by length": answers.CUT_BY_LENGTH,
    "filtered": answers.FILTERED,
    "a call": answers.WITH_CALL,
    "two calls": answers.WITH_TWO_CALLS,
    "JSON": answers.JSON_ANSWER,
    "a cache filled": answers.Answer(counts=answers.Counts(fresh_input=10, cached_input=0, cache_write=90)),
}


@pytest.mark.parametrize("kind", SAID)
async def test_an_answer_is_the_same_whole_and_streamed(
    case: Case, fake: FakeProvider, provider: Provider, kind: str
) -> None:
    fake.script("m1", Play(SAID[kind]))
    whole = await heard(provider, request_of(case.name, stream=False))
    streamed = await heard(provider, request_of(case.name, stream=True))
    assert (whole.text, whole.reasoning, whole.refusal) == (streamed.text, streamed.reasoning, streamed.refusal)
    assert (whole.usage, whole.finish) == (streamed.usage, streamed.finish)
    assert [(name, json.loads(arguments)) for _, name, arguments in whole.calls] == [
        (name, json.loads(arguments)) for _, name, arguments in streamed.calls
    ]


async def test_usage_is_split_into_kinds_that_do_not_overlap(case: Case, provider: Provider, stream: bool) -> None:
    usage = (await heard(provider, request_of(case.name, stream=stream))).usage
    assert usage.all_input_tokens == 100
    assert usage.all_output_tokens == 20
    assert usage.cached_input_tokens == (30 if case.counts_cached else 0)
    assert usage.reasoning_tokens == (8 if case.counts_reasoning else 0)


async def test_xai_counts_reasoning_beside_the_completion(fake: FakeProvider) -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 115,
        "completion_tokens_details": {"reasoning_tokens": 100},
    }
    choice = {"message": {"content": "x"}, "finish_reason": "stop"}
    fake.script("m1", Play(body=json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()))
    async with opened("xai", fake.url) as provider:
        counted = (await heard(provider, request_of("xai", stream=False))).usage
    assert (counted.output_tokens, counted.reasoning_tokens) == (5, 100)


async def test_reasoning_comes_before_the_text(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool
) -> None:
    fake.script("m1", Play(answers.WITH_REASONING))
    answer = await heard(provider, request_of(case.name, stream=stream))
    kinds = [type(e) for e in answer.events if isinstance(e, ReasoningDelta | TextDelta)]
    assert (answer.reasoning, answer.text) == ("Let me think.", answers.PLAIN.text)
    assert kinds == sorted(kinds, key=[ReasoningDelta, TextDelta].index)
    if case.name == "anthropic":
        assert "proof-1" in [e.signature for e in answer.events if isinstance(e, ReasoningDelta)]


@pytest.mark.parametrize("said", [answers.WITH_CALL, answers.WITH_TWO_CALLS], ids=["one call", "parallel calls"])
async def test_tool_calls(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool, said: answers.Answer
) -> None:
    fake.script("m1", Play(said))
    answer = await heard(provider, request_of(case.name, stream=stream))
    assert answer.finish.reason is FinishReason.TOOL_CALLS
    assert [(name, json.loads(arguments)) for _, name, arguments in answer.calls] == [
        (call.name, json.loads(call.arguments)) for call in said.calls
    ]
    ids = [call_id for call_id, _, _ in answer.calls]
    assert len(set(ids)) == len(ids)
    if case.name != "ollama":
        assert ids == [call.id for call in said.calls]


async def test_json_answers(case: Case, fake: FakeProvider, provider: Provider, stream: bool) -> None:
    fake.script("m1", Play(answers.JSON_ANSWER))
    answer = await heard(provider, request_of(case.name, stream=stream))
    assert json.loads(answer.text) == {"name": "Ada", "age": 36}


async def test_a_refusal_is_told_apart(case: Case, fake: FakeProvider, provider: Provider, stream: bool) -> None:
    fake.script("m1", Play(answers.REFUSED))
    answer = await heard(provider, request_of(case.name, stream=stream))
    assert answers.REFUSED.refusal in (answer.refusal, answer.text)
    assert answer.finish.reason is case.refusal


async def test_the_length_limit_is_told(case: Case, fake: FakeProvider, provider: Provider, stream: bool) -> None:
    fake.script("m1", Play(answers.CUT_BY_LENGTH))
    assert (await heard(provider, request_of(case.name, stream=stream))).finish.reason is FinishReason.LENGTH


async def test_a_filtered_answer_is_told(fake: FakeProvider, stream: bool) -> None:
    fake.script("m1", Play(answers.FILTERED))
    async with opened("openai", fake.url) as provider:
        answer = await heard(provider, request_of("openai", stream=stream))
    assert (answer.text, answer.finish.reason) == ("Well", FinishReason.CONTENT_FILTER)


SHAPES = {
    "CRLF line ends": Play(crlf=True),
    "comments, ids and retry times": Play(comments=True),
    "data over several lines": Play(multi_line=True),
    "no end mark": Play(no_end=True),
    "events one by one": Play(pause=0.001),
    "one byte at a time": Play(trickle=0.0001),
}


# JSON lines know neither comments nor data lines, and have no end mark beside their last line.
OF_EVENTS_ONLY = {"comments, ids and retry times", "data over several lines", "no end mark"}


@pytest.mark.parametrize(
    ("case", "shape"),
    [
        pytest.param(case, shape, id=f"{case.name}-{shape}")
        for case in CASES.values()
        for shape in SHAPES
        if case.dialect is not OLLAMA or shape not in OF_EVENTS_ONLY
    ],
)
async def test_a_stream_of_any_lawful_shape_gives_the_same_answer(
    case: Case, fake: FakeProvider, provider: Provider, shape: str
) -> None:
    fake.script("m1", SHAPES[shape])
    answer = await heard(provider, request_of(case.name, stream=True))
    assert (answer.text, answer.finish.reason) == (answers.PLAIN.text, FinishReason.STOP)


async def test_deltas_that_are_ready_together_come_as_one(case: Case, fake: FakeProvider, provider: Provider) -> None:
    fake.script("m1", Play(answers.of_tokens(200)))
    answer = await heard(provider, request_of(case.name, stream=True))
    assert answer.text == answers.of_tokens(200).text
    assert sum(isinstance(event, TextDelta) for event in answer.events) < 20


async def test_a_stream_that_is_answered_whole_is_an_answer(case: Case, fake: FakeProvider, provider: Provider) -> None:
    fake.script("m1", Play(body=case.dialect.whole(answers.PLAIN, "m1")))
    assert (await heard(provider, request_of(case.name, stream=True))).text == answers.PLAIN.text


async def test_an_answer_without_counts_is_estimated_and_says_so(fake: FakeProvider) -> None:
    choice = {"message": {"content": "x" * 40}, "finish_reason": "stop"}
    fake.script("m1", Play(body=json.dumps({"model": "m", "choices": [choice]}).encode()))
    async with opened("compatible", fake.url) as provider:
        usage = (await heard(provider, request_of("compatible", stream=False))).usage
    assert (usage.source, usage.output_tokens) == (UsageSource.ESTIMATED, 10)


async def test_leaving_a_stream_closes_its_connection(case: Case, fake: FakeProvider, provider: Provider) -> None:
    fake.script("m1", Play(stall_after=3, stall=60.0))
    async with aclosing(provider.stream(request_of(case.name, stream=True))) as events:
        await anext(events)
        assert fake.open_connections == 1
    await fake.wait_until_idle()


async def test_cancelling_a_call_closes_its_connection(case: Case, fake: FakeProvider, provider: Provider) -> None:
    fake.script("m1", Play(silent=True))
    call = asyncio.create_task(heard(provider, request_of(case.name, stream=False)))
    await fake.wait_until_called()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await fake.wait_until_idle()


async def test_cancelling_a_stream_half_way_closes_its_connection(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    fake.script("m1", Play(stall_after=3, stall=60.0))
    began = asyncio.Event()

    async def listen() -> None:
        async with aclosing(provider.stream(request_of(case.name, stream=True))) as events:
            async for _ in events:
                began.set()

    call = asyncio.create_task(listen())
    async with asyncio.timeout(5):
        await began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await fake.wait_until_idle()


async def test_a_connection_is_used_again_after_an_answer(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool
) -> None:
    for _ in range(5):
        await heard(provider, request_of(case.name, stream=stream))
    assert fake.open_connections == 1


async def test_closing_a_provider_closes_its_connections(case: Case, fake: FakeProvider, provider: Provider) -> None:
    await heard(provider, request_of(case.name, stream=False))
    await provider.aclose()
    await fake.wait_until_idle()


async def test_a_probe_lists_the_models(case: Case, fake: FakeProvider, provider: Provider) -> None:
    probed = await provider.probe()
    assert (probed.ok, probed.models) == (True, fake.models)
    assert probed.latency_seconds > 0


PROBE_FAULTS: dict[str, tuple[Play, FailureClass]] = {
    "a wrong key": (Play(error="credential"), FailureClass.CREDENTIAL),
    "a server error": (Play(error="server_error"), FailureClass.TRANSIENT),
    "overload": (Play(error="overloaded"), FailureClass.OVERLOAD),
    "a reset": (Play(reset=True), FailureClass.TRANSIENT),
    "silence": (Play(silent=True), FailureClass.TIMEOUT),
    "a redirect": (Play(status=302, body=b"", headers=(("location", "http://127.0.0.1:1/"),)), FailureClass.PROTOCOL),
    "a page": (Play(body=b"<html>hi</html>", content_type="text/html"), FailureClass.PROTOCOL),
    "no list": (Play(body=b"[]"), FailureClass.PROTOCOL),
    "a list that is null": (Play(body=b'{"data":null,"models":null}'), FailureClass.PROTOCOL),
    "a cut": (Play(cut_at=20), FailureClass.TRANSIENT),
}


@pytest.mark.parametrize("fault", PROBE_FAULTS)
async def test_a_probe_tells_what_is_wrong_and_raises_nothing(case: Case, fake: FakeProvider, fault: str) -> None:
    fake.probes, expected = PROBE_FAULTS[fault]
    quick = Timeouts(connect=1, pool=1, first_byte=0.3, gap=1)
    async with opened(case.name, fake.url, quick if fake.probes.silent else QUICK) as provider:
        probed = await provider.probe()
    assert (probed.ok, probed.models, probed.failure_class) == (False, (), expected)


async def test_a_probe_of_nobody_tells_so_and_raises_nothing(case: Case) -> None:
    async with opened(case.name, "http://127.0.0.1:1") as provider:
        probed = await provider.probe()
    assert (probed.ok, probed.failure_class) == (False, FailureClass.TRANSIENT)


async def test_a_url_picture_is_the_callers_fault_where_the_vendor_takes_none(fake: FakeProvider) -> None:
    picture = Message(Role.USER, (ImagePart(url="https://a.example/b.png"),))
    async with opened("ollama", fake.url) as provider:
        with pytest.raises(ProviderFailure) as raised:
            await heard(provider, request_of("ollama", Conversation((picture,)), stream=False))
    assert raised.value.failure_class is FailureClass.CALLER_FAULT
    assert fake.received == []
