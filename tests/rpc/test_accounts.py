"""Accounts over a real server and real databases: what is refused, what is booked, what is told."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from muxer.v1 import completion_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ProviderEvent,
    TextDelta,
    UsageReported,
)
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.storage import schema
from muxer_grpc.storage.database import Database
from tests.rpc.accounting import (
    CANARY,
    COST,
    accounting,
    books_of,
    complete,
    events,
    give,
    refused,
    small,
    until,
)
from tests.rpc.service import PLAIN, play, told
from tests.storage.reckoning import Row, read_books, rows_of
from tests.storage.records import budget


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
    made = await give(database_url, budget(COST * 2))
    async with accounting(database_url) as service:
        first = await complete(service, small())
        error = await refused(service, small())
        assert len(service.acme.requests) == 1, "nobody was called"
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUDGET_EXCEEDED")
    asked = int(error.metadata.pop("asked_nano_usd"))
    assert asked > COST
    facts = {
        "budget": made.id,
        "limit_nano_usd": str(COST * 2),
        "spent_nano_usd": str(first.cost.total_nano_usd),
        "reserved_nano_usd": "0",
        "reset_time": "",
    }
    assert error.metadata == facts
    failure = error.details["QuotaFailure"]
    assert isinstance(failure, error_details_pb2.QuotaFailure)
    [violation] = failure.violations
    assert (violation.subject, violation.quota_id, violation.quota_value) == (
        "tenants/local/users/local",
        made.id,
        COST * 2,
    )
    assert dict(violation.quota_dimensions) == {**facts, "period": "total", "asked_nano_usd": str(asked)}
    assert error.trailers["grpc-retry-pushback-ms"] == "-1", "waiting would not help"
    assert books_of(database_url).spent == COST


async def test_a_stream_that_is_refused_says_so_before_anything_else(database_url: str) -> None:
    await give(database_url, budget(1))
    async with accounting(database_url) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await events(service, small())
    error = told(raised.value)
    assert (error.reason, error.trailers["grpc-retry-pushback-ms"]) == ("BUDGET_EXCEEDED", "-1")


BEGUN = (TextDelta("Hello "), TextDelta("world"))
REPORTED = UsageReported(Usage(input_tokens=100, output_tokens=20, source=UsageSource.PROVIDER))


# What the provider does, and the outcome, the source of the usage and the class of failure that are booked.
ENDINGS: tuple[tuple[tuple[ProviderEvent | Exception, ...], str, str, str], ...] = (
    (PLAIN, "complete", "provider", ""),
    ((*BEGUN, REPORTED, Finished(FinishReason.LENGTH, "length")), "length", "provider", ""),
    ((*BEGUN, REPORTED, Finished(FinishReason.CONTENT_FILTER, "filter")), "filtered", "provider", ""),
    ((*BEGUN, Finished(FinishReason.STOP, "stop")), "complete", "estimated", ""),
    ((ProviderFailure(FailureClass.CALLER_FAULT, "bad"),), "failed", "none", "caller_fault"),
    ((*BEGUN, ProviderFailure(FailureClass.TRANSIENT, "cut")), "failed", "estimated", "transient"),
    ((*BEGUN, REPORTED, ProviderFailure(FailureClass.PROTOCOL, "?")), "failed", "provider", "protocol"),
    (BEGUN, "failed", "estimated", "protocol"),
    ((*BEGUN, RuntimeError("a defect")), "failed", "estimated", ""),
    ((RuntimeError("a defect"),), "failed", "none", ""),
)


@pytest.mark.parametrize("streams", [True, False])
async def test_however_an_answer_ends_it_is_booked_once_as_it_ended(database_url: str, streams: bool) -> None:
    await give(database_url, budget(10**9))
    async with accounting(database_url) as service:
        for number, (steps, outcome, *_) in enumerate(ENDINGS):
            service.acme.script = play(*steps)
            asked = small(labels={"number": str(number)})
            try:
                await (events(service, asked) if streams else complete(service, asked))
            except grpc.aio.AioRpcError as error:
                assert outcome == "failed", told(error)
            else:
                assert outcome != "failed"
        rows = books_of(database_url).entries
    for number, (_, outcome, source, failure) in enumerate(ENDINGS):
        booked = [row for row in rows if row["labels"]["number"] == str(number)]
        # What failed may have been tried again.
        assert [row["attempt"] for row in booked] == list(range(1, len(booked) + 1))
        for row in booked:
            assert (row["outcome"], row["usage_source"], row["failure_class"]) == (outcome, source, failure), number
            assert (row["cost_nano_usd"] > 0) is (source != "none")


@pytest.mark.parametrize("steps", [(), BEGUN], ids=["before the first token", "after it"])
@pytest.mark.parametrize("how", ["cancel", "deadline"])
async def test_what_its_caller_leaves_is_booked_once(
    database_url: str, how: str, steps: tuple[ProviderEvent, ...]
) -> None:
    await give(database_url, budget(10**9))
    never = asyncio.Event()
    async with accounting(database_url, play(*steps, never)) as service:
        request = muxer_service_pb2.StreamCompleteRequest(spec=small(request_id="r"))
        call = service.stub.StreamComplete(request, timeout=2 if how == "deadline" else None)
        if how == "cancel":
            await until(lambda: bool(service.acme.open))
            if steps:
                await call.read()
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            while await call.read() is not grpc.aio.EOF:
                pass
        row = await the_entry(database_url)
        assert (row["outcome"], row["usage_source"]) == ("cancelled", "estimated" if steps else "none")
        assert books_of(database_url).requests == [], "the request may be tried again"
        await until(lambda: not service.acme.open)


@pytest.mark.usefixtures("much_to_spare")
async def test_a_deadline_tells_what_was_spent_until_then(database_url: str) -> None:
    async with accounting(database_url, play(*BEGUN, asyncio.Event())) as service:
        error = await refused(service, small(), timeout=10)
        row = await the_entry(database_url)
    failure = error.details["CompletionFailure"]
    assert isinstance(failure, completion_pb2.CompletionFailure)
    assert failure.summary.cost.total_nano_usd == row["cost_nano_usd"] > 0


async def test_a_caller_that_leaves_before_the_promise_leaves_nothing(database_url: str) -> None:
    async with accounting(database_url) as service:
        calls = [
            service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=small(request_id=f"r{number}")))
            for number in range(200)
        ]
        for number, call in enumerate(calls):
            if number % 10 == 0:
                await asyncio.sleep(0)
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: not read_books(Database(database_url)).reservations)
        await complete(service, small(request_id="r0"))
    books = books_of(database_url)
    assert {row["outcome"] for row in books.entries} <= {"cancelled", "complete"}
    assert all(row["done"] for row in books.requests)


async def test_a_decision_goes_into_the_history_without_the_prompt(database_url: str) -> None:
    async with accounting(database_url) as service:
        summary = await complete(service, small(CANARY))
        await service.stub.Route(muxer_service_pb2.RouteRequest(spec=small(CANARY)))
        await until(lambda: len(rows_of(Database(database_url), schema.decisions)) == 2)
    rows = {row["completion_id"]: row for row in rows_of(Database(database_url), schema.decisions)}
    assert rows.keys() == {"", summary.completion_id}
    row = rows[summary.completion_id]
    decision = routing_pb2.RouteDecision.FromString(row["document"])
    assert (decision.decision_id, row["selected_model"]) == (row["id"], "acme/small")
    for word in CANARY.split():
        if len(word) > 4:
            assert word.encode() not in row["document"]


@pytest.mark.parametrize("field", ["request_id", "money_lease", "labels"])
async def test_text_that_no_database_can_hold_is_refused_as_such(database_url: str, field: str) -> None:
    given = {"labels": {"a": "b\0"}} if field == "labels" else {field: "a\0b"}
    async with accounting(database_url) as service:
        error = await refused(service, small(**given))
    assert (error.reason, list(error.fields.values())) == ("INVALID_REQUEST", ["CHARACTERS"])


async def test_an_unknown_lease_of_money_pays_for_nothing(database_url: str) -> None:
    async with accounting(database_url) as service:
        error = await refused(service, small(money_lease="no-such-lease", request_id="r"))
        assert (error.reason, error.metadata) == ("MONEY_LEASE_ENDED", {"money_lease": "no-such-lease"})
        assert service.acme.requests == []
    assert books_of(database_url).requests == []
