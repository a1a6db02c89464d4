"""The sandbox: honest about being simulated, the same for the same request, and true to what was asked for."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from muxer_grpc.domain.chat import (
    ImagePart,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    Role,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolChoiceMode,
    ToolResultPart,
)
from muxer_grpc.domain.completion import FinishReason, ModelReported, TextDelta
from muxer_grpc.domain.money import UsageSource
from muxer_grpc.providers.model_rows import load_rows, to_model
from muxer_grpc.providers.registry import Connection
from muxer_grpc.providers.sandbox import ADAPTER, Sandbox, count_tokens
from muxer_grpc.providers.sandbox_values import MAX_VALUES, example_of
from tests.contracts.cases import USER, Heard, heard, request_of, with_fields

CONNECTION = Connection("sandbox", "")
SCHEMA = '{"type":"object","properties":{"age":{"type":"integer","minimum":1},"note":{}},"required":["age"]}'
TOOLS = (Tool("look"), Tool("count", parameters_schema_json=SCHEMA))
ANY_TOOL = ToolChoice(ToolChoiceMode.REQUIRED)
ONE_TOOL = ToolChoice(ToolChoiceMode.TOOL, "count")


async def answered(*, stream: bool = False, max_output_tokens: int = 500, **wishes: Any) -> Heard:
    request = request_of("sandbox", with_fields(**wishes), stream=stream, model="sandbox-balanced")
    return await heard(Sandbox(CONNECTION, 0.0), replace(request, max_output_tokens=max_output_tokens))


# Honesty


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_and_its_model_say_that_they_are_simulated(stream: bool) -> None:
    answer = await answered(stream=stream)
    assert answer.text.startswith("This is a simulated answer of sandbox/sandbox-balanced; no real model was called.")
    assert answer.events[0] == ModelReported("sandbox-balanced (simulated)")


def test_each_model_of_the_sandbox_is_marked_as_simulated_and_says_so_in_its_name() -> None:
    models = [to_model(row, "sandbox", simulated=ADAPTER.simulated) for row in load_rows("sandbox")]
    assert {model.tier.value for model in models} == {"economy", "balanced", "premium"}
    assert all(model.simulated and model.vendor_model.startswith("sandbox-") for model in models)


def test_the_sandbox_has_prices_so_that_accounts_can_be_tried() -> None:
    prices = [to_model(row, "sandbox").price for row in load_rows("sandbox")]
    assert all(price is not None and price.input > 0 and price.output > 0 for price in prices)


async def test_pictures_are_told_and_nobody_claims_to_have_seen_them() -> None:
    message = Message(Role.USER, (TextPart("see"), ImagePart(b"1", media_type="image/png")))
    assert "1 picture(s), which nobody looked at" in (await answered(messages=(message,))).text


async def test_a_long_message_is_quoted_in_part() -> None:
    message = Message(Role.USER, (TextPart("word " * 1_000),))
    text = (await answered(messages=(message,))).text
    assert "had 1000 words" in text
    assert len(text) < 500


# Sameness


async def test_the_same_request_gets_the_same_answer_whole_and_in_pieces() -> None:
    whole, streamed, again = await answered(), await answered(stream=True), await answered(stream=True)
    assert streamed.events == again.events
    assert (whole.text, whole.usage, whole.finish) == (streamed.text, streamed.usage, streamed.finish)


async def test_another_request_gets_another_answer() -> None:
    other = Message(Role.USER, (TextPart("good evening"),))
    assert (await answered()).text != (await answered(messages=(other,))).text


async def test_a_stream_comes_token_by_token() -> None:
    answer = await answered(stream=True)
    pieces = [event.text for event in answer.events if isinstance(event, TextDelta)]
    assert len(pieces) == count_tokens(answer.text) > 10


async def test_a_stream_takes_the_time_of_its_tokens_and_a_whole_answer_none() -> None:
    slow = Sandbox(CONNECTION, 0.002)
    request = request_of("sandbox", stream=True, model="sandbox-balanced")
    began = time.perf_counter()
    await heard(slow, replace(request, max_output_tokens=10))
    assert time.perf_counter() - began >= 0.02
    async with asyncio.timeout(0.5):
        await heard(Sandbox(CONNECTION, 60.0), replace(request, stream=False))


async def test_a_stream_can_be_left() -> None:
    async with aclosing(Sandbox(CONNECTION, 60.0).stream(request_of("sandbox", stream=True))) as events:
        assert isinstance(await anext(events), ModelReported)


# Wishes


async def test_tokens_are_counted_by_its_own_rule_and_marked_as_counted() -> None:
    messages = (Message(Role.SYSTEM, (TextPart("be very brief"),)), USER)
    answer = await answered(messages=messages)
    assert answer.usage.input_tokens == 4
    assert answer.usage.output_tokens == count_tokens(answer.text)
    assert answer.usage.source is UsageSource.COUNTED


@pytest.mark.parametrize("stream", [False, True])
async def test_the_bound_on_the_output_is_kept_and_told(stream: bool) -> None:
    answer = await answered(stream=stream, max_output_tokens=5)
    assert answer.text == "This is a simulated answer"
    assert (answer.usage.output_tokens, answer.finish.reason) == (5, FinishReason.LENGTH)


async def test_a_bound_that_fits_exactly_cuts_nothing() -> None:
    whole = await answered()
    answer = await answered(max_output_tokens=whole.usage.output_tokens)
    assert (answer.text, answer.finish.reason) == (whole.text, FinishReason.STOP)


async def test_the_answer_ends_before_the_first_stop_string_of_any() -> None:
    answer = await answered(stop=("no real", "simulated", "absent"))
    assert answer.text == "This is a "
    assert (answer.finish.reason, answer.finish.vendor_reason) == (FinishReason.STOP, "stop_sequence")


async def test_json_is_an_object_that_says_it_is_simulated() -> None:
    assert json.loads((await answered(response_format=JsonFormat())).text)["simulated"] is True


async def test_a_schema_is_satisfied() -> None:
    assert json.loads((await answered(response_format=JsonSchemaFormat(SCHEMA))).text) == {"age": 1}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_named_tool_is_called_with_arguments_that_fit(stream: bool) -> None:
    answer = await answered(stream=stream, tools=TOOLS, tool_choice=ONE_TOOL)
    assert [(name, json.loads(arguments)) for _, name, arguments in answer.calls] == [("count", {"age": 1})]
    assert (answer.text, answer.finish.reason) == ("", FinishReason.TOOL_CALLS)


async def test_any_tool_means_the_first_one() -> None:
    answer = await answered(tools=TOOLS, tool_choice=ANY_TOOL)
    assert [(name, arguments) for _, name, arguments in answer.calls] == [("look", "{}")]


async def test_a_free_choice_is_to_answer() -> None:
    answer = await answered(tools=TOOLS)
    assert (answer.calls, answer.finish.reason) == ([], FinishReason.STOP)


async def test_after_a_result_comes_an_answer_so_that_a_loop_ends() -> None:
    turns = (
        USER,
        Message(Role.ASSISTANT, (ToolCallPart("a", "count", '{"age":1}'),)),
        Message(Role.TOOL, (ToolResultPart("a", "one"),)),
    )
    answer = await answered(messages=turns, tools=TOOLS, tool_choice=ANY_TOOL)
    assert answer.calls == []
    assert "'one'" in answer.text


async def test_each_call_of_a_conversation_has_an_id_of_its_own() -> None:
    first = await answered(tools=TOOLS, tool_choice=ANY_TOOL)
    call_id = first.calls[0][0]
    turns = (
        USER,
        Message(Role.ASSISTANT, (ToolCallPart(call_id, "look"),)),
        Message(Role.TOOL, (ToolResultPart(call_id, "blue"),)),
        USER,
    )
    second = await answered(messages=turns, tools=TOOLS, tool_choice=ANY_TOOL)
    assert second.calls[0][0] != call_id


async def test_a_probe_finds_it_alive() -> None:
    probed = await Sandbox(CONNECTION).probe()
    assert (probed.ok, probed.failure_class) == (True, None)


# Values for schemas

SCHEMAS: dict[str, dict[str, Any]] = {
    "every type": {
        "type": "object",
        "properties": {
            name: {"type": name} for name in ("string", "integer", "number", "boolean", "null", "array", "object")
        },
        "required": ["string", "integer", "number", "boolean", "null", "array", "object"],
    },
    "references": {
        "$defs": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
        "type": "object",
        "properties": {"pet": {"$ref": "#/$defs/Pet"}},
        "required": ["pet"],
        "additionalProperties": False,
    },
    "an escaped reference": {"$defs": {"a/b~c": {"type": "integer"}}, "$ref": "#/$defs/a~1b~0c"},
    "all of several": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "a choice beside rules": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "required": ["b"],
        "anyOf": [{"required": ["a"]}, {"required": ["c"]}],
    },
    "one of": {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}]},
    "a constant": {"const": {"x": [1]}},
    "an enumeration": {"enum": ["red", "green"]},
    "several types": {"type": ["integer", "null"], "minimum": 4},
    "bounds on text": {"type": "string", "minLength": 20, "maxLength": 25},
    "bounds on a list": {"type": "array", "items": {"type": "string"}, "minItems": 40},
    "a tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2},
    "a lower bound": {"type": "integer", "minimum": 3},
    "an open lower bound": {"type": "integer", "exclusiveMinimum": 3},
    "an upper bound": {"type": "integer", "maximum": -3},
    "an open upper bound": {"type": "integer", "exclusiveMaximum": -3},
    "a narrow open interval": {"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.2},
    "a fraction as the bound of a whole number": {"type": "integer", "minimum": 2.5},
    "a multiple": {"type": "integer", "minimum": 8, "multipleOf": 7},
    "a multiple below": {"type": "integer", "exclusiveMaximum": -7, "multipleOf": 7},
    "counts written as fractions": {"type": "string", "minLength": 12.0, "maxLength": 12.0},
    "required beyond the properties": {"type": "object", "required": ["anything"]},
    "no rules": {},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_value_satisfies_its_schema(name: str) -> None:
    jsonschema_rs.validate(SCHEMAS[name], example_of(SCHEMAS[name]))


@pytest.mark.parametrize("form", ["date", "date-time", "email", "uri", "uuid", "ipv4", "time"])
def test_a_text_has_the_form_that_is_asked_for(form: str) -> None:
    schema = {"type": "string", "format": form}
    jsonschema_rs.validate(schema, example_of(schema), validate_formats=True)


ENDLESS: dict[str, dict[str, Any]] = {
    "itself": {"$ref": "#"},
    "itself through a property": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    "itself many times over": {"allOf": [{"$ref": "#"}] * 50},
    "itself in many properties": {
        "type": "object",
        "properties": {str(n): {"$ref": "#"} for n in range(50)},
        "required": [str(n) for n in range(50)],
    },
    "lists of lists": {"type": "array", "minItems": 1_000_000, "items": {"$ref": "#"}},
    "a long text": {"type": "string", "minLength": 1_000_000_000},
    "a reference to nowhere": {"$ref": "#/$defs/Nobody"},
    "a reference elsewhere": {"$ref": "https://a.example/schema.json"},
    "a bound without end": {"type": "integer", "minimum": 1e300},
    "a step without end": {"type": "number", "minimum": 1e300, "multipleOf": 1e-300},
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_schema_without_end_gets_a_small_value_at_once(name: str) -> None:
    began = time.perf_counter()
    text = json.dumps(example_of(ENDLESS[name]))
    assert len(text) < 50 * MAX_VALUES
    assert time.perf_counter() - began < 2.0
