"""What tenants would save, worked out by hand on a small catalogue."""

from __future__ import annotations

from typing import Any

import pytest

from muxer_grpc.domain.catalogue import Catalogue, Feature, Model, ProviderEntry, Tier
from muxer_grpc.domain.money import FREE, Price, PriceTier, Usage
from muxer_grpc.domain.savings import (
    ModelSpending,
    RepeatSpending,
    SpendingReport,
    TenantSavings,
    savings,
)
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.domain.tenancy import TenantPolicy

# 1,000 tokens in and 500 out, ten times.
USAGE = Usage(input_tokens=10_000, output_tokens=5_000)
DEAR = Price.from_usd_per_million("10", "20")
CHEAP = Price.from_usd_per_million("1", "2")
# What the usage costs at these prices, in nano-USD.
DEAR_COST, CHEAP_COST = 200_000_000, 20_000_000


def model(name: str, price: Price | None = CHEAP, quality: float = 0.8, **changes: Any) -> Model:
    provider, _, vendor_model = name.partition("/")
    facts: dict[str, Any] = {"context_window": 100_000, "max_output_tokens": 4_000, **changes}
    return Model(name, provider, vendor_model, Tier.BALANCED, price=price, quality=quality, **facts)


PRESENT = model("a/present", DEAR)


def spent(**changes: Any) -> ModelSpending:
    facts: dict[str, Any] = {
        "tenant_id": "acme",
        "intent": "code_gen",
        "model": "a/present",
        "usage": USAGE,
        "cost_nano_usd": DEAR_COST,
        "reserved_nano_usd": DEAR_COST,
        "attempts": 10,
        "most_input_tokens": 1_000,
        "most_output_tokens": 500,
    }
    return ModelSpending(**(facts | changes))


def saved(*others: Model, policy: TenantPolicy | None = None, tolerance: float = 0.02, **changes: Any) -> TenantSavings:
    entries = [ProviderEntry(name, configured=name != "off") for name in ("a", "b", "off")]
    catalogue = Catalogue.of([PRESENT, *others], entries, version="v", price_book_version="p")
    report = SpendingReport([spent(**changes)], [], {} if policy is None else {"acme": policy})
    [tenant] = savings(report, catalogue, tolerance)
    return tenant


def test_the_cheapest_model_of_equal_quality_is_named_with_what_it_would_have_cost() -> None:
    middle = model("b/middle", Price.from_usd_per_million("5", "10"))
    [found] = saved(model("b/cheap"), middle).cheaper_models
    assert (found.model, found.cost_nano_usd, found.saved_nano_usd) == (
        "b/cheap",
        CHEAP_COST,
        DEAR_COST - CHEAP_COST,
    )
    assert (found.present_quality, found.quality) == (0.8, 0.8)


@pytest.mark.parametrize(("quality", "tolerance", "found"), [(0.79, 0.02, 1), (0.77, 0.02, 0), (0.77, 0.04, 1)])
def test_a_quality_may_be_lower_by_the_tolerance_and_no_more(quality: float, tolerance: float, found: int) -> None:
    assert len(saved(model("b/cheap", quality=quality), tolerance=tolerance).cheaper_models) == found


def test_qualities_are_those_of_the_kind_of_task() -> None:
    good_at_code = model("b/coder", quality=0.5, intent_quality={Intent.CODE_GEN: 0.9})
    bad_at_code = model("b/talker", quality=0.9, intent_quality={Intent.CODE_GEN: 0.5})
    [found] = saved(good_at_code, bad_at_code).cheaper_models
    assert (found.model, found.quality) == ("b/coder", 0.9)


@pytest.mark.parametrize(
    "other",
    [
        model("b/no-price", None),
        model("b/simulated", simulated=True),
        model("b/retired", retired=True),
        model("b/disabled", disabled=True),
        model("off/not-configured"),
        model("b/short-window", context_window=1_499),
        model("b/short-answers", max_output_tokens=499),
        model("b/dearer", Price.from_usd_per_million("11", "21")),
        model("b/as-dear", DEAR),
    ],
    ids=lambda other: other.name,
)
def test_a_model_that_could_not_have_done_it_for_less_is_not_named(other: Model) -> None:
    assert saved(other).cheaper_models == ()


def test_a_model_that_just_fits_is_named() -> None:
    fits = model("b/fits", context_window=1_500, max_output_tokens=500)
    assert [each.model for each in saved(fits).cheaper_models] == ["b/fits"]


def test_a_model_that_lacks_a_feature_of_the_present_one_is_not_named() -> None:
    seeing = model("a/seeing", DEAR, features=frozenset({Feature.VISION}))
    both = model("b/both", features=frozenset({Feature.VISION, Feature.TOOLS}))
    [found] = saved(seeing, model("b/blind", FREE), both, model="a/seeing").cheaper_models
    assert found.model == "b/both"


@pytest.mark.parametrize(
    "policy",
    [
        TenantPolicy(denied_models=frozenset({"b/cheap"})),
        TenantPolicy(allowed_models=frozenset({"a/present"})),
        TenantPolicy(denied_providers=frozenset({"b"})),
        TenantPolicy(allowed_providers=frozenset({"a"})),
        TenantPolicy(allowed_regions=frozenset({"eu"})),
    ],
)
def test_a_model_that_the_tenant_s_policy_rules_out_is_not_named(policy: TenantPolicy) -> None:
    assert saved(model("b/cheap", regions=("us",)), policy=policy).cheaper_models == ()


def test_a_model_that_the_tenant_s_policy_allows_is_named() -> None:
    policy = TenantPolicy(
        allowed_models=frozenset({"b/cheap"}), allowed_providers=frozenset({"b"}), allowed_regions=frozenset({"eu"})
    )
    assert len(saved(model("b/cheap", regions=("us", "eu")), policy=policy).cheaper_models) == 1


def test_prices_with_tiers_are_read_by_the_mean_length_of_the_input() -> None:
    """One price for all tokens together would put ten short requests into the tier of one long one."""
    tiered = CHEAP.with_tiers([PriceTier(5_000, Price.from_usd_per_million("100", "200"))])
    [found] = saved(model("b/tiered", tiered)).cheaper_models
    assert found.cost_nano_usd == CHEAP_COST
    assert saved(model("b/tiered", tiered), attempts=1).cheaper_models == ()


@pytest.mark.parametrize("changes", [{"intent": ""}, {"model": "gone/model"}])
def test_nothing_is_said_of_tasks_and_models_that_are_not_known(changes: dict[str, Any]) -> None:
    assert saved(model("b/cheap"), **changes).cheaper_models == ()


def test_unused_reservations_are_summed_by_model_with_the_longest_answer() -> None:
    rows = [
        spent(reserved_nano_usd=1_000, cost_nano_usd=300, most_output_tokens=70),
        spent(intent="vision", reserved_nano_usd=500, cost_nano_usd=200, most_output_tokens=90),
        spent(model="b/cheap", reserved_nano_usd=50, cost_nano_usd=60),
    ]
    catalogue = Catalogue.of([PRESENT], [ProviderEntry("a", configured=True)], version="v", price_book_version="p")
    [tenant] = savings(SpendingReport(rows, [], {}), catalogue)
    [unused] = tenant.unused
    assert (unused.model, unused.reserved_nano_usd, unused.spent_nano_usd) == ("a/present", 1_500, 500)
    assert (unused.unused_nano_usd, unused.longest_answer_tokens) == (1_000, 90)
    assert tenant.spent_nano_usd == 560


def test_who_would_save_most_comes_first() -> None:
    rows = [spent(tenant_id=name, cost_nano_usd=0) for name in ("first", "second", "third")]
    repeats = [RepeatSpending("second", 9, 5, 4, 1_000), RepeatSpending("third", 9, 5, 4, 2_000)]
    catalogue = Catalogue.of([PRESENT], [ProviderEntry("a", configured=True)], version="v", price_book_version="p")
    found = savings(SpendingReport(rows, repeats, {}), catalogue)
    assert [each.tenant_id for each in found] == ["third", "second", "first"]
    assert found[0].repeats == repeats[1]
    assert found[2].repeats == RepeatSpending("first", 0, 0, 0, 0)
