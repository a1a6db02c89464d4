"""The reply of OpenAI's Chat Completions, whole or as a stream of chunks, turned into events.

Reference: https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

from typing import Any

from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ModelReported,
    ProviderEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.providers.failures import failure_in_stream

FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
}

CHARACTERS_PER_TOKEN = 4

# Cache writes, as OpenAI and as LiteLLM names them.
_CACHE_WRITES = ("cache_write_tokens", "cache_creation_tokens")


class ReplyReader:
    """Reads the chunks of one reply. What must come last, usage and the end, it keeps for `ending()`.

    `echo` is the begun answer that some vendors send again before they continue it: it is no piece of the answer.
    """

    def __init__(self, estimated_input_tokens: int, *, reports_reasoning_apart: bool, echo: str = "") -> None:
        self.end_mark: bytes | None = b"[DONE]"
        self.stopped = False
        self._estimated_input_tokens = estimated_input_tokens
        self._reports_reasoning_apart = reports_reasoning_apart
        # What of the echo may come yet, and what of it came.
        self._echo = echo
        self._echoed = ""
        self._reported_model = False
        self._usage: Usage | None = None
        self._counted_last = False
        self._finish = ""
        self._refused = False
        self._characters = 0
        self._calls: dict[Any, int] = {}

    @property
    def finished(self) -> bool:
        """Tells whether the vendor said why it stopped."""
        return bool(self._finish)

    @property
    def complete(self) -> bool:
        """Tells whether it also counted since."""
        return self._counted_last

    def read_whole(self, reply: Any) -> list[ProviderEvent]:
        """Reads a unary reply. Raises ProviderFailure when it is an error or makes no sense."""
        return self._read(reply, "message")

    def read_event(self, event: Any) -> list[ProviderEvent]:
        """Reads one chunk of a stream. Raises ProviderFailure when it is an error or makes no sense."""
        return self._read(event, "delta")

    def ending(self) -> list[ProviderEvent]:
        """Gives what ends the answer. Raises ProviderFailure when the vendor never said why it stopped."""
        if not self._finish:
            raise ProviderFailure(FailureClass.TRANSIENT, "the answer ended without a finish reason")
        reason = FINISH_REASONS.get(self._finish, FinishReason.STOP)
        if self._refused and reason is FinishReason.STOP:
            reason = FinishReason.REFUSAL
        # An answer as short as the beginning of the echo was none.
        held: list[ProviderEvent] = [TextDelta(self._echoed)] if self._echo and self._echoed else []
        return [*held, UsageReported(self._usage or self._estimated_usage()), Finished(reason, self._finish)]

    def _read(self, reply: Any, body_field: str) -> list[ProviderEvent]:
        if not isinstance(reply, dict):
            raise ProviderFailure(FailureClass.PROTOCOL, "a reply that is no object")
        if reply.get("error"):
            raise failure_in_stream(reply["error"])
        try:
            return self._events(reply, body_field)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise ProviderFailure(FailureClass.PROTOCOL, "a reply of another shape than documented") from error

    def _events(self, reply: dict[str, Any], body_field: str) -> list[ProviderEvent]:
        events: list[ProviderEvent] = []
        model = reply.get("model")
        if model and not self._reported_model:
            self._reported_model = True
            events.append(ModelReported(str(model)))
        choices = reply.get("choices")
        if choices:
            choice = choices[0]
            body = choice.get(body_field)
            if body:
                self._add_deltas(events, body)
            if choice.get("finish_reason"):
                self._finish = str(choice["finish_reason"])
        elif body_field == "message":
            raise ProviderFailure(FailureClass.PROTOCOL, "a reply without a choice")
        usage = reply.get("usage")
        if usage:
            self._usage = self._read_usage(usage)
            self._counted_last = bool(self._finish)
        return events

    def _add_deltas(self, events: list[ProviderEvent], body: dict[str, Any]) -> None:
        content = body.get("content")
        reasoning = body.get("reasoning_content") or body.get("reasoning")
        if isinstance(reasoning, str) and reasoning:
            events.append(ReasoningDelta(reasoning))
            self._characters += len(reasoning)
        if isinstance(content, str):
            self._add_text(events, content)
        elif content:
            self._add_parts(events, content)
        refusal = body.get("refusal")
        if refusal:
            self._refused = True
            events.append(RefusalDelta(str(refusal)))
        for call in body.get("tool_calls") or ():
            self._add_tool_call(events, call)

    def _add_parts(self, events: list[ProviderEvent], parts: list[dict[str, Any]]) -> None:
        """Reads content in parts, as Mistral's reasoning models send it."""
        for part in parts:
            if part["type"] == "thinking":
                inner = part["thinking"]
                text = inner if isinstance(inner, str) else "".join(piece.get("text", "") for piece in inner)
                if text:
                    events.append(ReasoningDelta(text))
                    self._characters += len(text)
            else:
                self._add_text(events, str(part.get("text") or ""))

    def _add_text(self, events: list[ProviderEvent], text: str) -> None:
        if self._echo:
            text = self._without_echo(text)
        if text:
            events.append(TextDelta(text))
            self._characters += len(text)

    def _without_echo(self, text: str) -> str:
        """Gives what of a piece of text is new; of a text that turns out to be no echo, all that was held back."""
        if self._echo.startswith(text):
            self._echo, self._echoed = self._echo[len(text) :], self._echoed + text
            return ""
        new = text.removeprefix(self._echo) if text.startswith(self._echo) else self._echoed + text
        self._echo = ""
        return new

    def _add_tool_call(self, events: list[ProviderEvent], call: dict[str, Any]) -> None:
        """Numbers calls by the vendor's index, or by id, or one after the other where it gives neither."""
        function = call.get("function") or {}
        name = function.get("name") or ""
        key = call.get("index")
        if key is None:
            # Without an index, a piece without an id goes on with the call before it.
            key = call.get("id") or (len(self._calls) if name or not self._calls else next(reversed(self._calls)))
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            raise TypeError(arguments)
        index = self._calls.get(key)
        self._characters += len(name) + len(arguments)
        if index is None:
            index = self._calls[key] = len(self._calls)
            events.append(ToolCallDelta(index, str(call.get("id") or f"call_{index}"), name, arguments))
        elif arguments:
            events.append(ToolCallDelta(index, arguments_json_fragment=arguments))

    def _read_usage(self, usage: dict[str, Any]) -> Usage:
        """Splits the vendor's overlapping counts into kinds that do not overlap."""
        prompt = int(usage.get("prompt_tokens") or 0)
        completion = int(usage.get("completion_tokens") or 0)
        prompt_details = usage.get("prompt_tokens_details") or {}
        cached = int(prompt_details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0)
        written = _first(prompt_details, _CACHE_WRITES) or int(usage.get("cache_creation_input_tokens") or 0)
        by_age = prompt_details.get("cache_creation_token_details") or {}
        for_an_hour = min(_first(by_age, ("ephemeral_1h_input_tokens",)), written)
        reasoning = int((usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0)
        total = int(usage.get("total_tokens") or 0)
        apart = self._reports_reasoning_apart and total == prompt + completion + reasoning
        return Usage(
            input_tokens=max(0, prompt - cached - written),
            cached_input_tokens=cached,
            cache_write_tokens=written - for_an_hour,
            output_tokens=completion if apart else max(0, completion - reasoning),
            reasoning_tokens=reasoning,
            source=UsageSource.PROVIDER,
            cache_write_1h_tokens=for_an_hour,
        )

    def _estimated_usage(self) -> Usage:
        output = -(-self._characters // CHARACTERS_PER_TOKEN)
        return Usage(self._estimated_input_tokens, output_tokens=output, source=UsageSource.ESTIMATED)


def _first(counts: dict[str, Any], names: tuple[str, ...]) -> int:
    """Gives the first count that is there and not 0; else 0."""
    return next((int(counts[name]) for name in names if counts.get(name)), 0)
