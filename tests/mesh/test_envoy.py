"""The Envoy configuration that ships: what callers with the client that ships see while replicas die and drain."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.mesh.proxy import SHIPPED, configuration, validated
from tests.mesh.run import FREE_CALLERS, OTHER_CALLERS, REQUESTS_PER_MINUTE, Run, made
from tests.services import shared
from tests.services.server import Session

# The tests share one run.
pytestmark = [pytest.mark.xdist_group("envoy"), pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def run(services: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Gives a run that is over."""
    with shared.migrated_postgresql(services) as url:
        yield asyncio.run(made(tmp_path_factory.mktemp("mesh"), url, shared.empty_redis(services)))


async def test_envoy_accepts_the_configuration_without_a_warning(tmp_path: Path) -> None:
    assert await validated(SHIPPED) == (0, f"configuration '{SHIPPED}' OK\n")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(configuration(["127.0.0.1:1", "127.0.0.1:2"]).replace("LEAST_REQUEST", "LAST_REQUEST"))
    assert (await validated(wrong))[0] != 0


def test_no_unary_call_fails_when_a_replica_is_killed(run: Run) -> None:
    assert run.free.failed == []
    assert run.plain.failed == []
    assert len(run.free.answered) >= 4 * FREE_CALLERS
    lost = [row for row in run.books.entries if row["outcome"] == "abandoned"]
    assert len(lost) > FREE_CALLERS // 6, "the replica that was killed was to be at work"


def test_a_stream_on_the_replica_that_is_killed_ends_with_unavailable_and_never_as_a_success(run: Run) -> None:
    assert {error.code for error in run.free.cut[: run.cut_at_kill]} == {grpc.StatusCode.UNAVAILABLE}
    # Those that ended as a success had the whole answer: see Tenant.stream.
    assert run.free.streamed


def test_nobody_notices_a_drain(run: Run) -> None:
    assert run.exit_code == 0
    assert run.free.failed[run.failed_at_kill :] == []
    assert run.free.cut[run.cut_at_kill :] == []


def test_the_books_are_right_after_a_kill_and_a_drain(run: Run) -> None:
    assert run.contradictions == []
    assert run.books.reservations == []
    entries = {row["completion_id"]: row for row in run.books.entries}
    for tenant in run.tenants:
        for summary in (*tenant.answered.values(), *tenant.streamed.values()):
            row = entries[summary.completion_id]
            assert (row["outcome"], row["cost_nano_usd"]) == ("complete", summary.cost.total_nano_usd)


def test_no_call_is_paid_for_twice_however_often_it_was_sent(run: Run) -> None:
    """What a killed replica was at is booked as lost; beside it, each call of a caller has one entry and one answer."""
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for row in run.books.entries:
        if row["tenant_id"] != "plain":
            outcomes[row["request_id"]][row["outcome"]] += 1
    assert "" not in outcomes
    assert all(found["complete"] <= 1 and found["abandoned"] <= 1 for found in outcomes.values())
    twice = [name for name, times in run.asked_of_provider.items() if times > 1]
    assert len(twice) <= len([row for row in run.books.entries if row["outcome"] == "abandoned"])
    assert max(run.asked_of_provider.values()) <= 2


def test_a_hard_budget_is_spent_to_its_end_and_never_exceeded(run: Run) -> None:
    assert {error.reason for error in run.capped.failed} == {"BUDGET_EXCEEDED"}
    assert run.looks > 20
    assert run.most_nano_usd <= run.limit_nano_usd
    of_capped = [row for row in run.books.entries if row["tenant_id"] == "capped"]
    # What is left is less than a call has to promise.
    left = run.limit_nano_usd - sum(row["cost_nano_usd"] for row in of_capped)
    assert 0 <= left < max(row["reserved_nano_usd"] for row in of_capped)


def test_a_rate_limit_lets_in_exactly_as_many_requests_as_it_says(run: Run) -> None:
    assert {error.reason for error in run.slowed.failed} == {"RATE_LIMITED"}
    assert run.counted_requests == REQUESTS_PER_MINUTE
    # A request that was let in and got no answer was at the replica that was killed: at most one of each caller.
    assert REQUESTS_PER_MINUTE - OTHER_CALLERS <= len(run.slowed.answered) <= REQUESTS_PER_MINUTE
