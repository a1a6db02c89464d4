"""The price book: which source counts, what a version names, which changes are too large, what is no price at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.catalogue import Catalogue, Model, ProviderEntry, Tier
from muxer_grpc.domain.money import FREE, Price, PriceTier
from muxer_grpc.domain.price_book import (
    MAX_PICO_USD_PER_TOKEN,
    PriceBook,
    PriceLayer,
    PriceSource,
    PriceSources,
    book_document,
    book_from,
    differences,
    jumps,
    merged_book,
    price_document,
    price_from,
    stored_book,
)

ONE = Price.from_usd_per_million("1", "2")
TWO = Price.from_usd_per_million("2", "4")
THREE = Price.from_usd_per_million("3", "6")
FOUR = Price.from_usd_per_million("4", "8")
MODELS = frozenset({"a/m", "a/n", "b/m"})


def layers(**prices: Price) -> list[PriceLayer]:
    return [PriceLayer(PriceSource(name), {"a/m": price}) for name, price in prices.items()]


def test_a_later_source_counts_before_an_earlier_one_and_the_book_says_which_it_was() -> None:
    order = ("package", "provider", "stored", "settings")
    prices = (ONE, TWO, THREE, FOUR)
    for last in range(1, 5):
        book = merged_book(layers(**dict(zip(order[:last], prices[:last], strict=True))), MODELS)
        assert (book.prices["a/m"], book.sources["a/m"]) == (prices[last - 1], PriceSource(order[last - 1]))


def test_a_book_holds_the_known_models_alone() -> None:
    book = merged_book([PriceLayer(PriceSource.PACKAGE, {"a/m": ONE, "nobody/knows": TWO})], MODELS)
    assert set(book.prices) == set(book.sources) == {"a/m"}


def test_a_book_holds_from_the_latest_time_of_its_layers_on() -> None:
    given = [PriceLayer(PriceSource.PACKAGE, {}, 5), PriceLayer(PriceSource.STORED, {}, 9), *layers(settings=ONE)]
    assert merged_book(given, MODELS).effective_us == 9


def test_a_version_names_prices_and_the_time_from_which_they_hold_and_nothing_else() -> None:
    def version(price: Price, at: int, source: PriceSource = PriceSource.STORED) -> str:
        return merged_book([PriceLayer(source, {"a/m": price}, at)], MODELS).version

    assert version(ONE, 1) == version(ONE, 1) == version(ONE, 1, PriceSource.SETTINGS)
    tiered = ONE.with_tiers([PriceTier(10, TWO)])
    assert len({version(ONE, 1), version(ONE, 2), version(TWO, 1), version(tiered, 1)}) == 4
    assert stored_book({"a/m": ONE, "a/n": TWO}, 1).version == stored_book({"a/n": TWO, "a/m": ONE}, 1).version


def test_what_is_stored_counts_between_the_files_and_the_settings() -> None:
    sources = PriceSources(
        models=MODELS,
        provider=PriceLayer(PriceSource.PROVIDER, {"a/m": ONE, "a/n": ONE}),
        settings=PriceLayer(PriceSource.SETTINGS, {"a/n": FOUR}),
        package=lambda at_us: PriceLayer(PriceSource.PACKAGE, {"b/m": TWO if at_us < 100 else THREE}),
    )
    stored = stored_book({"a/m": TWO, "a/n": TWO}, 50)
    book = sources.book(60, stored)
    assert dict(book.prices) == {"a/m": TWO, "a/n": FOUR, "b/m": TWO}
    assert [book.sources[model] for model in ("a/m", "a/n", "b/m")] == [
        PriceSource.STORED,
        PriceSource.SETTINGS,
        PriceSource.PACKAGE,
    ]
    assert book.effective_us == 50
    assert sources.book(100, stored).prices["b/m"] == THREE
    assert dict(sources.book(60, None).prices) == {"a/m": ONE, "a/n": FOUR, "b/m": TWO}


def test_a_model_that_no_source_has_a_price_of_has_none_in_the_catalogue() -> None:
    models = [Model(name, "a", name[2:], Tier.ECONOMY, 10, 10, price=ONE) for name in ("a/m", "a/n")]
    catalogue = Catalogue.of(models, [ProviderEntry("a", configured=True)], version="f", price_book_version="p")
    assert dict(PriceSources.of(catalogue).book(0, None).prices) == {"a/m": ONE, "a/n": ONE}
    book = merged_book([PriceLayer(PriceSource.STORED, {"a/m": TWO})], catalogue.models)
    priced = book.applied_to(catalogue)
    assert {name: model.price for name, model in priced.models.items()} == {"a/m": TWO, "a/n": None}
    assert (priced.price_book_version, priced.version) == (book.version, "f")
    assert not priced.all_priced


def scaled(price: Price, **changes: int) -> Price:
    return Price(**{**price.by_kind, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (ONE, ONE, ()),
        (ONE, scaled(ONE, output=20_000_000), ()),
        (ONE, scaled(ONE, output=20_000_001), ("output",)),
        (ONE, scaled(ONE, cached_input=100_000), ()),
        (ONE, scaled(ONE, cached_input=99_999), ("cached_input",)),
        (ONE, scaled(ONE, cache_write=0), ("cache_write",)),
        (FREE, scaled(FREE, cache_write_1h=1, reasoning=1), ("cache_write_1h", "reasoning")),
        (FREE, FREE, ()),
        (None, ONE, ()),
        (ONE, None, ()),
        (
            ONE,
            ONE.with_tiers([PriceTier(10, scaled(ONE, input=11_000_000))]),
            ("input above 10 input tokens",),
        ),
        (
            TWO.with_tiers([PriceTier(10, scaled(TWO, input=30_000_000))]),
            TWO.with_tiers([PriceTier(20, TWO)]),
            ("input above 10 input tokens", "input above 20 input tokens"),
        ),
    ],
)
def test_a_price_jumps_when_a_kind_changes_by_more_than_the_factor_in_any_tier(
    before: Price | None, after: Price | None, expected: tuple[str, ...]
) -> None:
    assert jumps(before, after, 10) == jumps(after, before, 10) == expected


def test_differences_tell_what_changes_and_by_how_much() -> None:
    old = merged_book([PriceLayer(PriceSource.PROVIDER, {"a/m": ONE, "a/n": TWO})], MODELS)
    new = merged_book([PriceLayer(PriceSource.PROVIDER, {"a/m": FOUR, "b/m": TWO})], MODELS)
    found = differences(old, new, 3)
    assert [(each.model, each.before, each.after) for each in found] == [
        ("a/m", ONE, FOUR),
        ("a/n", TWO, None),
        ("b/m", None, TWO),
    ]
    assert [bool(each.jumps) for each in found] == [True, False, False]


amounts = st.integers(0, MAX_PICO_USD_PER_TOKEN)
flat = st.builds(Price, amounts, amounts, amounts, amounts, amounts, amounts)


@given(flat, st.dictionaries(st.integers(1, 10**6), flat, max_size=3))
def test_a_price_comes_back_from_its_document_as_it_was(price: Price, tiers: dict[int, Price]) -> None:
    tiered = price.with_tiers(PriceTier(start, tiers[start]) for start in sorted(tiers))
    assert price_from(json.loads(json.dumps(price_document(tiered)))) == tiered


GOOD = price_document(ONE)
TIER = {"above_input_tokens": 5, **GOOD}
BROKEN: dict[str, Any] = {
    "nothing": None,
    "a number": 5,
    "a kind left out": {kind: value for kind, value in GOOD.items() if kind != "reasoning"},
    "an unknown kind": {**GOOD, "audio": 1},
    "a float": {**GOOD, "input": 1.0},
    "a truth": {**GOOD, "input": True},
    "a text": {**GOOD, "input": "1"},
    "a negative price": {**GOOD, "input": -1},
    "a price beyond all sense": {**GOOD, "input": MAX_PICO_USD_PER_TOKEN + 1},
    "tiers that are none": {**GOOD, "tiers": {}},
    "a tier without a beginning": {**GOOD, "tiers": [GOOD]},
    "a tier from nothing on": {**GOOD, "tiers": [{**TIER, "above_input_tokens": 0}]},
    "tiers that do not rise": {**GOOD, "tiers": [TIER, TIER]},
    "a tier with tiers": {**GOOD, "tiers": [{**TIER, "tiers": []}]},
    "too many tiers": {**GOOD, "tiers": [{**TIER, "above_input_tokens": n + 1} for n in range(9)]},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_document_that_is_no_price_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"price|whole number"):
        price_from(BROKEN[name])


def book() -> PriceBook:
    return merged_book([*layers(package=ONE), PriceLayer(PriceSource.STORED, {"b/m": FREE}, 7)], MODELS)


def test_a_book_comes_back_from_its_document_as_it_was() -> None:
    whole = book()
    assert book_from(whole.version, 7, json.loads(json.dumps(book_document(whole)))) == whole


def test_a_document_whose_prices_are_not_those_of_its_version_is_refused() -> None:
    whole = book()
    document = book_document(whole)
    with pytest.raises(ValueError, match="not those that its version names"):
        book_from(whole.version, 8, document)
    document["a/m"]["price"]["input"] += 1
    with pytest.raises(ValueError, match="not those that its version names"):
        book_from(whole.version, 7, document)


@pytest.mark.parametrize(
    "document", [None, [], {"a/m": 1}, {"a/m": {"price": GOOD}}, {"a/m": {"price": 1, "source": "x"}}]
)
def test_a_document_that_is_no_book_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="price"):
        book_from("stored-x", 1, document)


def test_a_book_whose_source_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        book_from("stored-x", 1, {"a/m": {"price": GOOD, "source": "nowhere"}})
