"""What is kept of decisions and answers, as bytes of the contract's own messages."""

from __future__ import annotations

from collections.abc import Iterator

from muxer.v1 import chat_pb2, completion_pb2, muxer_service_pb2

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.completion import Completion, Replay
from muxer_grpc.domain.decision import Decision
from muxer_grpc.rpc.kept_decisions import kept_decision_document
from muxer_grpc.rpc.replies import complete_response, duration_message
from muxer_grpc.rpc.routed_decisions import read_decision
from muxer_grpc.rpc.written import Written, field


class WireDocuments:
    """Implements the port Documents."""

    def decision(self, decision: Decision) -> bytes:
        """Writes a decision as a RouteDecision, with what it was made from."""
        return kept_decision_document(decision)

    def answer(self, completion: Completion) -> bytes:
        """Writes an answer as a CompleteResponse."""
        return complete_response(completion).SerializeToString()

    def read_decision(self, document: bytes, catalogue: Catalogue) -> Decision | None:
        """Reads a decision back; see the port."""
        return read_decision(document, catalogue)


# Fields of CompleteResponse and CompletionSummary that are written by number here; a test reads replies by name.
_SUMMARY, _DURATION, _TIME_TO_FIRST_TOKEN = 3, 13, 14


def whole_reply(replay: Replay) -> Written:
    """Tells a kept answer in one reply."""
    if replay.seconds is None:
        return Written(replay.document)
    # All of it is there at once. A message in wire format may be followed by more of its fields, and of those in them.
    took = duration_message(replay.seconds).SerializeToString()
    return Written(replay.document + field(_SUMMARY, field(_DURATION, took) + field(_TIME_TO_FIRST_TOKEN, took)))


def replayed(replay: Replay) -> Iterator[muxer_service_pb2.StreamCompleteResponse]:
    """Tells a kept answer as a stream: the decision, a delta for each part, the summary."""
    reply = muxer_service_pb2.StreamCompleteResponse
    whole = muxer_service_pb2.CompleteResponse.FromString(whole_reply(replay).content)
    yield reply(decision=whole.decision)
    calls = 0
    for part in whole.message.parts:
        yield _delta(part, calls)
        calls += part.HasField("tool_call")
    yield reply(summary=whole.summary)


def _delta(part: chat_pb2.ContentPart, index: int) -> muxer_service_pb2.StreamCompleteResponse:
    reply = muxer_service_pb2.StreamCompleteResponse
    kind = part.WhichOneof("part")
    if kind == "tool_call":
        call = part.tool_call
        delta = completion_pb2.ToolCallDelta(
            index=index, id=call.id, name=call.name, arguments_json_fragment=call.arguments_json
        )
        return reply(tool_call_delta=delta)
    if kind == "reasoning":
        reasoning = part.reasoning
        return reply(reasoning_delta=completion_pb2.ReasoningDelta(text=reasoning.text, signature=reasoning.signature))
    if kind == "refusal":
        return reply(refusal_delta=completion_pb2.RefusalDelta(text=part.refusal))
    return reply(text_delta=completion_pb2.TextDelta(text=part.text))
