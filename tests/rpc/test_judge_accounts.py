"""What a judge costs is promised and booked like any call: to whoever's request raised the doubt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from muxer.v1 import muxer_service_pb2

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest
from muxer_grpc.domain.money import cost_of
from muxer_grpc.domain.tenancy import TenantPolicy
from muxer_grpc.storage.database import Database
from tests.rpc.accounting import accounting, books_of, complete, give, until
from tests.rpc.service import CATALOGUE, play, spec
from tests.rpc.test_judge import DOUBTFUL, JUDGE, judged_by, judging, route, signals_of
from tests.storage.reckoning import Row, read_books
from tests.storage.records import budget
from tests.unit.judging import USAGE, VERDICT, saying


def cost_of_a_verdict() -> int:
    price = CATALOGUE.models[JUDGE].price
    assert price is not None
    return cost_of(USAGE, price).total_nano


async def entries_at_rest(url: str, number: int) -> list[Row]:
    """Waits until so many entries are booked and no promise is left; gives those of judges first."""
    await until(lambda: len(read_books(Database(url)).entries) == number and not read_books(Database(url)).reservations)
    return sorted(books_of(url).entries, key=lambda row: row["strategy"] != "judge")


async def test_a_question_is_booked_apart_from_the_answer_and_counts_for_the_same_budgets(database_url: str) -> None:
    await give(database_url, budget(10**12))
    async with accounting(database_url, judging(play(*saying(VERDICT))), base=judged_by(JUDGE)) as service:
        summary = await complete(service, spec(DOUBTFUL))
        judged, answered = await entries_at_rest(database_url, 2)
        version = service.app.prices.book.version
    expected = {
        "tenant_id": "local",
        "user_id": "local",
        "principal": "local",
        "strategy": "judge",
        "model": JUDGE,
        "provider": "acme",
        "outcome": "complete",
        "usage_source": "provider",
        "input_tokens": USAGE.input_tokens,
        "output_tokens": USAGE.output_tokens,
        "cost_nano_usd": cost_of_a_verdict(),
        "price_book_version": version,
    }
    assert {name: judged[name] for name in expected} == expected
    assert judged["completion_id"].startswith("jdg_")
    assert answered["completion_id"] == summary.completion_id
    assert answered["cost_nano_usd"] == summary.cost.total_nano_usd
    [counter] = books_of(database_url).counters
    assert counter["spent_nano_usd"] == judged["cost_nano_usd"] + answered["cost_nano_usd"]


async def test_a_question_of_route_is_booked_too_and_a_known_verdict_costs_nothing(database_url: str) -> None:
    async with accounting(database_url, judging(play(*saying(VERDICT))), base=judged_by(JUDGE)) as service:
        for _ in range(2):
            assert "judge" in signals_of((await service.stub.Route(route(DOUBTFUL))).decision)
        [judged] = await entries_at_rest(database_url, 1)
    assert judged["cost_nano_usd"] == cost_of_a_verdict()


async def test_a_budget_that_does_not_reach_for_the_question_leaves_it_unasked(database_url: str) -> None:
    await give(database_url, budget(1))
    async with accounting(database_url, judging(play(*saying(VERDICT))), base=judged_by(JUDGE)) as service:
        decision = (await service.stub.Route(route(DOUBTFUL))).decision
        assert service.acme.requests == []
    assert decision.classification.classifier_version == "rules-1"
    books = books_of(database_url)
    assert (books.entries, books.reservations) == ([], [])


@pytest.mark.parametrize(
    "policy", [TenantPolicy(denied_models=frozenset({JUDGE})), TenantPolicy(allowed_models=frozenset({"acme/large"}))]
)
async def test_a_tenant_s_prompts_are_never_shown_to_a_judge_that_its_policy_keeps_out(
    database_url: str, policy: TenantPolicy
) -> None:
    script = judging(play(*saying(VERDICT)))
    async with accounting(database_url, script, policy=policy, base=judged_by(JUDGE)) as service:
        decision = (await service.stub.Route(route(DOUBTFUL))).decision
        assert service.acme.requests == []
    assert decision.classification.classifier_version == "rules-1"
    assert books_of(database_url).entries == []


async def test_what_may_have_been_billed_is_booked_as_an_estimate(database_url: str) -> None:
    settings = judged_by(JUDGE, timeout_seconds=0.2)
    async with accounting(database_url, judging(play(asyncio.Event())), base=settings) as service:
        await service.stub.Route(route(DOUBTFUL))
        [judged] = await entries_at_rest(database_url, 1)
    assert (judged["outcome"], judged["failure_class"]) == ("failed", "timeout")
    assert (judged["usage_source"], judged["cost_nano_usd"]) == ("estimated", judged["reserved_nano_usd"])
    assert judged["cost_nano_usd"] > 0


async def test_a_caller_that_leaves_settles_its_question(database_url: str) -> None:
    asked_it = asyncio.Event()

    async def waiting(_request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        asked_it.set()
        await asyncio.Event().wait()
        yield saying("")[0]

    settings = judged_by(JUDGE, timeout_seconds=60)
    async with accounting(database_url, judging(waiting), base=settings) as service:
        call = service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec(DOUBTFUL)))
        await asked_it.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        [judged] = await entries_at_rest(database_url, 1)
    assert (judged["outcome"], judged["failure_class"]) == ("cancelled", "")
