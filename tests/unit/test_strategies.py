"""What all strategies keep to, whatever the contenders: the laws, tried on generated fleets."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.catalogue import Catalogue, Model, ProviderEntry, Tier
from muxer_grpc.domain.decision import Classification
from muxer_grpc.domain.live import LiveFigures, LiveSnapshot
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.policy import CompletionRequest, RoutingPolicy, Weights
from muxer_grpc.domain.routing.ranking import Aim, known_strategies
from muxer_grpc.domain.routing.router import Router
from muxer_grpc.domain.routing.turns import MAX_SETS, Turns
from muxer_grpc.domain.tasks import Intent
from tests.rpc.service import CATALOGUE
from tests.unit.test_routing import asked

NAMES = sorted(known_strategies())
# These share traffic on purpose: a dearer model has its turn too.
SHARING = {"round_robin", "weighted"}

shares = st.floats(0, 1, allow_nan=False)
weights = st.builds(Weights, shares, shares, shares, shares).filter(lambda w: w.total > 0.01)
classifications = st.builds(
    Classification,
    st.sampled_from(Intent),
    shares,
    st.just(()),
    shares,
    st.just(()),
    st.just("test"),
    gain=shares,
    difficulty=shares,
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Contender]:
    size = draw(st.integers(1, 8))
    return [
        Contender(
            Model(
                f"a/{number}", "a", str(number), draw(st.sampled_from(Tier)), 10_000, 1_000, price=Price(1, 1, 1, 1, 1)
            ),
            draw(st.integers(0, 10**12)),
            draw(shares),
            draw(st.floats(0.01, 100)),
            draw(shares),
            draw(st.integers(0, 20)),
        )
        for number in range(size)
    ]


aims = st.builds(Aim, classifications, st.none() | weights, st.none() | shares, st.just({}), st.integers(0, 10_000))


@pytest.mark.parametrize("name", NAMES)
@given(fleet=fleets(), aim=aims)
def test_a_ranking_holds_each_contender_once_and_says_why(name: str, fleet: list[Contender], aim: Aim) -> None:
    ranking = known_strategies()[name].rank(fleet, aim)
    assert sorted(c.model.name for c in ranking.candidates) == sorted(c.model.name for c in fleet)
    assert ranking.explanation.startswith(ranking.candidates[0].model.name)
    for candidate in ranking.candidates:
        assert math.isfinite(candidate.score)
        assert 0 <= candidate.score <= 1 + 1e-9


@pytest.mark.parametrize("name", NAMES)
@given(fleet=fleets(), aim=aims, seed=st.randoms(use_true_random=False))
def test_the_order_of_contenders_does_not_change_a_ranking(name: str, fleet: list[Contender], aim: Aim, seed) -> None:  # type: ignore[no-untyped-def]
    rank = known_strategies()[name].rank
    shuffled = list(fleet)
    seed.shuffle(shuffled)
    assert rank(fleet, aim) == rank(shuffled, aim)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SHARING])
@given(fleet=fleets(), aim=aims, more=st.integers(1, 10**9))
def test_of_two_otherwise_equal_models_the_dearer_never_comes_first(
    name: str, fleet: list[Contender], aim: Aim, more: int
) -> None:
    twin = fleet[0]._replace(
        model=Model("a/!", "a", "!", fleet[0].model.tier, 10_000, 1_000, price=fleet[0].model.price),
        estimated_cost_nano_usd=fleet[0].estimated_cost_nano_usd + more,
    )
    ranking = known_strategies()[name].rank([twin, *fleet], aim)
    order = [candidate.model.name for candidate in ranking.candidates]
    assert order.index(fleet[0].model.name) < order.index("a/!")


@pytest.mark.parametrize("name", ["learned", "hybrid"])
@given(fleet=fleets(), base=weights, more=st.floats(0.01, 10), classification=classifications)
def test_the_more_cost_weighs_the_cheaper_the_choice(
    name: str, fleet: list[Contender], base: Weights, more: float, classification: Classification
) -> None:
    rank = known_strategies()[name].rank
    heavier = Weights(base.quality, base.cost + more, base.performance, base.availability)
    before, after = (rank(fleet, Aim(classification, chosen)).candidates[0] for chosen in (base, heavier))
    scores = {factor.name: factor.value for factor in after.factors}
    if before.model != after.model and any(f.name == "cost" for f in before.factors):
        assert scores["cost"] >= next(f.value for f in before.factors if f.name == "cost") - 1e-9


@given(fleet=fleets(), classification=classifications, target=shares)
def test_a_quality_target_is_reached_at_least_cost_or_missed_by_least(
    fleet: list[Contender], classification: Classification, target: float
) -> None:
    best = known_strategies()["learned"].rank(fleet, Aim(classification, quality_target=target)).candidates[0]
    reaching = [c.estimated_cost_nano_usd for c in fleet if c.expected_quality >= target]
    if reaching:
        assert (best.expected_quality >= target, best.estimated_cost_nano_usd) == (True, min(reaching))
    else:
        assert best.expected_quality == max(c.expected_quality for c in fleet)


def decide(strategy: str, router: Router, *, dry_run: bool = False, **policy: object) -> str:
    request = CompletionRequest(asked("hello"), RoutingPolicy(strategy=strategy, **policy))  # type: ignore[arg-type]
    classification = Classification(Intent.CHAT_LITE, 0.9, (), 0.1, (), "test", difficulty=0.1)
    return router.decide(request, classification, decision_id="d", now=1.0, dry_run=dry_run).selected.name


def test_round_robin_gives_each_model_its_turn_and_a_dry_run_takes_none() -> None:
    router = Router(CATALOGUE)
    seen = []
    for _ in range(8):
        told = decide("round_robin", router, dry_run=True)
        seen.append(decide("round_robin", router))
        assert told == seen[-1]
    assert Counter(seen) == dict.fromkeys([m.name for m in CATALOGUE.available], 2)


def test_turns_of_one_set_of_models_do_not_skew_those_of_another() -> None:
    router = Router(CATALOGUE)
    few = frozenset({"acme/small", "acme/large"})
    chosen: Counter[str] = Counter()
    for _ in range(50):
        chosen[decide("round_robin", router, allowed_models=few)] += 1
        decide("round_robin", router)
    assert chosen == {"acme/small": 25, "acme/large": 25}


def test_weighted_shares_come_out_close_after_few_choices() -> None:
    router = Router(CATALOGUE)
    model_weights = (("acme/large", 1.0), ("acme/small", 3.0))
    chosen = Counter(decide("weighted", router, model_weights=model_weights) for _ in range(100))
    assert set(chosen) == {"acme/small", "acme/large"}
    assert abs(chosen["acme/small"] - 75) <= 2


def test_without_weights_all_models_share_alike() -> None:
    router = Router(CATALOGUE)
    chosen = Counter(decide("weighted", router) for _ in range(100))
    assert all(abs(count - 25) <= 2 for count in chosen.values())


def test_turns_are_kept_in_bounded_memory() -> None:
    turns = Turns()
    for among in range(MAX_SETS * 2):
        turns.take(among)
    assert len(turns._made) == MAX_SETS


def live(**of_models: LiveFigures) -> LiveSnapshot:
    return LiveSnapshot.of({f"acme/{name}": figures for name, figures in of_models.items()})


def figures(latency: float = 1.0, success: float = 1.0, failures: int = 0, samples: int = 50) -> LiveFigures:
    return LiveFigures(samples, latency, 0.1, success, failures, 0, 1.0)


def selected(strategy: str, snapshot: LiveSnapshot, **policy: object) -> str:
    request = CompletionRequest(asked("hello"), RoutingPolicy(strategy=strategy, **policy))  # type: ignore[arg-type]
    classification = Classification(Intent.CHAT_LITE, 0.9, (), 0.1, (), "test", difficulty=0.1)
    decision = Router(CATALOGUE).decide(request, classification, decision_id="d", now=1.0, live=snapshot)
    assert decision.fleet_version.endswith(snapshot.version)
    return decision.selected.name


def test_performance_takes_the_model_that_was_fastest_of_late() -> None:
    assert selected("performance", live(large=figures(0.05), small=figures(3.0))) == "acme/large"


def test_a_latency_of_few_samples_is_not_trusted() -> None:
    assert selected("performance", live(large=figures(0.001, samples=4))) != "acme/large"


def test_availability_leaves_a_model_that_fails() -> None:
    down = live(small=figures(success=0.5, failures=5), middle=figures(success=0.9))
    assert selected("availability", down, denied_providers=frozenset({"other"})) == "acme/large"


def test_a_model_slower_than_the_policy_allows_is_excluded_with_the_reason() -> None:
    request = CompletionRequest(asked("hello"), RoutingPolicy(max_latency_seconds=0.5))
    classification = Classification(Intent.CHAT_LITE, 0.9, (), 0.1, (), "test", difficulty=0.1)
    fast = live(middle=figures(0.2))
    decision = Router(CATALOGUE).decide(request, classification, decision_id="d", now=1.0, live=fast)
    assert decision.selected.name == "acme/middle"
    assert {e.reason.value for e in decision.exclusions} == {"latency_ceiling"}


def test_a_requested_model_may_keep_the_others_behind_it() -> None:
    classification = Classification(Intent.CHAT_LITE, 0.9, (), 0.1, (), "test", difficulty=0.1)
    for fall_back, names in ((False, 1), (True, len(CATALOGUE.available))):
        policy = RoutingPolicy(fall_back=fall_back)
        request = CompletionRequest(asked("hello"), policy, requested_model="acme/large")
        decision = Router(CATALOGUE).decide(request, classification, decision_id="d", now=1.0)
        assert (decision.selected.name, len(decision.candidates)) == ("acme/large", names)
        assert decision.explanation == "acme/large: it was asked for by name"


def test_an_intent_that_is_settled_is_rated_by_its_own_quality_and_a_doubtful_one_is_not() -> None:
    coder = Model(
        "a/coder",
        "a",
        "coder",
        Tier.ECONOMY,
        10_000,
        1_000,
        price=Price(1, 1, 1, 1, 1),
        intent_quality={Intent.CODE_GEN: 0.95},
    )
    catalogue = Catalogue.of([coder], [ProviderEntry("a", configured=True)], version="f", price_book_version="p")
    expected = []
    for settled in (True, False):
        task = Classification(Intent.CODE_GEN, 0.9, (), 0.1, (), "test", difficulty=0.5, settled=settled)
        request = CompletionRequest(asked("hello"))
        decision = Router(catalogue).decide(request, task, decision_id="d", now=1.0)
        expected.append(decision.candidates[0].expected_quality)
    assert expected[0] > 0.9 > 0.5 > expected[1]
