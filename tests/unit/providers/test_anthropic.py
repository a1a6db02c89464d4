"""What is Anthropic's own: what each generation of its models takes, and how its replies are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.chat import (
    Conversation,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    ReasoningEffort,
    ReasoningPart,
    RefusalPart,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolChoiceMode,
    ToolResultPart,
)
from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ModelReported,
    ProviderEvent,
    ProviderRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.providers.anthropic import ADAPTER
from muxer_grpc.providers.anthropic_reply import ReplyReader
from muxer_grpc.providers.anthropic_request import request_body
from tests.contracts.cases import USER, heard, model_of, opened, request_of, with_fields
from tests.fakes.provider import fake_provider

OLDEST, BUDGETED, ADAPTIVE, UNSAMPLED, NEWEST = (
    "claude-3-haiku-20240307",
    "claude-opus-4-5-20251101",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-opus-5-5",
)
TOOLS = (Tool("look"), Tool("hear"))
ANY_TOOL = ToolChoice(ToolChoiceMode.REQUIRED)
ONE_TOOL = ToolChoice(ToolChoiceMode.TOOL, "hear")


def written(model: str, max_tokens: int = 4_000, **wishes: Any) -> dict[str, Any]:
    """Writes the body of a call of a model that can do everything."""
    conversation = with_fields(**wishes)
    described = model_of("anthropic", model, features=frozenset(Feature))
    body = json.loads(request_body(ProviderRequest(conversation, described, max_tokens), "anthropic"))
    assert isinstance(body, dict)
    return body


def turns(*messages: Message) -> list[dict[str, Any]]:
    found = written(ADAPTIVE, messages=messages)["messages"]
    assert isinstance(found, list)
    return found


# Sampling


@pytest.mark.parametrize("model", [OLDEST, "claude-opus-4-20250514", BUDGETED, ADAPTIVE])
def test_older_models_are_sampled(model: str) -> None:
    body = written(model, sampling=Sampling(temperature=0.0, top_k=5))
    assert (body["temperature"], body["top_k"]) == (0.0, 5)


@pytest.mark.parametrize("model", [UNSAMPLED, "claude-opus-5", "claude-haiku-5-5", NEWEST, "claude-fable-5-2"])
def test_models_that_refuse_sampling_get_none(model: str) -> None:
    body = written(model, sampling=Sampling(temperature=0.2, top_p=0.5, top_k=5))
    assert not {"temperature", "top_p", "top_k"} & set(body)


def test_a_temperature_over_one_becomes_one() -> None:
    assert written(OLDEST, sampling=Sampling(temperature=1.7))["temperature"] == 1.0


def test_of_temperature_and_top_p_only_one_is_sent() -> None:
    assert "top_p" not in written(OLDEST, sampling=Sampling(temperature=0.5, top_p=0.9))
    assert written(OLDEST, sampling=Sampling(top_p=0.9))["top_p"] == 0.9


# Thinking


@pytest.mark.parametrize(
    ("effort", "budget"),
    [(ReasoningEffort.LOW, 2_000), (ReasoningEffort.MEDIUM, 4_000), (ReasoningEffort.HIGH, 6_400)],
)
def test_a_budget_is_a_share_of_the_output_bound(effort: ReasoningEffort, budget: int) -> None:
    body = written(BUDGETED, 8_000, reasoning_effort=effort)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert budget < body["max_tokens"]


@pytest.mark.parametrize(("effort", "bound"), [(ReasoningEffort.HIGH, 1_279), (ReasoningEffort.MINIMAL, 64_000)])
def test_without_room_or_wish_for_the_smallest_budget_there_is_no_thinking(effort: ReasoningEffort, bound: int) -> None:
    body = written(BUDGETED, bound, reasoning_effort=effort, sampling=Sampling(temperature=0.3))
    assert "thinking" not in body
    assert body["temperature"] == 0.3


def test_the_smallest_budget_is_used_as_soon_as_it_fits() -> None:
    assert written(BUDGETED, 1_280, reasoning_effort=ReasoningEffort.HIGH)["thinking"]["budget_tokens"] == 1_024


def test_minimal_effort_leaves_an_adaptive_model_its_own_choice_at_low_effort() -> None:
    body = written(ADAPTIVE, reasoning_effort=ReasoningEffort.MINIMAL)
    assert (body["output_config"], "thinking" in body) == ({"effort": "low"}, False)


def test_effort_and_a_schema_share_the_output_configuration() -> None:
    body = written(ADAPTIVE, reasoning_effort=ReasoningEffort.HIGH, response_format=JsonSchemaFormat('{"a":1}'))
    assert body["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": {"a": 1}}}


CALLED = ToolCallPart("a", "look", "{}")
RESULT = Message(Role.TOOL, (ToolResultPart("a", "blue"),))


@pytest.mark.parametrize(
    ("parts", "thinks"),
    [
        ((CALLED,), False),
        ((ReasoningPart("hm"), CALLED), False),
        ((ReasoningPart("hm", "proof"), CALLED), True),
        ((TextPart("hello"),), True),
    ],
    ids=["a call of another vendor", "unsigned reasoning", "signed reasoning", "no call"],
)
def test_a_budgeted_model_does_not_think_on_from_a_call_that_it_did_not_think_about(
    parts: tuple[Any, ...], thinks: bool
) -> None:
    messages = (USER, Message(Role.ASSISTANT, parts), RESULT)
    body = written(BUDGETED, messages=messages, tools=TOOLS, reasoning_effort=ReasoningEffort.HIGH)
    assert ("thinking" in body) is thinks


def test_an_adaptive_model_thinks_on_from_any_call() -> None:
    messages = (USER, Message(Role.ASSISTANT, (CALLED,)), RESULT)
    body = written(ADAPTIVE, messages=messages, tools=TOOLS, reasoning_effort=ReasoningEffort.HIGH)
    assert body["thinking"] == {"type": "adaptive"}


# Tools


@pytest.mark.parametrize("model", [OLDEST, BUDGETED, ADAPTIVE, "claude-opus-5", "claude-haiku-5-5"])
def test_a_model_that_can_be_forced_is_forced_and_does_not_think_before(model: str) -> None:
    body = written(model, tools=TOOLS, tool_choice=ONE_TOOL, reasoning_effort=ReasoningEffort.HIGH)
    assert body["tool_choice"] == {"type": "tool", "name": "hear"}
    assert not {"thinking", "system"} & set(body)


@pytest.mark.parametrize("model", [NEWEST, "claude-sonnet-5-5", "claude-fable-5", "claude-mythos-5-2"])
@pytest.mark.parametrize(("choice", "asked"), [(ANY_TOOL, "one of the tools"), (ONE_TOOL, "the tool hear")])
def test_a_model_that_cannot_be_forced_is_asked(model: str, choice: ToolChoice, asked: str) -> None:
    body = written(model, tools=TOOLS, tool_choice=choice, reasoning_effort=ReasoningEffort.HIGH)
    assert "tool_choice" not in body
    assert asked in body["system"]
    assert body["thinking"] == {"type": "adaptive"}


def test_parallel_calls_can_be_forbidden_where_a_choice_is_only_asked_for() -> None:
    body = written(NEWEST, tools=TOOLS, tool_choice=ToolChoice(ToolChoiceMode.REQUIRED, parallel=False))
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_a_choice_without_tools_asks_for_nothing() -> None:
    assert not {"system", "tools", "tool_choice"} & set(written(NEWEST, tool_choice=ANY_TOOL))


# Turns


def test_system_messages_are_lifted_and_joined_with_the_wish_for_json() -> None:
    system = [Message(Role.SYSTEM, (TextPart(text),)) for text in ("Be brief.", "Be kind.")]
    body = written(OLDEST, messages=(system[0], USER, system[1]), response_format=JsonFormat())
    assert body["system"].split("\n\n")[:2] == ["Be brief.", "Be kind."]
    assert "JSON" in body["system"].split("\n\n")[2]
    assert [turn["role"] for turn in body["messages"]] == ["user"]


def test_neighbours_of_one_speaker_become_one_turn() -> None:
    called = Message(Role.ASSISTANT, (CALLED,))
    found = turns(USER, USER, called, RESULT, USER)
    assert [(turn["role"], len(turn["content"])) for turn in found] == [("user", 2), ("assistant", 1), ("user", 2)]
    assert [block["type"] for block in found[2]["content"]] == ["tool_result", "text"]


def test_what_the_api_refuses_is_left_out_of_a_turn() -> None:
    parts = (TextPart(""), ReasoningPart("of another vendor"), RefusalPart("no"))
    assert turns(USER, Message(Role.ASSISTANT, parts))[1]["content"] == [{"type": "text", "text": "no"}]


def test_a_turn_of_which_nothing_is_left_is_left_out() -> None:
    assert len(turns(USER, Message(Role.ASSISTANT, (ReasoningPart("unsigned"),)))) == 1


def test_thinking_without_text_goes_back_with_its_proof() -> None:
    found = turns(USER, Message(Role.ASSISTANT, (ReasoningPart("", "proof"), TextPart("x"))))
    assert found[1]["content"][0] == {"type": "thinking", "thinking": "", "signature": "proof"}


# Replies


def started(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"model": "claude-x", "usage": usage}}


def stopped(reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def begun(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grown(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def read(*events: dict[str, Any]) -> list[ProviderEvent]:
    reader = ReplyReader(estimated_input_tokens=9)
    found = [each for event in events for each in reader.read_event(event)]
    return [*found, *reader.ending()]


def usage_of(*events: dict[str, Any]) -> Usage:
    return next(event.usage for event in read(*events) if isinstance(event, UsageReported))


def test_thinking_is_taken_out_of_the_output_that_holds_it() -> None:
    usage = usage_of(started(input_tokens=5), stopped(output_tokens=50, output_tokens_details={"thinking_tokens": 40}))
    assert (usage.output_tokens, usage.reasoning_tokens, usage.all_output_tokens) == (10, 40, 50)


def test_counts_at_the_end_replace_those_of_the_start_and_the_rest_stays() -> None:
    start = started(input_tokens=5, cache_read_input_tokens=7, cache_creation_input_tokens=3, output_tokens=1)
    usage = usage_of(start, stopped(input_tokens=6, output_tokens=20))
    assert usage == Usage(6, 7, 3, 20, 0, UsageSource.PROVIDER)


def test_counts_that_are_null_are_no_counts() -> None:
    usage = usage_of(started(input_tokens=5, output_tokens=1), stopped(input_tokens=None, output_tokens=20))
    assert (usage.input_tokens, usage.output_tokens) == (5, 20)


def test_an_answer_without_counts_is_estimated_and_says_so() -> None:
    usage = usage_of(started(), begun(0, type="text", text="x" * 41), stopped())
    assert usage == Usage(9, output_tokens=11, source=UsageSource.ESTIMATED)


@pytest.mark.parametrize(
    ("vendor_reason", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("pause_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("a reason to come", FinishReason.STOP),
    ],
)
def test_a_stop_reason_is_translated_and_kept(vendor_reason: str, reason: FinishReason) -> None:
    assert read(started(), stopped(vendor_reason))[-1] == Finished(reason, vendor_reason)


def test_calls_are_numbered_among_themselves_whatever_stands_between_them() -> None:
    events = read(
        started(),
        begun(0, type="thinking", thinking="", signature=""),
        begun(1, type="tool_use", id="a", name="look", input={}),
        grown(1, type="input_json_delta", partial_json='{"x"'),
        begun(2, type="text", text=""),
        begun(3, type="tool_use", id="b", name="hear", input={}),
        grown(1, type="input_json_delta", partial_json=":1}"),
        grown(3, type="input_json_delta", partial_json=""),
        stopped("tool_use"),
    )
    assert [event for event in events if isinstance(event, ToolCallDelta)] == [
        ToolCallDelta(0, "a", "look"),
        ToolCallDelta(0, arguments_json_fragment='{"x"'),
        ToolCallDelta(1, "b", "hear"),
        ToolCallDelta(0, arguments_json_fragment=":1}"),
    ]


def test_a_signature_ends_its_thinking() -> None:
    events = read(
        started(),
        begun(0, type="thinking", thinking="", signature=""),
        grown(0, type="thinking_delta", thinking="hm"),
        grown(0, type="signature_delta", signature="proof"),
        stopped(),
    )
    assert events[1:3] == [ReasoningDelta("hm"), ReasoningDelta("", "proof")]


def test_events_and_deltas_to_come_are_passed_over() -> None:
    events = read(
        {"type": "ping"},
        started(),
        {"type": "weather", "sky": "blue"},
        begun(0, type="holograph"),
        grown(0, type="citations_delta", citation={}),
        grown(0, type="text_delta", text="x"),
        {"type": "content_block_stop", "index": 0},
        stopped(),
    )
    assert events[:2] == [ModelReported("claude-x"), TextDelta("x")]
    assert [type(event) for event in events[2:]] == [UsageReported, Finished]


def test_a_stream_without_a_stop_reason_was_cut() -> None:
    with pytest.raises(ProviderFailure) as raised:
        read(started(), begun(0, type="text", text="Well"))
    assert raised.value.failure_class is FailureClass.TRANSIENT


def test_a_whole_reply_without_a_stop_reason_was_cut() -> None:
    reader = ReplyReader(1)
    reader.read_whole({"type": "message", "model": "m", "content": [], "stop_reason": None, "usage": {}})
    with pytest.raises(ProviderFailure) as raised:
        reader.ending()
    assert raised.value.failure_class is FailureClass.TRANSIENT


@pytest.mark.parametrize(
    ("name", "failure_class"),
    [
        ("overloaded_error", FailureClass.OVERLOAD),
        ("rate_limit_error", FailureClass.RATE_LIMIT),
        ("api_error", FailureClass.TRANSIENT),
        ("an error to come", FailureClass.TRANSIENT),
    ],
)
def test_an_error_event_is_classified_by_its_name(name: str, failure_class: FailureClass) -> None:
    with pytest.raises(ProviderFailure) as raised:
        read(started(), {"type": "error", "error": {"type": name, "message": "…"}})
    assert (raised.value.failure_class, raised.value.vendor_code) == (failure_class, name)


@pytest.mark.parametrize(
    "event",
    [
        grown(5, type="input_json_delta", partial_json="{}"),
        grown(0, type="text_delta"),
        {"type": "message_start", "message": {}},
        {"type": "message_delta", "usage": {}},
        {"no": "type"},
        started(output_tokens="many"),
    ],
    ids=["arguments of no call", "text without text", "no model", "no delta", "no type", "a count that is no number"],
)
def test_an_event_of_another_shape_is_a_broken_protocol(event: dict[str, Any]) -> None:
    with pytest.raises(ProviderFailure) as raised:
        ReplyReader(1).read_event(event)
    assert raised.value.failure_class is FailureClass.PROTOCOL


# The adapter


async def test_the_api_version_goes_with_every_call_and_probe() -> None:
    async with fake_provider() as fake, opened("anthropic", fake.url) as provider:
        await heard(provider, request_of("anthropic", Conversation((USER,)), stream=True))
        await provider.probe()
    assert [received.headers["anthropic-version"] for received in fake.received] == ["2023-06-01"] * 2
    assert [received.method for received in fake.received] == ["POST", "GET"]


def test_no_option_passes_through_that_changes_the_prices() -> None:
    assert "inference_geo" not in ADAPTER.vendor_options
