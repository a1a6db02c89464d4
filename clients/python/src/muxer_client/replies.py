"""Answers as plain Python objects over the messages of the contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from muxer.v1 import billing_pb2, chat_pb2, completion_pb2, muxer_service_pb2, routing_pb2

NANO = Decimal("0.000000001")

Event = muxer_service_pb2.StreamCompleteResponse


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: exact as an integer of nano-USD, and as a Decimal of USD."""

    nano_usd: int

    @property
    def usd(self) -> Decimal:
        """Gives the amount in USD."""
        return self.nano_usd * NANO


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    decision: routing_pb2.RouteDecision
    message: chat_pb2.Message
    summary: completion_pb2.CompletionSummary

    @property
    def text(self) -> str:
        """Joins the text of the answer."""
        return "".join(part.text for part in self.message.parts)

    @property
    def reasoning(self) -> str:
        """Joins the reasoning of the answer."""
        return "".join(part.reasoning.text for part in self.message.parts)

    @property
    def refusal(self) -> str:
        """Joins the refusal, where the vendor marked one."""
        return "".join(part.refusal for part in self.message.parts)

    @property
    def tool_calls(self) -> list[chat_pb2.ToolCall]:
        """Lists the tool calls of the answer."""
        return [part.tool_call for part in self.message.parts if part.HasField("tool_call")]

    @property
    def usage(self) -> billing_pb2.Usage:
        """Counts the tokens."""
        return self.summary.usage

    @property
    def cost(self) -> Money:
        """States the cost."""
        return Money(self.summary.cost.total_nano_usd)


@dataclass(slots=True)
class Folding:
    """Folds the events of a stream into one answer, as the service does for the unary call."""

    decision: routing_pb2.RouteDecision | None = None
    summary: completion_pb2.CompletionSummary | None = None
    _parts: list[chat_pb2.ContentPart] = field(default_factory=list)
    _calls: dict[int, chat_pb2.ToolCall] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Takes the next event; kinds that are not known are passed over."""
        kind = event.WhichOneof("event")
        if kind == "decision":
            self.decision = event.decision
        elif kind == "summary":
            self.summary = event.summary
        elif kind == "attempt_switched":
            self._discard(event.attempt_switched.safe_offset)
        elif kind == "text_delta":
            self._last("text").text += event.text_delta.text
        elif kind == "refusal_delta":
            self._last("refusal").refusal += event.refusal_delta.text
        elif kind == "reasoning_delta":
            self._add_reasoning(event.reasoning_delta)
        elif kind == "tool_call_delta":
            self._add_tool_call(event.tool_call_delta)

    @property
    def text(self) -> str:
        """Joins the text so far."""
        return "".join(part.text for part in self._parts)

    def completion(self) -> Completion | None:
        """Gives the answer once decision and summary are there, else None."""
        if self.decision is None or self.summary is None:
            return None
        message = chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, parts=self._parts)
        return Completion(self.decision, message, self.summary)

    def _last(self, kind: str) -> chat_pb2.ContentPart:
        """Gives the last part when it is of this kind, else a new one."""
        if not self._parts or self._parts[-1].WhichOneof("part") != kind:
            part = chat_pb2.ContentPart()
            if kind != "reasoning":
                setattr(part, kind, "")
            self._parts.append(part)
        return self._parts[-1]

    def _add_reasoning(self, delta: completion_pb2.ReasoningDelta) -> None:
        part = self._last("reasoning")
        if part.reasoning.signature:
            part = chat_pb2.ContentPart()
            self._parts.append(part)
        part.reasoning.text += delta.text
        part.reasoning.signature = delta.signature

    def _add_tool_call(self, delta: completion_pb2.ToolCallDelta) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            part = chat_pb2.ContentPart()
            part.tool_call.id = delta.id
            part.tool_call.name = delta.name
            self._parts.append(part)
            call = self._calls[delta.index] = part.tool_call
        call.arguments_json += delta.arguments_json_fragment

    def _discard(self, safe_offset: int) -> None:
        kept = self.text[:safe_offset]
        self._parts = [chat_pb2.ContentPart(text=kept)] if kept else []
        self._calls.clear()
