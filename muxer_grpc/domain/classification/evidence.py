"""What of a conversation is evidence for its task: the last user turn first, then what surrounds it."""

from __future__ import annotations

from typing import NamedTuple

from muxer_grpc.domain.chat import Conversation, ImagePart, Message, Role, TextPart

# A turn of fewer words may rest on what was asked before: "and in French?", "go on".
SHORT_TURN_WORDS = 6


class Evidence(NamedTuple):
    """The text that asks, what was asked before a short one, the instructions over both, and facts of the request.

    Depth counts the user's turns.
    """

    text: str
    before: str
    instructions: str
    images: int
    structured: bool
    tools: int
    depth: int


def evidence_of(conversation: Conversation) -> Evidence:
    """Collects the evidence of a conversation."""
    messages = conversation.messages
    structured = conversation.response_format is not None
    tools = len(conversation.tools)
    if len(messages) == 1 and messages[0].role is Role.USER:
        # By far the most requests: one message of one text.
        message = messages[0]
        parts = message.parts
        if len(parts) == 1 and type(parts[0]) is TextPart:
            return Evidence(parts[0].text, "", "", 0, structured, tools, 1)
        return Evidence(message.text, "", "", _images(message), structured, tools, 1)
    turns = [message for message in messages if message.role is Role.USER] or [messages[-1]]
    text = turns[-1].text
    short = len(turns) > 1 and len(text[:200].split()) < SHORT_TURN_WORDS
    before = turns[-2].text if short else ""
    instructions = "\n".join(message.text for message in messages if message.role is Role.SYSTEM)
    return Evidence(text, before, instructions, sum(map(_images, messages)), structured, tools, len(turns))


def _images(message: Message) -> int:
    return sum(type(part) is ImagePart for part in message.parts)
