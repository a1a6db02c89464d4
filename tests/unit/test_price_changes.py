"""What follows a change of prices while the service runs: profiles, estimates, and what a judge may cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muxer_grpc.domain.catalogue import Catalogue, Tier
from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.decision import Classification, Decision
from muxer_grpc.domain.money import Price, PriceTier, Usage, cost_of
from muxer_grpc.domain.price_book import PriceBook, PriceLayer, PriceSource, merged_book
from muxer_grpc.domain.profiles import ProfileChange, ProfileEditor, Profiles
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.pipeline.judge import JudgeRules
from muxer_grpc.pipeline.judge_question import most_of, question_of
from tests.rpc.service import CATALOGUE, PROVIDERS, model, play
from tests.unit.judging import PRICED, USAGE, VERDICT, Court, price_of, saying

SMALL, LARGE = "acme/small", "acme/large"
DEAR = Price.from_usd_per_million("50", "100")


def book(**prices: Price) -> PriceBook:
    layer = PriceLayer(PriceSource.STORED, {f"acme/{name}": price for name, price in prices.items()})
    return merged_book([layer], CATALOGUE.models)


async def test_changed_profiles_stay_when_prices_change_and_prices_when_profiles_do() -> None:
    profiles = Profiles(CATALOGUE)
    fleet = Fleet(profiles.catalogue)
    editor = ProfileEditor(profiles, fleet)
    await editor.change(SMALL, ProfileChange(tier=Tier.PREMIUM))
    editor.reprice(book(small=DEAR, large=DEAR))
    assert (fleet.catalogue.models[SMALL].tier, fleet.catalogue.models[SMALL].price) == (Tier.PREMIUM, DEAR)
    await editor.change(LARGE, ProfileChange(disabled=True))
    assert (fleet.catalogue.models[LARGE].disabled, fleet.catalogue.models[LARGE].price) == (True, DEAR)
    assert fleet.catalogue.models["acme/middle"].price is None
    assert fleet.catalogue.price_book_version == book(small=DEAR, large=DEAR).version


def test_a_change_of_prices_leaves_the_version_of_the_fleet() -> None:
    assert Profiles(CATALOGUE).reprice(book(small=DEAR)).version == CATALOGUE.version


TIERED = Price.from_usd_per_million("1", "2").with_tiers(
    [PriceTier(1_000, Price.from_usd_per_million("3", "8")), PriceTier(4_000, Price.from_usd_per_million("5", "9"))]
)


def decided(words: int) -> Decision:
    tiered = replace(model(SMALL, Tier.ECONOMY), price=TIERED)
    catalogue = Catalogue.of([tiered], PROVIDERS, version="f", price_book_version="p")
    conversation = Conversation((Message(Role.USER, (TextPart("word " * words),)),))
    classification = Classification(Intent.CHAT_LITE, 0.9, (), 0.1, (), "test", difficulty=0.1)
    router = Fleet(catalogue).router
    return router.decide(CompletionRequest(conversation), classification, decision_id="d", now=1.0)


@pytest.mark.parametrize(("words", "rates"), [(10, (1, 2)), (2_000, (3, 8)), (20_000, (5, 9))])
def test_an_estimate_is_that_of_the_tier_which_the_prompt_reaches(words: int, rates: tuple[int, int]) -> None:
    candidate = decided(words).candidates[0]
    tokens = Usage(candidate.estimated_input_tokens, output_tokens=candidate.estimated_output_tokens)
    assert candidate.estimated_cost_nano_usd == cost_of(tokens, TIERED).total_nano
    per_token = TIERED.at(tokens.input_tokens)
    assert (per_token.input, per_token.output) == (rates[0] * 1_000_000, rates[1] * 1_000_000)


def test_what_is_taken_for_a_judges_question_covers_its_dearest_kind() -> None:
    question = question_of("hi", PRICED)
    written = Price.from_usd_per_million("1", "2", cache_write="3", reasoning="9")
    assert (
        most_of(question, written)
        >= cost_of(Usage(cache_write_tokens=100, reasoning_tokens=question.max_output_tokens), written).total_nano
    )
    assert most_of(question, written) > most_of(question, Price.from_usd_per_million("1", "9"))


async def test_a_judge_follows_the_price_of_its_model_and_keeps_it_when_it_is_gone() -> None:
    court = Court(play(*saying(VERDICT)), JudgeRules(timeout_seconds=30.0, budget_nano_usd_per_hour=10**10))
    await court.settle("prompt 1")
    court.judge.reprice(DEAR)
    court.judge.reprice(None)
    await court.settle("prompt 2")
    assert court.judge.spent_nano_usd == price_of(PRICED)[1] + cost_of(USAGE, DEAR).total_nano
