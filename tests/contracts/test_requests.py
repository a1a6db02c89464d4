"""What each provider is sent: the whole conversation and every wish, in the vendor's own words."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.chat import (
    Conversation,
    ImageDetail,
    ImagePart,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    ReasoningEffort,
    ReasoningPart,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolChoiceMode,
    ToolResultPart,
)
from muxer_grpc.domain.ports import Provider
from muxer_grpc.providers.registry import adapters
from tests.contracts.cases import CASES, USER, Case, heard, opened, request_of, with_fields
from tests.fakes.provider import FakeProvider

SCHEMA = '{"type":"object","properties":{"age":{"type":"integer","minimum":1}},"required":["age"]}'
TOOLS = (Tool("look", "Looks.", SCHEMA, strict=True), Tool("hear"))
PIXEL = b"\x89PNG"


async def sent(
    fake: FakeProvider, provider: Provider, case: Case, conversation: Conversation, **changes: Any
) -> dict[str, Any]:
    await heard(provider, request_of(case.name, conversation, stream=False, **changes))
    return fake.last.body


async def test_the_call_goes_to_the_right_place_with_the_key(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool
) -> None:
    await heard(provider, request_of(case.name, stream=stream))
    header, value = case.key_header
    assert (fake.last.method, fake.last.path, fake.last.headers[header]) == ("POST", case.path, value)
    assert fake.last.headers["accept-encoding"] == "identity"
    body = fake.last.body
    assert body["model"] == "m1"
    assert body.get("stream", False) is stream


async def test_streams_ask_for_usage_where_the_vendor_must_be_asked(fake: FakeProvider) -> None:
    for name, asked in (("openai", True), ("xai", True), ("litellm", True), ("compatible", True), ("mistral", False)):
        async with opened(name, fake.url) as provider:
            await heard(provider, request_of(name, stream=True))
        assert ("stream_options" in fake.last.body) is asked


async def test_system_and_turns_keep_their_order(case: Case, fake: FakeProvider, provider: Provider) -> None:
    turns = (
        Message(Role.SYSTEM, (TextPart("Be brief."),)),
        USER,
        Message(Role.ASSISTANT, (TextPart("hello"),)),
        Message(Role.USER, (TextPart("more"),)),
    )
    body = await sent(fake, provider, case, Conversation(turns))
    if case.name == "anthropic":
        assert body["system"] == "Be brief."
        said = [(m["role"], m["content"][0]["text"]) for m in body["messages"]]
    else:
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        said = [(m["role"], m["content"]) for m in body["messages"][1:]]
    assert said == [("user", "hi"), ("assistant", "hello"), ("user", "more")]


async def test_a_picture_by_value(case: Case, fake: FakeProvider, provider: Provider) -> None:
    picture = ImagePart(PIXEL, media_type="image/png", detail=ImageDetail.HIGH)
    message = (await sent(fake, provider, case, Conversation((Message(Role.USER, (TextPart("see"), picture)),))))[
        "messages"
    ][0]
    encoded = base64.b64encode(PIXEL).decode()
    if case.name == "ollama":
        assert message == {"role": "user", "content": "see", "images": [encoded]}
    elif case.name == "anthropic":
        source = {"type": "base64", "media_type": "image/png", "data": encoded}
        assert message["content"] == [{"type": "text", "text": "see"}, {"type": "image", "source": source}]
    else:
        image = message["content"][1]["image_url"]
        assert image["url"] == f"data:image/png;base64,{encoded}"
        assert image.get("detail") == (None if case.name == "mistral" else "high")


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.name != "ollama"], ids=lambda c: c.name)
async def test_a_picture_by_address(case: Case, fake: FakeProvider, provider: Provider) -> None:
    url = "https://a.example/b.png"
    body = await sent(fake, provider, case, Conversation((Message(Role.USER, (ImagePart(url=url),)),)))
    part = body["messages"][0]["content"][0]
    assert part in (
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image", "source": {"type": "url", "url": url}},
    )


async def test_tools_are_described_with_their_schemas(case: Case, fake: FakeProvider, provider: Provider) -> None:
    tools = (await sent(fake, provider, case, with_fields(tools=TOOLS)))["tools"]
    if case.name == "anthropic":
        assert tools[0]["input_schema"] == json.loads(SCHEMA)
        assert tools[1]["input_schema"] == {"type": "object", "properties": {}}
        assert tools[0]["strict"] is True
    else:
        assert tools[0]["function"]["parameters"] == json.loads(SCHEMA)
        assert tools[0]["function"]["description"] == "Looks."
        assert (tools[0]["function"].get("strict") is True) == case.is_openai


CHOICES: dict[str, tuple[ToolChoice, dict[str, Any]]] = {
    "auto": (ToolChoice(), {"openai": None, "mistral": None, "anthropic": None}),
    "none": (
        ToolChoice(ToolChoiceMode.NONE),
        {"openai": "none", "mistral": "none", "anthropic": {"type": "none"}},
    ),
    "required": (
        ToolChoice(ToolChoiceMode.REQUIRED),
        {"openai": "required", "mistral": "any", "anthropic": {"type": "any"}},
    ),
    "named": (
        ToolChoice(ToolChoiceMode.TOOL, "hear"),
        {
            "openai": {"type": "function", "function": {"name": "hear"}},
            "mistral": {"type": "function", "function": {"name": "hear"}},
            "anthropic": {"type": "tool", "name": "hear"},
        },
    ),
}


@pytest.mark.parametrize("choice", CHOICES)
async def test_tool_choice(case: Case, fake: FakeProvider, provider: Provider, choice: str) -> None:
    wanted, expected = CHOICES[choice]
    body = await sent(fake, provider, case, with_fields(tools=TOOLS, tool_choice=wanted))
    if case.name == "ollama":
        assert ("tools" in body) is (choice != "none")
    else:
        assert body.get("tool_choice") == expected[case.name if case.name in expected else "openai"]


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.name != "ollama"], ids=lambda c: c.name)
async def test_parallel_calls_can_be_forbidden(case: Case, fake: FakeProvider, provider: Provider) -> None:
    body = await sent(fake, provider, case, with_fields(tools=TOOLS, tool_choice=ToolChoice(parallel=False)))
    if case.is_openai:
        assert body["parallel_tool_calls"] is False
    else:
        assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


async def test_a_tool_dialogue_goes_back_whole(case: Case, fake: FakeProvider, provider: Provider) -> None:
    turns = (
        USER,
        Message(
            Role.ASSISTANT,
            (
                ReasoningPart("hm", "proof"),
                TextPart("wait"),
                ToolCallPart("a", "look", '{"age": 1}'),
                ToolCallPart("b", "hear"),
            ),
        ),
        Message(Role.TOOL, (ToolResultPart("a", "blue"), ToolResultPart("b", "broken", is_error=True))),
    )
    messages = (await sent(fake, provider, case, Conversation(turns, tools=TOOLS)))["messages"]
    if case.name == "anthropic":
        assert [block["type"] for block in messages[1]["content"]] == ["thinking", "text", "tool_use", "tool_use"]
        assert messages[1]["content"][2]["input"] == {"age": 1}
        assert messages[2]["role"] == "user"
        assert [(b["tool_use_id"], b.get("is_error")) for b in messages[2]["content"]] == [("a", None), ("b", True)]
        return
    calls = [call["function"]["arguments"] for call in messages[1]["tool_calls"]]
    assert calls == ([{"age": 1}, {}] if case.name == "ollama" else ['{"age": 1}', "{}"])
    assert [m["role"] for m in messages[2:]] == ["tool", "tool"]
    assert [m["content"] for m in messages[2:]] == ["blue", "Error: broken"]
    if case.is_openai:
        assert [m["tool_call_id"] for m in messages[2:]] == ["a", "b"]


async def test_json_output(case: Case, fake: FakeProvider, provider: Provider) -> None:
    body = await sent(fake, provider, case, with_fields(response_format=JsonFormat()))
    if case.is_openai:
        assert body["response_format"] == {"type": "json_object"}
    elif case.name == "ollama":
        assert body["format"] == "json"
    else:
        assert "JSON" in body["system"]


async def test_json_schema_output(case: Case, fake: FakeProvider, provider: Provider) -> None:
    body = await sent(fake, provider, case, with_fields(response_format=JsonSchemaFormat(SCHEMA, "person")))
    schema = json.loads(SCHEMA)
    if case.is_openai:
        wanted = {"name": "person", "schema": schema, "strict": True}
        assert body["response_format"] == {"type": "json_schema", "json_schema": wanted}
    elif case.name == "ollama":
        assert body["format"] == schema
    else:
        assert body["output_config"]["format"] == {"type": "json_schema", "schema": schema}


ALL_SAMPLING = Sampling(1.5, 0.9, 40, 7, 0.5, -0.5)
SAMPLING_SENT: dict[str, dict[str, Any]] = {
    "openai": {"temperature": 1.5, "top_p": 0.9, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": -0.5},
    "mistral": {
        "temperature": 1.5,
        "top_p": 0.9,
        "random_seed": 7,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
    },
    "xai": {"temperature": 1.5, "top_p": 0.9, "seed": 7},
    "litellm": {"temperature": 1.5, "top_p": 0.9, "top_k": 40, "seed": 7, "frequency_penalty": 0.5},
    "compatible": {"temperature": 1.5, "top_p": 0.9, "top_k": 40, "seed": 7, "frequency_penalty": 0.5},
    "anthropic": {"temperature": 1.0, "top_k": 40},
    "ollama": {"temperature": 1.5, "top_p": 0.9, "top_k": 40, "seed": 7, "num_predict": 500},
}
ALL_NAMES = {
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "random_seed",
    "frequency_penalty",
    "presence_penalty",
    "num_predict",
}


async def test_sampling(case: Case, fake: FakeProvider, provider: Provider) -> None:
    body = await sent(fake, provider, case, with_fields(sampling=ALL_SAMPLING))
    if case.name == "ollama":
        body = body["options"]
    expected = SAMPLING_SENT[case.name]
    assert {name: body[name] for name in expected} == expected
    if case.name in ("openai", "mistral", "xai", "anthropic"):
        assert {name for name in ALL_NAMES if name in body} == set(expected)


async def test_openais_reasoning_models_get_no_sampling(fake: FakeProvider) -> None:
    async with opened("openai", fake.url) as provider:
        conversation = with_fields(sampling=ALL_SAMPLING, reasoning_effort=ReasoningEffort.LOW)
        body = await sent(fake, provider, CASES["openai"], conversation, features=frozenset(Feature))
    assert "temperature" not in body
    assert (body["seed"], body["reasoning_effort"]) == (7, "low")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-sonnet-4-5", {"thinking": {"type": "enabled", "budget_tokens": 3200}}),
        ("claude-opus-4-6", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-sonnet-5-5", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
    ],
)
async def test_anthropic_thinks_as_each_model_can(fake: FakeProvider, model: str, expected: dict[str, Any]) -> None:
    conversation = with_fields(reasoning_effort=ReasoningEffort.HIGH, sampling=Sampling(temperature=0.2))
    request = request_of("anthropic", conversation, stream=False, model=model, features=frozenset(Feature))
    async with opened("anthropic", fake.url) as provider:
        await heard(provider, replace(request, max_output_tokens=4000))
    body = fake.last.body
    assert {name: body[name] for name in expected} == expected
    assert "temperature" not in body


async def test_reasoning_is_asked_only_of_models_that_reason(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    body = await sent(fake, provider, case, with_fields(reasoning_effort=ReasoningEffort.HIGH))
    assert not {"reasoning_effort", "thinking", "think", "output_config"} & set(body)


async def test_stops_and_the_output_bound(case: Case, fake: FakeProvider, provider: Provider) -> None:
    body = await sent(fake, provider, case, with_fields(stop=("END", "STOP")))
    if case.name == "ollama":
        assert (body["options"]["stop"], body["options"]["num_predict"]) == (["END", "STOP"], 500)
    elif case.name == "anthropic":
        assert (body["stop_sequences"], body["max_tokens"]) == (["END", "STOP"], 500)
    else:
        bound = "max_completion_tokens" if case.name in ("openai", "xai") else "max_tokens"
        assert (body["stop"], body[bound]) == (["END", "STOP"], 500)


async def test_vendor_options_pass_through_and_cannot_redirect_the_call(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    options = {"user": "u1", "model": "other", "messages": [], "stream": True}
    body = await sent(fake, provider, case, with_fields(vendor_options={case.name: options, "somebody": {"x": 1}}))
    assert body["user"] == "u1"
    assert body["model"] == "m1"
    assert body["messages"] != []
    assert not body.get("stream")
    assert "x" not in body


DANGEROUS = {"api_base", "base_url", "api_key", "custom_llm_provider", "extra_headers", "headers", "model", "url"}


def test_no_adapter_passes_through_what_could_redirect_a_call() -> None:
    for name, adapter in adapters().items():
        assert not adapter.vendor_options & DANGEROUS, name


# Each of these makes a vendor charge other prices than the catalogue's, or for more than tokens.
CHANGES_PRICES = {"inference_geo", "modalities", "search_parameters", "service_tier", "speed", "web_search_options"}


def test_no_adapter_passes_through_what_changes_the_price_of_a_call() -> None:
    for name, adapter in adapters().items():
        assert not adapter.vendor_options & CHANGES_PRICES, name


async def test_openai_is_asked_for_the_tier_that_the_prices_are_those_of(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    body = await sent(fake, provider, case, with_fields())
    assert body.get("service_tier") == ("default" if case.name == "openai" else None)
