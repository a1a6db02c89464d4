"""Token counts from the shape of a text: near the real ones, in bounded work, for any text and every provider."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.tokens import (
    FEATURES,
    GENERIC,
    MEASURED_CHARACTERS,
    SLACK,
    TOKENIZERS,
    TextShape,
    Tokenizer,
    measure,
    tokenizer_of,
)
from muxer_grpc.providers.registry import adapters

TEXTS = {
    "a short question": "What is the capital of France?",
    "an English request": (
        "Please write a polite email to our customers which explains that the delivery will be three days late because "
        "of a technical problem in the central warehouse. Apologise, and offer a voucher worth ten euros."
    ),
    "a sum": (
        "A train leaves at 09:45 and travels 312.5 km at 125 km/h. When does it arrive, if it stops for 20 minutes?"
    ),
    "Python": (
        "def total(rows: list[dict[str, int]], key: str = 'amount') -> int:\n"
        '    """Adds up one column."""\n'
        "    return sum(row[key] for row in rows if row.get(key) is not None)\n"
    ),
    "JSON": (
        '{\n  "id": 4711,\n  "name": "Ada Lovelace",\n  "tags": ["admin", "beta"],\n'
        '  "address": {"city": "London", "zip": "NW1 6XE"},\n  "active": true\n}\n'
    ),
    "a log": (
        "2026-11-20T14:03:11.482Z ERROR [worker-7] request 8f3ac2d1 failed after 3 attempts: connection reset by peer\n"
        "2026-11-20T14:03:12.007Z INFO [worker-7] retrying in 1500 ms\n"
    ),
    "French": (
        "Pouvez-vous m'expliquer comment fonctionne un moteur à quatre temps ? J'ai un examen la semaine prochaine et "
        "je ne comprends toujours pas la différence entre la compression et la détente."
    ),
    "German": (
        "Die Bundesregierung hat gestern ein neues Gesetz zur Förderung erneuerbarer Energien verabschiedet. Kritiker "
        "bemängeln, dass die Übergangsfristen für Windkraftanlagen viel zu kurz seien."
    ),
    "Russian": (
        "Объясните, пожалуйста, простыми словами, чем отличается квантовый компьютер от обычного и почему он не "
        "заменит наши ноутбуки в ближайшие годы."
    ),
    "Chinese": (
        "请帮我写一封正式的邮件，告诉客户由于供应商的原因，货物将推迟两周发出。"  # noqa: RUF001
        "语气要诚恳，同时提供两种补偿方案供对方选择。"  # noqa: RUF001
    ),
    "Japanese": (
        "来週の会議で発表する資料を作っています。売上が前年より減った理由を、社外の人にも分かるように説明してください。"
    ),
    "Arabic": "هل يمكنك أن تشرح لي كيف تعمل الألواح الشمسية وما هي تكلفة تركيبها في منزل صغير؟",
    "Hindi": "कृपया मुझे समझाइए कि शेयर बाजार में निवेश करने से पहले किन बातों का ध्यान रखना चाहिए।",
}
# What the real tokenizers make of them, measured; for the two of Claude, what a reconstruction of them makes.
MEASURED = (
    "cl100k",
    "claude",
    "claude_4_7",
    "deepseek",
    "llama",
    "mistral_tekken",
    "o200k",
    "qwen",
    "sentencepiece_32k",
)
TRUE_COUNTS = {
    "a short question": (7, 6, 8, 7, 7, 7, 7, 7, 7),
    "an English request": (40, 41, 58, 40, 40, 41, 40, 40, 43),
    "a sum": (34, 38, 47, 34, 34, 41, 34, 41, 42),
    "Python": (47, 56, 66, 49, 47, 48, 47, 47, 57),
    "JSON": (56, 63, 75, 56, 56, 61, 56, 58, 67),
    "a log": (70, 72, 90, 70, 70, 90, 70, 90, 91),
    "French": (46, 54, 73, 44, 46, 38, 36, 45, 53),
    "German": (54, 61, 88, 53, 54, 41, 39, 53, 59),
    "Russian": (70, 59, 60, 42, 45, 46, 34, 47, 59),
    "Chinese": (64, 64, 64, 32, 47, 54, 46, 34, 64),
    "Japanese": (54, 43, 43, 32, 34, 39, 37, 35, 66),
    "Arabic": (59, 53, 54, 30, 29, 23, 22, 27, 75),
    "Hindi": (83, 53, 54, 49, 45, 30, 24, 77, 92),
}
# Languages other than English are told by their script alone, so the bound on them is wide.
BOUNDS = {"English": 0.15, "others": 0.34}
ENGLISH = ("a short question", "an English request", "a sum", "Python", "JSON", "a log")

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("title", TEXTS)
def test_a_known_count_is_met_within_the_bound_or_two_tokens(title: str, name: str) -> None:
    true = TRUE_COUNTS[title][MEASURED.index(name)]
    bound = BOUNDS["English" if title in ENGLISH else "others"]
    assert abs(TOKENIZERS[name].count(measure(TEXTS[title])) - true) <= max(bound * true, 2)


@pytest.mark.parametrize("name", MEASURED)
def test_all_known_counts_together_are_met_within_an_eighth(name: str) -> None:
    true = sum(counts[MEASURED.index(name)] for counts in TRUE_COUNTS.values())
    assert sum(TOKENIZERS[name].count(measure(text)) for text in TEXTS.values()) == pytest.approx(true, rel=0.125)


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("title", TEXTS)
def test_no_known_count_is_above_what_it_is_at_most(title: str, name: str) -> None:
    assert TOKENIZERS[name].at_most(measure(TEXTS[title])) >= TRUE_COUNTS[title][MEASURED.index(name)]


@pytest.mark.parametrize("title", TEXTS)
def test_what_the_unknown_tokenizer_makes_at_most_covers_every_known_count(title: str) -> None:
    assert GENERIC.at_most(measure(TEXTS[title])) >= max(TRUE_COUNTS[title])


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_an_empty_text_has_no_tokens(tokenizer: Tokenizer) -> None:
    for shape in (measure(""), TextShape(), measure("") + TextShape()):
        assert (tokenizer.count(shape), tokenizer.at_most(shape)) == (0, 0)


@pytest.mark.parametrize("text", ["a", " ", "\n", "\x00", "7", "é", "字", "🙂"])
def test_a_text_that_is_not_empty_has_one_token_at_least(text: str) -> None:
    assert all(tokenizer.count(measure(text)) >= 1 for tokenizer in TOKENIZERS.values())


@given(any_text, any_text)
def test_shapes_add_up_but_for_the_seam(one: str, other: str) -> None:
    together, apart = measure(one + other), measure(one) + measure(other)
    padded = [(*shape.counts, *(0,) * (len(FEATURES) - len(shape.counts))) for shape in (together, apart)]
    singles = [index for index, feature in enumerate(FEATURES) if len(feature) == 1]
    pairs = [index for index, feature in enumerate(FEATURES) if len(feature) == 2]
    assert [padded[0][index] for index in singles] == [padded[1][index] for index in singles]
    assert sum(padded[0][index] - padded[1][index] for index in pairs) in {0, 1}


def test_a_plain_and_an_accented_text_add_up_in_either_order() -> None:
    plain, accented = measure("a plain text"), measure("naïve")
    assert plain + accented == accented + plain


@given(any_text, any_text)
def test_a_longer_text_never_counts_less(text: str, more: str) -> None:
    shorter, longer = measure(text), measure(text + more)
    assert all(each.count(longer) >= each.count(shorter) for each in TOKENIZERS.values())


@given(any_text)
def test_any_text_can_be_counted_and_is_at_most_no_less_than_it_counts(text: str) -> None:
    shape = measure(text)
    assert all(each.at_most(shape) >= each.count(shape) >= 0 for each in TOKENIZERS.values())


@pytest.mark.parametrize(
    "text", ["\ud800", "\udfff\ud800", "\x00\x1b[31m\x7f", "\U0010ffff", "\ufeff\u202e", "अ\udc00ক"]
)
def test_nonsense_is_counted_without_complaint(text: str) -> None:
    for repeated in (text, text * MEASURED_CHARACTERS):
        assert GENERIC.at_most(measure(repeated)) > SLACK


class WatchedText(str):
    """A text that notes how many characters are taken out of it."""

    taken: ClassVar[int] = 0

    def __getitem__(self, key: object) -> str:
        piece = super().__getitem__(key)  # type: ignore[index]
        WatchedText.taken += len(piece)
        return piece

    def encode(self, *_: object, **__: object) -> bytes:
        raise AssertionError("the whole text was encoded")

    def isascii(self) -> bool:
        raise AssertionError("the whole text was looked at")


@pytest.mark.parametrize("sign", ["a", "字"])
def test_a_megabyte_is_measured_on_as_many_characters_as_the_longest_text_measured_whole(sign: str) -> None:
    WatchedText.taken = 0
    shape = measure(WatchedText(sign * 2**20))
    assert WatchedText.taken == MEASURED_CHARACTERS
    assert sum(shape.counts) == pytest.approx(2**20, rel=0.001)


def test_a_long_text_is_measured_the_same_each_time_and_about_as_its_parts() -> None:
    part = "".join(TEXTS.values())[:1024]
    long = part * 100
    whole = GENERIC.count(measure(long))
    assert measure(long) == measure(long)
    assert whole == pytest.approx(100 * GENERIC.count(measure(part)), rel=0.1)


def test_the_end_of_a_long_text_is_looked_at() -> None:
    assert measure("a" * 100_000 + "7" * 600) != measure("a" * 100_600)


def test_bengali_is_told_from_devanagari_which_shares_its_page() -> None:
    shape = dict(zip(FEATURES, measure("अআ").counts, strict=True))
    assert (shape["D"], shape["I"]) == (1, 1)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_tokenizer_has_a_coefficient_per_feature_and_none_below_zero(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.weights) == len(FEATURES) == len(measure("é").counts)
    assert min(tokenizer.weights) >= 0
    assert tokenizer.margin >= 1


@pytest.mark.parametrize("provider", [*adapters(), "never heard of"])
def test_every_provider_has_a_tokenizer_for_models_it_does_not_name(provider: str) -> None:
    assert tokenizer_of(provider, "some-new-model") in TOKENIZERS.values()


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("openai", "gpt-4o-mini", "o200k"),
        ("openai", "gpt-4.1", "o200k"),
        ("openai", "gpt-5.4-mini", "o200k"),
        ("openai", "o4-mini", "o200k"),
        ("openai", "some-new-model", "o200k"),
        ("openai", "gpt-4-1106-preview", "cl100k"),
        ("openai", "gpt-4", "cl100k"),
        ("openai", "gpt-3.5-turbo", "cl100k"),
        ("anthropic", "claude-3-haiku-20240307", "claude"),
        ("anthropic", "claude-sonnet-4-20250514", "claude"),
        ("anthropic", "claude-opus-4-5", "claude"),
        ("anthropic", "claude-sonnet-4-6", "claude"),
        ("litellm", "claude-opus-4.6", "claude"),
        ("anthropic", "claude-opus-4-7", "claude_4_7"),
        ("anthropic", "claude-opus-4-10", "claude_4_7"),
        ("anthropic", "claude-haiku-5-5", "claude_4_7"),
        ("anthropic", "claude-fable-5-2", "claude_4_7"),
        ("mistral", "mistral-large-4", "mistral_tekken"),
        ("mistral", "codestral-2508", "mistral_tekken"),
        ("xai", "grok-4.7", "generic"),
        ("ollama", "llama3.2:3b", "llama"),
        ("ollama", "llama2:7b", "sentencepiece_32k"),
        ("ollama", "mistral", "sentencepiece_32k"),
        ("ollama", "mistral-nemo", "mistral_tekken"),
        ("ollama", "qwen2.5-coder:7b", "qwen"),
        ("ollama", "gpt-oss:20b", "o200k"),
        ("ollama", "gemma3", "generic"),
        ("litellm", "openai/gpt-4o", "o200k"),
        ("litellm", "bedrock/eu.anthropic.claude-opus-5-5", "claude_4_7"),
        ("litellm", "our-own-name", "generic"),
        ("compatible", "meta-llama/Llama-3.3-70B-Instruct", "llama"),
        ("sandbox", "sandbox-economy", "words"),
    ],
)
def test_a_model_is_counted_by_its_family(provider: str, model: str, name: str) -> None:
    assert tokenizer_of(provider, model).name == name
