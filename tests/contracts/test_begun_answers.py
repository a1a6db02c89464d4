"""A conversation that ends with a begun answer: vendors are asked in their own ways, and what comes is the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.chat import Conversation, Message, ReasoningEffort, Role, TextPart, ToolCallPart, ToolResultPart
from muxer_grpc.domain.ports import Provider
from muxer_grpc.providers.model_rows import load_rows
from tests.contracts.cases import USER, Case, heard, opened, request_of
from tests.fakes.answers import PLAIN
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider


def begun(text: str) -> Conversation:
    return Conversation((USER, Message(Role.ASSISTANT, (TextPart(text),))))


LENGTHS = pytest.mark.parametrize("length", [1, 3, 4, 8])


@LENGTHS
async def test_what_comes_is_what_follows_the_begun_answer(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool, length: int
) -> None:
    said = PLAIN.text[:length]
    answer = await heard(provider, request_of(case.name, begun(said), stream=stream))
    assert said + answer.text == PLAIN.text


@LENGTHS
async def test_where_the_vendor_sends_the_begun_answer_again_it_is_taken_out(
    fake: FakeProvider, stream: bool, length: int
) -> None:
    fake.script("m1", Play(echoes=True))
    said = PLAIN.text[:length]
    async with opened("mistral", fake.url) as provider:
        answer = await heard(provider, request_of("mistral", begun(said), stream=stream))
    assert said + answer.text == PLAIN.text


async def test_an_answer_that_begins_like_an_echo_and_is_none_is_kept_whole(fake: FakeProvider, stream: bool) -> None:
    for said in ("Hello there, ", "Hel-", PLAIN.text + "!"):
        fake.script("m1", Play(echoes=True))
        async with opened("mistral", fake.url) as provider:
            answer = await heard(provider, request_of("mistral", begun(said), stream=stream))
        assert answer.text == PLAIN.text


async def test_the_begun_answer_is_marked_where_its_vendor_wants_it_marked(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    await heard(provider, request_of(case.name, begun("Hel"), stream=False))
    last = fake.last.body["messages"][-1]
    assert last["role"] == "assistant"
    assert last.get("prefix") == (True if case.name == "mistral" else None)
    assert all("prefix" not in message for message in fake.last.body["messages"][:-1])


async def test_an_answer_amid_the_conversation_is_not_marked(fake: FakeProvider) -> None:
    conversation = Conversation((USER, Message(Role.ASSISTANT, (TextPart("Hello"),)), USER))
    async with opened("mistral", fake.url) as provider:
        answer = await heard(provider, request_of("mistral", conversation, stream=False))
    assert all("prefix" not in message for message in fake.last.body["messages"])
    assert answer.text == PLAIN.text


async def test_an_answer_that_calls_tools_is_not_begun(fake: FakeProvider) -> None:
    call = Message(Role.ASSISTANT, (TextPart("Looking."), ToolCallPart("c", "look", "{}")))
    conversation = Conversation((USER, call, Message(Role.TOOL, (ToolResultPart("c", "nothing"),))))
    for messages in (conversation.messages, conversation.messages[:2]):
        async with opened("mistral", fake.url) as provider:
            await heard(provider, request_of("mistral", replace(conversation, messages=messages), stream=False))
        assert all("prefix" not in message for message in fake.last.body["messages"])


async def test_anthropic_gets_no_blanks_at_the_end_and_no_wish_to_think(fake: FakeProvider) -> None:
    conversation = replace(begun("Hello \n"), reasoning_effort=ReasoningEffort.HIGH)
    features = frozenset({Feature.REASONING})
    async with opened("anthropic", fake.url) as provider:
        request = request_of("anthropic", conversation, stream=False, model="claude-opus-4-5", features=features)
        await heard(provider, replace(request, max_output_tokens=8_000))
        assert fake.last.body["messages"][-1]["content"] == [{"type": "text", "text": "Hello"}]
        assert "thinking" not in fake.last.body
        # Without the begun answer it does think.
        plain = replace(request, conversation=replace(conversation, messages=(USER,)), max_output_tokens=8_000)
        await heard(provider, plain)
        assert "thinking" in fake.last.body


def test_only_models_whose_vendors_say_so_continue_an_answer() -> None:
    """Anthropic's up to 4.5 (400 since 4.6), and Mistral's that do not reason."""
    able = {
        name: {row.name for row in load_rows(name) if Feature.PREFILL in row.features}
        for name in ("openai", "anthropic", "mistral", "xai", "ollama", "sandbox")
    }
    assert able.pop("anthropic") == {"claude-opus-4-5", "claude-haiku-4-5", "claude-3-sonnet", "claude-3-haiku"}
    mistral = able.pop("mistral")
    assert mistral
    assert all((row.name in mistral) is (Feature.REASONING not in row.features) for row in load_rows("mistral"))
    assert not any(able.values())
