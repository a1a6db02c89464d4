"""What a request needs of a model: features and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from muxer_grpc.domain.catalogue import Catalogue, Feature, Model
from muxer_grpc.domain.chat import Conversation, ImagePart, JsonFormat, JsonSchemaFormat, TextPart
from muxer_grpc.domain.decision import Basis
from muxer_grpc.domain.records import record
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tokens import TextShape, Tokenizer, measure

# What vendors add around a message, and what a picture costs at the largest vendor's standard detail.
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 800
# A context window must hold this much more than is estimated: nine in ten prompts are closer than that.
WINDOW_MARGIN = 1.15


@record
class Needs:
    """What a request needs of a model; tokens are estimates.

    `counts` holds the input's tokens by the names of the catalogue's tokenizers; `output_tokens` is the asked bound, 0
    where there is none. `too_slow` names the models that are not expected to answer in `seconds_left`, `admitted` those
    that no rule excludes, in a choice that is only supposed.
    """

    request: CompletionRequest
    features: frozenset[Feature]
    counts: Mapping[str, int]
    tokenizers: Mapping[str, Tokenizer]
    output_tokens: int
    exclude_simulated: bool
    seconds_left: float | None = None
    too_slow: frozenset[str] = frozenset()
    admitted: frozenset[str] = frozenset()

    def input_tokens(self, model: Model) -> int:
        """Estimates the input as a model's vendor counts it."""
        return self.counts[self.tokenizers[model.name].name]

    def window_tokens(self, model: Model) -> int:
        """Gives the window that input and output take together, with a margin on the estimate."""
        return int(self.input_tokens(model) * WINDOW_MARGIN) + max(self.output_tokens, 1)

    @property
    def most_window_tokens(self) -> int:
        """Gives the window that the request takes at the vendor that counts the most tokens."""
        return int(max(self.counts.values(), default=0) * WINDOW_MARGIN) + max(self.output_tokens, 1)


def needs_of(request: CompletionRequest, catalogue: Catalogue) -> Needs:
    """Reads what the request needs."""
    conversation = request.conversation
    policy = request.policy
    asked_for_simulated = policy.allowed_models or policy.allowed_providers
    shape, fixed = measure_input(conversation)
    features = _features_of(conversation)
    return Needs(
        request=request,
        features=features | policy.required_features if policy.required_features else features,
        counts={tokenizer.name: tokenizer.count(shape) + fixed for tokenizer in catalogue.distinct_tokenizers},
        tokenizers=catalogue.tokenizers,
        output_tokens=conversation.max_output_tokens or 0,
        exclude_simulated=not asked_for_simulated and catalogue.has_real_models,
    )


def needs_again(basis: Basis, requested_model: str, catalogue: Catalogue) -> Needs:
    """Reads what an earlier request needed. A tokenizer that was not there then is taken to count the most."""
    policy = basis.policy
    if policy.weights is None and basis.default_weights is not None:
        policy = replace(policy, weights=basis.default_weights)
    asked_for_simulated = policy.allowed_models or policy.allowed_providers
    most = max(basis.counts.values(), default=0)
    return Needs(
        request=CompletionRequest(_NO_CONVERSATION, policy, requested_model),
        features=basis.features | policy.required_features,
        counts={each.name: basis.counts.get(each.name, most) for each in catalogue.distinct_tokenizers},
        tokenizers=catalogue.tokenizers,
        output_tokens=basis.output_tokens,
        exclude_simulated=not asked_for_simulated and catalogue.has_real_models,
        too_slow=basis.too_slow,
    )


# What was asked is kept nowhere.
_NO_CONVERSATION = Conversation(())


def measure_input(conversation: Conversation) -> tuple[TextShape, int]:
    """Measures the text of all messages and tools, and counts the tokens that messages and pictures take besides."""
    messages = conversation.messages
    images = 0
    texts = []
    for message in messages:
        for part in message.parts:
            if type(part) is TextPart:
                texts.append(part.text)
            elif type(part) is ImagePart:
                images += 1
            else:
                texts.append(_text_of(part))
    for tool in conversation.tools:
        texts += (tool.name, tool.description, tool.parameters_schema_json)
    if isinstance(conversation.response_format, JsonSchemaFormat):
        texts.append(conversation.response_format.schema_json)
    shape = measure(texts[0] if len(texts) == 1 else "\n".join(texts))
    return shape, TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_IMAGE * images


def _text_of(part: object) -> str:
    """Gives the text of any part but a picture."""
    return str(getattr(part, "text", "") or getattr(part, "arguments_json", "") or getattr(part, "content", ""))


NO_FEATURES: frozenset[Feature] = frozenset()


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
    return frozenset(needed) if needed else NO_FEATURES
