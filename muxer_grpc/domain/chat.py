"""What a caller asks for: the conversation, the tools, the form of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.records import record


class Role(Named):
    """Names who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ImageDetail(Named):
    """Says how closely a model looks at a picture."""

    AUTO = "auto"
    LOW = "low"
    HIGH = "high"


class ReasoningEffort(Named):
    """Names how much a model should reason before it answers."""

    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ToolChoiceMode(Named):
    """Names the modes of tool choice."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture, by value (`data` with `media_type`) or by an https `url` that the provider fetches."""

    data: bytes = b""
    url: str = ""
    media_type: str = ""
    detail: ImageDetail = ImageDetail.AUTO


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A call of a tool by the model; `arguments_json` is the model's own text, a JSON object or empty."""

    id: str
    name: str
    arguments_json: str = ""


@dataclass(frozen=True, slots=True)
class ToolResultPart:
    """What a tool returned for the call `tool_call_id`."""

    tool_call_id: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """Reasoning of a model; `signature` is the vendor's opaque proof, needed to hand it back."""

    text: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class RefusalPart:
    """A refusal in the model's own words, where the vendor marks it as such."""

    text: str


ContentPart = TextPart | ImagePart | ToolCallPart | ToolResultPart | ReasoningPart | RefusalPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[ContentPart, ...]

    @property
    def text(self) -> str:
        """Joins the text parts."""
        return "".join(part.text for part in self.parts if type(part) is TextPart)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call; `parameters_schema_json` is its JSON schema as text, or empty."""

    name: str
    description: str = ""
    parameters_schema_json: str = ""
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether and which tool must be called; `parallel` allows several calls in one turn (None: vendor's default)."""

    mode: ToolChoiceMode = ToolChoiceMode.AUTO
    tool_name: str = ""
    parallel: bool | None = None


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """Asks for some JSON object."""


@dataclass(frozen=True, slots=True)
class JsonSchemaFormat:
    """Asks for JSON that satisfies the schema in `schema_json`."""

    schema_json: str
    name: str = "answer"
    strict: bool = True


ResponseFormat = JsonFormat | JsonSchemaFormat | None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters; None leaves one to the model."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None


NO_SAMPLING = Sampling()
AUTOMATIC_TOOL_CHOICE = ToolChoice()


@record
class Conversation:
    """All that a model is given and asked for, whichever model it will be.

    `vendor_options` maps provider names to the vendor's own parameters; they were checked against the provider's
    allow-list when the request came in.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AUTOMATIC_TOOL_CHOICE
    response_format: ResponseFormat = None
    sampling: Sampling = NO_SAMPLING
    stop: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    reasoning_effort: ReasoningEffort | None = None
    vendor_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
