"""Usage, on SQLite and PostgreSQL, against sums by plain Python."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.domain.buckets import Buckets, BucketSize
from muxer_grpc.domain.ledger import EntryOutcome
from muxer_grpc.domain.reporting import EntryFilter, UsageDimension, UsageQuery, UsageSums
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.reports import UsageTable
from tests.storage.bookings import LABELS, NAMES, SECOND, add_tenants, book, clear, ledgers, row, summed, wall_clock

ALL = PageRequest(1_000_000)
# A year in which Berlin, Lord Howe and Havana each change their clocks twice.
FIRST = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * SECOND
LAST = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * SECOND
ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata")

QUIET = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(database: Database, query: UsageQuery) -> dict[tuple[Any, ...], UsageSums]:
    """Reads all groups, by bucket, dimensions and labels."""

    async def reading() -> dict[tuple[Any, ...], UsageSums]:
        rows = await UsageTable(database).page(query, ALL)
        found: dict[tuple[Any, ...], UsageSums] = {}
        for each in rows:
            time: tuple[Any, ...] = ()
            if query.buckets is not None:
                assert each.bucket is not None
                start, end = query.buckets.bounds(each.bucket)
                clocks = {wall_clock(at, query.buckets.size, query.buckets.zone) for at in (start, end - 1)}
                assert len(clocks) == 1, "a bucket is one reading of the clock from its beginning to its end"
                time = (clocks.pop(),)
            key = (*time, *each.values.values(), *each.labels.values())
            assert key not in found, "each group comes once"
            found[key] = each.sums
        return found

    return asyncio.run(with_own(database, reading))


async def with_own(database: Database, work: Any) -> Any:
    """Works with a database in a loop of its own, and leaves none of its connections open."""
    try:
        return await work()
    finally:
        await database.aclose()
        database._engine = None


@pytest.fixture
def ready(database_url: str) -> Database:
    """Gives a database with tenants, for tests that hypothesis calls, which are not coroutines."""
    database = Database(database_url)
    asyncio.run(with_own(database, lambda: add_tenants(database)))
    return database


def refill(database: Database, rows: list[dict[str, Any]]) -> None:
    async def work() -> None:
        await clear(database)
        await book(database, rows)

    asyncio.run(with_own(database, work))


@QUIET
@given(
    rows=ledgers(FIRST, LAST),
    dimensions=st.lists(st.sampled_from(UsageDimension), unique=True, max_size=4),
    keys=st.lists(NAMES.filter(bool), unique=True, max_size=2),
    bucket=st.none() | st.tuples(st.sampled_from(BucketSize), st.sampled_from(ZONES)),
)
def test_usage_is_exactly_the_sum_of_the_entries_of_each_group(
    ready: Database,
    rows: list[dict[str, Any]],
    dimensions: list[UsageDimension],
    keys: list[str],
    bucket: tuple[BucketSize, str] | None,
) -> None:
    refill(ready, rows)
    query = UsageQuery(
        dimensions=tuple(dimensions), label_keys=tuple(keys), buckets=None if bucket is None else Buckets(*bucket)
    )
    assert read(ready, query) == summed(rows, dimensions, keys, bucket)


@QUIET
@given(
    rows=ledgers(FIRST, LAST),
    wanted=st.fixed_dictionaries(
        {},
        optional={
            "tenant_id": st.sampled_from(["acme", "other"]),
            "user_id": st.just("ann"),
            "key_id": st.just("key_1"),
            "model": st.just("zeta/m"),
            "provider": st.just("acme"),
            "intent": st.just("code_gen"),
            "strategy": st.just("cost"),
            "outcome": st.sampled_from(EntryOutcome),
            "labels": LABELS,
            "since_us": st.integers(FIRST, LAST),
            "until_us": st.integers(FIRST, LAST),
        },
    ),
)
def test_a_filter_keeps_exactly_the_entries_that_fit_all_of_it(
    ready: Database, rows: list[dict[str, Any]], wanted: dict[str, Any]
) -> None:
    def fits(entry: dict[str, Any]) -> bool:
        plain = {name: value for name, value in wanted.items() if name not in ("labels", "since_us", "until_us")}
        return (
            all(entry[name] == (value.value if name == "outcome" else value) for name, value in plain.items())
            and wanted.get("labels", {}).items() <= entry["labels"].items()
            and wanted.get("since_us", 0) <= entry["created_us"] < wanted.get("until_us", LAST + 1)
        )

    refill(ready, rows)
    kept = [each for each in rows if fits(each)]
    query = UsageQuery(EntryFilter(**wanted))
    assert read(ready, query) == summed(kept)

    async def total() -> UsageSums:
        return await UsageTable(ready).total(query)

    assert asyncio.run(with_own(ready, total)) == summed(kept).get((), UsageSums())


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


async def hours(database: Database, zone: str) -> list[tuple[str, str, int]]:
    """Reads the hours in which something was spent: from when to when in UTC, and how much."""
    buckets = Buckets(BucketSize.HOUR, zone)
    rows = await UsageTable(database).page(UsageQuery(buckets=buckets), ALL)
    told = []
    for each in rows:
        assert each.bucket is not None
        start, end = (
            datetime.fromtimestamp(t // SECOND, UTC).strftime("%d %H:%M") for t in buckets.bounds(each.bucket)
        )
        told.append((start, end, each.sums.cost_nano_usd))
    return told


async def test_the_hour_that_comes_twice_in_autumn_is_two_hours(database: Database) -> None:
    await add_tenants(database, "acme")
    times = ["2024-10-26T23:59Z", "2024-10-27T00:30Z", "2024-10-27T00:59Z", "2024-10-27T01:00Z", "2024-10-27T02:00Z"]
    await book(database, [row(f"cmp_{n}", at(time), 10**n) for n, time in enumerate(times)])
    assert await hours(database, "Europe/Berlin") == [
        ("26 23:00", "27 00:00", 1),
        ("27 00:00", "27 01:00", 110),
        ("27 01:00", "27 02:00", 1_000),
        ("27 02:00", "27 03:00", 10_000),
    ]


async def test_a_change_of_half_an_hour_cuts_the_hours_beside_it(database: Database) -> None:
    """Lord Howe goes from 2:00 back to 1:30 in autumn, and from 2:00 on to 2:30 in spring."""
    await add_tenants(database, "acme")
    times = ["2024-04-06T14:10Z", "2024-04-06T15:10Z", "2024-04-06T15:40Z", "2024-10-05T15:20Z", "2024-10-05T15:40Z"]
    await book(database, [row(f"cmp_{n}", at(time), 10**n) for n, time in enumerate(times)])
    assert await hours(database, "Australia/Lord_Howe") == [
        ("06 14:00", "06 15:00", 1),
        ("06 15:00", "06 15:30", 10),
        ("06 15:30", "06 16:30", 100),
        ("05 14:30", "05 15:30", 1_000),
        ("05 15:30", "05 16:00", 10_000),
    ]


async def test_days_are_those_of_the_zone_with_23_and_25_hours(database: Database) -> None:
    await add_tenants(database, "acme")
    # The first and the last second of each of the two days, and their neighbours.
    edges = ["2024-03-30T23:00", "2024-03-31T22:00", "2024-10-26T22:00", "2024-10-27T23:00"]
    times = [at(f"{edge}Z") + shift for edge in edges for shift in (-SECOND, 0)]
    await book(database, [row(f"cmp_{n}", time, 10**n) for n, time in enumerate(times)])
    buckets = Buckets(BucketSize.DAY, "Europe/Berlin")
    rows = await UsageTable(database).page(UsageQuery(buckets=buckets), ALL)
    told = []
    for each in rows:
        assert each.bucket is not None
        start, end = buckets.bounds(each.bucket)
        told.append((datetime.fromtimestamp(start // SECOND, UTC).date().isoformat(), (end - start) // SECOND / 3_600))
    assert told == [
        ("2024-03-29", 24),
        ("2024-03-30", 23),
        ("2024-03-31", 24),
        ("2024-10-25", 24),
        ("2024-10-26", 25),
        ("2024-10-27", 24),
    ]
    assert [each.sums.cost_nano_usd for each in rows] == [1, 110, 1_000, 10_000, 1_100_000, 10_000_000]


async def test_pages_show_each_group_once_while_entries_are_added(database: Database) -> None:
    await add_tenants(database, "acme")
    label = 'a "quoted"\n\u200bname'
    await book(database, [row(f"cmp_{n}", FIRST, 1, user_id=f"u{n:02}", labels={"k": label}) for n in range(0, 40, 2)])
    query = UsageQuery(
        dimensions=(UsageDimension.USER,), label_keys=("k",), buckets=Buckets(BucketSize.DAY, "Europe/Berlin")
    )
    table = UsageTable(database)
    seen: list[str] = []
    after: tuple[str, ...] = ()
    while page := await table.page(query, PageRequest(7, after)):
        seen += [each.values[UsageDimension.USER] for each in page]
        assert {each.labels["k"] for each in page} == {label}
        after = page[-1].key
        if len(seen) < 20:
            # One group before those that were seen, and one after.
            names = (f"a{len(seen)}", f"{max(seen)}x")
            await book(database, [row(f"of_{name}", FIRST, 1, user_id=name, labels={"k": label}) for name in names])
    assert len(seen) == len(set(seen))
    assert {f"u{n:02}" for n in range(0, 40, 2)} <= set(seen)
    assert not {each for each in seen if each.startswith("a")}


async def test_sums_are_exact_far_beyond_what_floats_hold(database: Database) -> None:
    await add_tenants(database, "acme")
    big = 2**53 + 1
    await book(database, [row(f"cmp_{n}", FIRST, big, input_tokens=big) for n in range(3)])
    sums = (await UsageTable(database).page(UsageQuery(), ALL))[0].sums
    assert (sums.cost_nano_usd, sums.usage.input_tokens) == (3 * big, 3 * big)
    assert type(sums.cost_nano_usd) is int


async def test_nothing_was_spent_in_an_empty_ledger(database: Database) -> None:
    assert await UsageTable(database).page(UsageQuery(), ALL) == []
    assert await UsageTable(database).total(UsageQuery()) == UsageSums()
