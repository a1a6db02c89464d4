"""The reply of Anthropic's Messages API, whole or as a stream, turned into events.

Reference: https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any

import orjson

from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ModelReported,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.providers.failures import failure_in_stream

FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    # Not the model's own words: the vendor's classifier ended the answer.
    "refusal": FinishReason.CONTENT_FILTER,
}

CHARACTERS_PER_TOKEN = 4


class ReplyReader:
    """Reads the events of one reply. What must come last, usage and the end, it keeps for `ending()`."""

    def __init__(self, estimated_input_tokens: int) -> None:
        self.end_mark: bytes | None = None
        self._estimated_input_tokens = estimated_input_tokens
        self._characters = 0
        self._usage: dict[str, int] = {}
        self._finish = ""
        self._calls: dict[int, int] = {}
        self.stopped = False

    @property
    def finished(self) -> bool:
        """Tells whether the vendor said why it stopped."""
        return bool(self._finish)

    @property
    def complete(self) -> bool:
        """Tells whether it also counted since; it counts as it stops."""
        return bool(self._finish)

    def read_whole(self, reply: Any) -> list[ProviderEvent]:
        """Reads a unary reply. Raises ProviderFailure when it is an error or makes no sense."""
        return self._guarded(self._whole, reply)

    def read_event(self, event: Any) -> list[ProviderEvent]:
        """Reads one event of a stream. Raises ProviderFailure when it is an error or makes no sense."""
        return self._guarded(self._event, event)

    def ending(self) -> list[ProviderEvent]:
        """Gives what ends the answer. Raises ProviderFailure when the vendor never said why it stopped."""
        if not self._finish:
            raise ProviderFailure(FailureClass.TRANSIENT, "the answer ended without a stop reason")
        reason = FINISH_REASONS.get(self._finish, FinishReason.STOP)
        return [UsageReported(self._counted()), Finished(reason, self._finish)]

    def _counted(self) -> Usage:
        """Gives the vendor's counts, in kinds that do not overlap; an estimate where it sent none."""
        counts = self._usage
        if "output_tokens" not in counts:
            output = -(-self._characters // CHARACTERS_PER_TOKEN)
            return Usage(self._estimated_input_tokens, output_tokens=output, source=UsageSource.ESTIMATED)
        output = counts["output_tokens"]
        # Thinking is counted within the output, and told apart by newer models only.
        thinking = min(counts.get("thinking_tokens", 0), output)
        written = counts.get("cache_creation_input_tokens", 0)
        for_an_hour = min(counts.get("ephemeral_1h_input_tokens", 0), written)
        return Usage(
            input_tokens=counts.get("input_tokens", 0),
            cached_input_tokens=counts.get("cache_read_input_tokens", 0),
            cache_write_tokens=written - for_an_hour,
            output_tokens=output - thinking,
            reasoning_tokens=thinking,
            source=UsageSource.PROVIDER,
            cache_write_1h_tokens=for_an_hour,
        )

    def _guarded(self, read: Any, value: Any) -> list[ProviderEvent]:
        if not isinstance(value, dict):
            raise ProviderFailure(FailureClass.PROTOCOL, "a reply that is no object")
        if value.get("type") == "error" or (value.get("error") and "type" not in value):
            raise failure_in_stream(value.get("error"))
        try:
            events: list[ProviderEvent] = read(value)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise ProviderFailure(FailureClass.PROTOCOL, "a reply of another shape than documented") from error
        self._characters += sum(_length(event) for event in events)
        return events

    def _whole(self, reply: dict[str, Any]) -> list[ProviderEvent]:
        events: list[ProviderEvent] = [ModelReported(str(reply["model"]))]
        for index, block in enumerate(reply["content"]):
            events += self._begin_block(index, block)
            if block["type"] == "tool_use":
                events += self._arguments(index, orjson.dumps(block["input"]).decode())
        self._count(reply.get("usage") or {})
        self._finish = str(reply.get("stop_reason") or "")
        return events

    def _event(self, event: dict[str, Any]) -> list[ProviderEvent]:
        kind = event["type"]
        if kind == "content_block_delta":
            return self._delta(event["index"], event["delta"])
        if kind == "content_block_start":
            return self._begin_block(event["index"], event["content_block"])
        if kind == "message_start":
            message = event["message"]
            self._count(message.get("usage") or {})
            return [ModelReported(str(message["model"]))]
        if kind == "message_delta":
            self._finish = str(event["delta"].get("stop_reason") or "") or self._finish
            self._count(event.get("usage") or {})
        elif kind == "message_stop":
            self.stopped = True
        # Pings, ends of blocks and kinds to come mean nothing here.
        return []

    def _begin_block(self, index: int, block: dict[str, Any]) -> list[ProviderEvent]:
        kind = block["type"]
        if kind == "text" and block.get("text"):
            return [TextDelta(block["text"])]
        if kind == "thinking" and (block.get("thinking") or block.get("signature")):
            return [ReasoningDelta(block.get("thinking", ""), block.get("signature", ""))]
        if kind == "tool_use":
            number = self._calls[index] = len(self._calls)
            return [ToolCallDelta(number, str(block["id"]), str(block["name"]))]
        return []

    def _delta(self, index: int, delta: dict[str, Any]) -> list[ProviderEvent]:
        kind = delta["type"]
        if kind == "text_delta":
            return [TextDelta(delta["text"])] if delta["text"] else []
        if kind == "input_json_delta":
            return self._arguments(index, delta["partial_json"])
        if kind == "thinking_delta":
            return [ReasoningDelta(delta["thinking"])] if delta["thinking"] else []
        if kind == "signature_delta":
            return [ReasoningDelta("", delta["signature"])]
        return []

    def _arguments(self, index: int, fragment: str) -> list[ProviderEvent]:
        if not fragment:
            return []
        return [ToolCallDelta(self._calls[index], arguments_json_fragment=fragment)]

    def _count(self, usage: dict[str, Any]) -> None:
        """Takes the newest counts: those of message_delta are totals, and replace those of message_start."""
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"):
            if usage.get(name) is not None:
                self._usage[name] = int(usage[name])
        for group, name in (
            ("output_tokens_details", "thinking_tokens"),
            ("cache_creation", "ephemeral_1h_input_tokens"),
        ):
            count = (usage.get(group) or {}).get(name)
            if count is not None:
                self._usage[name] = int(count)


def _length(event: ProviderEvent) -> int:
    if isinstance(event, TextDelta | ReasoningDelta):
        return len(event.text)
    return len(event.name) + len(event.arguments_json_fragment) if isinstance(event, ToolCallDelta) else 0
