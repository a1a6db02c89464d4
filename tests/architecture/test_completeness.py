"""Lists that must agree, joined: reasons, errors, codes, enums, scopes of the contract."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import muxer.v1
import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc_channelz.v1 import channelz_pb2
from muxer.v1 import errors_pb2

from muxer_grpc.domain import errors
from muxer_grpc.domain.errors import CompletionFailed, FailureClass, MuxerError, Reason
from muxer_grpc.pipeline import failures
from muxer_grpc.rpc import enums, health_messages, status
from muxer_grpc.rpc.scopes import _ROWS, PROCESS_WIDE, REFLECTION, SCOPES

PROTO = (Path(__file__).parents[2] / "protos/muxer/v1/errors.proto").read_text()
# The comment lines before each value of ErrorReason.
COMMENTS = {
    name: " ".join(line.strip().removeprefix("//").strip() for line in comment.strip().splitlines())
    for comment, name in re.findall(r"((?:  //[^\n]*\n)+)  ERROR_REASON_(\w+) = \d+;", PROTO)
}


def error_classes(root: type[MuxerError] = MuxerError) -> list[type[MuxerError]]:
    return [kind for sub in root.__subclasses__() for kind in (sub, *error_classes(sub))]


def test_the_contract_and_the_domain_name_the_same_reasons() -> None:
    in_contract = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    assert in_contract - {"UNSPECIFIED"} == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_each_reason_has_the_code_that_its_comment_names(reason: Reason) -> None:
    assert COMMENTS[reason.value].startswith(f"{status.CODES[reason].name}. ")


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_each_reason_is_raised_by_exactly_one_class_or_by_completions(reason: Reason) -> None:
    raised_by = [kind for kind in error_classes() if getattr(kind, "reason", None) is reason]
    of_completions = reason in {*failures._REASONS.values(), Reason.STREAM_INTERRUPTED}
    assert len(raised_by) == 1 or (not raised_by and of_completions), raised_by


def test_the_tree_in_the_docstring_names_every_error_class() -> None:
    for kind in error_classes():
        assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or ""), kind.__name__


@pytest.mark.parametrize("failure_class", FailureClass, ids=lambda member: member.value)
@pytest.mark.parametrize("started", [False, True])
def test_each_failure_class_has_a_reason_and_a_message(failure_class: FailureClass, started: bool) -> None:
    assert failures.reason_of(failure_class, started=started) in failures._MESSAGES


def test_completion_failures_have_no_reason_of_their_own() -> None:
    assert not hasattr(CompletionFailed, "reason")


TABLES = {name: table for name, table in vars(enums).items() if name.isupper() and isinstance(table, dict)}


@pytest.mark.parametrize("name", TABLES)
def test_enum_tables_are_complete_and_one_to_one(name: str) -> None:
    table = TABLES[name]
    members = [key if isinstance(key, Enum) else value for key, value in table.items()]
    assert set(members) == set(type(members[0]))
    if not name.endswith("_OF"):
        assert len(set(table.values())) == len(table)


def services() -> Iterator[ServiceDescriptor]:
    """Walks every service that listeners have: those of the contract, and the packaged ones but for reflection."""
    for module in pkgutil.iter_modules(muxer.v1.__path__, "muxer.v1."):
        if module.name.endswith("_pb2"):
            yield from importlib.import_module(module.name).DESCRIPTOR.services_by_name.values()
    yield health_messages.POOL.FindServiceByName("grpc.health.v1.Health")
    yield channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]


def test_every_method_has_a_row_that_says_who_may_call_it_and_every_row_a_method() -> None:
    methods = {f"/{service.full_name}/{method.name}" for service in services() for method in service.methods}
    methods |= {f"/{service}/ServerReflectionInfo" for service in REFLECTION}
    assert set(SCOPES) == methods
    assert len(_ROWS) == len(SCOPES)
    assert methods >= PROCESS_WIDE
