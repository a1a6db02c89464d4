"""UsageService: sums by whatever is asked, within what the caller may see."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import timestamp_pb2
from muxer.v1 import ledger_pb2, routing_pb2
from muxer.v1 import usage_service_pb2 as pb

from tests.rpc.reported import NOW, SECOND, Reported, all_of, entry

TENANT, USER, KEY, MODEL, PROVIDER, INTENT, STRATEGY, OUTCOME = range(1, 9)
HOUR, DAY, MONTH = 1, 2, 3


def stamp(at_us: int) -> timestamp_pb2.Timestamp:
    return timestamp_pb2.Timestamp(seconds=at_us // SECOND, nanos=at_us % SECOND * 1_000)


async def test_groups_tell_by_what_they_are_grouped_and_their_sums(reports: Reported) -> None:
    tokens = {
        "input_tokens": 1,
        "cached_input_tokens": 2,
        "cache_write_tokens": 3,
        "cache_write_1h_tokens": 4,
        "output_tokens": 5,
        "reasoning_tokens": 6,
    }
    await reports.book(
        entry("c1", 10, **tokens, reserved_nano_usd=30, key_id="key_1", labels={"team": "red"}),
        entry("c1", 5, attempt=2, outcome="failed", key_id="key_1", labels={"team": "red"}),
        entry("c2", 7, labels={"team": "blue"}, intent="", outcome="abandoned"),
    )
    reply = await reports.acme(
        pb.QueryUsageRequest(
            group_by=[TENANT, USER, KEY, MODEL, PROVIDER, INTENT, STRATEGY, OUTCOME],
            group_by_labels=["team"],
            bucket=DAY,
        )
    )
    first, second, third = reply.groups
    assert [each.outcome for each in reply.groups] == [
        ledger_pb2.ENTRY_OUTCOME_ABANDONED,
        ledger_pb2.ENTRY_OUTCOME_COMPLETE,
        ledger_pb2.ENTRY_OUTCOME_FAILED,
    ]
    assert (first.intent, first.key_id, dict(first.labels)) == (0, "", {"team": "blue"})
    midnight = NOW - NOW % (86_400 * SECOND)
    assert second == pb.UsageGroup(
        tenant_id="acme",
        user_id="ann",
        key_id="key_1",
        model="acme/small",
        provider="acme",
        intent=routing_pb2.INTENT_CHAT_LITE,
        strategy="learned",
        outcome=ledger_pb2.ENTRY_OUTCOME_COMPLETE,
        labels={"team": "red"},
        start_time=stamp(midnight),
        end_time=stamp(midnight + 86_400 * SECOND),
        sums=pb.UsageSums(cost_nano_usd=10, reserved_nano_usd=30, usage=tokens, completions=1, attempts=1, failures=0),
    )
    assert (third.sums.cost_nano_usd, third.sums.failures) == (5, 1)
    total = reply.total
    assert (total.cost_nano_usd, total.completions, total.attempts, total.failures) == (22, 2, 3, 2)


async def test_without_groups_all_is_one(reports: Reported) -> None:
    await reports.book(entry("c1", 10), entry("c2", 5))
    reply = await reports.acme(pb.QueryUsageRequest())
    [group] = reply.groups
    assert group.sums == reply.total
    assert (group.sums.cost_nano_usd, group.HasField("start_time")) == (15, False)


async def test_days_are_those_of_the_time_zone_that_is_asked_for(reports: Reported) -> None:
    late = int(datetime(2027, 3, 27, 23, 30, tzinfo=UTC).timestamp()) * SECOND
    await reports.book(entry("c1", 1, at_us=late), entry("c2", 2, at_us=late + 3_600 * SECOND))
    in_utc = await reports.acme(pb.QueryUsageRequest(bucket=DAY))
    assert [each.sums.cost_nano_usd for each in in_utc.groups] == [1, 2]
    [day] = (await reports.acme(pb.QueryUsageRequest(bucket=DAY, time_zone="Europe/Berlin"))).groups
    # The day on which clocks go forward has 23 hours.
    assert (day.end_time.seconds - day.start_time.seconds, day.sums.cost_nano_usd) == (23 * 3_600, 3)


async def test_a_tenant_s_admin_sees_its_own_usage_alone_and_an_operator_all(reports: Reported) -> None:
    await reports.book(entry("c1", 1), entry("c2", 2, tenant_id="other"))

    async def seen(caller: Any, **wanted: Any) -> list[tuple[str, int]]:
        reply = await caller(pb.QueryUsageRequest(filter=wanted, group_by=[TENANT]))
        return [(each.tenant_id, each.sums.cost_nano_usd) for each in reply.groups]

    assert await seen(reports.acme) == [("acme", 1)]
    assert await seen(reports.acme, tenant_id="acme") == [("acme", 1)]
    assert await seen(reports.other) == [("other", 2)]
    assert await seen(reports.root) == [("acme", 1), ("other", 2)]
    assert await seen(reports.root, tenant_id="other") == [("other", 2)]
    await reports.acme.refused(pb.QueryUsageRequest(filter={"tenant_id": "other"}), "PERMISSION_DENIED")


async def test_pages_hold_every_group_once_and_the_first_one_the_total(reports: Reported) -> None:
    odd = 'a "b"\n\u200b\U0001f600'
    await reports.book(*(entry(f"c{n}", 1, user_id=f"u{n:02}", labels={"k": odd}) for n in range(25)))
    request = pb.QueryUsageRequest(page_size=10, group_by=[USER], group_by_labels=["k"], bucket=MONTH)
    first = await reports.acme(request)
    assert first.total.cost_nano_usd == 25
    groups = await all_of(reports.acme, request, "groups")
    assert [each.user_id for each in groups] == [f"u{n:02}" for n in range(25)]
    assert {each.labels["k"] for each in groups} == {odd}
    second = await reports.acme(pb.QueryUsageRequest(page_token=first.next_page_token, **parts(request)))
    assert not second.HasField("total")


def parts(request: pb.QueryUsageRequest) -> dict[str, Any]:
    return {
        "page_size": request.page_size,
        "group_by": request.group_by,
        "group_by_labels": request.group_by_labels,
        "bucket": request.bucket,
    }


async def test_a_token_fits_the_listing_alone_that_made_it(reports: Reported) -> None:
    await reports.book(entry("c1", user_id="u1"), entry("c2", user_id="u2"))
    token = (await reports.acme(pb.QueryUsageRequest(page_size=1, group_by=[USER]))).next_page_token
    for changes in ({"group_by": [MODEL]}, {"group_by": [USER], "filter": {"model": "x"}}, {"group_by": [USER, MODEL]}):
        request = pb.QueryUsageRequest(page_size=1, page_token=token, **changes)
        error = await reports.acme.refused(request, "INVALID_REQUEST")
        assert error.fields == {"page_token": "UNKNOWN"}


@pytest.mark.parametrize(
    ("request_fields", "field", "rule"),
    [
        ({"page_size": -1}, "page_size", "RANGE"),
        ({"page_token": "nonsense"}, "page_token", "UNKNOWN"),
        ({"group_by": [USER, USER]}, "group_by[1]", "DUPLICATE"),
        ({"group_by": [99]}, "group_by[0]", "UNKNOWN"),
        ({"group_by": [0]}, "group_by[0]", "UNKNOWN"),
        ({"group_by_labels": ["a", "a"]}, "group_by_labels", "DUPLICATE"),
        ({"group_by_labels": list("abcde")}, "group_by_labels", "TOO_MANY"),
        ({"group_by_labels": [""]}, "group_by_labels[0]", "LENGTH"),
        ({"group_by_labels": ["a\0"]}, "group_by_labels[0]", "LENGTH"),
        ({"bucket": 9}, "bucket", "UNKNOWN"),
        ({"bucket": DAY, "time_zone": "Mars/Olympus"}, "time_zone", "UNKNOWN"),
        ({"time_zone": "Europe/Berlin"}, "time_zone", "UNUSED"),
        ({"filter": {"user_id": "no user\n"}}, "filter.user_id", "PATTERN"),
        ({"filter": {"key_id": "ü"}}, "filter.key_id", "PATTERN"),
        ({"filter": {"model": "x" * 257}}, "filter.model", "LENGTH"),
        ({"filter": {"strategy": "\0"}}, "filter.strategy", "LENGTH"),
        ({"filter": {"intent": 99}}, "filter.intent", "UNKNOWN"),
        ({"filter": {"outcome": 99}}, "filter.outcome", "UNKNOWN"),
        ({"filter": {"labels": {f"k{n}": "" for n in range(9)}}}, "filter.labels", "TOO_MANY"),
        ({"filter": {"labels": {"a": "\0"}}}, "filter.labels['a']", "LENGTH"),
        ({"filter": {"since": {"seconds": -1}}}, "filter.since", "RANGE"),
        ({"filter": {"since": {"seconds": 2}, "until": {"seconds": 1}}}, "filter.until", "RANGE"),
    ],
)
async def test_what_makes_no_sense_is_a_violation(
    reports: Reported, request_fields: dict[str, Any], field: str, rule: str
) -> None:
    error = await reports.root.refused(pb.QueryUsageRequest(**request_fields), "INVALID_REQUEST")
    assert error.fields == {field: rule}
