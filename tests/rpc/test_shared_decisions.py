"""A decision of Route is taken up in any process that shares its database, as if it had been made there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from muxer.v1 import chat_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.bootstrap import new_id
from muxer_grpc.bootstrap_storage import open_storage
from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.ledger import RoutedDecision
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.tenancy import LOCAL, LOCAL_TENANT, Principal, Subject
from muxer_grpc.pipeline.decisions import DEFAULT_SECONDS
from muxer_grpc.rpc.gates import Guards
from muxer_grpc.settings import Settings
from muxer_grpc.settings_storage import StorageSettings
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.decision_history import DecisionTable
from muxer_grpc.storage.migrating import migrate
from tests.rpc.accounting import Someone, books_of
from tests.rpc.service import CATALOGUE, MODELS, PROVIDERS, Clock, Service, running, spec
from tests.rpc.test_decision_ids import METHODS, refusal, route, take_up, update
from tests.services.postgres import PostgresServer, make_database

CHEAPEST = spec(routing=routing_pb2.RoutingPolicy(strategy="cost"))
STRANGER = replace(LOCAL, subject=Subject("stranger", "local", ""))


@asynccontextmanager
async def replica(
    url: str,
    *,
    now: Callable[[], float] = time.time,
    catalogue: Catalogue = CATALOGUE,
    principal: Principal = LOCAL,
    **storage: object,
) -> AsyncGenerator[Service, None]:
    """Runs one of the processes that share a database."""
    settings = Settings(storage=StorageSettings(url=url, **storage))
    guards = Guards(identity=Someone(principal))
    async with (
        open_storage(settings, new_id()) as opened,
        running(settings=settings, storage=opened, now=now, catalogue=catalogue, guards=guards) as service,
    ):
        yield service


async def routed(service: Service, asked: chat_pb2.CompletionSpec) -> routing_pb2.RouteDecision:
    """Routes, and waits until the decision is written, as whoever takes it up elsewhere need not."""
    decision = await route(service, asked)
    books = service.app.pipeline._around.books
    assert books is not None
    while await books.routed.routed(LOCAL_TENANT, decision.decision_id) is None:
        await asyncio.sleep(0.01)
    return decision


def without(*names: str) -> Catalogue:
    models = [model for model in MODELS if model.name not in names]
    return Catalogue.of(models, PROVIDERS, version="fleet-less", price_book_version="prices-test")


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lists the ids that were looked up in the database."""
    ids: list[str] = []
    look = DecisionTable.routed

    async def noted(self: DecisionTable, tenant_id: str, decision_id: str) -> RoutedDecision | None:
        ids.append(decision_id)
        return await look(self, tenant_id, decision_id)

    monkeypatch.setattr(DecisionTable, "routed", noted)
    return ids


@pytest.mark.parametrize("method", METHODS)
async def test_a_decision_is_taken_up_to_the_letter_by_a_process_that_did_not_make_it(
    database_url: str, method: str
) -> None:
    # Near the true time, by which the sweeper forgets what is old.
    clock = Clock(float(int(time.time())))
    async with replica(database_url, now=clock) as first, replica(database_url, now=clock) as second:
        decision = await routed(first, spec())
        assert await take_up(second, method, spec(), decision.decision_id) == decision
        assert await take_up(first, method, spec(), decision.decision_id) == decision
        assert await take_up(second, method, spec(), decision.decision_id) == decision
    assert [entry["decision_id"] for entry in books_of(database_url).entries] == [decision.decision_id] * 3


async def test_nothing_is_looked_up_without_an_id_or_for_one_that_is_here_or_that_nobody_made(
    database_url: str, looked_up: list[str]
) -> None:
    async with replica(database_url) as first, replica(database_url) as second:
        decision = await routed(first, spec())
        looked_up.clear()
        await take_up(first, "Complete", spec(), decision.decision_id)
        for unmade in ("nonsense", "dec_\0", "dec_" + "x" * 100_000):
            await refusal(second, "Complete", spec(), unmade)
        assert looked_up == []
        await take_up(second, "Complete", spec(), decision.decision_id)
        assert set(looked_up) == {decision.decision_id}
        looked_up.clear()
        await take_up(second, "StreamComplete", spec(), decision.decision_id)
    assert looked_up == []


async def test_a_decision_that_is_not_written_yet_is_looked_for_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = DecisionTable.routed
    answers = iter([False, False])

    async def late(self: DecisionTable, tenant_id: str, decision_id: str) -> RoutedDecision | None:
        return await look(self, tenant_id, decision_id) if next(answers, True) else None

    async with replica(database_url) as first, replica(database_url) as second:
        decision = await routed(first, spec())
        monkeypatch.setattr(DecisionTable, "routed", late)
        assert await take_up(second, "Complete", spec(), decision.decision_id) == decision


async def test_an_unknown_id_and_one_of_another_tenant_are_told_alike(database_url: str) -> None:
    async with replica(database_url) as first, replica(database_url, principal=STRANGER) as second:
        decision = await routed(first, spec())
        await take_up(first, "Complete", spec(), decision.decision_id)
        for decision_id in (decision.decision_id, "dec_000000000000000000000000"):
            error = await refusal(second, "Complete", spec(), decision_id)
            assert (error.reason, error.metadata) == ("DECISION_EXPIRED", {"decision_id": decision_id})


async def test_what_complete_decided_by_itself_is_nothing_to_take_up(database_url: str) -> None:
    async with replica(database_url) as first, replica(database_url) as second:
        reply = await first.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
        error = await refusal(second, "Complete", spec(), reply.decision.decision_id)
    assert error.reason == "DECISION_EXPIRED"


async def test_a_decision_holds_for_the_set_time_in_all_processes(database_url: str) -> None:
    # Near the true time, by which the sweeper forgets what is old.
    clock = Clock(float(int(time.time())))
    async with replica(database_url, now=clock) as first, replica(database_url, now=clock) as second:
        decision = await routed(first, spec())
        await take_up(first, "Complete", spec(), decision.decision_id)
        clock.at += DEFAULT_SECONDS + 0.001
        error = await refusal(second, "Complete", spec(), decision.decision_id)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DECISION_EXPIRED")


async def test_another_spec_is_refused_by_all_processes(database_url: str) -> None:
    async with replica(database_url) as first, replica(database_url) as second:
        decision = await routed(first, spec())
        error = await refusal(second, "Complete", spec("Tell me about the sea"), decision.decision_id)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert error.fields == {"decision_id": "CONTRADICTION"}


async def test_a_decision_for_a_model_that_is_gone_or_disabled_elsewhere_is_stale_there(database_url: str) -> None:
    async with (
        replica(database_url) as first,
        replica(database_url, catalogue=without("acme/small")) as second,
        replica(database_url) as third,
    ):
        decision = await routed(first, CHEAPEST)
        assert decision.selected_model == "acme/small"
        await update(third, "acme/small", "disabled", disabled=True)
        gone = await refusal(second, "Complete", CHEAPEST, decision.decision_id)
        disabled = await refusal(third, "Complete", CHEAPEST, decision.decision_id)
    for error, exclusion in ((gone, "provider_not_configured"), (disabled, "disabled")):
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DECISION_STALE")
        assert error.metadata == {
            "decision_id": decision.decision_id,
            "model": "acme/small",
            "exclusion": exclusion,
        }


async def test_a_model_that_is_gone_and_was_not_chosen_is_told_and_not_fallen_back_to(database_url: str) -> None:
    async with (
        replica(database_url) as first,
        replica(database_url, catalogue=without("acme/middle")) as second,
    ):
        decision = await routed(first, CHEAPEST)
        taken_up = await take_up(second, "Complete", CHEAPEST, decision.decision_id)
    assert "acme/middle" in decision.fallback_models
    assert list(taken_up.fallback_models) == [name for name in decision.fallback_models if name != "acme/middle"]
    assert taken_up.candidates == decision.candidates


async def test_where_prices_differ_cost_and_version_are_those_of_whoever_calls_the_model(database_url: str) -> None:
    prices = {model.name: Price.from_usd_per_million("1", "1") for model in MODELS}
    dearer = CATALOGUE.with_prices(prices, "prices-dearer")
    async with replica(database_url) as first, replica(database_url, catalogue=dearer) as second:
        version = second.app.prices.book.version
        decision = await routed(first, CHEAPEST)
        taken_up = await take_up(second, "Complete", CHEAPEST, decision.decision_id)
        [entry] = books_of(database_url).entries
    assert decision.price_book_version != version == taken_up.price_book_version
    assert (entry["price_book_version"], entry["cost_nano_usd"]) == (version, 120 * 1_000)


async def test_a_database_that_is_away_is_told_as_such_and_not_as_an_unknown_decision(
    own_postgres: PostgresServer,
) -> None:
    url = make_database(own_postgres.url, "shared")
    database = Database(url)
    migrate(database)
    async with replica(url) as first, replica(url) as second:
        decision = await routed(first, spec())
        await take_up(first, "Complete", spec(), decision.decision_id)
        own_postgres.kill()
        error = await refusal(second, "Complete", spec(), decision.decision_id)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
