"""What is kept of decisions and answers, as bytes of the contract's own messages."""

from __future__ import annotations

from collections.abc import Iterator

from muxer.v1 import chat_pb2, completion_pb2, muxer_service_pb2

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.completion import Completion, Replay
from muxer_grpc.domain.decision import Decision
from muxer_grpc.rpc.kept_decisions import kept_decision_document
from muxer_grpc.rpc.replies import NANOS, complete_response
from muxer_grpc.rpc.routed_decisions import read_decision
from muxer_grpc.rpc.written import Written


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


def whole_reply(replay: Replay) -> muxer_service_pb2.CompleteResponse | Written:
    """Tells a kept answer in one reply."""
    return Written(replay.document) if replay.seconds is None else _reply_of(replay)


def replayed(replay: Replay) -> Iterator[muxer_service_pb2.StreamCompleteResponse]:
    """Tells a kept answer as a stream: the decision, a delta for each part, the summary."""
    reply = muxer_service_pb2.StreamCompleteResponse
    whole = _reply_of(replay)
    yield reply(decision=whole.decision)
    calls = 0
    for part in whole.message.parts:
        yield _delta(part, calls)
        calls += part.HasField("tool_call")
    yield reply(summary=whole.summary)


def _reply_of(replay: Replay) -> muxer_service_pb2.CompleteResponse:
    """Reads a kept answer, with the times of this call where they are to be told."""
    whole = muxer_service_pb2.CompleteResponse.FromString(replay.document)
    if replay.seconds is not None:
        # All of it is there at once.
        nanos = round(replay.seconds * NANOS)
        whole.summary.duration.FromNanoseconds(nanos)
        whole.summary.time_to_first_token.FromNanoseconds(nanos)
    return whole


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
