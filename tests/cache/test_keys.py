"""What an answer is known by: every field of a request counts, or stands in the deny list with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from muxer.v1 import chat_pb2

from muxer_grpc.domain.caching import NOT_IN_KEY, POLICY_NOT_IN_KEY, CacheKey, cache_key, content_digest
from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.routing.policy import CacheMode, CacheWish, CompletionRequest, Weights
from muxer_grpc.domain.tenancy import NO_POLICY, ContentStorage, SafetyAction, TenantPolicy
from muxer_grpc.rpc.caching import counting_content
from muxer_grpc.rpc.requests import read_request
from tests.rpc.service import CATALOGUE, spec


def key_of(given: chat_pb2.CompletionSpec, tenant: str = "acme", policy: TenantPolicy = NO_POLICY) -> CacheKey:
    """Gives the key of a spec as a request brings it, whatever the rules of the contract say of the spec."""
    wish = CacheWish(content=content_digest(counting_content(given)))
    return cache_key(CompletionRequest(Conversation(()), cache=wish), tenant, policy)


Path = tuple[FieldDescriptor, ...]


def paths(descriptor: Descriptor, before: Path = (), within: tuple[str, ...] = ()) -> Iterator[Path]:
    """Walks all fields below a message; into messages that hold themselves but once."""
    for field in descriptor.fields:
        path = (*before, field)
        yield path
        below = field.message_type
        if below is not None and below.full_name not in within:
            inner = below.fields_by_name["value"].message_type if is_map(field) else below
            if inner is not None:
                yield from paths(inner, path, (*within, below.full_name, inner.full_name))


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def set_at(spec: Message, path: Path, *, other: bool) -> None:
    """Sets a field to one value or the other; what holds it is there in either case."""
    message = spec
    for field in path[:-1]:
        held = getattr(message, field.name)
        if is_map(field):
            message = held["one"]
        elif field.is_repeated:
            message = held[-1] if held else held.add()
        else:
            held.SetInParent()
            message = held
    field = path[-1]
    held = getattr(message, field.name)
    value = field.message_type.fields_by_name["value"] if is_map(field) else field
    if value.message_type is not None:
        # That there is one, or one more, is the difference.
        if other:
            (held["one"] if is_map(field) else held.add() if field.is_repeated else held).SetInParent()
    elif is_map(field):
        held["one"] = scalar(value, other)
    elif field.is_repeated:
        held.append(scalar(value, other))
    else:
        setattr(message, field.name, scalar(value, other))


def scalar(field: FieldDescriptor, other: bool) -> Any:
    """Gives one value of a field, or another."""
    if field.enum_type is not None:
        return field.enum_type.values[-1 if other else 0].number
    values: dict[int, tuple[Any, Any]] = {
        FieldDescriptor.TYPE_STRING: ("one", "two"),
        FieldDescriptor.TYPE_BYTES: (b"one", b"two"),
        FieldDescriptor.TYPE_BOOL: (False, True),
    }
    return values.get(field.type, (1, 2))[other]


# google.protobuf.NullValue has one value: that it is there at all is what can differ.
SINGLE = "vendor_options.fields.null_value"
PATHS = {".".join(field.name for field in path): path for path in paths(chat_pb2.CompletionSpec.DESCRIPTOR)}


def spec_with(listed: bool) -> chat_pb2.CompletionSpec:
    """Makes a spec, without or with a value of each field that does not count."""
    made = spec("Hello")
    for name in NOT_IN_KEY if listed else ():
        set_at(made, PATHS[name], other=True)
    return made


@pytest.mark.parametrize("listed", [False, True], ids=["alone", "beside fields that do not count"])
@pytest.mark.parametrize("name", PATHS)
def test_a_request_in_which_any_field_differs_is_another_one_or_the_field_is_listed(name: str, listed: bool) -> None:
    one, other = (spec_with(listed and PATHS[name][0].name not in NOT_IN_KEY) for _ in range(2))
    if name != SINGLE:
        set_at(one, PATHS[name], other=False)
    set_at(other, PATHS[name], other=True)
    assert one != other, "the change changes nothing"
    assert (key_of(one) == key_of(other)) == (PATHS[name][0].name in NOT_IN_KEY)


def test_what_does_not_count_makes_no_difference_all_together() -> None:
    assert spec_with(True) != spec_with(False)
    assert key_of(spec_with(True)) == key_of(spec_with(False))


def test_the_walk_reaches_pictures_tools_schemas_and_options() -> None:
    assert {
        "messages.parts.image.data",
        "messages.parts.tool_call.arguments_json",
        "tools.parameters_schema_json",
        "response_format.json_schema.strict",
        "sampling.temperature",
        "routing.weights.cost",
        "routing.model_weights",
        "routing.max_latency.nanos",
        "vendor_options.fields.struct_value",
        "vendor_options.fields.number_value",
        "requested_model",
        "max_output_tokens",
        "reasoning_effort",
    } <= set(PATHS)


def test_every_line_of_the_deny_list_names_a_field_and_a_reason() -> None:
    assert set(NOT_IN_KEY) <= set(chat_pb2.CompletionSpec.DESCRIPTOR.fields_by_name)
    assert set(POLICY_NOT_IN_KEY) <= {each.name for each in fields(TenantPolicy)}
    assert all((NOT_IN_KEY | POLICY_NOT_IN_KEY).values())


def test_what_this_version_does_not_know_counts() -> None:
    # Field 15 of the wire type for lengths, as a later version of the contract may have it.
    later = chat_pb2.CompletionSpec.FromString(spec("Hello").SerializeToString() + b"\x7a\x01x")
    assert key_of(later) != key_of(spec("Hello"))


def test_the_order_in_which_a_map_was_written_does_not_count() -> None:
    one, other = spec("Hello"), spec("Hello")
    one.routing.model_weights.update({"a": 1.0, "b": 2.0})
    other.routing.model_weights.update({"b": 2.0, "a": 1.0})
    assert key_of(one) == key_of(other)


def test_the_spec_itself_stays_as_it_is() -> None:
    given = spec("Hello", labels={"team": "red"}, request_id="r", money_lease="m")
    before = given.SerializeToString(deterministic=True)
    key_of(given)
    assert given.SerializeToString(deterministic=True) == before


def test_each_tenant_has_keys_of_its_own() -> None:
    one, other = key_of(spec("Hello"), "acme"), key_of(spec("Hello"), "other")
    assert len({one.digest, other.digest, one.sealing_key, other.sealing_key}) == 4
    assert "sealing" not in repr(one)


CHANGED_POLICY: dict[str, Any] = {
    "default_strategy": "cost",
    "weights": Weights(cost=1.0),
    "safety_action": SafetyAction.FLAG,
    "content": ContentStorage.KEPT,
    "content_days": 7,
}


@pytest.mark.parametrize("name", [each.name for each in fields(TenantPolicy)])
def test_a_tenants_policy_counts_but_for_what_is_listed(name: str) -> None:
    changed = replace(NO_POLICY, **{name: CHANGED_POLICY.get(name, frozenset({"acme/small"}))})
    assert (key_of(spec(), policy=changed) == key_of(spec())) == (name in POLICY_NOT_IN_KEY)


def test_the_order_of_a_policys_names_does_not_count() -> None:
    names = [f"acme/model-{number}" for number in range(50)]
    one, other = TenantPolicy(denied_models=frozenset(names)), TenantPolicy(denied_models=frozenset(reversed(names)))
    assert key_of(spec(), policy=one) == key_of(spec(), policy=other)


@pytest.mark.parametrize(
    ("caches", "mode", "known"),
    [
        (True, chat_pb2.CACHE_MODE_UNSPECIFIED, True),
        (True, chat_pb2.CACHE_MODE_DEFAULT, True),
        (True, chat_pb2.CACHE_MODE_REFRESH, True),
        (True, chat_pb2.CACHE_MODE_OFF, False),
        (False, chat_pb2.CACHE_MODE_DEFAULT, False),
    ],
)
def test_a_request_brings_what_it_is_known_by_only_where_somebody_asks_for_it(
    caches: bool, mode: chat_pb2.CacheMode, known: bool
) -> None:
    given = spec("Hello", cache=chat_pb2.CachePolicy(mode=mode))
    wish = read_request(given, CATALOGUE, caches=caches).cache
    assert (wish.content != b"") == known
    if known:
        assert wish.content == read_request(spec("Hello"), CATALOGUE, caches=True).cache.content
    assert (wish.mode is CacheMode.OFF) == (mode == chat_pb2.CACHE_MODE_OFF)
