"""Folding a stream gives the answer; merging changes nothing about it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.chat import ReasoningPart, RefusalPart, TextPart, ToolCallPart
from muxer_grpc.domain.completion import (
    AttemptSwitched,
    Delta,
    Folding,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    merge_adjacent,
)
from muxer_grpc.domain.errors import FailureClass

words = st.text(max_size=4)
deltas = st.lists(
    st.one_of(
        words.map(TextDelta),
        st.builds(ReasoningDelta, words, st.sampled_from(["", "", "proof"])),
        words.map(RefusalDelta),
        st.builds(ToolCallDelta, st.integers(0, 2), st.just(""), st.just(""), words),
    ),
    max_size=20,
)


def parts_of(events: list[Delta] | list[object]) -> list[object]:
    folding = Folding()
    for event in events:
        folding.add(event)  # type: ignore[arg-type]
    return list(folding._parts)


@given(deltas)
def test_merging_neighbours_does_not_change_the_answer(events: list[Delta]) -> None:
    assert parts_of(list(merge_adjacent(events))) == parts_of(events)


@given(deltas)
def test_merging_leaves_no_two_neighbouring_pieces_of_text(events: list[Delta]) -> None:
    merged = list(merge_adjacent(events))
    for first, second in zip(merged, merged[1:], strict=False):
        assert not (isinstance(first, TextDelta) and isinstance(second, TextDelta))


def test_fragments_of_parallel_tool_calls_find_their_calls() -> None:
    events = [
        ToolCallDelta(0, "a", "first", '{"x":'),
        ToolCallDelta(1, "b", "second", "{}"),
        ToolCallDelta(0, arguments_json_fragment="1}"),
    ]
    assert parts_of(events) == [ToolCallPart("a", "first", '{"x":1}'), ToolCallPart("b", "second", "{}")]


def test_reasoning_is_joined_up_to_its_signature() -> None:
    events = [ReasoningDelta("a"), ReasoningDelta("b", "proof"), ReasoningDelta("c")]
    assert parts_of(events) == [ReasoningPart("ab", "proof"), ReasoningPart("c")]


def test_a_refusal_stands_apart_from_text() -> None:
    assert parts_of([TextDelta("a"), RefusalDelta("no")]) == [TextPart("a"), RefusalPart("no")]


def test_a_switch_discards_all_beyond_the_safe_offset() -> None:
    switch = AttemptSwitched(2, "m", "p", FailureClass.TRANSIENT, safe_offset=3)
    events = [TextDelta("abcdef"), ToolCallDelta(0, "a", "f", "{}"), switch, TextDelta("X")]
    assert parts_of(events) == [TextPart("abcX")]
