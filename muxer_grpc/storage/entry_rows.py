"""Rows of the ledger: which ones a filter means, how their labels and times are read in SQL, and as records."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, RowMapping, String, case, cast, func, literal, select

from muxer_grpc.domain.buckets import DAY_US, HOUR_US, Buckets, BucketSize, stretches
from muxer_grpc.domain.ledger import EntryOutcome, LedgerEntry
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.domain.reporting import EntryFilter, EntryRecord
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.storage.schema import ledger_entries

columns = ledger_entries.c
# The columns that count tokens, by the names that Usage has for them.
TOKEN_KINDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)

_BY_NAME = (
    "user_id",
    "key_id",
    "model",
    "provider",
    "intent",
    "strategy",
    "completion_id",
    "request_id",
    "money_lease_id",
)


def meant_by(wanted: EntryFilter, *, sqlite: bool) -> list[ColumnElement[bool]]:
    """Says which entries a filter means."""
    conditions: list[ColumnElement[bool]] = [
        columns[name] == getattr(wanted, name) for name in _BY_NAME if getattr(wanted, name)
    ]
    if wanted.tenant_id is not None:
        conditions.append(columns.tenant_id == wanted.tenant_id)
    if wanted.outcome is not None:
        conditions.append(columns.outcome == wanted.outcome.value)
    if wanted.flagged is not None:
        conditions.append(columns.flagged.is_(wanted.flagged))
    if wanted.since_us is not None:
        conditions.append(columns.created_us >= wanted.since_us)
    if wanted.until_us is not None:
        conditions.append(columns.created_us < wanted.until_us)
    conditions += [label(key, sqlite=sqlite) == value for key, value in wanted.labels.items()]
    return conditions


def label(key: str, *, sqlite: bool) -> ColumnElement[Any]:
    """Reads one label of an entry, whatever signs are in its key; NULL where the entry has none of that key."""
    if not sqlite:
        return columns.labels.op("->>", return_type=String())(cast(literal(key), String))
    # A path to the key would have to be quoted, in a way that differs between versions.
    each = func.json_each(columns.labels).table_valued("key", "value")
    return select(each.c.value).where(each.c.key == key).correlate(ledger_entries).scalar_subquery()


def bucket(buckets: Buckets, at: ColumnElement[int], first_us: int, last_us: int) -> ColumnElement[int]:
    """Names the bucket of a time between two others, as Buckets.key_of does."""
    if buckets.size is BucketSize.MONTH:
        keys = range(buckets.key_of(first_us), buckets.key_of(last_us) + 1)
        return _cases([(literal(key), at < buckets.bounds(key)[1]) for key in keys[:-1]], literal(keys[-1]))
    named = []
    for stretch in stretches(buckets.zone, first_us, last_us):
        local = at + stretch.offset_us
        day = buckets.size is BucketSize.DAY
        key = local // DAY_US if day else local // HOUR_US * HOUR_US - stretch.offset_us
        named.append((key, stretch.until_us))
    return _cases([(key, at < until) for key, until in named[:-1]], named[-1][0])


def _cases(whens: list[tuple[ColumnElement[int], Any]], otherwise: ColumnElement[int]) -> ColumnElement[int]:
    return case(*((condition, key) for key, condition in whens), else_=otherwise) if whens else otherwise


def record_of(row: RowMapping) -> EntryRecord:
    """Reads an entry."""
    return EntryRecord(
        row["seq"],
        LedgerEntry(
            completion_id=row["completion_id"],
            attempt=row["attempt"],
            subject=Subject(row["tenant_id"], row["user_id"], row["key_id"]),
            cost_nano_usd=row["cost_nano_usd"],
            cost_pico_usd=row["cost_pico_usd"],
            outcome=EntryOutcome(row["outcome"]),
            created_us=row["created_us"],
            settled_us=row["settled_us"],
            principal=row["principal"],
            request_id=row["request_id"],
            decision_id=row["decision_id"],
            strategy=row["strategy"],
            intent=row["intent"],
            requested_model=row["requested_model"],
            model=row["model"],
            provider=row["provider"],
            reported_model=row["reported_model"],
            failure_class=row["failure_class"],
            usage=Usage(
                input_tokens=row["input_tokens"],
                cached_input_tokens=row["cached_input_tokens"],
                cache_write_tokens=row["cache_write_tokens"],
                cache_write_1h_tokens=row["cache_write_1h_tokens"],
                output_tokens=row["output_tokens"],
                reasoning_tokens=row["reasoning_tokens"],
                source=UsageSource(row["usage_source"]),
            ),
            price_book_version=row["price_book_version"],
            reserved_nano_usd=row["reserved_nano_usd"],
            money_lease_id=row["money_lease_id"],
            duration_us=row["duration_us"],
            first_token_us=row["first_token_us"],
            streamed=row["streamed"],
            flagged=row["flagged"],
            labels=row["labels"],
        ),
    )
