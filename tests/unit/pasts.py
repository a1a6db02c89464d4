"""Decisions of the past, as tests of explanations and replays need them."""

from __future__ import annotations

from typing import Any

from muxer_grpc.domain.catalogue import Catalogue, ProviderEntry, Tier
from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.decision import Classification, Decision
from muxer_grpc.domain.routing.past import PastDecision, PastExclusion
from muxer_grpc.domain.routing.policy import CompletionRequest, RoutingPolicy
from muxer_grpc.domain.routing.router import Router
from muxer_grpc.domain.tasks import Capability, Intent
from tests.rpc.service import model

CONFIGURED = [ProviderEntry(name, configured=True) for name in ("acme", "other")]
FLEET = Catalogue.of(
    [
        model("acme/small", Tier.ECONOMY, "0.1", "0.2"),
        model(
            "acme/middle",
            Tier.BALANCED,
            "1",
            "2",
            regions=("eu", "us"),
            # Read only where the intent is settled.
            intent_quality={Intent.CODE_GEN: 0.99},
        ),
        model("acme/large", Tier.PREMIUM, "10", "20", regions=("us",)),
        model(
            "other/tiny", Tier.ECONOMY, "0.2", "0.4", features=frozenset(), context_window=1_000, max_output_tokens=300
        ),
    ],
    CONFIGURED,
    version="fleet-1",
    price_book_version="prices-1",
)
CHAT = Classification(
    intent=Intent.CHAT_LITE,
    confidence=0.9,
    capabilities=((Capability.FACTUAL, 0.8),),
    complexity=0.5,
    signals=(),
    classifier_version="test-1",
    gain=0.5,
    difficulty=0.55,
    runners_up=((Intent.DEEP_REASON, 0.08), (Intent.CODE_GEN, 0.02)),
)


def decision(
    policy: RoutingPolicy | None = None,
    *,
    catalogue: Catalogue = FLEET,
    classification: Classification = CHAT,
    requested_model: str = "",
    text: str = "hello",
    max_output_tokens: int | None = 200,
    **changes: Any,
) -> Decision:
    """Decides about a short prompt."""
    conversation = Conversation((Message(Role.USER, (TextPart(text),)),), max_output_tokens=max_output_tokens)
    request = CompletionRequest(conversation, policy or RoutingPolicy(), requested_model)
    return Router(catalogue).decide(request, classification, decision_id="dec_1", now=1.0, **changes)


def past_of(made: Decision) -> PastDecision:
    """Gives a decision as it is read from history."""
    best = made.candidates[0]
    return PastDecision(
        decision_id=made.decision_id,
        requested_model=made.requested_model,
        strategy=made.strategy,
        selected_model=made.selected.name,
        models=tuple(each.model.name for each in made.candidates),
        exclusions=tuple(PastExclusion(e.model.name, e.model.provider, e.reason, e.detail) for e in made.exclusions),
        classification=made.classification,
        basis=made.basis,
        estimated_cost_nano_usd=best.estimated_cost_nano_usd,
        expected_quality=best.expected_quality,
        price_book_version=made.price_book_version,
        fleet_version=made.fleet_version,
    )


def past(policy: RoutingPolicy | None = None, **changes: Any) -> PastDecision:
    """Decides about a short prompt, and reads it from history."""
    return past_of(decision(policy, **changes))
