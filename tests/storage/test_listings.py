"""Listings of entries, decisions and alerts, on both databases: whole, narrowed, and stable while rows are added."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import insert

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.ledger import EntryOutcome, LedgerEntry
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.domain.reporting import (
    AlertFilter,
    CompletionRecord,
    DecisionFilter,
    DecisionRecord,
    EntryFilter,
)
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage.alerts import AlertTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.decision_history import DecisionTable
from muxer_grpc.storage.entries import EntryTable
from muxer_grpc.storage.schema import alerts, decisions
from muxer_grpc.storage.writer import LedgerWriter
from tests.storage.bookings import SECOND, add_tenants, book, row
from tests.storage.records import NOW, SUBJECT, reservation, settlement

ALL = PageRequest(1_000)


@pytest.fixture
async def stored(database: Database) -> Database:
    await add_tenants(database)
    return database


async def walked(
    page: Callable[[PageRequest], Awaitable[Sequence[Any]]],
    key: Callable[[Any], tuple[str, ...]],
    between: Callable[[int], Awaitable[None]],
) -> list[Any]:
    """Reads a listing three at a time, and does something between the pages."""
    seen: list[Any] = []
    after: tuple[str, ...] = ()
    turn = 0
    while found := await page(PageRequest(3, after)):
        seen += found
        after = key(found[-1])
        await between(turn)
        turn += 1
    return seen


async def test_an_entry_is_read_back_as_it_was_written(stored: Database) -> None:
    entry = LedgerEntry(
        completion_id="cmp_1",
        attempt=1,
        subject=Subject("acme", "ann", "key_1"),
        cost_nano_usd=2**53 + 1,
        cost_pico_usd=(2**53 + 1) * 1_000,
        outcome=EntryOutcome.LENGTH,
        created_us=NOW,
        settled_us=NOW + 5,
        principal="acme/ann by key key_1",
        request_id="r 1",
        decision_id="dec_1",
        strategy="cost",
        intent="code_gen",
        requested_model="acme/small",
        model="acme/small",
        provider="acme",
        reported_model="small-2026",
        failure_class="timeout",
        usage=Usage(1, 2, 3, 4, 5, UsageSource.COUNTED, 6),
        price_book_version="prices-1",
        reserved_nano_usd=2**53 + 2,
        money_lease_id="",
        duration_us=7,
        first_token_us=8,
        streamed=True,
        flagged=True,
        labels={'a "key"': "välue\n"},
    )
    promise = reservation("cmp_1", subject=entry.subject)
    writer = LedgerWriter(stored, now=lambda: NOW / SECOND)
    await writer.reserve(promise)
    await writer.settle(settlement(promise, entries=(entry,)))
    await writer.aclose()
    [read] = await EntryTable(stored).page(EntryFilter(), ALL, oldest_first=True)
    assert read.entry == entry
    assert read.sequence > 0


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_pages_of_entries_show_each_once_while_others_are_booked(stored: Database, oldest_first: bool) -> None:
    await book(stored, [row(f"cmp_{n}", NOW) for n in range(10)])
    table = EntryTable(stored)

    async def between(turn: int) -> None:
        if turn < 2:
            await book(stored, [row(f"new_{turn}", NOW)])

    seen = await walked(
        lambda asked: table.page(EntryFilter(), asked, oldest_first=oldest_first),
        lambda record: (str(record.sequence),),
        between,
    )
    names = [record.entry.completion_id for record in seen]
    first = [f"cmp_{n}" for n in range(10)]
    # What is new comes at the end of a listing that begins with the oldest, and before the beginning of any other.
    assert names == ([*first, "new_0", "new_1"] if oldest_first else first[::-1])


async def test_a_completion_is_shown_with_all_its_attempts_or_with_what_it_reserves(stored: Database) -> None:
    await book(stored, [row("cmp_1", NOW, 5, attempt=2), row("cmp_1", NOW, 7), row("cmp_2", NOW)])
    table = EntryTable(stored)
    found = await table.completion("acme", "cmp_1")
    assert [(each.entry.attempt, each.entry.cost_nano_usd) for each in found.entries] == [(1, 7), (2, 5)]
    assert found.reserved_nano_usd == 0
    writer = LedgerWriter(stored, now=lambda: NOW / SECOND)
    await writer.reserve(reservation("cmp_3", 40))
    await writer.aclose()
    assert await table.completion(None, "cmp_3") == CompletionRecord([], 40)


@pytest.mark.parametrize(("tenant_id", "name"), [("other", "cmp_1"), ("acme", "cmp_9"), (None, "cmp_9")])
async def test_there_is_no_completion_of_another_tenant_s(stored: Database, tenant_id: str | None, name: str) -> None:
    await book(stored, [row("cmp_1", NOW)])
    with pytest.raises(ResourceNotFound):
        await EntryTable(stored).completion(tenant_id, name)


def decided(name: str, at_us: int = NOW, **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "tenant_id": "acme",
        "user_id": "ann",
        "completion_id": "",
        "strategy": "learned",
        "intent": "chat_lite",
        "selected_model": "acme/small",
        "document": b"document",
        "created_us": at_us,
        "expires_us": at_us + 10,
        **changes,
    }


async def decide(database: Database, *rows: dict[str, Any]) -> None:
    async with database.change() as connection:
        for each in rows:
            await connection.execute(insert(decisions).values(**each))


async def test_a_decision_is_shown_whole_to_its_tenant_alone(stored: Database) -> None:
    await decide(stored, decided("dec_1", completion_id="cmp_1"))
    table = DecisionTable(stored)
    record = DecisionRecord(
        "dec_1", "acme", "ann", "cmp_1", "learned", "chat_lite", "acme/small", NOW, NOW + 10, b"document"
    )
    assert await table.get("acme", "dec_1") == await table.get(None, "dec_1") == record
    for tenant_id, name in (("other", "dec_1"), ("acme", "dec_2")):
        with pytest.raises(ResourceNotFound):
            await table.get(tenant_id, name)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["d5", "d4", "d3", "d2", "d1", "d0"]),
        ({"tenant_id": "acme"}, ["d4", "d3", "d2", "d1", "d0"]),
        ({"user_id": "bob"}, ["d1"]),
        ({"strategy": "cost"}, ["d2"]),
        ({"intent": "vision"}, ["d3"]),
        ({"selected_model": "acme/large"}, ["d4"]),
        ({"dry_run": True}, ["d5", "d4", "d3", "d2", "d1"]),
        ({"dry_run": False}, ["d0"]),
        ({"since_us": NOW + 1, "until_us": NOW + 3}, ["d2", "d1"]),
    ],
)
async def test_decisions_are_listed_the_latest_first_and_narrowed(
    stored: Database, wanted: dict[str, Any], names: list[str]
) -> None:
    changes: list[dict[str, Any]] = [
        {"completion_id": "cmp_0"},
        {"user_id": "bob"},
        {"strategy": "cost"},
        {"intent": "vision"},
        {"selected_model": "acme/large"},
        {"tenant_id": "other"},
    ]
    await decide(stored, *(decided(f"d{n}", NOW + n, **each) for n, each in enumerate(changes)))
    found = await DecisionTable(stored).page(DecisionFilter(**wanted), ALL)
    assert [each.decision_id for each in found] == names
    assert {each.document for each in found} == {b""}


async def test_pages_of_decisions_show_each_once_where_many_are_of_one_moment(stored: Database) -> None:
    await decide(stored, *(decided(f"d{n}", NOW + n // 4) for n in range(10)))
    table = DecisionTable(stored)

    async def between(turn: int) -> None:
        await decide(stored, decided(f"new_{turn}", NOW + 100 + turn))

    seen = await walked(
        lambda asked: table.page(DecisionFilter(), asked),
        lambda record: (str(record.created_us), record.decision_id),
        between,
    )
    assert [each.decision_id for each in seen] == [f"d{n}" for n in range(9, -1, -1)]


async def alert(database: Database, *rows: dict[str, Any]) -> None:
    facts = {"tenant_id": "acme", "budget_id": "b", "period_start_us": 0, "spent_nano_usd": 5, "limit_nano_usd": 10}
    async with database.change() as connection:
        for each in rows:
            await connection.execute(insert(alerts).values(**{**facts, "created_us": NOW, **each}))


@pytest.mark.parametrize(
    ("wanted", "shares"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"tenant_id": "other"}, [2]),
        ({"budget_id": "c"}, [3]),
        ({"user_id": "ann"}, [4]),
        ({"key_id": "key_1"}, [5]),
        ({"since_us": NOW + 1}, [1]),
        ({"until_us": NOW + 1}, [5, 4, 3, 2]),
    ],
)
async def test_alerts_are_listed_the_latest_first_and_narrowed(
    stored: Database, wanted: dict[str, Any], shares: list[int]
) -> None:
    changes: list[dict[str, Any]] = [
        {"created_us": NOW + 1},
        {"tenant_id": "other"},
        {"budget_id": "c"},
        {"user_id": "ann"},
        {"key_id": "key_1"},
    ]
    await alert(stored, *({"share": n, **each} for n, each in enumerate(changes, 1)))
    found = await AlertTable(stored).page(AlertFilter(**wanted), ALL)
    assert [each.share for each in found] == shares


async def test_alerts_are_followed_from_a_number_on(stored: Database) -> None:
    table = AlertTable(stored)
    assert await table.last() == 0
    await alert(stored, *({"share": n, "tenant_id": "acme" if n % 2 else "other"} for n in range(1, 7)))
    everything = await table.page(AlertFilter(), ALL)
    numbers = [each.sequence for each in reversed(everything)]
    assert await table.last() == numbers[-1]
    assert [each.share for each in await table.after(numbers[1], None, 3)] == [3, 4, 5]
    assert [each.share for each in await table.after(0, "other", 10)] == [2, 4, 6]
    assert await table.after(numbers[-1], None, 10) == []


async def test_the_local_tenant_s_entries_are_nobody_else_s(stored: Database) -> None:
    await book(stored, [row("cmp_1", NOW, tenant_id=SUBJECT.tenant_id), row("cmp_2", NOW)])
    table = EntryTable(stored)
    for tenant_id, name in ((SUBJECT.tenant_id, "cmp_1"), ("acme", "cmp_2")):
        found = await table.page(EntryFilter(tenant_id=tenant_id), ALL, oldest_first=False)
        assert [each.entry.completion_id for each in found] == [name]
