"""Spans in wire format are those that the packaged messages read."""

from __future__ import annotations

from functools import partial

import hypothesis.strategies as st
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from muxer_grpc.telemetry.names import DECISION_ID, UNIQUE
from muxer_grpc.telemetry.span_wire import Attributes, Value, envelope, request, span, varint
from tests.telemetry.receiver import attributes

AROUND = envelope({"service.name": "muxer", "service.instance.id": "abc"}, "muxer", "1.2")
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.text(max_size=300),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=20), max_size=5).map(tuple),
)


def read(*spans: bytes) -> list[Span]:
    message = ExportTraceServiceRequest.FromString(request(AROUND, spans))
    (resource,) = message.resource_spans
    (scope,) = resource.scope_spans
    assert attributes(resource.resource.attributes) == {"service.name": "muxer", "service.instance.id": "abc"}
    assert (scope.scope.name, scope.scope.version) == ("muxer", "1.2")
    return list(scope.spans)


@given(
    st.tuples(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1)),
    st.text(max_size=200),
    st.dictionaries(st.one_of(st.text(max_size=40), st.sampled_from(sorted(UNIQUE))), VALUES, max_size=20),
    st.booleans(),
    st.booleans(),
)
def test_whatever_a_span_holds_is_read_as_it_was_written(
    ids: tuple[int, int, int], name: str, pairs: dict[str, Value], remote: bool, failed: bool
) -> None:
    written = span(
        ids, name, 2, (10, 2**63), Attributes(1 << 20).write(pairs), state="a=b", remote=remote, failed=failed
    )
    (found,) = read(written)
    assert found.trace_id == ids[0].to_bytes(16, "big")
    assert found.span_id == ids[1].to_bytes(8, "big")
    assert found.parent_span_id == (ids[2].to_bytes(8, "big") if ids[2] else b"")
    assert (found.name, found.kind, found.trace_state) == (name, Span.SPAN_KIND_SERVER, "a=b")
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (10, 2**63)
    assert found.flags == (0x300 if remote else 0x100)
    assert found.status.code == (Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET)
    told = {
        name: tuple(value) if isinstance(value, list) else value for name, value in attributes(found.attributes).items()
    }
    assert told == pairs


def test_values_that_are_equal_to_a_cache_stay_what_they_are() -> None:
    pairs: list[dict[str, Value]] = [{"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}]
    writer = Attributes(10)
    written = [span((1, 2, 0), "x", 3, (0, 1), writer.write(each)) for each in pairs]
    kinds = [found.attributes[0].value.WhichOneof("value") for found in read(*written)]
    assert kinds == ["int_value", "bool_value", "double_value", "string_value"]


def test_what_is_kept_of_attributes_is_bounded_and_more_of_them_are_written_right() -> None:
    pairs: list[dict[str, Value]] = [{"a": str(number), f"b{number}": number} for number in range(9_000)]
    kept = Attributes(99)
    written = [span((1, 2, 0), "x", 3, (0, 1), kept.write(each)) for each in pairs]
    assert [attributes(each.attributes) for each in read(*written)] == pairs
    assert max(len(kept._pairs), len(kept._heads)) < 9_000


def test_attributes_of_a_key_are_asked_for_once_and_written_each_time() -> None:
    writer, asked = Attributes(99), []

    def pairs_of(key: str) -> dict[str, Value]:
        asked.append(key)
        return {"key": key, "length": len(key)}

    written = [writer.block(key, partial(pairs_of, key)) for key in ("a", "bb", "a", "bb")]
    assert asked == ["a", "bb"]
    found = [attributes(each.attributes) for each in read(*(span((1, 2, 0), "x", 3, (0, 1), each) for each in written))]
    assert found == [{"key": "a", "length": 1}, {"key": "bb", "length": 2}] * 2


def test_texts_are_cut_at_their_limit() -> None:
    pairs: dict[str, Value] = {"a": "äöü", "b": ("long", "x"), DECISION_ID: "äöü"}
    (found,) = read(span((1, 2, 0), "x", 3, (0, 1), Attributes(2).write(pairs)))
    assert attributes(found.attributes) == {"a": "äö", "b": ["lo", "x"], DECISION_ID: "äö"}


def test_what_is_no_unicode_does_not_break_a_span() -> None:
    (found,) = read(span((1, 2, 0), "x", 3, (0, 1), Attributes(10).write({"a": "\ud800"})))
    assert attributes(found.attributes) == {"a": "?"}


@given(st.integers(0, 2**64 - 1))
def test_a_whole_number_is_read_as_it_was_written(number: int) -> None:
    found, shift = 0, 0
    for byte in varint(number):
        found |= (byte & 0x7F) << shift
        shift += 7
    assert found == number
