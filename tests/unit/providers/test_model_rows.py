"""Rows of models: what is refused, with which words, and what becomes of a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from muxer_grpc.domain.catalogue import Feature, Tier
from muxer_grpc.domain.money import FREE
from muxer_grpc.domain.tasks import Capability, Intent
from muxer_grpc.providers import model_rows
from muxer_grpc.providers.model_rows import ModelRow, load_rows, to_model
from muxer_grpc.providers.registry import adapters

PRICED = {"name": "m", "input_usd_per_million": "5.00", "output_usd_per_million": "15"}


def row(**facts: Any) -> ModelRow:
    return ModelRow.model_validate({"name": "m", **facts})


def test_a_row_becomes_a_model_named_after_its_provider() -> None:
    model = to_model(
        row(
            **PRICED,
            tier="premium",
            context_window=100,
            max_output_tokens=10,
            features=["vision", "tools"],
            regions=["eu"],
            quality=0.9,
        ),
        "acme",
    )
    assert (model.name, model.provider, model.vendor_model) == ("acme/m", "acme", "m")
    assert (model.tier, model.context_window, model.max_output_tokens) == (Tier.PREMIUM, 100, 10)
    assert model.features == {Feature.VISION, Feature.TOOLS}
    assert (model.regions, model.quality, model.simulated) == (("eu",), 0.9, False)


def test_a_row_says_where_its_model_is_better_or_worse_and_how_that_is_known() -> None:
    model = to_model(
        row(intent_quality={"code_gen": 0.9}, capability_quality={"logical": 0}, quality_source="our own bench"), "acme"
    )
    assert (model.intent_quality, model.capability_quality) == ({Intent.CODE_GEN: 0.9}, {Capability.LOGICAL: 0.0})
    assert model.quality_source == "our own bench"


def test_qualities_that_nobody_measured_say_so() -> None:
    model = to_model(row(), "acme")
    assert model.quality_source == "prior: tier and generation, not measured"
    assert (model.intent_quality, model.capability_quality) == ({}, {})


def test_the_vendors_name_may_differ_from_the_callers() -> None:
    model = to_model(row(vendor_model="m-20260101"), "acme", simulated=True)
    assert (model.name, model.vendor_model, model.simulated) == ("acme/m", "m-20260101", True)


def test_prices_are_exact_integers() -> None:
    price = row(**PRICED, cached_input_usd_per_million="0.1", reasoning_usd_per_million="0.000001").price()
    assert price is not None
    assert (price.input, price.output) == (5_000_000, 15_000_000)
    assert (price.cached_input, price.cache_write, price.reasoning) == (100_000, 5_000_000, 1)


def test_a_row_without_a_price_has_none_and_is_not_free() -> None:
    model = to_model(row(), "acme")
    assert (model.price, model.free) == (None, False)


def test_a_free_row_is_free() -> None:
    model = to_model(row(free=True), "acme")
    assert (model.price, model.free) == (FREE, True)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "free and priced": ({**PRICED, "free": True}, "is free and has a price"),
    "free with a price of one kind": ({"free": True, "cache_write_usd_per_million": "1"}, "is free and has a price"),
    "only an input price": ({"input_usd_per_million": "1"}, "give both"),
    "only an output price": ({"output_usd_per_million": "1"}, "give both"),
    "only a cached price": ({"cached_input_usd_per_million": "1"}, "no input and output price"),
    "more output than window": ({"context_window": 10, "max_output_tokens": 11}, "lower max_output_tokens"),
    "a negative price": ({**PRICED, "input_usd_per_million": "-1"}, "a price must be a number of at least 0"),
    "a price that is no number": ({**PRICED, "input_usd_per_million": "cheap"}, "a decimal number in quotes"),
    "a price that is empty": ({**PRICED, "input_usd_per_million": ""}, "a decimal number in quotes"),
    "a price of NaN": ({**PRICED, "input_usd_per_million": "NaN"}, "a decimal number in quotes|at least 0"),
    "a price without end": ({**PRICED, "input_usd_per_million": "Infinity"}, "a price is at most 1,000,000"),
    "a price beyond all sense": ({**PRICED, "output_usd_per_million": "1000001"}, "a price is at most 1,000,000"),
    "a price beyond arithmetic": ({**PRICED, "output_usd_per_million": "1e999999"}, "a price is at most 1,000,000"),
    "a price finer than we count": ({**PRICED, "input_usd_per_million": "0.0000001"}, "whole number of pico-USD"),
    "a price that is a float": ({**PRICED, "input_usd_per_million": 0.1}, "valid string"),
    "an unknown field": ({"colour": "red"}, "Extra inputs"),
    "an unknown feature": ({"features": ["telepathy"]}, "vision"),
    "an unknown tier": ({"tier": "royal"}, "premium"),
    "no name": ({"name": ""}, "at least 1 character"),
    "a quality over one": ({"quality": 1.1}, "less than or equal to 1"),
    "a quality by intent over one": ({"intent_quality": {"code_gen": 1.1}}, "less than or equal to 1"),
    "a quality by an unknown intent": ({"intent_quality": {"gossip": 0.5}}, "chat_lite"),
    "a quality by capability below zero": ({"capability_quality": {"code": -0.1}}, "greater than or equal to 0"),
    "a quality by capability that is no number": ({"capability_quality": {"code": float("nan")}}, "finite|equal"),
    "no window": ({"context_window": 0}, "greater than 0"),
    "a quality at pictures that it takes none of": (
        {"intent_quality": {"vision": 0.5}},
        "model m is rated at pictures",
    ),
    "a quality at an unknown capability": ({"capability_quality": {"telepathy": 0.5}}, "mathematical"),
    "a quality without a source": ({"quality": 0.5, "quality_source": ""}, "at least 1 character"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_row_is_refused_with_a_reason(what: str) -> None:
    facts, message = REFUSED[what]
    with pytest.raises(ValidationError, match=message):
        row(**facts)


def test_the_message_of_a_contradiction_names_the_model() -> None:
    with pytest.raises(ValidationError, match="model gpt-x is free"):
        row(name="gpt-x", free=True, input_usd_per_million="1", output_usd_per_million="1")


def test_the_highest_price_that_is_allowed_is_allowed() -> None:
    price = row(**{**PRICED, "output_usd_per_million": "1000000"}).price()
    assert price is not None
    assert price.output == 10**12


def test_every_field_is_described() -> None:
    assert [name for name, field in ModelRow.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("adapter", sorted(adapters()))
def test_the_rows_of_each_adapter_load(adapter: str) -> None:
    rows = load_rows(adapter)
    assert rows or adapter in ("compatible", "litellm")
    assert len({row.name for row in rows}) == len(rows)


def test_an_adapter_without_a_file_has_no_rows() -> None:
    assert load_rows("nobody") == ()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of rows; files in it need names of their own, since what was read is kept."""
    monkeypatch.setattr(model_rows, "_FOLDER", tmp_path)
    return tmp_path


def test_a_file_that_describes_a_model_twice_is_refused(folder: Path) -> None:
    (folder / "twice.toml").write_text('[[models]]\nname = "m"\n\n[[models]]\nname = "m"\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"twice\.toml describes m twice"):
        load_rows("twice")


BAD_ROWS = {
    "context_window = 10\nmax_output_tokens = 11": "model bad writes more than its context window holds",
    "intent_quality = { vision = 0.5 }": "model bad is rated at pictures and takes none",
    "intent_quality = { gossip = 0.5 }": "model bad: intent_quality.gossip: Input should be 'chat_lite'",
    "intent_quality = { code_gen = 1.5 }": "model bad: intent_quality.code_gen: Input should be less than or equal",
    "capability_quality = { code = -1 }": "model bad: capability_quality.code: Input should be greater than or equal",
    "quality = 2": "model bad: quality: Input should be less than or equal to 1",
    "colour = 'red'": "model bad: colour: Extra inputs are not permitted",
}


@pytest.mark.parametrize("number", range(len(BAD_ROWS)))
def test_a_file_with_a_bad_row_is_refused_and_the_row_is_named(folder: Path, number: int) -> None:
    line, message = list(BAD_ROWS.items())[number]
    (folder / f"bad{number}.toml").write_text(
        f"[[models]]\nname = 'good'\n[[models]]\nname = 'bad'\n{line}\n", encoding="utf-8"
    )
    with pytest.raises(ValueError) as raised:
        load_rows(f"bad{number}")
    assert str(raised.value).startswith(f"bad{number}.toml: {message}")


def test_every_bad_row_of_a_file_is_told_at_once_and_one_without_a_name_by_its_number(folder: Path) -> None:
    (folder / "several.toml").write_text(
        "[[models]]\ntier = 'economy'\n[[models]]\nname = 'b'\nquality = 2\n", encoding="utf-8"
    )
    with pytest.raises(ValueError) as raised:
        load_rows("several")
    told = str(raised.value).split("; ")
    assert [each.partition(": ")[2].partition(": ")[0] for each in told] == ["model number 1", "model b"]


SHIPPED = [(adapter, each) for adapter in sorted(adapters()) for each in load_rows(adapter)]


@pytest.mark.parametrize(("adapter", "each"), SHIPPED, ids=[f"{adapter}/{each.name}" for adapter, each in SHIPPED])
def test_a_shipped_row_is_rated_from_0_to_1_and_its_source_claims_no_measurement(adapter: str, each: ModelRow) -> None:
    assert each.quality is not None
    assert all(0 < q < 1 for q in (each.quality, *each.intent_quality.values(), *each.capability_quality.values()))
    assert each.quality_source.startswith("invented" if adapter == "sandbox" else "prior: ")
    if each.intent_quality or each.capability_quality:
        assert each.quality_source != model_rows.UNMEASURED, "it does not say why the model departs from its quality"


@pytest.mark.parametrize(("adapter", "each"), SHIPPED, ids=[f"{adapter}/{each.name}" for adapter, each in SHIPPED])
def test_a_shipped_row_rates_only_where_the_model_departs_from_its_overall_quality(
    adapter: str, each: ModelRow
) -> None:
    assert each.quality not in {*each.intent_quality.values(), *each.capability_quality.values()}
    assert Feature.VISION in each.features or Intent.VISION not in each.intent_quality


@pytest.mark.parametrize("adapter", ["openai", "anthropic", "mistral", "xai", "ollama", "sandbox"])
def test_no_economy_model_is_rated_above_a_premium_one_of_its_vendor_at_reasoning(adapter: str) -> None:
    at_reasoning: dict[Tier, list[float]] = {tier: [] for tier in Tier}
    for each in load_rows(adapter):
        assert each.quality is not None
        at_reasoning[each.tier].append(each.intent_quality.get(Intent.DEEP_REASON, each.quality))
    assert min(at_reasoning[Tier.PREMIUM]) >= max(at_reasoning[Tier.ECONOMY])


SPECIALISTS = {
    ("mistral", "codestral-2508"): Intent.CODE_GEN,
    ("xai", "grok-build-0.1"): Intent.CODE_GEN,
    ("ollama", "qwen2.5-coder"): Intent.CODE_GEN,
    ("ollama", "deepseek-r1"): Intent.DEEP_REASON,
    ("ollama", "llava"): Intent.VISION,
}


@pytest.mark.parametrize(("adapter", "name"), SPECIALISTS)
def test_a_specialised_model_is_rated_best_at_what_it_is_for(adapter: str, name: str) -> None:
    each = next(each for each in load_rows(adapter) if each.name == name)
    best = each.intent_quality[SPECIALISTS[adapter, name]]
    assert best > each.quality
    assert best == max(each.intent_quality.values())
