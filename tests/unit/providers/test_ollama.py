"""What is Ollama's own: no silent loss of the prompt, tools by name, JSON lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.chat import (
    ImagePart,
    Message,
    ReasoningEffort,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from muxer_grpc.domain.completion import FinishReason, ProviderRequest
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import UsageSource
from muxer_grpc.providers.ollama import ADAPTER, request_body
from muxer_grpc.providers.registry import Connection
from tests.contracts.cases import PLAIN, USER, Heard, heard, model_of, opened, request_of, with_fields
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider


def written(model: str = "llama3.2", **wishes: Any) -> dict[str, Any]:
    described = model_of("ollama", model, features=frozenset(Feature))
    body = json.loads(request_body(ProviderRequest(with_fields(**wishes), described, 500), "ollama"))
    assert isinstance(body, dict)
    return body


async def answer_to(fake: FakeProvider, *lines: dict[str, Any] | bytes, stream: bool = True) -> Heard:
    """Lets the server say these lines, and hears them."""
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines]
    fake.script("m1", Play(body=b"".join(raw), content_type="application/x-ndjson"))
    async with opened("ollama", fake.url) as provider:
        return await heard(provider, request_of("ollama", stream=stream))


def said(text: str = "", **message: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": text, **message}, "done": False}


DONE = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}


# Requests


def test_a_prompt_over_the_servers_context_is_refused_instead_of_cut() -> None:
    body = written()
    assert (body["truncate"], body["shift"]) == (False, False)


@pytest.mark.parametrize(
    ("model", "effort", "think"),
    [
        ("qwen3:8b", ReasoningEffort.HIGH, True),
        ("qwen3:8b", ReasoningEffort.MINIMAL, False),
        ("gpt-oss:20b", ReasoningEffort.HIGH, "high"),
        ("gpt-oss:20b", ReasoningEffort.MINIMAL, "low"),
        ("somebody/gpt-oss:20b", ReasoningEffort.MEDIUM, "medium"),
    ],
)
def test_thinking_is_asked_for_as_the_family_takes_it(model: str, effort: ReasoningEffort, think: bool | str) -> None:
    assert written(model, reasoning_effort=effort)["think"] == think


def test_thinking_is_left_to_the_model_unless_asked_for() -> None:
    assert "think" not in written("qwen3:8b")


def test_a_result_names_the_tool_that_its_call_named() -> None:
    calls = Message(Role.ASSISTANT, (ToolCallPart("a", "look"), ToolCallPart("b", "hear")))
    results = Message(Role.TOOL, (ToolResultPart("b", "loud"), ToolResultPart("a", "blue"), ToolResultPart("c", "?")))
    messages = written(messages=(USER, calls, results))["messages"]
    assert [(m["content"], m.get("tool_name")) for m in messages[2:]] == [
        ("loud", "hear"),
        ("blue", "look"),
        ("?", None),
    ]


def test_an_id_that_is_used_twice_names_the_nearest_call_before_the_result() -> None:
    turns = [
        Message(Role.ASSISTANT, (ToolCallPart("call_0", "look"),)),
        Message(Role.TOOL, (ToolResultPart("call_0", "blue"),)),
        Message(Role.ASSISTANT, (ToolCallPart("call_0", "hear"),)),
        Message(Role.TOOL, (ToolResultPart("call_0", "loud"),)),
    ]
    messages = written(messages=(USER, *turns))["messages"]
    assert [m["tool_name"] for m in messages if m["role"] == "tool"] == ["look", "hear"]


def test_a_models_own_thinking_goes_back_and_that_of_another_vendor_stays_out() -> None:
    parts = (ReasoningPart("mine"), ReasoningPart("theirs", "proof"), TextPart("x"))
    assert written(messages=(USER, Message(Role.ASSISTANT, parts)))["messages"][1] == {
        "role": "assistant",
        "content": "x",
        "thinking": "mine",
    }


def test_a_refusal_goes_back_as_the_content_that_it_was() -> None:
    refused = Message(Role.ASSISTANT, (RefusalPart("no"),))
    assert written(messages=(USER, refused))["messages"][1]["content"] == "no"


def test_a_callers_options_are_joined_and_do_not_replace_the_bound_on_the_output() -> None:
    options = {"options": {"num_ctx": 8192, "num_predict": -1}, "keep_alive": "1h", "stream": True}
    body = written(vendor_options={"ollama": options})
    assert body["options"] == {"num_ctx": 8192, "num_predict": 500}
    assert body["keep_alive"] == "1h"


def test_a_picture_by_address_is_the_callers_fault() -> None:
    with pytest.raises(ProviderFailure) as raised:
        written(messages=(Message(Role.USER, (ImagePart(url="https://a.example/b.png"),)),))
    assert raised.value.failure_class is FailureClass.CALLER_FAULT


# Replies


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        ({}, FinishReason.STOP),
        ({"done_reason": "length"}, FinishReason.LENGTH),
        ({"done_reason": None}, FinishReason.STOP),
    ],
)
async def test_the_reason_of_the_end_is_translated(done: dict[str, Any], reason: FinishReason) -> None:
    async with fake_provider() as fake:
        answer = await answer_to(fake, said("x"), {**DONE, **done})
    assert (answer.text, answer.finish.reason) == ("x", reason)


async def test_counts_come_from_the_last_line() -> None:
    async with fake_provider() as fake:
        answer = await answer_to(fake, said("x"), {**DONE, "prompt_eval_count": 26, "eval_count": 298})
    usage = answer.usage
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (26, 298, UsageSource.PROVIDER)


async def test_a_call_cut_by_the_length_limit_ended_for_length() -> None:
    call = {"function": {"name": "look", "arguments": {"x": 1}}}
    async with fake_provider() as fake:
        answer = await answer_to(fake, said(tool_calls=[call]), {**DONE, "done_reason": "length"})
    assert answer.finish.reason is FinishReason.LENGTH


async def test_a_call_without_an_id_gets_one_that_no_other_answer_gives() -> None:
    call = {"function": {"name": "look", "arguments": {}}}
    async with fake_provider() as fake:
        found = [(await answer_to(fake, said(tool_calls=[call, call]), DONE)).calls for _ in range(2)]
    ids = [call_id for calls in found for call_id, _, _ in calls]
    assert len(set(ids)) == 4


async def test_a_call_keeps_the_id_that_the_server_gave() -> None:
    call = {"id": "call_xyz", "function": {"name": "look", "arguments": {"city": "Bern"}}}
    async with fake_provider() as fake:
        answer = await answer_to(fake, said(tool_calls=[call]), DONE)
    assert answer.calls == [("call_xyz", "look", '{"city":"Bern"}')]


@pytest.mark.parametrize(
    ("text", "failure_class"),
    [
        ("llama runner process no longer running", FailureClass.TRANSIENT),
        ("the prompt is longer than the context length currently available", FailureClass.CONTEXT_LENGTH),
        ("model 'm1' not found, try pulling it first", FailureClass.MODEL_GONE),
    ],
)
async def test_an_error_in_the_middle_is_classified_by_its_text(text: str, failure_class: FailureClass) -> None:
    async with fake_provider() as fake:
        with pytest.raises(ProviderFailure) as raised:
            await answer_to(fake, said("Well"), {"error": text})
    assert raised.value.failure_class is failure_class


async def test_an_answer_that_is_never_done_was_cut() -> None:
    async with fake_provider() as fake:
        with pytest.raises(ProviderFailure) as raised:
            await answer_to(fake, said("Well"), said(", yes"))
    assert raised.value.failure_class is FailureClass.TRANSIENT


@pytest.mark.parametrize(
    "line",
    [
        b'{"message": {"content"\n',
        b'["no", "object"]\n',
        b'{"message": "no object"}\n',
        b'{"message": {"tool_calls": [{"id": "a"}]}}\n',
    ],
    ids=["broken", "an array", "a message that is text", "a call without a function"],
)
async def test_a_line_of_another_shape_is_a_broken_protocol(line: bytes) -> None:
    async with fake_provider() as fake:
        with pytest.raises(ProviderFailure) as raised:
            await answer_to(fake, said("Well"), line, DONE)
    assert raised.value.failure_class is FailureClass.PROTOCOL


async def test_the_last_line_needs_no_end() -> None:
    async with fake_provider() as fake:
        answer = await answer_to(fake, said("x"), b"\n", json.dumps(DONE).encode())
    assert answer.text == "x"


async def test_a_server_without_a_key_gets_no_authorization() -> None:
    async with fake_provider() as fake:
        provider = ADAPTER.build(Connection("ollama", fake.url))
        try:
            await heard(provider, request_of("ollama", PLAIN, stream=False))
        finally:
            await provider.aclose()
    assert "authorization" not in fake.last.headers


async def test_thinking_and_text_of_one_read_stay_apart() -> None:
    async with fake_provider() as fake:
        answer = await answer_to(fake, said(thinking="hm"), said("a", thinking="…"), said("b"), DONE)
    assert (answer.reasoning, answer.text) == ("hm…", "ab")
