"""Hard filters: which models can answer at all, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muxer_grpc.domain.catalogue import Catalogue, Feature, Model
from muxer_grpc.domain.chat import Conversation, ImagePart, JsonFormat, JsonSchemaFormat, TextPart
from muxer_grpc.domain.decision import Exclusion, ExclusionReason
from muxer_grpc.domain.money import PICO_PER_NANO, round_half_even
from muxer_grpc.domain.routing.policy import NO_RULES, CompletionRequest

# Estimates until vendors' tokenizers are modelled: about four characters make a token in English text; a picture costs
# about as much as the largest vendor charges for one at standard detail.
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 800
EXPECTED_OUTPUT_TOKENS = 256


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


def estimated_cost_nano_usd(model: Model, needs: Needs) -> int:
    """Estimates the cost of the completion: the estimated input and the expected output."""
    if model.price is None:
        return 0
    expected = min(needs.output_tokens or EXPECTED_OUTPUT_TOKENS, EXPECTED_OUTPUT_TOKENS)
    return round_half_even(needs.input_tokens * model.price.input + expected * model.price.output, PICO_PER_NANO)


Rule = Callable[[Model, Needs], Exclusion | None]


def rules_for(needs: Needs, catalogue: Catalogue) -> list[Rule]:
    """Gives the rules that could exclude anything, in the order in which a caller would want to hear them."""
    return [rule for applies, rule in _RULES if applies(needs, catalogue)]


def exclusion_of(model: Model, needs: Needs, rules: Sequence[Rule]) -> Exclusion | None:
    """Gives the first reason why a model cannot answer, or None when it can."""
    for rule in rules:
        exclusion = rule(model, needs)
        if exclusion is not None:
            return exclusion
    return None


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


def _not_requested(model: Model, needs: Needs) -> Exclusion | None:
    requested = needs.request.requested_model
    if requested and model.name != requested:
        return Exclusion(model, ExclusionReason.NOT_REQUESTED, f"{requested} was asked for")
    return None


def _model_not_allowed(model: Model, needs: Needs) -> Exclusion | None:
    policy = needs.request.policy
    if model.name in policy.denied_models:
        return Exclusion(model, ExclusionReason.MODEL_NOT_ALLOWED, "the policy denies the model")
    if policy.allowed_models and model.name not in policy.allowed_models:
        return Exclusion(model, ExclusionReason.MODEL_NOT_ALLOWED, "the policy allows other models only")
    return None


def _provider_not_allowed(model: Model, needs: Needs) -> Exclusion | None:
    policy = needs.request.policy
    if model.provider in policy.denied_providers:
        return Exclusion(model, ExclusionReason.PROVIDER_NOT_ALLOWED, "the policy denies the provider")
    if policy.allowed_providers and model.provider not in policy.allowed_providers:
        return Exclusion(model, ExclusionReason.PROVIDER_NOT_ALLOWED, "the policy allows other providers only")
    return None


def _region_not_allowed(model: Model, needs: Needs) -> Exclusion | None:
    allowed = needs.request.policy.allowed_regions
    if allowed and allowed.isdisjoint(model.regions):
        runs_in = ", ".join(model.regions) or "a region that is not known"
        return Exclusion(model, ExclusionReason.REGION_NOT_ALLOWED, f"it runs in {runs_in}")
    return None


def _simulated(model: Model, needs: Needs) -> Exclusion | None:
    if model.simulated and needs.exclude_simulated:
        return Exclusion(model, ExclusionReason.SIMULATED, "real models are configured; ask for it by name")
    return None


def _retired(model: Model, needs: Needs) -> Exclusion | None:
    if model.retired and model.name not in needs.request.policy.allowed_models:
        return Exclusion(model, ExclusionReason.RETIRED, "its vendor has ended it; ask for it by name")
    return None


def _feature_missing(model: Model, needs: Needs) -> Exclusion | None:
    if needs.features and not needs.features <= model.features:
        missing = ", ".join(sorted(feature.value for feature in needs.features - model.features))
        return Exclusion(model, ExclusionReason.FEATURE_MISSING, f"it lacks {missing}")
    return None


def _output_limit(model: Model, needs: Needs) -> Exclusion | None:
    if needs.output_tokens > model.max_output_tokens:
        detail = f"{needs.output_tokens} output tokens asked, {model.max_output_tokens} at most"
        return Exclusion(model, ExclusionReason.OUTPUT_LIMIT, detail)
    return None


def _tokens_needed(needs: Needs) -> int:
    return needs.input_tokens + max(needs.output_tokens, 1)


def _context_window(model: Model, needs: Needs) -> Exclusion | None:
    needed = _tokens_needed(needs)
    if needed > model.context_window:
        detail = f"about {needed} tokens needed, {model.context_window} at most"
        return Exclusion(model, ExclusionReason.CONTEXT_WINDOW, detail)
    return None


def _no_price(model: Model, needs: Needs) -> Exclusion | None:
    del needs
    if model.price is None:
        return Exclusion(model, ExclusionReason.NO_PRICE, "no price is configured and it is not marked free")
    return None


def _cost_ceiling(model: Model, needs: Needs) -> Exclusion | None:
    ceiling = needs.request.policy.max_cost_nano_usd
    if ceiling is None:
        return None
    estimated = estimated_cost_nano_usd(model, needs)
    if estimated > ceiling:
        detail = f"about {estimated} nano-USD estimated, {ceiling} at most"
        return Exclusion(model, ExclusionReason.COST_CEILING, detail)
    return None


# What was asked, what is allowed, what is possible; each with when it can exclude anything at all, since most requests
# come without a policy and fit everywhere.
_RULES: tuple[tuple[Callable[[Needs, Catalogue], object], Rule], ...] = (
    (lambda needs, _: needs.request.requested_model, _not_requested),
    (lambda needs, _: needs.request.policy is not NO_RULES, _model_not_allowed),
    (lambda needs, _: needs.request.policy is not NO_RULES, _provider_not_allowed),
    (lambda needs, _: needs.request.policy.allowed_regions, _region_not_allowed),
    (lambda needs, _: needs.exclude_simulated, _simulated),
    (lambda needs, catalogue: catalogue.has_retired_models and not needs.request.requested_model, _retired),
    (lambda needs, _: needs.features, _feature_missing),
    (lambda needs, _: needs.output_tokens, _output_limit),
    (lambda needs, catalogue: _tokens_needed(needs) > catalogue.smallest_window, _context_window),
    (lambda _, catalogue: not catalogue.all_priced, _no_price),
    (lambda needs, _: needs.request.policy.max_cost_nano_usd is not None, _cost_ceiling),
)
