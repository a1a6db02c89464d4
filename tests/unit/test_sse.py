"""Event streams and lines are parsed the same however the network cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.providers.sse import MAX_EVENT_BYTES, LineParser, SseEvent, SseParser

STREAMS = {
    "plain": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "CR": (b"data: a\r\rdata: b\r\rx", [b"a", b"b"]),
    "no space": (b"data:a\n\n", [b"a"]),
    "several lines": (b"data: a\ndata: b\n\n", [b"a\nb"]),
    "comments and fields": (b": hi\n\nid: 1\nretry: 5\ndata: a\nnope: 1\n\n", [b"a"]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    "empty data": (b"data\n\ndata:\n\n", [b"", b""]),
    "an event without its end": (b"data: a\n\ndata: b\n", [b"a"]),
    "characters of many bytes": ("data: ö🌍\n\n".encode(), ["ö🌍".encode()]),
}


def parsed(pieces: list[bytes]) -> list[SseEvent]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_its_events(name: str) -> None:
    stream, expected = STREAMS[name]
    assert [event.data for event in parsed([stream])] == expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_the_same_events_byte_by_byte(name: str) -> None:
    stream, expected = STREAMS[name]
    assert [event.data for event in parsed([bytes([byte]) for byte in stream])] == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_no_cut_changes_what_any_bytes_mean(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    # A CR at the very end may be half of a CRLF, so both get a line that settles it.
    assert parsed([*pieces, b"x\n"]) == parsed([stream, b"x\n"])


def test_an_events_type_is_told_and_forgotten() -> None:
    assert parsed([b"event: ping\ndata: a\n\ndata: b\n\n"]) == [SseEvent(b"a", "ping"), SseEvent(b"b", "message")]


def test_an_event_without_an_end_is_bounded() -> None:
    parser = SseParser()
    with pytest.raises(ProviderFailure) as raised:
        for _ in range(MAX_EVENT_BYTES // 1000 + 2):
            parser.feed(b"data: " + b"x" * 1000 + b"\n")
    assert raised.value.failure_class is FailureClass.PROTOCOL


def test_a_line_without_an_end_is_bounded() -> None:
    with pytest.raises(ProviderFailure):
        LineParser().feed(b"x" * (MAX_EVENT_BYTES + 1))


def test_the_last_line_may_lack_its_end() -> None:
    parser = LineParser()
    assert parser.feed(b"a\nb") == [b"a"]
    assert parser.finish() == b"b"
    assert parser.finish() == b""
