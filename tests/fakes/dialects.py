"""How each vendor says an answer or an error on the wire, whole and as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.answers import Answer


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Dialect:
    """A vendor's way: its reply whole, its stream as events, the end mark, and its content types."""

    whole: Callable[[Answer, str], bytes]
    events: Callable[[Answer, str], list[bytes]]
    end: bytes
    stream_type: str
    error: Callable[[str], tuple[int, bytes]]
    error_event: bytes


# OpenAI


def _openai_usage(answer: Answer) -> dict[str, Any]:
    counts = answer.counts
    prompt = counts.fresh_input + counts.cached_input + counts.cache_write
    completion = counts.output + counts.reasoning
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": counts.cached_input},
        "completion_tokens_details": {"reasoning_tokens": counts.reasoning},
    }


def _openai_finish(answer: Answer) -> str:
    return answer.finish_word or ("stop" if answer.finish == "refusal" else answer.finish)


def openai_whole(answer: Answer, model: str) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.refusal:
        message["refusal"] = answer.refusal
    if answer.calls:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in answer.calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": _openai_finish(answer)}
    return _dumps({"id": "c1", "model": f"{model}-001", "choices": [choice], "usage": _openai_usage(answer)})


def openai_events(answer: Answer, model: str) -> list[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + _dumps({"id": "c1", "model": f"{model}-001", "choices": [choice]}) + b"\n\n"

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"reasoning_content": piece}) for piece in answer.reasoning]
    events += [chunk({"content": token}) for token in answer.tokens]
    if answer.refusal:
        events.append(chunk({"refusal": answer.refusal}))
    for index, call in enumerate(answer.calls):
        start = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        events.append(chunk({"tool_calls": [start]}))
    for position in range(max((len(call.fragments) for call in answer.calls), default=0)):
        for index, call in enumerate(answer.calls):
            if position < len(call.fragments):
                piece = {"index": index, "function": {"arguments": call.fragments[position]}}
                events.append(chunk({"tool_calls": [piece]}))
    events.append(chunk({}, _openai_finish(answer)))
    usage = {"id": "c1", "model": f"{model}-001", "choices": [], "usage": _openai_usage(answer)}
    events.append(b"data: " + _dumps(usage) + b"\n\n")
    return events


OPENAI_ERRORS = {
    "bad_request": (400, {"message": "Unknown parameter", "type": "invalid_request_error", "code": None}),
    "credential": (401, {"message": "Incorrect API key provided", "code": "invalid_api_key"}),
    "not_found": (404, {"message": "The model does not exist", "code": "model_not_found"}),
    "rate_limit": (429, {"message": "Rate limit reached", "code": "rate_limit_exceeded"}),
    "quota": (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}),
    "server_error": (500, {"message": "The server had an error", "type": "server_error"}),
    "overloaded": (503, {"message": "The engine is overloaded", "type": "server_error"}),
    "context_length": (400, {"message": "maximum context length is 8192", "code": "context_length_exceeded"}),
    "content_filter": (400, {"message": "blocked by content policy", "code": "content_policy_violation"}),
    "prefill_refused": (
        400,
        {"message": "The last message must not be the assistant's", "type": "invalid_request_error"},
    ),
}


def openai_error(kind: str) -> tuple[int, bytes]:
    status, error = OPENAI_ERRORS[kind]
    return status, _dumps({"error": error})


# Anthropic

ANTHROPIC_FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
}


def _anthropic_usage(answer: Answer) -> dict[str, int]:
    counts = answer.counts
    return {
        "input_tokens": counts.fresh_input,
        "cache_read_input_tokens": counts.cached_input,
        "cache_creation_input_tokens": counts.cache_write,
        "output_tokens": counts.output + counts.reasoning,
    }


def anthropic_whole(answer: Answer, model: str) -> bytes:
    content: list[dict[str, Any]] = []
    if answer.reasoning:
        thinking = "".join(answer.reasoning)
        content.append({"type": "thinking", "thinking": thinking, "signature": answer.signature})
    said = answer.text or answer.refusal
    if said:
        content.append({"type": "text", "text": said})
    content += [
        {"type": "tool_use", "id": c.id, "name": c.name, "input": json.loads(c.arguments)} for c in answer.calls
    ]
    reply = {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-001",
        "content": content,
        "stop_reason": answer.finish_word or ANTHROPIC_FINISH[answer.finish],
        "usage": _anthropic_usage(answer),
    }
    return _dumps(reply)


def _named(event: dict[str, Any]) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + _dumps(event) + b"\n\n"


def anthropic_events(answer: Answer, model: str) -> list[bytes]:
    start_usage = {**_anthropic_usage(answer), "output_tokens": 1}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": f"{model}-001", "usage": start_usage}
    events = [_named({"type": "message_start", "message": message}), _named({"type": "ping"})]
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if answer.reasoning:
        deltas: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": piece} for piece in answer.reasoning]
        deltas.append({"type": "signature_delta", "signature": answer.signature})
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    said = answer.tokens or ((answer.refusal,) if answer.refusal else ())
    if said:
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": token} for token in said]))
    for call in answer.calls:
        pieces = [{"type": "input_json_delta", "partial_json": fragment} for fragment in call.fragments]
        blocks.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, pieces))
    for index, (block, block_deltas) in enumerate(blocks):
        events.append(_named({"type": "content_block_start", "index": index, "content_block": block}))
        events += [_named({"type": "content_block_delta", "index": index, "delta": d}) for d in block_deltas]
        events.append(_named({"type": "content_block_stop", "index": index}))
    delta = {"stop_reason": answer.finish_word or ANTHROPIC_FINISH[answer.finish]}
    usage = {"output_tokens": answer.counts.output + answer.counts.reasoning}
    events.append(_named({"type": "message_delta", "delta": delta, "usage": usage}))
    return events


ANTHROPIC_ERRORS = {
    "bad_request": (400, "invalid_request_error", "messages: field required"),
    "credential": (401, "authentication_error", "invalid x-api-key"),
    "not_found": (404, "not_found_error", "model: claude-0"),
    "rate_limit": (429, "rate_limit_error", "rate limited"),
    "quota": (400, "invalid_request_error", "Your credit balance is too low"),
    "server_error": (500, "api_error", "internal"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "context_length": (400, "invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum"),
    "content_filter": (400, "invalid_request_error", "Output blocked by content filtering policy"),
    "prefill_refused": (400, "invalid_request_error", "This model does not support assistant message prefill."),
}


def anthropic_error(kind: str) -> tuple[int, bytes]:
    status, name, text = ANTHROPIC_ERRORS[kind]
    return status, _dumps({"type": "error", "error": {"type": name, "message": text}})


# Ollama


def _ollama_end(answer: Answer, model: str) -> dict[str, Any]:
    counts = answer.counts
    return {
        "model": f"{model}-001",
        "done": True,
        "done_reason": answer.finish_word or ("length" if answer.finish == "length" else "stop"),
        "prompt_eval_count": counts.fresh_input + counts.cached_input,
        "eval_count": counts.output + counts.reasoning,
    }


def _ollama_calls(answer: Answer) -> list[dict[str, Any]]:
    return [{"function": {"name": c.name, "arguments": json.loads(c.arguments)}} for c in answer.calls]


def ollama_whole(answer: Answer, model: str) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or answer.refusal}
    if answer.reasoning:
        message["thinking"] = "".join(answer.reasoning)
    if answer.calls:
        message["tool_calls"] = _ollama_calls(answer)
    return _dumps({**_ollama_end(answer, model), "message": message})


def ollama_events(answer: Answer, model: str) -> list[bytes]:
    def line(message: dict[str, Any]) -> bytes:
        return _dumps({"model": f"{model}-001", "message": {"role": "assistant", **message}, "done": False}) + b"\n"

    events = [line({"content": "", "thinking": piece}) for piece in answer.reasoning]
    events += [line({"content": token}) for token in answer.tokens or ((answer.refusal,) if answer.refusal else ())]
    events += [line({"content": "", "tool_calls": [call]}) for call in _ollama_calls(answer)]
    events.append(_dumps({**_ollama_end(answer, model), "message": {"role": "assistant", "content": ""}}) + b"\n")
    return events


OLLAMA_ERRORS = {
    "bad_request": (400, "invalid options"),
    "credential": (401, "unauthorized"),
    "not_found": (404, "model 'x' not found, try pulling it first"),
    "rate_limit": (429, "too many requests"),
    "quota": (402, "no credit"),
    "server_error": (500, "llama runner process has terminated"),
    "overloaded": (503, "server busy, please try again"),
    "context_length": (400, "input exceeds the maximum context length"),
    "content_filter": (400, "blocked by content policy"),
    "prefill_refused": (400, "the last message must be the user's"),
}


def ollama_error(kind: str) -> tuple[int, bytes]:
    status, text = OLLAMA_ERRORS[kind]
    return status, _dumps({"error": text})


OPENAI = Dialect(
    openai_whole,
    openai_events,
    b"data: [DONE]\n\n",
    "text/event-stream",
    openai_error,
    b'data: {"error":{"message":"The server had an error","type":"server_error","code":"server_error"}}\n\n',
)
ANTHROPIC = Dialect(
    anthropic_whole,
    anthropic_events,
    _named({"type": "message_stop"}),
    "text/event-stream; charset=utf-8",
    anthropic_error,
    _named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
)
OLLAMA = Dialect(
    ollama_whole,
    ollama_events,
    b"",
    "application/x-ndjson",
    ollama_error,
    b'{"error":"llama runner process no longer running"}\n',
)

BY_PATH = {"/chat/completions": OPENAI, "/v1/messages": ANTHROPIC, "/api/chat": OLLAMA}
