"""Which model answers: hard filters first, then the ranking; always explained, always the same for the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.catalogue import Catalogue, Feature, ProviderEntry, Tier
from muxer_grpc.domain.chat import Conversation, ImagePart, JsonSchemaFormat, Message, Role, TextPart, Tool
from muxer_grpc.domain.decision import Decision, ExclusionReason
from muxer_grpc.domain.errors import ContextTooLong, NoEligibleModel
from muxer_grpc.domain.routing.policy import CompletionRequest, RoutingPolicy
from muxer_grpc.domain.routing.router import MAX_CHOICES, Router
from muxer_grpc.domain.tasks import Capability, Intent
from tests.rpc.service import CATALOGUE, model
from tests.unit.classifying import classify, classify_by_rules


def asked(text: str, **changes: object) -> Conversation:
    return Conversation((Message(Role.USER, (TextPart(text),)),), **changes)  # type: ignore[arg-type]


def decided(
    request: CompletionRequest | Conversation, catalogue: Catalogue = CATALOGUE, router: Router | None = None
) -> Decision:
    whole = CompletionRequest(request) if isinstance(request, Conversation) else request
    chosen = router or Router(catalogue)
    return chosen.decide(whole, classify(whole.conversation), decision_id="d", now=1.0)


PROMPTS = {
    "What is 2+2?": Tier.ECONOMY,
    "Hello": Tier.ECONOMY,
    "thank you": Tier.ECONOMY,
    "Who wrote Faust?": Tier.ECONOMY,
    "Tell me about climate change": Tier.BALANCED,
    "Write a poem about the sea for my grandmother's birthday": Tier.BALANCED,
    "Analyze the time complexity of merge sort": Tier.PREMIUM,
    "Explain why the sky is blue": Tier.PREMIUM,
    "```python\nprint(1)\n```": Tier.PREMIUM,
    "what does `ls -l` do": Tier.PREMIUM,
    "Write a function that reverses a list in Rust": Tier.PREMIUM,
    "Debug this": Tier.PREMIUM,
}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_with_rules_alone_a_prompt_goes_to_the_tier_that_suits_it(prompt: str) -> None:
    conversation = asked(prompt)
    request = CompletionRequest(conversation, RoutingPolicy(strategy="heuristic"))
    decision = Router(CATALOGUE).decide(request, classify_by_rules(conversation), decision_id="d", now=1.0)
    assert decision.selected.tier is PROMPTS[prompt]
    assert decision.selected.name in decision.explanation


CAPABILITIES = {
    "Prove that there are infinitely many primes, and explain each step": Capability.LOGICAL,
    "Write a Python function": Capability.CODE,
    "Calculate 12 * 7 + 3": Capability.MATHEMATICAL,
    "Which river flows through Vienna?": Capability.FACTUAL,
    "Compose a haiku about rain": Capability.CREATIVE,
    "hi, thanks for the chat": Capability.CONVERSATIONAL,
}


@pytest.mark.parametrize("prompt", CAPABILITIES)
def test_a_prompt_calls_for_its_capability(prompt: str) -> None:
    assert CAPABILITIES[prompt] in {capability for capability, _ in classify(asked(prompt)).capabilities}


def test_pictures_are_vision_and_a_schema_is_extraction() -> None:
    picture = Conversation((Message(Role.USER, (TextPart("what"), ImagePart(url="https://a.example/b"))),))
    assert classify(picture).intent is Intent.VISION
    assert classify(asked("who", response_format=JsonSchemaFormat("{}"))).intent is Intent.JSON_EXTRACT


def test_the_last_user_turn_counts_and_an_answer_before_it_does_not() -> None:
    turns = (
        Message(Role.USER, (TextPart("Debug this Python traceback"),)),
        Message(Role.ASSISTANT, (TextPart("```code```"),)),
        Message(Role.USER, (TextPart("thanks"),)),
    )
    assert decided(Conversation(turns)).selected.tier is Tier.ECONOMY


@given(st.text(max_size=500))
def test_any_text_is_classified_and_always_the_same_way(text: str) -> None:
    first = classify(asked(text))
    assert first == classify(asked(text))
    assert 0 <= first.complexity <= 1
    assert 0 <= first.confidence <= 1
    assert first.capabilities


def test_a_very_long_text_is_looked_at_in_parts() -> None:
    signals = {s.name: s.value for s in classify(asked("word " * 1_000_000)).signals}
    assert signals["words"] < 2_000


def excluded(request: CompletionRequest) -> dict[str, ExclusionReason]:
    return {e.model.name: e.reason for e in decided(request).exclusions}


def test_every_available_model_is_a_candidate_or_excluded_and_none_is_both() -> None:
    decision = decided(CompletionRequest(asked("hi"), RoutingPolicy(denied_models=frozenset({"acme/small"}))))
    candidates = {c.model.name for c in decision.candidates}
    exclusions = {e.model.name for e in decision.exclusions}
    assert candidates | exclusions == {m.name for m in CATALOGUE.available}
    assert not candidates & exclusions


POLICIES = {
    "a denied model": (
        RoutingPolicy(denied_models=frozenset({"acme/small"})),
        {"acme/small": ExclusionReason.MODEL_NOT_ALLOWED},
    ),
    "a denied provider": (
        RoutingPolicy(denied_providers=frozenset({"other"})),
        {"other/tiny": ExclusionReason.PROVIDER_NOT_ALLOWED},
    ),
    "a needed feature": (
        RoutingPolicy(required_features=frozenset({Feature.TOOLS})),
        {"other/tiny": ExclusionReason.FEATURE_MISSING},
    ),
    "a price ceiling": (
        RoutingPolicy(max_cost_nano_usd=1_000_000),
        {"acme/large": ExclusionReason.COST_CEILING},
    ),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_excludes_with_its_reason(name: str) -> None:
    policy, expected = POLICIES[name]
    assert excluded(CompletionRequest(asked("hi"), policy)) == expected


def test_tools_and_long_input_exclude_what_cannot_take_them() -> None:
    assert excluded(CompletionRequest(asked("hi", tools=(Tool("t"),))))["other/tiny"] is ExclusionReason.FEATURE_MISSING
    assert excluded(CompletionRequest(asked("x" * 5_000)))["other/tiny"] is ExclusionReason.CONTEXT_WINDOW


def test_more_output_than_a_model_writes_excludes_it() -> None:
    with pytest.raises(NoEligibleModel) as raised:
        decided(asked("hi", max_output_tokens=5_000))
    assert {e.reason for e in raised.value.exclusions} == {ExclusionReason.OUTPUT_LIMIT}


def test_input_that_fits_nowhere_is_told_with_the_largest_window() -> None:
    with pytest.raises(ContextTooLong) as raised:
        decided(asked("x" * 1_000_000))
    assert raised.value.metadata["model"].startswith("acme/")


def test_a_model_without_a_price_is_never_chosen() -> None:
    catalogue = Catalogue.of(
        [model("p/a", Tier.ECONOMY, price=None)], [ProviderEntry("p", True)], version="", price_book_version=""
    )
    with pytest.raises(NoEligibleModel, match="no price is configured"):
        decided(asked("hi"), catalogue)


def with_special(**marks: object) -> Catalogue:
    models = [model("p/real", Tier.ECONOMY), model("p/special", Tier.ECONOMY, "0.001", "0.001", **marks)]
    return Catalogue.of(models, [ProviderEntry("p", True)], version="", price_book_version="")


@pytest.mark.parametrize(
    ("mark", "reason"), [("simulated", ExclusionReason.SIMULATED), ("retired", ExclusionReason.RETIRED)]
)
def test_simulated_and_retired_models_answer_only_by_name(mark: str, reason: ExclusionReason) -> None:
    catalogue = with_special(**{mark: True})
    decision = decided(asked("hi"), catalogue)
    assert [(e.model.name, e.reason) for e in decision.exclusions] == [("p/special", reason)]
    by_name = decided(CompletionRequest(asked("hi"), requested_model="p/special"), catalogue)
    assert by_name.selected.name == "p/special"
    policy = RoutingPolicy(allowed_models=frozenset({"p/special"}))
    assert decided(CompletionRequest(asked("hi"), policy), catalogue).selected.name == "p/special"


@pytest.mark.parametrize("mark", ["simulated", "retired"])
def test_simulated_and_retired_models_are_no_fallback_of_one_that_is_asked_for_by_name(mark: str) -> None:
    request = CompletionRequest(asked("hi"), RoutingPolicy(fall_back=True), requested_model="p/real")
    decision = decided(request, with_special(**{mark: True}))
    assert "p/special" not in [candidate.model.name for candidate in decision.fallbacks]
    assert [exclusion.model.name for exclusion in decision.exclusions] == ["p/special"]


def test_a_requested_model_is_chosen_whatever_the_prompt() -> None:
    decision = decided(CompletionRequest(asked("Debug this"), requested_model="acme/small"))
    assert decision.selected.name == "acme/small"
    assert "asked for by name" in decision.explanation
    assert {e.reason for e in decision.exclusions} == {ExclusionReason.NOT_REQUESTED}


def test_of_two_otherwise_equal_models_the_cheaper_comes_first() -> None:
    models = [model("p/dear", Tier.BALANCED, "2", "2"), model("p/cheap", Tier.BALANCED, "1", "1")]
    catalogue = Catalogue.of(models, [ProviderEntry("p", True)], version="", price_book_version="")
    assert decided(asked("Tell me about climate change"), catalogue).selected.name == "p/cheap"


def test_scores_are_the_weighted_sums_of_their_factors() -> None:
    for candidate in decided(asked("Tell me about climate change")).candidates:
        assert candidate.score == pytest.approx(sum(f.value * f.weight for f in candidate.factors))
        assert 0 <= candidate.score <= 1


@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=30))
def test_a_router_that_keeps_choices_decides_like_a_fresh_one(lengths: list[int]) -> None:
    router = Router(CATALOGUE)
    for length in lengths:
        request = CompletionRequest(asked("x" * length))
        try:
            fresh: object = decided(request)
        except NoEligibleModel as error:
            fresh = str(error)
        try:
            kept: object = decided(request, router=router)
        except NoEligibleModel as error:
            kept = str(error)
        assert kept == fresh


def test_kept_choices_are_bounded() -> None:
    router = Router(CATALOGUE)
    for length in range(0, 12 * MAX_CHOICES, 4):
        decided(asked("a" * length), router=router)
    assert len(router._choices) <= MAX_CHOICES
