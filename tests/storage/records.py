"""Promises, settlements and budgets as tests make them, each with what is of no matter filled in."""

from __future__ import annotations

from itertools import count
from typing import Any

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.ledger import EntryOutcome, LedgerEntry, Reservation, Settlement
from muxer_grpc.domain.money import PICO_PER_NANO, Usage, UsageSource
from muxer_grpc.domain.tenancy import LOCAL_TENANT, LOCAL_USER, Subject
from muxer_grpc.storage.budgets import BudgetTable
from muxer_grpc.storage.database import Database

SECOND = 1_000_000
# A Tuesday, some minutes before a noon in UTC.
NOW = 1_800_000_000 * SECOND
SUBJECT = Subject(LOCAL_TENANT, LOCAL_USER)

_numbers = count()


def reservation(name: str = "", amount: int = 100, **changes: Any) -> Reservation:
    """Makes a promise; `name` is the completion's."""
    facts: dict[str, Any] = {
        "completion_id": name or f"cmp_{next(_numbers)}",
        "subject": SUBJECT,
        "amount_nano_usd": amount,
        "expected_nano_usd": amount // 2,
        "created_us": NOW,
        "lease_until_us": NOW + 60 * SECOND,
        "instance_id": "here",
        "idempotent_until_us": NOW + 600 * SECOND,
    }
    facts |= changes
    if facts.get("request_id") and not facts.get("fingerprint"):
        facts["fingerprint"] = b"same"
    return Reservation(**facts)


def entry(promise: Reservation, cost: int = 60, attempt: int = 1, **changes: Any) -> LedgerEntry:
    """Makes an entry of a promise's completion."""
    facts: dict[str, Any] = {
        "completion_id": promise.completion_id,
        "attempt": attempt,
        "subject": promise.subject,
        "cost_nano_usd": cost,
        "cost_pico_usd": cost * PICO_PER_NANO,
        "outcome": EntryOutcome.COMPLETE,
        "created_us": promise.created_us,
        "settled_us": promise.created_us + SECOND,
        "request_id": promise.request_id,
        "usage": Usage(input_tokens=10, output_tokens=20, source=UsageSource.PROVIDER),
        "reserved_nano_usd": promise.amount_nano_usd,
        "money_lease_id": promise.money_lease_id,
    }
    return LedgerEntry(**(facts | changes))


def settlement(promise: Reservation, cost: int = 60, **changes: Any) -> Settlement:
    """Makes the settlement of a promise, with one entry unless others are given."""
    facts: dict[str, Any] = {
        "completion_id": promise.completion_id,
        "entries": (entry(promise, cost),),
        "settled_us": promise.created_us + SECOND,
        "request_id": promise.request_id,
        "answered": True,
        "answer": b"sealed" if promise.request_id else None,
    }
    return Settlement(**(facts | changes))


def budget(limit: int = 1_000, period: Period = Period.TOTAL, **changes: Any) -> Budget:
    """Makes a hard budget of the local user's, unless the changes say whose else."""
    facts: dict[str, Any] = {
        "id": f"bud_{next(_numbers)}",
        "tenant_id": LOCAL_TENANT,
        "user_id": LOCAL_USER,
        "period": period,
        "limit_nano_usd": limit,
    }
    return Budget(**(facts | changes))


async def add_budget(database: Database, made: Budget, at_us: int = NOW) -> Budget:
    """Puts a budget into the database, as an admin would."""
    await BudgetTable(database).create(made, Actor("test", at_us))
    return made
