"""Rows of the ledger as tests make them, and sums of them by plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from sqlalchemy import delete, insert

from muxer_grpc.domain.buckets import BucketSize
from muxer_grpc.domain.ledger import EntryOutcome
from muxer_grpc.domain.money import Usage
from muxer_grpc.domain.reporting import UsageDimension, UsageSums
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import api_keys, ledger_entries, tenants, users

SECOND = 1_000_000
KINDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
TENANTS = ("acme", "other")
COLUMNS = {
    UsageDimension.TENANT: "tenant_id",
    UsageDimension.USER: "user_id",
    UsageDimension.KEY: "key_id",
    UsageDimension.MODEL: "model",
    UsageDimension.PROVIDER: "provider",
    UsageDimension.INTENT: "intent",
    UsageDimension.STRATEGY: "strategy",
    UsageDimension.OUTCOME: "outcome",
}


def row(completion_id: str, at_us: int, cost: int = 1, **changes: Any) -> dict[str, Any]:
    """Makes an entry's row."""
    return {
        **dict.fromkeys(KINDS, 0),
        "completion_id": completion_id,
        "attempt": 1,
        "tenant_id": "acme",
        "user_id": "ann",
        "model": "acme/small",
        "provider": "acme",
        "intent": "chat_lite",
        "strategy": "learned",
        "outcome": "complete",
        "usage_source": "provider",
        "cost_nano_usd": cost,
        "cost_pico_usd": cost * 1_000,
        "reserved_nano_usd": 0,
        "created_us": at_us,
        "settled_us": at_us,
        "labels": {},
        **changes,
    }


async def add_tenants(database: Database, *names: str) -> None:
    """Makes tenants, each with the users ann and bob; ann of acme has the key `key_1`."""
    made = names or TENANTS
    times = {"created_us": 0, "updated_us": 0}
    people = [{"tenant_id": name, "id": user, "role": "caller", **times} for name in made for user in ("ann", "bob")]
    key = {"id": "key_1", "tenant_id": "acme", "user_id": "ann", "prefix": "", "digest": b"", "role": "caller"}
    async with database.change() as connection:
        await connection.execute(insert(tenants), [{"id": name, "policy": {}, **times} for name in made])
        await connection.execute(insert(users), people)
        if "acme" in made:
            await connection.execute(insert(api_keys).values(**key, **times))


async def book(database: Database, rows: Iterable[dict[str, Any]]) -> None:
    """Writes rows into the ledger."""
    booked = list(rows)
    if booked:
        async with database.change() as connection:
            # One by one: rows may differ in their columns.
            for each in booked:
                await connection.execute(insert(ledger_entries).values(**each))


async def clear(database: Database) -> None:
    """Empties the ledger."""
    async with database.change() as connection:
        await connection.execute(delete(ledger_entries))


@dataclass
class Sums:
    """The sums of a group, one entry after the other."""

    totals: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("cost_nano_usd", "reserved_nano_usd", *KINDS), 0)
    )
    completions: set[str] = field(default_factory=set)
    attempts: int = 0
    failures: int = 0

    def add(self, entry: dict[str, Any]) -> None:
        for name in self.totals:
            self.totals[name] += entry[name]
        self.completions.add(entry["completion_id"])
        self.attempts += 1
        self.failures += entry["outcome"] in ("failed", "abandoned")

    def told(self) -> UsageSums:
        return UsageSums(
            cost_nano_usd=self.totals["cost_nano_usd"],
            reserved_nano_usd=self.totals["reserved_nano_usd"],
            usage=Usage(**{kind: self.totals[kind] for kind in KINDS}),
            completions=len(self.completions),
            attempts=self.attempts,
            failures=self.failures,
        )


def summed(
    rows: Sequence[dict[str, Any]],
    dimensions: Sequence[UsageDimension] = (),
    label_keys: Sequence[str] = (),
    bucket: tuple[BucketSize, str] | None = None,
) -> dict[tuple[Any, ...], UsageSums]:
    """Sums rows by group: by the wall clock's reading, then by dimensions, then by labels."""
    groups: dict[tuple[Any, ...], Sums] = {}
    for each in rows:
        key: tuple[Any, ...] = ()
        if bucket is not None:
            key = (wall_clock(each["created_us"], *bucket),)
        key += tuple(each.get(COLUMNS[d], "") for d in dimensions)
        key += tuple(each["labels"].get(label, "") for label in label_keys)
        groups.setdefault(key, Sums()).add(each)
    return {key: sums.told() for key, sums in groups.items()}


def wall_clock(at_us: int, size: BucketSize, zone: str) -> tuple[int, ...]:
    """Reads a clock on a wall: year and month, and day, and hour with how far it is ahead of UTC."""
    local = datetime.fromtimestamp(at_us // SECOND, UTC).astimezone(ZoneInfo(zone))
    if size is BucketSize.MONTH:
        return (local.year, local.month)
    if size is BucketSize.DAY:
        return (local.year, local.month, local.day)
    offset = local.utcoffset()
    assert offset is not None
    return (local.year, local.month, local.day, local.hour, int(offset.total_seconds()))


NAMES = st.sampled_from(["", "a", "b", 'quo"te', "back\\slash", "ünïcode", "a.b", "$[0]", "'", "new\nline", "%"])
LABELS = st.dictionaries(NAMES.filter(bool), NAMES, max_size=3)


def ledgers(first_us: int, last_us: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Makes ledgers: up to fifteen completions of one to three attempts each, all of a completion at one time."""

    @st.composite
    def ledger(draw: st.DrawFn) -> list[dict[str, Any]]:
        rows = []
        for number in range(draw(st.integers(0, 15))):
            at_us = draw(st.integers(first_us, last_us))
            payer = {
                "tenant_id": draw(st.sampled_from(TENANTS)),
                "user_id": draw(st.sampled_from(["ann", "bob"])),
                "key_id": draw(st.sampled_from(["", "key_1"])),
                "intent": draw(st.sampled_from(["", "chat_lite", "code_gen"])),
                "strategy": draw(st.sampled_from(["cost", "learned"])),
                "labels": draw(LABELS),
            }
            for attempt in range(1, draw(st.integers(1, 3)) + 1):
                provider = draw(st.sampled_from(["acme", "zeta"]))
                amounts = {kind: draw(st.integers(0, 10**9)) for kind in KINDS}
                cost = draw(st.integers(0, 10**15))
                outcome = draw(st.sampled_from([each.value for each in EntryOutcome]))
                rows.append(
                    row(
                        f"cmp_{number}",
                        at_us,
                        cost,
                        **payer,
                        **amounts,
                        attempt=attempt,
                        provider=provider,
                        model=f"{provider}/m",
                        outcome=outcome,
                        reserved_nano_usd=draw(st.integers(0, 10**15)),
                    )
                )
        return rows

    return ledger()
