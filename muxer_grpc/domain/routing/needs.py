"""What a request needs of a model: features and tokens."""

from __future__ import annotations

from dataclasses import dataclass

from muxer_grpc.domain.catalogue import Catalogue, Feature
from muxer_grpc.domain.chat import Conversation, ImagePart, JsonFormat, JsonSchemaFormat, TextPart
from muxer_grpc.domain.routing.policy import CompletionRequest

# Estimates until vendors' tokenizers are modelled: about four characters make a token in English text; a picture costs
# about as much as the largest vendor charges for one at standard detail.
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 800


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs of a model; tokens are estimates."""

    request: CompletionRequest
    features: frozenset[Feature]
    input_tokens: int
    output_tokens: int
    exclude_simulated: bool


def needs_of(request: CompletionRequest, catalogue: Catalogue) -> Needs:
    """Reads what the request needs."""
    conversation = request.conversation
    policy = request.policy
    asked_for_simulated = request.requested_model or policy.allowed_models or policy.allowed_providers
    return Needs(
        request=request,
        features=_features_of(conversation) | policy.required_features,
        input_tokens=estimate_input_tokens(conversation),
        output_tokens=conversation.max_output_tokens or 0,
        exclude_simulated=not asked_for_simulated and catalogue.has_real_models,
    )


def estimate_input_tokens(conversation: Conversation) -> int:
    """Estimates the input in tokens: messages, pictures and tool descriptions."""
    characters = 0
    images = 0
    for message in conversation.messages:
        for part in message.parts:
            if type(part) is TextPart:
                characters += len(part.text)
            elif type(part) is ImagePart:
                images += 1
            else:
                characters += len(_text_of(part))
    for tool in conversation.tools:
        characters += len(tool.name) + len(tool.description) + len(tool.parameters_schema_json)
    text_tokens = -(-characters // CHARACTERS_PER_TOKEN)
    return text_tokens + TOKENS_PER_MESSAGE * len(conversation.messages) + TOKENS_PER_IMAGE * images


def _text_of(part: object) -> str:
    """Gives the text of any part but a picture."""
    return str(getattr(part, "text", "") or getattr(part, "arguments_json", "") or getattr(part, "content", ""))


def _features_of(conversation: Conversation) -> frozenset[Feature]:
    """Lists the features without which no model could answer."""
    needed = set()
    for message in conversation.messages:
        for part in message.parts:
            if type(part) is ImagePart:
                needed.add(Feature.VISION)
    if conversation.tools:
        needed.add(Feature.TOOLS)
    if isinstance(conversation.response_format, JsonFormat):
        needed.add(Feature.JSON)
    elif isinstance(conversation.response_format, JsonSchemaFormat):
        needed.add(Feature.JSON_SCHEMA)
    return frozenset(needed)
