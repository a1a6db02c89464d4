"""Plain requests are read on a short way, which must come to the same as the long one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from muxer.v1 import chat_pb2

from muxer_grpc.domain.errors import MuxerError
from muxer_grpc.rpc import requests
from muxer_grpc.rpc.requests import read_request
from tests.rpc.mixed_specs import Fleet, mixed_specs
from tests.rpc.service import CATALOGUE, spec

FLEET = Fleet(sorted(CATALOGUE.models), sorted(CATALOGUE.providers))


def text_message(text: str, role: int = chat_pb2.ROLE_USER) -> chat_pb2.Message:
    return chat_pb2.Message(role=role, parts=[chat_pb2.ContentPart(text=text)])  # type: ignore[arg-type]


def edges() -> Iterator[chat_pb2.CompletionSpec]:
    """Makes specs on both sides of every rule of the short way."""
    yield chat_pb2.CompletionSpec()
    system, user = text_message("be kind", chat_pb2.ROLE_SYSTEM), text_message("hello")
    for messages in (
        [system],
        [system, user],
        [user, text_message("hi", chat_pb2.ROLE_ASSISTANT), user],
        [text_message("")],
        [user, chat_pb2.Message(role=chat_pb2.ROLE_USER)],
        [text_message("hello", 0)],
        [text_message("hello", 99)],
        [text_message("42", chat_pb2.ROLE_TOOL)],
        [user] * 1_000,
        [user] * 1_001,
        [chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[*user.parts, *user.parts])],
        [chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, parts=[chat_pb2.ContentPart(refusal="no")])],
    ):
        yield chat_pb2.CompletionSpec(messages=messages)
    for model in ("auto", "acme/small", "small", "acme/smal", "x" * 300):
        yield spec("hello", requested_model=model)
    for bound in (-1, 0, 1, 400):
        yield spec("hello", max_output_tokens=bound)
    yield spec("hello", labels={"team": "red"})
    yield spec("hello", request_id="r-1")
    yield spec("hello", money_lease="lease-1", priority=chat_pb2.PRIORITY_LOW)
    yield spec("hello", cache=chat_pb2.CachePolicy(mode=chat_pb2.CACHE_MODE_OFF))
    yield spec("hello", stop=["."])


def told(asked: chat_pb2.CompletionSpec, *, keeps_content: bool, caches: bool) -> object:
    try:
        return read_request(asked, CATALOGUE, keeps_content=keeps_content, caches=caches)
    except MuxerError as error:
        return type(error), error.message, error.metadata, getattr(error, "violations", None)


@pytest.mark.parametrize("caches", [False, True])
@pytest.mark.parametrize("keeps_content", [False, True])
def test_the_short_way_and_the_long_one_read_the_same(
    monkeypatch: pytest.MonkeyPatch, keeps_content: bool, caches: bool
) -> None:
    asked = [*edges(), *(each for name in ("", "cost") for each in mixed_specs(name, 200, FLEET))]
    short = [told(each, keeps_content=keeps_content, caches=caches) for each in asked]
    taken = [requests._read_plain(each, CATALOGUE) is not None for each in asked]
    monkeypatch.setattr(requests, "_read_plain", lambda _spec, _catalogue: None)
    long = [told(each, keeps_content=keeps_content, caches=caches) for each in asked]
    assert short == long
    assert True in taken
    assert False in taken
