"""Writes prompts and answers into spans, where an operator has switched that on by the standard variable.

The shape is that of `gen_ai.input.messages` and `gen_ai.output.messages` in semantic conventions v1.41.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from muxer_grpc.domain.chat import (
    ContentPart,
    Conversation,
    ImagePart,
    Message,
    ReasoningPart,
    ToolCallPart,
    ToolResultPart,
)
from muxer_grpc.domain.completion import Completion, FinishReason
from muxer_grpc.domain.tenancy import LOCAL_TENANT, ContentStorage, Principal

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
# Content goes to spans alone: an event of its own would need the SDK's logs, which are in development.
CAPTURING = frozenset({"span_only", "span_and_event", "true"})


def captures_content(environment: Mapping[str, str]) -> bool:
    """Tells whether the standard variable asks for content in spans."""
    return environment.get(CAPTURE, "").strip().lower() in CAPTURING


def may_be_captured(principal: Principal) -> bool:
    """Tells whether a caller's content may be in a span: what a tenant does not let be kept is not captured either."""
    return principal.subject.tenant_id == LOCAL_TENANT or principal.policy.content is ContentStorage.KEPT


def input_messages(conversation: Conversation) -> str:
    """Writes the messages of a request as JSON."""
    return json.dumps([_message(message) for message in conversation.messages], ensure_ascii=False)


def output_messages(answer: Completion, finish: FinishReason | None) -> str:
    """Writes an answer as JSON."""
    reason = {"finish_reason": finish.value} if finish is not None else {}
    return json.dumps([{**_message(answer.message), **reason}], ensure_ascii=False)


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role.value, "parts": [_part(part) for part in message.parts]}


def _part(part: ContentPart) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        # The picture itself stays out: spans are no place for megabytes.
        if part.url:
            return {"type": "uri", "modality": "image", "uri": part.url}
        return {"type": "blob", "modality": "image", "mime_type": part.media_type}
    if isinstance(part, ToolCallPart):
        return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments_json}
    if isinstance(part, ToolResultPart):
        return {"type": "tool_call_response", "id": part.tool_call_id, "response": part.content}
    kind = "reasoning" if isinstance(part, ReasoningPart) else "text"
    return {"type": kind, "content": part.text}
