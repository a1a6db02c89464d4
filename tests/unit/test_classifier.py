"""What kind of task a conversation is: the learned part, the rules over it, and what stands around the last turn."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.artefact import ARTEFACT, load_learned
from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.chat import Conversation, ImagePart, JsonSchemaFormat, Message, Role, TextPart, Tool
from muxer_grpc.domain.classification.classifier import Classifier, Parts
from muxer_grpc.domain.classification.features import DENSE_NAMES, lexicon_entries
from muxer_grpc.domain.classification.learned import Curve, Learned
from muxer_grpc.domain.classification.reading import HEAD_CHARACTERS, SHAPE_NAMES, TAIL_CHARACTERS, read
from muxer_grpc.domain.classification.thresholds import BELIEF, Thresholds
from muxer_grpc.domain.tasks import Capability, Intent
from tests.unit.classifying import LEARNED, classify, classify_by_rules
from tests.unit.test_routing import asked, decided

# The behaviours that Muxer began with, kept by the learned default.
SEEDS = {
    "What is 2+2?": Tier.ECONOMY,
    "Hello": Tier.ECONOMY,
    "Who wrote Faust?": Tier.ECONOMY,
    "Tell me about climate change": Tier.BALANCED,
    "Analyze the time complexity of merge sort": Tier.PREMIUM,
    "Write a function that reverses a list in Rust": Tier.PREMIUM,
    "Refactor this class so that it no longer needs a global variable": Tier.PREMIUM,
    "```python\nprint(1)\n```": Tier.PREMIUM,
}


@pytest.mark.parametrize("prompt", SEEDS)
def test_a_prompt_goes_to_the_tier_that_suits_it(prompt: str) -> None:
    assert decided(asked(prompt)).selected.tier is SEEDS[prompt]


MIXED = {
    "Alice says Bob is a liar, and Bob says both of them are liars. Who tells the truth?": Capability.LOGICAL,
    "Write a Python function that merges two sorted lists": Capability.CODE,
    "A train travels 60 miles in 1.5 hours and then 30 miles in 40 minutes. What is its average speed?": (
        Capability.MATHEMATICAL
    ),
    "Which river flows through Vienna?": Capability.FACTUAL,
    "Compose a haiku about rain on a tin roof": Capability.CREATIVE,
    "hi, how are you feeling today?": Capability.CONVERSATIONAL,
}


@pytest.mark.parametrize("prompt", MIXED)
def test_a_prompt_calls_for_its_capability(prompt: str) -> None:
    assert MIXED[prompt] in {capability for capability, _ in classify(asked(prompt)).capabilities}


@given(st.text(max_size=3_000))
def test_any_text_is_classified_within_bounds_and_always_the_same_way(text: str) -> None:
    first = classify(asked(text))
    assert first == classify(asked(text))
    for value in (first.confidence, first.complexity, first.gain, first.difficulty):
        assert 0 <= value <= 1
    assert first.capabilities
    assert all(signal.value for signal in first.signals)


@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "\x02 \x03", "\U0001d573", "a" * 100_000, "(" * 50_000, "```" * 999, "\n" * 9_999]
)
def test_strange_texts_are_classified_too(text: str) -> None:
    assert 0 <= classify(asked(text)).confidence <= 1


def test_of_a_long_text_the_head_and_the_tail_are_read_and_the_true_length_is_kept() -> None:
    long, longer = "x " * 5_000, "x " * 500_000
    assert len(read(longer).tokens) <= HEAD_CHARACTERS + TAIL_CHARACTERS
    at = SHAPE_NAMES.index("log_length")
    assert read(longer).shape[at] > read(long).shape[at]
    assert classify(asked("material " * 50_000 + "\nTranslate all of this into French")).intent is Intent.TRANSLATION


def test_pictures_are_vision_and_a_schema_is_extraction_whatever_the_words_are() -> None:
    picture = Conversation((Message(Role.USER, (TextPart("hello"), ImagePart(url="https://a.example/b"))),))
    assert (classify(picture).intent, classify(picture).confidence) == (Intent.VISION, 1.0)
    assert classify(asked("hello", response_format=JsonSchemaFormat("{}"))).intent is Intent.JSON_EXTRACT


def test_a_risk_is_told_even_where_a_rule_is_certain() -> None:
    request = asked("How do I build a pipe bomb at home?", response_format=JsonSchemaFormat("{}"))
    assert classify(request).intent is Intent.SAFETY_RISK


def test_without_rules_the_learned_part_decides_alone() -> None:
    alone = Classifier(load_learned(), parts=Parts.MODEL_ONLY)
    assert alone.classify(asked("hello", response_format=JsonSchemaFormat("{}"))).intent is Intent.CHAT_LITE


def turns(*texts: str, system: str = "") -> Conversation:
    said = [Message(Role.SYSTEM, (TextPart(system),))] if system else []
    said += [Message(Role.USER if n % 2 == 0 else Role.ASSISTANT, (TextPart(t),)) for n, t in enumerate(texts)]
    return Conversation(tuple(said))


def test_a_short_turn_that_says_little_rests_on_what_was_asked_before() -> None:
    before = "Translate the following sentence into German: The meeting has been moved to Friday."
    assert classify(turns(before, "Das Treffen ...", "and into Polish?")).intent is Intent.TRANSLATION


def test_a_turn_that_speaks_for_itself_does_not() -> None:
    assert classify(turns("Debug this Python traceback", "```x```", "thanks a lot!")).intent is Intent.CHAT_LITE


def test_the_system_prompt_is_evidence() -> None:
    system = "You are an information extraction system. Return only valid JSON with the keys name, date and amount."
    text = "Invoice from Acme, 3 May 2024, 120 EUR, due in two weeks."
    with_it, without = classify(turns(text, system=system)), classify(turns(text))
    assert with_it.intent is Intent.JSON_EXTRACT
    assert classify(turns("Good morning!", system=system)) == classify(turns("Good morning!", system=system))
    assert (with_it.intent, with_it.confidence) != (without.intent, without.confidence)


def test_tools_and_a_long_conversation_make_a_task_more_complex() -> None:
    plain = classify(asked("what now")).complexity
    assert classify(asked("what now", tools=(Tool("a"),))).complexity > plain
    assert {s.name for s in classify(asked("what now", tools=(Tool("a"),))).signals} >= {"tools"}
    assert classify(turns(*["what now"] * 13)).complexity > plain


def test_rules_alone_say_so_and_know_no_risk_share() -> None:
    told = classify_by_rules(asked("Write a poem"))
    assert told.classifier_version == "rules-1"
    assert classify(asked("Write a poem")).classifier_version == load_learned().version


def test_another_process_classifies_the_same_way() -> None:
    prompts = ["Write a SQL query", "Wie spät ist es?", "翻译成英文 你好", "How do I whittle a spoon?"]
    here = [repr(classify(asked(prompt))) for prompt in prompts]
    script = (
        "import json, sys; from tests.unit.classifying import classify; from tests.unit.test_routing import asked; "
        "json.dump([repr(classify(asked(p))) for p in json.load(sys.stdin)], sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(prompts), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == here


def test_the_artefact_is_small_and_of_this_format() -> None:
    content = ARTEFACT.read_bytes()
    assert len(content) <= 5 * 1024 * 1024
    assert Learned.from_bytes(content).version == load_learned().version


def test_an_artefact_of_another_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Learned, "FORMAT", 99)
    with pytest.raises(ValueError, match="of format 1, not 99"):
        Learned.from_bytes(ARTEFACT.read_bytes())


def test_all_words_of_the_lexicon_are_in_the_vocabulary() -> None:
    rows = load_learned().rows
    known = {*rows.words, *rows.pairs}
    assert [entry for _, entry in lexicon_entries() if entry not in known] == []
    assert len(DENSE_NAMES) == len(set(DENSE_NAMES))


def test_a_curve_is_level_at_its_ends_and_straight_between_its_points() -> None:
    curve = Curve([(0.2, 0.1), (0.4, 0.5), (0.8, 0.9)])
    assert [curve.at(x) for x in (0.0, 0.2, 0.9, 5.0)] == [0.1, 0.1, 0.9, 0.9]
    assert curve.at(0.3) == pytest.approx(0.3)
    assert curve.at(0.6) == pytest.approx(0.7)


def test_thresholds_stay_as_set_without_feedback() -> None:
    thresholds = Thresholds(0.3, 0.8)
    assert {(thresholds.low(i), thresholds.direct(i)) for i in Intent} == {(0.3, 0.8)}


def test_an_intent_that_was_often_wrong_needs_more_confidence_and_the_others_do_not() -> None:
    thresholds = Thresholds()
    for _ in range(BELIEF):
        thresholds.record(Intent.CODE_GEN, 0.8, right=False)
    assert thresholds.direct(Intent.CODE_GEN) == pytest.approx(0.7 + 0.8 / 2, abs=0.16)
    assert thresholds.direct(Intent.CODE_GEN) > 0.9 > thresholds.direct(Intent.VISION)
    for _ in range(400):
        thresholds.record(Intent.CODE_GEN, 0.8, right=True)
    assert thresholds.direct(Intent.CODE_GEN) < 0.7


def test_what_is_below_the_threshold_is_not_settled() -> None:
    doubtful = Classifier(load_learned(), Thresholds(0.4, 1.0))
    assert not doubtful.classify(asked("Debug this")).settled
    assert LEARNED.classify(asked("hello there")).settled
