"""Figures of all processes, on SQLite and PostgreSQL, against figures by plain Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.figure_counts import GroupFigures
from muxer_grpc.domain.figures import Dimension, FiguresQuery, FiguresReport
from muxer_grpc.domain.ledger import EntryOutcome
from muxer_grpc.domain.money import Usage
from muxer_grpc.domain.spreads import spread_of
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.fleet_figures import FleetFiguresTable
from tests.storage.bookings import KINDS, SECOND, add_tenants, book, row

NOW = 1_800_000_000 * SECOND
MINUTE = 60 * SECOND
ANSWERED = ("complete", "length", "filtered")
FAILED = ("failed", "abandoned")
EVERY = FiguresQuery(group_by=tuple(Dimension))


def entries(seed: int, count: int) -> list[dict[str, Any]]:
    """Makes entries that were settled over some two minutes, each at a time of its own, of two tenants."""
    chance = random.Random(seed)
    made = []
    for number, ago in enumerate(chance.sample(range(2 * MINUTE), count)):
        outcome = chance.choice([each.value for each in EntryOutcome])
        failure = chance.choice(["timeout", "overload", "of another version"]) if outcome == "failed" else ""
        duration = chance.randrange(10, 5 * SECOND)
        provider = chance.choice(["acme", "zeta"])
        made.append(
            row(
                f"c{number}",
                NOW - ago - duration,
                chance.randrange(10**9),
                **{kind: chance.randrange(10**6) for kind in KINDS},
                tenant_id=chance.choice(["acme", "other"]),
                settled_us=NOW - ago,
                outcome=outcome,
                failure_class=failure,
                provider=provider,
                model=f"{provider}/{chance.choice(['m', 'n'])}",
                intent=chance.choice(["chat_lite", "code_gen", ""]),
                strategy=chance.choice(["cost", "learned"]),
                duration_us=duration,
                first_token_us=chance.choice([None, chance.randrange(duration), max(0, duration - 9_999)]),
            )
        )
    return made


def expected(rows: Sequence[dict[str, Any]]) -> GroupFigures:
    """Works the figures of some entries out."""
    latest_first = sorted(rows, key=lambda each: -each["settled_us"])
    answered = [each for each in rows if each["outcome"] in ANSWERED]
    paces = [(e["duration_us"] - e["first_token_us"], e) for e in answered if e["first_token_us"] is not None]
    paced = [(pace, each) for pace, each in paces if pace >= 10_000]
    in_a_row = 0
    for each in latest_first:
        if each["outcome"] in ANSWERED:
            break
        in_a_row += each["outcome"] in FAILED
    known = {each.value: each for each in FailureClass}
    return GroupFigures(
        requests=len(rows),
        successes=len(answered),
        cancelled=sum(each["outcome"] == "cancelled" for each in rows),
        failures=Counter(known.get(each["failure_class"]) for each in rows if each["outcome"] in FAILED),
        consecutive_failures=in_a_row,
        usage=Usage(**{kind: sum(each[kind] for each in rows) for kind in KINDS}),
        cost_nano_usd=sum(each["cost_nano_usd"] for each in rows),
        latency=spread_of([each["duration_us"] / SECOND for each in answered]),
        first_token=spread_of([e["first_token_us"] / SECOND for e in rows if e["first_token_us"] is not None]),
        paced_tokens=sum(each["output_tokens"] + each["reasoning_tokens"] for _, each in paced),
        paced_seconds=pytest.approx(sum(pace for pace, _ in paced) / SECOND),  # type: ignore[arg-type]
        last_at=max(each["settled_us"] for each in rows) / SECOND if rows else None,
    )


def grouped(found: FiguresReport) -> dict[tuple[str, ...], GroupFigures]:
    assert [tuple(each.group.values()) for each in found.rows] == sorted(tuple(e.group.values()) for e in found.rows)
    return {tuple(each.group.values()): each.figures for each in found.rows}


Keeps = Callable[[dict[str, Any]], bool]
QUERIES: dict[str, tuple[FiguresQuery, str | None, Keeps]] = {
    "everything": (EVERY, None, lambda _each: True),
    "a tenant": (EVERY, "acme", lambda each: each["tenant_id"] == "acme"),
    "by intent": (FiguresQuery(group_by=(Dimension.INTENT,)), None, lambda _each: True),
    "by model": (FiguresQuery(), None, lambda _each: True),
    "filtered": (
        FiguresQuery(
            providers=frozenset({"acme", "nobody"}),
            models=frozenset({"acme/m", "zeta/m"}),
            intents=frozenset({Intent.CODE_GEN}),
            strategies=frozenset({"cost", "learned"}),
            group_by=tuple(Dimension),
        ),
        "other",
        lambda e: (e["tenant_id"], e["model"], e["intent"]) == ("other", "acme/m", "code_gen"),
    ),
}


async def test_figures_are_those_of_the_entries_that_were_settled_in_the_time(database: Database) -> None:
    await add_tenants(database)
    rows = entries(7, 250)
    await book(database, rows)
    table = FleetFiguresTable(database)
    for query, tenant_id, keeps in QUERIES.values():
        meant = [each for each in rows if each["settled_us"] >= NOW - MINUTE and keeps(each)]
        assert 0 < len(meant) < len(rows)
        found = await table.report(query, tenant_id, NOW - MINUTE, NOW)
        names = [dimension.value for dimension in query.dimensions]
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for each in meant:
            groups.setdefault(tuple(each[name] for name in names), []).append(each)
        assert grouped(found) == {key: expected(group) for key, group in groups.items()}
        assert found.total == expected(meant)
        assert found.since == (NOW - MINUTE) / SECOND


async def test_timings_are_those_of_the_latest_entries_alone_while_counts_are_of_all(database: Database) -> None:
    await add_tenants(database)
    rows = [
        row(
            f"c{n}",
            NOW - n,
            settled_us=NOW - n,
            duration_us=(n + 1) * SECOND,
            outcome="failed" if n < 3 else "complete",
        )
        for n in range(40)
    ]
    await book(database, rows)
    found = await FleetFiguresTable(database, most_timings=10).report(FiguresQuery(), None, NOW - MINUTE, NOW)
    [only] = found.rows
    assert only.figures == found.total
    assert (found.total.requests, found.total.consecutive_failures) == (40, 3)
    # The latest ten are three failures and seven answers, which took 4 to 10 seconds.
    assert found.total.latency is not None
    assert found.total.latency == (7, 7.0, 10.0, 10.0, 10.0)


async def test_of_an_empty_time_there_is_nothing(database: Database) -> None:
    found = await FleetFiguresTable(database).report(EVERY, None, NOW - MINUTE, NOW)
    assert (list(found.rows), found.total) == ([], GroupFigures())
