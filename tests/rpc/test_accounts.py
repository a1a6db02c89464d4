"""Accounts over a real server and real databases: what is refused, what is booked, what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from muxer.v1 import chat_pb2, completion_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.bootstrap import new_id
from muxer_grpc.bootstrap_storage import open_storage
from muxer_grpc.domain.completion import Finished, FinishReason, TextDelta, UsageReported
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.domain.tenancy import LOCAL, ContentStorage, Credentials, Principal, SafetyAction, TenantPolicy
from muxer_grpc.rpc.calls import CallLimits
from muxer_grpc.rpc.gates import Guards
from muxer_grpc.settings import Settings
from muxer_grpc.settings_storage import StorageSettings
from muxer_grpc.storage import schema
from muxer_grpc.storage.database import Database
from tests.rpc.service import PLAIN, Script, Service, Told, play, running, spec, told
from tests.storage.reckoning import Books, Row, differences, read_books, rows_of
from tests.storage.records import add_budget, budget

CANARY = "the prompt that nobody may read"
# 100 tokens in and 20 out at 0.1 and 0.2 USD per million.
COST = 100 * 100 + 20 * 200
NOW_US = 1_800_000_000_000_000


class Someone:
    """Takes whoever calls for one principal."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def authenticate(self, _credentials: Credentials, _now: float) -> Principal:
        return self._principal


@asynccontextmanager
async def accounting(
    url: str, script: Script | None = None, *, policy: TenantPolicy | None = None, **changes: object
) -> AsyncGenerator[Service, None]:
    """Runs a service that keeps accounts in a database; what it has open at the end must be nothing."""
    settings = Settings(storage=StorageSettings(url=url, **changes))  # type: ignore[arg-type]
    guards = None if policy is None else Guards(identity=Someone(replace(LOCAL, policy=policy)))
    async with (
        open_storage(settings, new_id()) as storage,
        running(script, settings=settings, storage=storage, guards=guards) as service,
    ):
        yield service


def small(text: str = "x", **changes: object) -> chat_pb2.CompletionSpec:
    return spec(text, requested_model="acme/small", max_output_tokens=100, **changes)


async def complete(service: Service, asked: chat_pb2.CompletionSpec, **options: object) -> completion_pb2.CompletionSummary:
    reply = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked), **options)  # type: ignore[arg-type]
    return reply.summary


async def refused(service: Service, asked: chat_pb2.CompletionSpec, **options: object) -> Told:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await complete(service, asked, **options)
    return told(raised.value)


async def events(service: Service, asked: chat_pb2.CompletionSpec) -> list[muxer_service_pb2.StreamCompleteResponse]:
    call = service.stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=asked))
    return [event async for event in call]


def books_of(url: str) -> Books:
    books = read_books(Database(url))
    assert differences(books) == []
    return books


async def until(holds: Callable[[], bool]) -> None:
    """Waits for what must come; that it never does is for the test's time limit to tell."""
    while not await asyncio.to_thread(holds):
        await asyncio.sleep(0.01)


async def the_entry(url: str) -> Row:
    """Waits until there is no promise any more, and gives the one entry."""
    await until(lambda: not read_books(Database(url)).reservations)
    [row] = books_of(url).entries
    return row


async def test_an_answer_is_booked_before_its_caller_has_it_with_all_that_is_known_of_it(database_url: str) -> None:
    asked = small(CANARY, labels={"team": "red"}, request_id="r-1")
    async with accounting(database_url) as service:
        summary = await complete(service, asked)
        [row] = books_of(database_url).entries
    assert summary.cost.total_nano_usd == COST
    expected = {
        "completion_id": summary.completion_id,
        "attempt": 1,
        "tenant_id": "local",
        "user_id": "local",
        "principal": "local",
        "request_id": "r-1",
        "requested_model": "acme/small",
        "model": "acme/small",
        "provider": "acme",
        "reported_model": "vendor-model-1",
        "outcome": "complete",
        "failure_class": "",
        "usage_source": "provider",
        "input_tokens": 100,
        "output_tokens": 20,
        "cost_nano_usd": COST,
        "cost_pico_usd": COST * 1_000,
        "labels": {"team": "red"},
        "streamed": False,
        "flagged": False,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["reserved_nano_usd"] >= 100 * 200
    assert row["decision_id"].startswith("dec_")
    assert row["price_book_version"] == service.app.prices.book.version
    assert row["settled_us"] >= row["created_us"]


async def test_a_stream_is_booked_before_its_summary(database_url: str) -> None:
    async with accounting(database_url) as service:
        async for event in service.stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=small())):
            if event.HasField("summary"):
                [row] = books_of(database_url).entries
                assert (row["streamed"], row["cost_nano_usd"]) == (True, event.summary.cost.total_nano_usd)
                assert row["first_token_us"] is not None


async def test_what_does_not_fit_into_a_budget_is_refused_with_all_that_a_program_needs(database_url: str) -> None:
    made = await add_budget(Database(database_url), budget(COST * 3), NOW_US)
    async with accounting(database_url) as service:
        first = await complete(service, small())
        error = await refused(service, small())
        assert len(service.acme.requests) == 1, "nobody was called"
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUDGET_EXCEEDED")
    asked = int(error.metadata.pop("asked_nano_usd"))
    assert asked > COST * 2
    facts = {
        "budget": made.id,
        "limit_nano_usd": str(COST * 3),
        "spent_nano_usd": str(first.cost.total_nano_usd),
        "reserved_nano_usd": "0",
        "reset_time": "",
    }
    assert error.metadata == facts
    failure = error.details["QuotaFailure"]
    assert isinstance(failure, error_details_pb2.QuotaFailure)
    [violation] = failure.violations
    assert (violation.subject, violation.quota_id, violation.quota_value) == ("tenants/local/users/local", made.id, COST * 3)
    assert dict(violation.quota_dimensions) == {**facts, "period": "total", "asked_nano_usd": str(asked)}
    assert books_of(database_url).spent == COST


async def test_a_stream_that_is_refused_says_so_before_anything_else(database_url: str) -> None:
    await add_budget(Database(database_url), budget(1), NOW_US)
    async with accounting(database_url) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await events(service, small())
    assert told(raised.value).reason == "BUDGET_EXCEEDED"


BEGUN = (TextDelta("Hello "), TextDelta("world"))
REPORTED = UsageReported(Usage(input_tokens=100, output_tokens=20, source=UsageSource.PROVIDER))


@pytest.mark.parametrize(
    ("steps", "outcome", "source", "failure_class"),
    [
        (PLAIN, "complete", "provider", ""),
        ((*BEGUN, REPORTED, Finished(FinishReason.LENGTH, "length")), "length", "provider", ""),
        ((*BEGUN, REPORTED, Finished(FinishReason.CONTENT_FILTER, "filter")), "filtered", "provider", ""),
        ((*BEGUN, Finished(FinishReason.STOP, "stop")), "complete", "estimated", ""),
        ((ProviderFailure(FailureClass.OVERLOAD, "busy"),), "failed", "none", "overload"),
        ((*BEGUN, ProviderFailure(FailureClass.TRANSIENT, "cut")), "failed", "estimated", "transient"),
        ((*BEGUN, REPORTED, ProviderFailure(FailureClass.PROTOCOL, "?")), "failed", "provider", "protocol"),
        ((*BEGUN,), "failed", "estimated", "protocol"),
        ((*BEGUN, RuntimeError("a defect")), "failed", "estimated", ""),
        ((RuntimeError("a defect"),), "failed", "none", ""),
    ],
)
@pytest.mark.parametrize("streams", [True, False])
async def test_however_an_answer_ends_it_is_booked_once_as_it_ended(
    database_url: str, streams: bool, steps: tuple[object, ...], outcome: str, source: str, failure_class: str
) -> None:
    await add_budget(Database(database_url), budget(10**9), NOW_US)
    async with accounting(database_url, play(*steps)) as service:
        try:
            await (events(service, small()) if streams else complete(service, small()))
        except grpc.aio.AioRpcError as error:
            assert outcome == "failed", told(error)
        [row] = books_of(database_url).entries
    assert (row["outcome"], row["usage_source"], row["failure_class"]) == (outcome, source, failure_class)
    assert (row["cost_nano_usd"] > 0) is (source != "none")
