"""AlertService: alerts listed and watched, each once, by whom they concern."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2
from muxer.v1 import alert_service_pb2 as pb

from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.tenancy import Subject
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.servicers.alerts import AlertServicer
from muxer_grpc.storage.alerts import AlertTable
from tests.rpc.reported import NOW, SECOND, Reported, all_of
from tests.rpc.service import told
from tests.storage.records import add_budget, reservation, settlement


async def limit(reports: Reported, tenant_id: str = "acme", **changes: Any) -> Budget:
    made = Budget(f"bud_{tenant_id}", tenant_id, Period.DAILY, 1_000, **changes)
    return await add_budget(reports.world.database, made, NOW)


async def spend(reports: Reported, cost: int, tenant_id: str = "acme") -> None:
    promise = reservation(amount=cost, subject=Subject(tenant_id, "ann"), created_us=NOW)
    await reports.writer.reserve(promise)
    await reports.writer.settle(settlement(promise, cost))


async def rest(stream: Any) -> list[pb.WatchAlertsResponse]:
    """Reads a stream to its end."""
    replies = []
    while (reply := await stream.read()) is not grpc.aio.EOF:
        replies.append(reply)
    return replies


async def test_an_alert_is_listed_whole(reports: Reported) -> None:
    made = await limit(reports, alert_shares=(50,))
    await spend(reports, 600)
    [alert] = (await reports.acme(pb.ListAlertsRequest())).alerts
    assert alert.sequence > 0
    alert.sequence = 0
    assert alert == pb.Alert(
        tenant_id="acme",
        budget_id="bud_acme",
        share=50,
        spent_nano_usd=600,
        limit_nano_usd=1_000,
        period_start_time=timestamp_pb2.Timestamp(seconds=made.period_start(NOW) // SECOND),
        create_time=timestamp_pb2.Timestamp(seconds=NOW // SECOND),
    )


async def test_alerts_come_page_by_page_the_latest_first(reports: Reported) -> None:
    await limit(reports, alert_shares=(10, 20, 30, 40, 50))
    await spend(reports, 1_000)
    found = await all_of(reports.acme, pb.ListAlertsRequest(page_size=2), "alerts")
    assert [each.share for each in found] == [50, 40, 30, 20, 10]


async def test_a_tenant_s_admin_sees_and_hears_of_its_own_alerts_alone(reports: Reported) -> None:
    for tenant_id in ("acme", "other"):
        await limit(reports, tenant_id, alert_shares=(50,))
    streams = {
        name: reports.watch(caller, after_sequence=0)
        for name, caller in (("acme", reports.acme), ("other", reports.other), ("root", reports.root))
    }
    for stream in streams.values():
        assert not (await stream.read()).HasField("alert")
    await spend(reports, 600, "acme")
    await spend(reports, 600, "other")
    assert [(await streams["root"].read()).alert.tenant_id for _ in range(2)] == ["acme", "other"]
    reports.feed.close()
    for name in ("acme", "other"):
        assert [each.alert.tenant_id for each in await rest(streams[name])] == [name]
    assert [each.tenant_id for each in (await reports.acme(pb.ListAlertsRequest())).alerts] == ["acme"]
    await reports.acme.refused(pb.ListAlertsRequest(tenant_id="other"), "PERMISSION_DENIED")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await reports.watch(reports.acme, tenant_id="other").read()
    assert told(raised.value).reason == "PERMISSION_DENIED"


async def test_the_first_reply_says_where_the_stream_begins(reports: Reported) -> None:
    await limit(reports, alert_shares=(50, 80))
    await spend(reports, 600)
    first = await reports.watch(reports.acme).read()
    assert not first.HasField("alert")
    assert first.sequence > 0
    await spend(reports, 300)
    # What was raised since the stream began is told to whoever begins where it did.
    again = reports.watch(reports.acme, after_sequence=first.sequence)
    assert (await again.read()).sequence == first.sequence
    assert (await again.read()).alert.share == 80


async def test_a_stream_that_begins_at_nought_tells_everything(reports: Reported) -> None:
    await limit(reports, alert_shares=(10, 20, 30))
    await spend(reports, 1_000)
    stream = reports.watch(reports.acme, after_sequence=0)
    replies = [await stream.read() for _ in range(4)]
    assert [each.alert.share for each in replies] == [0, 10, 20, 30]
    assert [each.sequence for each in replies[1:]] == [each.alert.sequence for each in replies[1:]]


async def test_a_stream_ends_without_an_error_when_the_process_drains(reports: Reported) -> None:
    stream = reports.watch(reports.acme)
    await stream.read()
    reports.feed.close()
    assert await stream.read() == grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK


async def test_a_stream_ends_without_an_error_when_its_time_is_over(reports: Reported) -> None:
    await limit(reports, alert_shares=(50,))
    await spend(reports, 600)
    servicer = AlertServicer(AlertTable(reports.world.database), reports.feed)
    time_limit = TimeLimit(asyncio.get_running_loop().time() + 0.05)
    replies = servicer.watch_alerts(pb.WatchAlertsRequest(after_sequence=0), time_limit)
    assert [each.alert.share async for each in replies] == [0, 50]


async def test_a_watcher_who_leaves_leaves_nothing_behind(reports: Reported) -> None:
    stream = reports.watch(reports.acme)
    await stream.read()
    stream.cancel()
    async with asyncio.timeout(30):
        while reports.feed._poller is not None:
            await asyncio.sleep(0.01)
    assert reports.feed._watchers == 0


@pytest.mark.parametrize(
    ("request_fields", "field", "rule"),
    [
        ({"budget_id": "ü"}, "budget_id", "PATTERN"),
        ({"user_id": "\n"}, "user_id", "PATTERN"),
        ({"page_token": "x"}, "page_token", "UNKNOWN"),
        ({"since": {"seconds": 5}, "until": {"seconds": 4}}, "until", "RANGE"),
    ],
)
async def test_a_listing_that_makes_no_sense_is_refused(
    reports: Reported, request_fields: dict[str, Any], field: str, rule: str
) -> None:
    error = await reports.acme.refused(pb.ListAlertsRequest(**request_fields), "INVALID_REQUEST")
    assert error.fields == {field: rule}


async def test_a_stream_from_below_nought_is_refused(reports: Reported) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await reports.watch(reports.acme, after_sequence=-1).read()
    assert told(raised.value).fields == {"after_sequence": "RANGE"}
