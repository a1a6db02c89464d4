"""Decisions as history keeps them: read back, they can be made again to the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from muxer.v1 import routing_pb2

from muxer_grpc.domain.catalogue import Feature
from muxer_grpc.domain.chat import Conversation, JsonFormat, Message, Role, TextPart
from muxer_grpc.domain.classification.classifier import Classifier
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.live import NOTHING_KNOWN, LiveFigures, LiveSnapshot, Resting
from muxer_grpc.domain.routing.past import PastExclusion, Remaking
from muxer_grpc.domain.routing.policy import CompletionRequest, RoutingPolicy, Weights
from muxer_grpc.domain.routing.ranking import known_strategies
from muxer_grpc.domain.routing.router import Router
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.rpc.kept_decisions import kept_decision_document, read_document, read_past
from muxer_grpc.rpc.replies import written_decision
from tests.rpc.service import CATALOGUE

SECRET = "Analyze why the merge sort of canaries is stable"
LIVE = LiveSnapshot(
    {
        "acme/small": LiveFigures(40, 3.0, 0.5, 0.6, 2, 100, 5.0, 9.0),
        "acme/large": LiveFigures(3, 0.1, 0.1, 1.0, 0, 100, 5.0),
        "other/tiny": LiveFigures(0, None, None, 1.0, 0, 0, 0.0),
    },
    "live-1",
)
RULES = {
    "none": RoutingPolicy(),
    "weights": RoutingPolicy(weights=Weights(quality=0.2, cost=0.3, performance=0.1, availability=0.4)),
    "a target": RoutingPolicy(quality_target=0.6),
    "lists": RoutingPolicy(
        denied_models=frozenset({"acme/small"}),
        allowed_providers=frozenset({"acme", "other"}),
        required_features=frozenset({Feature.TOOLS}),
    ),
    "ceilings": RoutingPolicy(max_cost_nano_usd=500_000, max_latency_seconds=9.5),
    "shares": RoutingPolicy(model_weights=(("acme/large", 0.9), ("acme/middle", 0.1))),
}


def decided(policy: RoutingPolicy, *, live: LiveSnapshot = NOTHING_KNOWN, **changes: Any) -> Decision:
    message = Message(Role.USER, (TextPart(SECRET),))
    conversation = Conversation((message,), max_output_tokens=400, **changes.pop("conversation", {}))
    request = CompletionRequest(conversation, policy, **changes.pop("request", {}))
    router = changes.pop("router", None) or Router(CATALOGUE, **changes.pop("routing", {}))
    classification = Classifier(None).classify(conversation)._replace(runners_up=((Intent.VISION, 0.25),))
    return router.decide(request, classification, decision_id="dec_1", now=7.0, live=live, **changes)


def assert_made_again(decision: Decision) -> None:
    """Reads a decision back from its bytes, makes it again, and compares all that it says."""
    past = read_past(read_document(kept_decision_document(decision)))
    choice = Remaking(past, CATALOGUE).choose()
    assert choice is not None
    assert (choice.candidates, choice.fallbacks) == (decision.candidates, decision.fallbacks)
    assert (choice.exclusions, choice.explanation) == (decision.exclusions, decision.explanation)
    assert past.classification == decision.classification
    assert past.exclusions == tuple(
        PastExclusion(e.model.name, e.model.provider, e.reason, e.detail) for e in decision.exclusions
    )


@pytest.mark.parametrize("strategy", sorted(known_strategies()))
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("live", [NOTHING_KNOWN, LIVE], ids=["new", "called"])
def test_a_decision_that_was_kept_is_made_again_to_the_letter(strategy: str, rules: str, live: LiveSnapshot) -> None:
    assert_made_again(decided(replace(RULES[rules], strategy=strategy), live=live))


@pytest.mark.parametrize(
    "changes",
    [
        {"request": {"requested_model": "acme/middle"}},
        {"conversation": {"response_format": JsonFormat()}},
        {"live": LIVE.with_resting({"acme/small": Resting("it failed", 5.0), "other/": Resting("down", 0.0)})},
        {"live": LIVE, "seconds_left": 0.2},
        {"routing": {"default_strategy": "hybrid", "default_weights": Weights(quality=1.0)}},
    ],
    ids=["asked by name", "needs JSON", "rests", "a short deadline", "weights of an operator"],
)
def test_what_stood_in_the_way_of_models_stands_there_again(changes: dict[str, Any]) -> None:
    assert_made_again(decided(RoutingPolicy(), **changes))


@pytest.mark.parametrize("strategy", [name for name, each in known_strategies().items() if each.takes_turns])
def test_the_turn_of_a_decision_is_kept(strategy: str) -> None:
    router = Router(CATALOGUE)
    chosen = set()
    for _ in range(4):
        decision = decided(RoutingPolicy(strategy=strategy), router=router, dry_run=False)
        chosen.add(decision.selected.name)
        assert_made_again(decision)
    assert len(chosen) > 1


def test_nothing_of_the_prompt_is_kept() -> None:
    document = kept_decision_document(decided(RoutingPolicy(), live=LIVE))
    assert not [word for word in SECRET.lower().split() if len(word) > 4 and word.encode() in document.lower()]


def test_what_callers_see_of_a_decision_has_no_basis() -> None:
    decision = decided(RoutingPolicy())
    told = routing_pb2.RouteDecision.FromString(kept_decision_document(decision))
    assert told.HasField("basis")
    told.ClearField("basis")
    assert routing_pb2.RouteDecision.FromString(written_decision(decision)) == told


def test_bytes_of_another_time_are_read_as_far_as_they_are_known() -> None:
    later = routing_pb2.RouteDecision(
        decision_id="dec_1",
        classification=routing_pb2.Classification(intent=77),  # type: ignore[arg-type]
        exclusions=[routing_pb2.Exclusion(model="a/b", reason=88)],  # type: ignore[arg-type]
        basis=routing_pb2.DecisionBasis(needed_features=[99]),  # type: ignore[list-item]
    )
    past = read_past(read_document(later.SerializeToString()))
    assert past.basis is None
    assert past.exclusions == (PastExclusion("a/b", "", None, ""),)
    later.classification.intent = routing_pb2.INTENT_VISION
    basis = read_past(read_document(later.SerializeToString())).basis
    assert basis is not None
    assert basis.features == frozenset()
    assert read_past(read_document(b"\xff\xff")).decision_id == ""
