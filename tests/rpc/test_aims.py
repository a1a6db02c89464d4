"""What a policy aims at: a wrong aim is told with the path of its field, and a right one steers the decision."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st
from muxer.v1 import muxer_service_pb2, routing_pb2

from muxer_grpc.domain.errors import InvalidRequest
from muxer_grpc.domain.routing.estimates import PRIOR_SECONDS
from muxer_grpc.rpc.aims import MAX_LATENCY_SECONDS, MAX_WEIGHT
from muxer_grpc.rpc.requests import MAX_POLICY_NAMES, read_request
from tests.rpc.mixed_specs import STRATEGIES
from tests.rpc.service import CATALOGUE, Service, Told, running, spec, told

NAN, INF = math.nan, math.inf
Policy = routing_pb2.RoutingPolicy
Weights = routing_pb2.RoutingWeights


def policy(**fields: Any) -> Policy:
    """Makes a policy; a dictionary of weights becomes their message."""
    if isinstance(fields.get("weights"), dict):
        fields["weights"] = Weights(**fields["weights"])
    return Policy(**fields)


WRONG: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a negative weight": ({"weights": {"quality": -0.1, "cost": 1}}, {"weights.quality": "range"}),
    "a weight alone that is negative": ({"weights": {"performance": -1}}, {"weights.performance": "range"}),
    "a weight that is no number": ({"weights": {"cost": NAN, "quality": 1}}, {"weights.cost": "range"}),
    "a weight without end": ({"weights": {"availability": INF}}, {"weights.availability": "range"}),
    "a weight beyond all measure": ({"weights": {"cost": MAX_WEIGHT * 2}}, {"weights.cost": "range"}),
    "weights that are all wrong": (
        {"weights": {"quality": NAN, "cost": -INF, "performance": INF, "availability": -1}},
        dict.fromkeys((f"weights.{name}" for name in ("quality", "cost", "performance", "availability")), "range"),
    ),
    "weights of nothing": ({"weights": {}}, {"weights": "required"}),
    "weights that are all zero": ({"weights": {"cost": 0.0, "quality": -0.0}}, {"weights": "required"}),
    "a quality target above 1": ({"quality_target": 1.0000001}, {"quality_target": "range"}),
    "a quality target below 0": ({"quality_target": -0.1}, {"quality_target": "range"}),
    "a quality target that is no number": ({"quality_target": NAN}, {"quality_target": "range"}),
    "a quality target without end": ({"quality_target": INF}, {"quality_target": "range"}),
    "a latency of nothing": ({"max_latency": Duration()}, {"max_latency": "range"}),
    "a negative latency": ({"max_latency": Duration(seconds=-1)}, {"max_latency": "range"}),
    "a latency of less than no nanosecond": ({"max_latency": Duration(nanos=-1)}, {"max_latency": "range"}),
    "a latency of two signs": ({"max_latency": Duration(seconds=1, nanos=-1)}, {"max_latency": "range"}),
    "a latency of more than a second's nanoseconds": (
        {"max_latency": Duration(nanos=1_000_000_000)},
        {"max_latency": "range"},
    ),
    "a latency longer than a duration can be": (
        {"max_latency": Duration(seconds=MAX_LATENCY_SECONDS + 1)},
        {"max_latency": "range"},
    ),
    "the longest number of seconds": ({"max_latency": Duration(seconds=2**63 - 1)}, {"max_latency": "range"}),
    "a share of an unknown model": ({"model_weights": {"nope": 1}}, {"model_weights['nope']": "unknown"}),
    "a negative share": ({"model_weights": {"small": -1, "large": 1}}, {"model_weights['small']": "range"}),
    "a share that is no number": ({"model_weights": {"acme/large": NAN}}, {"model_weights['acme/large']": "range"}),
    "a share without end": ({"model_weights": {"acme/large": INF}}, {"model_weights['acme/large']": "range"}),
    "a wrong share of an unknown model": (
        {"model_weights": {"nope": -1, "small": 1}},
        {"model_weights['nope']": "range"},
    ),
    "shares that are all zero": ({"model_weights": {"small": 0, "large": 0}}, {"model_weights": "required"}),
    "too many shares": (
        {"model_weights": {"small": 1, **{f"acme/{number}": 1 for number in range(MAX_POLICY_NAMES)}}},
        {"model_weights": "too_many"},
    ),
    "a negative price ceiling": ({"max_cost_nano_usd": -1}, {"max_cost_nano_usd": "range"}),
    "an unknown strategy": ({"strategy": "LEARNED"}, {"strategy": "unknown"}),
    "everything at once": (
        {
            "strategy": "x",
            "weights": {},
            "quality_target": 2.0,
            "max_latency": Duration(),
            "model_weights": {"nope": 1},
            "max_cost_nano_usd": -1,
        },
        {
            "strategy": "unknown",
            "weights": "required",
            "quality_target": "range",
            "max_latency": "range",
            "model_weights['nope']": "unknown",
            "max_cost_nano_usd": "range",
        },
    ),
}


def violations(wrong: Policy) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as raised:
        read_request(spec(routing=wrong), CATALOGUE)
    return {violation.field.removeprefix("spec.routing."): violation.rule for violation in raised.value.violations}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_aim_is_told_with_the_path_of_its_field(what: str) -> None:
    fields, expected = WRONG[what]
    found = violations(policy(**fields))
    # Where a name is unknown, its weight may be wrong as well, and too many names hold unknown ones.
    assert expected.items() <= found.items()
    assert {field for field in found if field not in expected} <= {f for f in found if f.startswith("model_weights[")}


@pytest.mark.parametrize("method", ["Route", "Complete", "StreamComplete"])
async def test_a_wrong_aim_travels_as_bad_request_from_every_method(method: str) -> None:
    fields, expected = WRONG["everything at once"]
    async with running() as service:
        request = getattr(muxer_service_pb2, f"{method}Request")(spec=spec(routing=policy(**fields)))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            call = getattr(service.stub, method)(request)
            await (call.read() if method == "StreamComplete" else call)
        assert not service.acme.requests
    error = told(raised.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert error.fields == {f"spec.routing.{field}": rule.upper() for field, rule in expected.items()}


RIGHT: dict[str, dict[str, Any]] = {
    "the smallest weight": {"weights": {"cost": 5e-324}},
    "the largest weights": {"weights": dict.fromkeys(("quality", "cost", "performance", "availability"), MAX_WEIGHT)},
    "a target of 0": {"quality_target": 0.0},
    "a target of less than 0 by its sign alone": {"quality_target": -0.0},
    "a target of 1": {"quality_target": 1.0},
    "the longest latency": {"max_latency": Duration(seconds=MAX_LATENCY_SECONDS)},
    "a share of 0 beside another": {"model_weights": {"small": 0, "large": 1e-9}},
    "one model's share by both its names": {"model_weights": {"small": 1, "acme/small": 2}},
    "a ceiling that no model reaches": {"max_cost_nano_usd": 2**63 - 1},
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("what", RIGHT)
async def test_an_aim_at_the_edge_of_its_range_is_decided_upon_with_scores_of_0_to_1(what: str, strategy: str) -> None:
    async with running() as service:
        decision = await decided(service, strategy=strategy, **RIGHT[what])
    assert len(decision.candidates) == 4
    for candidate in decision.candidates:
        assert 0 <= candidate.score <= 1
        assert sum(factor.weight for factor in candidate.factors) == pytest.approx(1)
    assert "-0" not in decision.explanation


any_weight = st.floats() | st.floats(0, MAX_WEIGHT)


@given(
    st.builds(Weights, quality=any_weight, cost=any_weight, performance=any_weight, availability=any_weight),
    st.floats(),
    st.builds(Duration, seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1)),
    st.dictionaries(st.sampled_from(["small", "acme/small", "acme/large", "nope", ""]), any_weight),
)
def test_any_aim_is_read_or_refused_and_what_is_read_is_in_range(
    weights: Weights, target: float, latency: Duration, shares: dict[str, float]
) -> None:
    asked = Policy(weights=weights, quality_target=target, max_latency=latency, model_weights=shares)
    try:
        read = read_request(spec(routing=asked), CATALOGUE).policy
    except InvalidRequest:
        return
    assert read.weights is not None
    assert 0 < read.weights.total <= 4 * MAX_WEIGHT
    assert read.quality_target is not None
    assert 0 <= read.quality_target <= 1
    assert read.max_latency_seconds is not None
    assert 0 < read.max_latency_seconds < MAX_LATENCY_SECONDS + 1
    assert all(0 <= share <= 2 * MAX_WEIGHT for _, share in read.model_weights)


async def decided(service: Service, text: str = "Tell me about climate change", **fields: Any) -> Any:
    """Gives the decision of Route under a policy."""
    request = muxer_service_pb2.RouteRequest(spec=spec(text, routing=policy(**fields)))
    return (await service.stub.Route(request)).decision


async def refused(service: Service, **fields: Any) -> Told:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await decided(service, **fields)
    return told(raised.value)


@pytest.fixture
async def service() -> AsyncGenerator[Service, None]:
    async with running() as one:
        yield one


def nanos(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_latency_ceiling_excludes_the_models_that_are_expected_to_take_longer(
    service: Service, strategy: str
) -> None:
    free = await decided(service, strategy=strategy)
    takes = {candidate.model: seconds(candidate.estimated_latency) for candidate in free.candidates}
    ceiling = sorted(takes.values())[len(takes) // 2]
    held = await decided(service, strategy=strategy, max_latency=nanos(ceiling))
    slower = {name for name, time in takes.items() if time > ceiling}
    assert slower
    assert {candidate.model for candidate in held.candidates} == set(takes) - slower
    assert {e.model: e.reason for e in held.exclusions} == dict.fromkeys(
        slower, routing_pb2.EXCLUSION_REASON_LATENCY_CEILING
    )
    assert all(f"{ceiling:g} s at most" in exclusion.detail for exclusion in held.exclusions)


async def test_a_latency_that_no_model_reaches_is_told_model_by_model(service: Service) -> None:
    ceiling = min(first for first, _ in PRIOR_SECONDS.values()) / 2
    error = await refused(service, max_latency=nanos(ceiling))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_ELIGIBLE_MODEL")
    told_of = {v.subject: v.type for v in error.details["PreconditionFailure"].violations}  # type: ignore[attr-defined]
    assert told_of == {model.name: "LATENCY_CEILING" for model in CATALOGUE.available}


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_price_ceiling_excludes_the_models_that_are_expected_to_cost_more(
    service: Service, strategy: str
) -> None:
    free = await decided(service, strategy=strategy)
    costs = {candidate.model: candidate.estimated_cost_nano_usd for candidate in free.candidates}
    ceiling = sorted(costs.values())[1]
    held = await decided(service, strategy=strategy, max_cost_nano_usd=ceiling)
    dearer = {name for name, cost in costs.items() if cost > ceiling}
    assert len(dearer) == 2
    assert {e.model: e.reason for e in held.exclusions} == dict.fromkeys(
        dearer, routing_pb2.EXCLUSION_REASON_COST_CEILING
    )
    assert {candidate.model for candidate in held.candidates} == set(costs) - dearer
    error = await refused(service, strategy=strategy, max_cost_nano_usd=min(costs.values()) - 1)
    assert error.reason == "NO_ELIGIBLE_MODEL"


@pytest.mark.parametrize("text", ["hi", "Prove that there are infinitely many primes", "Write a parser in Rust"])
async def test_a_quality_target_takes_the_cheapest_model_that_is_expected_to_reach_it(
    service: Service, text: str
) -> None:
    free = await decided(service, text)
    chosen = []
    for target in sorted(candidate.expected_quality for candidate in free.candidates):
        decision = await decided(service, text, quality_target=target)
        reaching = [c for c in decision.candidates if c.expected_quality >= target]
        assert decision.selected_model == min(reaching, key=lambda c: c.estimated_cost_nano_usd).model
        assert list(decision.candidates[: len(reaching)]) == reaching
        assert f"reach a quality of {target:.2f}" in decision.explanation
        chosen.append(decision.selected_model)
    assert len(set(chosen)) >= 2


async def test_a_quality_that_no_model_reaches_takes_the_nearest_and_says_so(service: Service) -> None:
    decision = await decided(service, "Prove that there are infinitely many primes", quality_target=1.0)
    best = max(candidate.expected_quality for candidate in decision.candidates)
    assert best < 1
    assert decision.candidates[0].expected_quality == best
    assert "none reaches" in decision.explanation


async def test_a_quality_target_is_read_by_the_learned_strategy_alone(service: Service) -> None:
    for strategy in STRATEGIES:
        free = await decided(service, strategy=strategy)
        with_target = await decided(service, strategy=strategy, quality_target=0.99)
        free.ClearField("decision_id")
        free.ClearField("create_time")
        with_target.ClearField("decision_id")
        with_target.ClearField("create_time")
        assert (free == with_target) is (strategy != "learned")


@pytest.mark.parametrize("strategy", ["hybrid", "learned"])
@pytest.mark.parametrize("factor", ["quality", "cost", "performance", "availability"])
async def test_a_single_weight_leaves_its_factor_alone_to_choose(service: Service, strategy: str, factor: str) -> None:
    decision = await decided(service, strategy=strategy, weights={factor: 0.2})
    for candidate in decision.candidates:
        assert [(told_of.name, told_of.weight) for told_of in candidate.factors] == [(factor, 1.0)]
        assert candidate.score == candidate.factors[0].value
    cheapest = min(decision.candidates, key=lambda c: c.estimated_cost_nano_usd).model
    fastest = min(decision.candidates, key=lambda c: seconds(c.estimated_latency))
    finest = max(decision.candidates, key=lambda c: c.expected_quality).model
    # Nobody has failed yet, so that availability leaves it to the cost.
    expected = {"quality": finest, "cost": cheapest, "performance": fastest.model, "availability": cheapest}
    assert decision.selected_model == expected[factor]


@pytest.mark.parametrize("strategy", ["hybrid", "learned"])
async def test_weights_count_relative_to_each_other_and_move_the_choice(service: Service, strategy: str) -> None:
    frugal = await decided(service, strategy=strategy, weights={"quality": 1, "cost": 9})
    scaled = await decided(service, strategy=strategy, weights={"quality": 100, "cost": 900})
    lavish = await decided(service, strategy=strategy, weights={"quality": 9, "cost": 1})
    assert [c.model for c in frugal.candidates] == [c.model for c in scaled.candidates]
    for one, other in zip(frugal.candidates, scaled.candidates, strict=True):
        assert one.score == pytest.approx(other.score)
        assert {f.name: f.weight for f in one.factors} == pytest.approx({"quality": 0.1, "cost": 0.9})
    assert frugal.candidates[0].estimated_cost_nano_usd < lavish.candidates[0].estimated_cost_nano_usd
    assert frugal.candidates[0].expected_quality < lavish.candidates[0].expected_quality


async def test_the_default_weights_of_hybrid_are_told_with_every_candidate(service: Service) -> None:
    decision = await decided(service, strategy="hybrid")
    for candidate in decision.candidates:
        told_of = {factor.name: factor.weight for factor in candidate.factors}
        assert told_of == pytest.approx({"cost": 0.4, "performance": 0.3, "availability": 0.3})


SHARES = {
    "shares by full and by short names": ({"acme/small": 3, "large": 1}, {"acme/small": 0.75, "acme/large": 0.25}),
    "shares below 1": ({"small": 0.05, "middle": 0.03, "large": 0.02}, {"acme/small": 0.5, "acme/middle": 0.3}),
    "a share of 0": ({"small": 0, "middle": 2}, {"acme/middle": 1.0}),
    "one model's shares by both names": ({"small": 1, "acme/small": 2, "tiny": 1}, {"acme/small": 0.75}),
    "no shares": ({}, dict.fromkeys(("acme/small", "acme/middle", "acme/large", "other/tiny"), 0.25)),
}


@pytest.mark.parametrize("what", SHARES)
async def test_shares_of_models_hold_over_many_completions(service: Service, what: str) -> None:
    weights, expected = SHARES[what]
    chosen: Counter[str] = Counter()
    asked = spec(routing=policy(strategy="weighted", model_weights=weights))
    for _ in range(200):
        reply = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked))
        chosen[reply.summary.selected_model] += 1
    for name, share in expected.items():
        assert chosen[name] / 200 == pytest.approx(share, abs=0.02)
    if sum(expected.values()) == 1.0:
        assert set(chosen) == set(expected)


async def test_shares_of_models_that_cannot_answer_leave_the_others_alike(service: Service) -> None:
    decision = await decided(
        service, strategy="weighted", model_weights={"acme/large": 1}, denied_models=["acme/large"]
    )
    assert [candidate.score for candidate in decision.candidates] == pytest.approx([1, 1 / 3, 1 / 3])
