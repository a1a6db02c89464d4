"""Bad input always gets a clear typed error, and all violations at once."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from google.protobuf import json_format, struct_pb2
from muxer.v1 import chat_pb2, muxer_service_pb2

from muxer_grpc.domain.errors import InvalidRequest, ModelNotFound
from muxer_grpc.rpc.requests import read_request
from tests.rpc.service import CATALOGUE, running, spec, told

PROMPT = {"role": "ROLE_USER", "parts": [{"text": "hi"}]}
TOOL = {"name": "look", "parameters_schema_json": '{"type":"object"}'}


def parsed(fields: dict[str, object]) -> chat_pb2.CompletionSpec:
    return json_format.ParseDict({"messages": [PROMPT], **fields}, chat_pb2.CompletionSpec())


def call_then_result(call_id: str, result_id: str) -> list[object]:
    return [
        PROMPT,
        {"role": "ROLE_ASSISTANT", "parts": [{"toolCall": {"id": call_id, "name": "look", "argumentsJson": "{}"}}]},
        {"role": "ROLE_TOOL", "parts": [{"toolResult": {"toolCallId": result_id, "content": "42"}}]},
    ]


WRONG: dict[str, tuple[dict[str, object], str, str]] = {
    "no messages": ({"messages": []}, "spec.messages", "required"),
    "no parts": ({"messages": [{"role": "ROLE_USER"}]}, "spec.messages[0].parts", "required"),
    "empty text": (
        {"messages": [{"role": "ROLE_USER", "parts": [{"text": ""}]}]},
        "spec.messages[0].parts",
        "empty",
    ),
    "no role": ({"messages": [{"parts": [{"text": "hi"}]}]}, "spec.messages[0].role", "unknown"),
    "unknown role": ({"messages": [{**PROMPT, "role": 17}]}, "spec.messages[0].role", "unknown"),
    "no kind of part": (
        {"messages": [{"role": "ROLE_USER", "parts": [{}]}]},
        "spec.messages[0].parts[0]",
        "unknown_part",
    ),
    "system messages alone": (
        {"messages": [{"role": "ROLE_SYSTEM", "parts": [{"text": "be brief"}]}]},
        "spec.messages",
        "user_message_required",
    ),
    "a picture of the model": (
        {"messages": [{"role": "ROLE_ASSISTANT", "parts": [{"image": {"url": "https://a.example/b.png"}}]}]},
        "spec.messages[0].parts[0].image",
        "part_not_allowed",
    ),
    "a result without its call": (
        {"messages": call_then_result("one", "other")},
        "spec.messages[2].parts[0].tool_result.tool_call_id",
        "call_missing",
    ),
    "a call id used twice": (
        {"messages": [*call_then_result("one", "one"), *call_then_result("one", "one")[1:]]},
        "spec.messages[3].parts[0].tool_call.id",
        "duplicate",
    ),
    "arguments that are no JSON": (
        {
            "messages": [
                PROMPT,
                {"role": "ROLE_ASSISTANT", "parts": [{"toolCall": {"id": "a", "name": "b", "argumentsJson": "{"}}]},
            ]
        },
        "spec.messages[1].parts[0].tool_call.arguments_json",
        "json",
    ),
    "an image without a source": (
        {"messages": [{"role": "ROLE_USER", "parts": [{"image": {}}]}]},
        "spec.messages[0].parts[0].image",
        "one_source",
    ),
    "an image with both sources": (
        {
            "messages": [
                {
                    "role": "ROLE_USER",
                    "parts": [{"image": {"data": "AA==", "url": "https://a.example/b", "mediaType": "image/png"}}],
                }
            ]
        },
        "spec.messages[0].parts[0].image",
        "one_source",
    ),
    "an image of an unknown type": (
        {"messages": [{"role": "ROLE_USER", "parts": [{"image": {"data": "AA==", "mediaType": "text/html"}}]}]},
        "spec.messages[0].parts[0].image.media_type",
        "unknown",
    ),
    "an image by an address that is not https": (
        {"messages": [{"role": "ROLE_USER", "parts": [{"image": {"url": "http://169.254.169.254/"}}]}]},
        "spec.messages[0].parts[0].image.url",
        "url",
    ),
    "an image by an address with credentials": (
        {"messages": [{"role": "ROLE_USER", "parts": [{"image": {"url": "https://a:b@c.example/"}}]}]},
        "spec.messages[0].parts[0].image.url",
        "url",
    ),
    "temperature too high": ({"sampling": {"temperature": 2.1}}, "spec.sampling.temperature", "range"),
    "temperature negative": ({"sampling": {"temperature": -0.1}}, "spec.sampling.temperature", "range"),
    "temperature that is no number": ({"sampling": {"temperature": "NaN"}}, "spec.sampling.temperature", "range"),
    "top_p of zero": ({"sampling": {"topP": 0.0}}, "spec.sampling.top_p", "range"),
    "top_p above one": ({"sampling": {"topP": 1.01}}, "spec.sampling.top_p", "range"),
    "top_k of zero": ({"sampling": {"topK": 0}}, "spec.sampling.top_k", "range"),
    "a penalty out of range": ({"sampling": {"presencePenalty": 3}}, "spec.sampling.presence_penalty", "range"),
    "no output allowed": ({"maxOutputTokens": 0}, "spec.max_output_tokens", "range"),
    "a negative output limit": ({"maxOutputTokens": -5}, "spec.max_output_tokens", "range"),
    "an empty stop string": ({"stop": [""]}, "spec.stop[0]", "length"),
    "too many stop strings": ({"stop": list("abcde")}, "spec.stop", "too_many"),
    "a tool without a name": ({"tools": [{}]}, "spec.tools[0].name", "name"),
    "two tools of one name": ({"tools": [TOOL, TOOL]}, "spec.tools[1].name", "duplicate"),
    "a tool whose schema is broken": (
        {"tools": [{"name": "a", "parametersSchemaJson": '{"type": 5}'}]},
        "spec.tools[0].parameters_schema_json",
        "json_schema",
    ),
    "a required tool without tools": ({"toolChoice": {"mode": 3}}, "spec.tool_choice.mode", "tools_missing"),
    "a chosen tool that is not given": (
        {"tools": [TOOL], "toolChoice": {"mode": 4, "toolName": "other"}},
        "spec.tool_choice.tool_name",
        "unknown",
    ),
    "a tool name without the mode": (
        {"tools": [TOOL], "toolChoice": {"mode": 1, "toolName": "look"}},
        "spec.tool_choice.tool_name",
        "contradiction",
    ),
    "an unknown mode of tool choice": ({"toolChoice": {"mode": 9}}, "spec.tool_choice.mode", "unknown"),
    "a schema that is no JSON": (
        {"responseFormat": {"jsonSchema": {"schemaJson": "{type: object}"}}},
        "spec.response_format.json_schema.schema_json",
        "json_schema",
    ),
    "a schema that is no schema": (
        {"responseFormat": {"jsonSchema": {"schemaJson": '{"minimum": "low"}'}}},
        "spec.response_format.json_schema.schema_json",
        "json_schema",
    ),
    "a schema that is missing": (
        {"responseFormat": {"jsonSchema": {}}},
        "spec.response_format.json_schema.schema_json",
        "json_schema",
    ),
    "a schema that nests too deep": (
        {"responseFormat": {"jsonSchema": {"schemaJson": '{"not":' * 2000 + "{}" + "}" * 2000}}},
        "spec.response_format.json_schema.schema_json",
        "json_schema",
    ),
    "an unknown reasoning effort": ({"reasoningEffort": 12}, "spec.reasoning_effort", "unknown"),
    "an unknown strategy": ({"routing": {"strategy": "magic"}}, "spec.routing.strategy", "unknown"),
    "an unknown allowed model": ({"routing": {"allowedModels": ["nope"]}}, "spec.routing.allowed_models[0]", "unknown"),
    "an unknown provider": ({"routing": {"deniedProviders": ["x"]}}, "spec.routing.denied_providers[0]", "unknown"),
    "an unknown feature": ({"routing": {"requiredFeatures": [99]}}, "spec.routing.required_features[0]", "unknown"),
    "a negative price ceiling": (
        {"routing": {"maxCostNanoUsd": "-1"}},
        "spec.routing.max_cost_nano_usd",
        "range",
    ),
    "a model both allowed and denied": (
        {"routing": {"allowedModels": ["acme/small"], "deniedModels": ["small"]}},
        "spec.routing.denied_models",
        "contradiction",
    ),
    "a provider both allowed and denied": (
        {"routing": {"allowedProviders": ["acme"], "deniedProviders": ["acme"]}},
        "spec.routing.denied_providers",
        "contradiction",
    ),
    "a requested model that the policy denies": (
        {"requestedModel": "small", "routing": {"deniedModels": ["acme/small"]}},
        "spec.requested_model",
        "contradiction",
    ),
    "a requested model of a provider that is not allowed": (
        {"requestedModel": "small", "routing": {"allowedProviders": ["other"]}},
        "spec.requested_model",
        "contradiction",
    ),
    "options of an unknown vendor": ({"vendorOptions": {"nobody": {}}}, "spec.vendor_options.nobody", "unknown"),
    "vendor options that are no object": ({"vendorOptions": {"acme": 1}}, "spec.vendor_options.acme", "object"),
    "a vendor option that could redirect the call": (
        {"vendorOptions": {"acme": {"api_base": "https://evil.example"}}},
        "spec.vendor_options.acme.api_base",
        "not_allowed",
    ),
    "an empty label key": ({"labels": {"": "x"}}, "spec.labels['']", "length"),
    "a long label value": ({"labels": {"team": "x" * 257}}, "spec.labels['team']", "length"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_told_where_it_is_wrong(name: str) -> None:
    fields, field, rule = WRONG[name]
    with pytest.raises(InvalidRequest) as raised:
        read_request(parsed(fields), CATALOGUE)
    assert [(v.field, v.rule) for v in raised.value.violations] == [(field, rule)]


def test_a_text_over_the_limit_is_refused() -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_request(spec("x" * 2_000_001), CATALOGUE)
    assert raised.value.violations[0].rule == "too_long"


def test_all_violations_come_at_once() -> None:
    wrong = parsed({"sampling": {"temperature": 9, "topP": 9}, "maxOutputTokens": 0, "requestedModel": "nope"})
    with pytest.raises(InvalidRequest) as raised:
        read_request(wrong, CATALOGUE)
    assert {v.field for v in raised.value.violations} == {
        "spec.sampling.temperature",
        "spec.sampling.top_p",
        "spec.max_output_tokens",
        "spec.requested_model",
    }


def test_a_flood_of_violations_stays_within_what_trailers_carry() -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_request(parsed({"messages": [{} for _ in range(900)]}), CATALOGUE)
    assert len(raised.value.violations) == 25


def test_an_unknown_model_alone_is_not_found_and_hints_at_the_nearest() -> None:
    with pytest.raises(ModelNotFound) as raised:
        read_request(parsed({"requestedModel": "smal"}), CATALOGUE)
    assert raised.value.metadata == {"model": "smal", "nearest": "acme/small"}


@pytest.mark.parametrize("name", ["acme/small", "small"])
def test_a_model_is_found_by_its_full_and_its_short_name(name: str) -> None:
    assert read_request(parsed({"requestedModel": name}), CATALOGUE).requested_model == "acme/small"


@pytest.mark.parametrize("name", ["", "auto"])
def test_no_name_and_auto_leave_the_choice_to_the_service(name: str) -> None:
    assert read_request(parsed({"requestedModel": name}), CATALOGUE).requested_model == ""


def test_vendor_options_keep_their_values_and_whole_numbers_stay_whole() -> None:
    options = struct_pb2.Struct()
    options.update({"acme": {"service_tier": {"deep": [1, 2.5, True, None, "x"]}}})
    read = read_request(spec(vendor_options=options), CATALOGUE).conversation.vendor_options
    assert read == {"acme": {"service_tier": {"deep": [1, 2.5, True, None, "x"]}}}
    assert type(read["acme"]["service_tier"]["deep"][0]) is int


def test_a_full_request_is_read_whole() -> None:
    full = parsed(
        {
            "messages": call_then_result("one", "one"),
            "tools": [TOOL],
            "toolChoice": {"mode": 4, "toolName": "look", "parallelToolCalls": False},
            "responseFormat": {"jsonSchema": {"schemaJson": '{"type":"object"}', "name": "n", "strict": False}},
            "sampling": {"temperature": 0, "topP": 1, "topK": 5, "seed": "7"},
            "stop": ["END"],
            "maxOutputTokens": 10,
            "labels": {"team": "a"},
        }
    )
    conversation = read_request(full, CATALOGUE).conversation
    assert [message.role.value for message in conversation.messages] == ["user", "assistant", "tool"]
    assert conversation.tool_choice.parallel is False
    assert conversation.sampling.temperature == 0.0
    assert conversation.sampling.seed == 7
    assert conversation.response_format is not None


async def test_violations_travel_as_bad_request() -> None:
    async with running() as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Route(muxer_service_pb2.RouteRequest())
    error = told(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert error.fields == {"spec.messages": "REQUIRED"}


async def test_a_stream_with_violations_has_no_event_at_all() -> None:
    async with running() as service:
        call = service.stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
    assert told(raised.value).reason == "INVALID_REQUEST"


async def test_an_unknown_model_travels_as_not_found_with_resource_info() -> None:
    async with running() as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec(requested_model="nope")))
    error = told(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert error.details["ResourceInfo"].resource_name == "nope"  # type: ignore[attr-defined]


async def test_no_eligible_model_travels_with_every_exclusion() -> None:
    async with running() as service:
        routing = {"allowed_providers": ["other"], "required_features": [1]}
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec(routing=routing)))
    error = told(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_ELIGIBLE_MODEL")
    excluded = {v.subject: v.type for v in error.details["PreconditionFailure"].violations}  # type: ignore[attr-defined]
    assert excluded["other/tiny"] == "FEATURE_MISSING"
    assert excluded["acme/small"] == "PROVIDER_NOT_ALLOWED"


async def test_a_model_of_a_provider_without_a_key_says_which_key_to_set() -> None:
    async with running() as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec(requested_model="absent/model")))
    error = told(raised.value)
    assert error.reason == "NO_ELIGIBLE_MODEL"
    assert "ABSENT_API_KEY" in error.message


async def test_input_that_fits_no_model_is_context_too_long() -> None:
    async with running() as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec("word " * 100_000)))
    error = told(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CONTEXT_TOO_LONG")
    assert int(error.metadata["input_tokens"]) > 100_000
