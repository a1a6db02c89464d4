"""LeaseService: money held for many calls, by whom it concerns; and calls that are paid from it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
import pytest
from google.protobuf import duration_pb2, timestamp_pb2
from muxer.v1 import lease_service_pb2 as pb
from muxer.v1 import lease_service_pb2_grpc

from muxer_grpc.domain.budgeting import Budget, Period
from muxer_grpc.domain.tenancy import LOCAL_TENANT, LOCAL_USER, Role
from tests.rpc.accounting import COST, accounting, books_of, complete, give, refused, small
from tests.rpc.administered import Caller
from tests.rpc.reported import NOW, SECOND, Reported, all_of
from tests.rpc.service import Service, play
from tests.storage.records import add_budget

OPEN, EXPIRED, RELEASED = pb.MONEY_LEASE_STATE_OPEN, pb.MONEY_LEASE_STATE_EXPIRED, pb.MONEY_LEASE_STATE_RELEASED


async def create(caller: Caller, amount: int = 1_000, **values: Any) -> pb.MoneyLease:
    made: pb.MoneyLease = (await caller(pb.CreateMoneyLeaseRequest(amount_nano_usd=amount, **values))).money_lease
    return made


async def test_a_lease_is_made_shown_and_released(reports: Reported) -> None:
    caller = await reports.world.person("acme", "bob", Role.CALLER)
    made = await create(caller, labels={"run": "7"}, duration=duration_pb2.Duration(seconds=60))
    assert made == pb.MoneyLease(
        id=made.id,
        tenant_id="acme",
        user_id="bob",
        key_id=caller.name.rpartition(" ")[2],
        amount_nano_usd=1_000,
        left_nano_usd=1_000,
        state=OPEN,
        labels={"run": "7"},
        create_time=timestamp_pb2.Timestamp(seconds=NOW // SECOND),
        expire_time=timestamp_pb2.Timestamp(seconds=NOW // SECOND + 60),
    )
    assert made.id.startswith("lease_")
    assert (await caller(pb.GetMoneyLeaseRequest(money_lease_id=made.id))).money_lease == made
    released = (await caller(pb.ReleaseMoneyLeaseRequest(money_lease_id=made.id))).money_lease
    assert (released.state, released.left_nano_usd) == (RELEASED, 0)
    assert (await caller(pb.ReleaseMoneyLeaseRequest(money_lease_id=made.id))).money_lease == released


async def test_a_lease_lasts_an_hour_unless_its_caller_says_otherwise_and_then_has_expired(reports: Reported) -> None:
    made = await create(reports.acme)
    assert made.expire_time.seconds - made.create_time.seconds == 3_600
    reports.clock.at += 3_600
    shown = (await reports.acme(pb.GetMoneyLeaseRequest(money_lease_id=made.id))).money_lease
    assert (shown.state, shown.left_nano_usd) == (EXPIRED, 0)


async def test_what_does_not_fit_into_a_budget_is_refused_with_all_that_the_caller_must_know(
    reports: Reported,
) -> None:
    await add_budget(reports.world.database, Budget("bud_1", "acme", Period.TOTAL, 999), NOW)
    error = await reports.acme.refused(pb.CreateMoneyLeaseRequest(amount_nano_usd=1_000), "BUDGET_EXCEEDED")
    assert error.metadata["budget"] == "bud_1"
    assert error.metadata["asked_nano_usd"] == "1000"
    assert list((await reports.acme(pb.ListMoneyLeasesRequest())).money_leases) == []


async def test_callers_act_on_their_own_leases_and_admins_on_their_tenant_s(reports: Reported) -> None:
    bob = await reports.world.person("acme", "bob", Role.CALLER)
    eve = await reports.world.person("acme", "eve", Role.CALLER)
    made = await create(bob)
    for stranger in (eve, reports.other):
        for request in (
            pb.GetMoneyLeaseRequest(money_lease_id=made.id),
            pb.ReleaseMoneyLeaseRequest(money_lease_id=made.id),
        ):
            await stranger.refused(request, "RESOURCE_NOT_FOUND")
    for admin in (reports.acme, reports.root):
        assert (await admin(pb.GetMoneyLeaseRequest(money_lease_id=made.id))).money_lease == made

    async def listed(caller: Caller, **wanted: Any) -> list[str]:
        found = await all_of(caller, pb.ListMoneyLeasesRequest(**wanted), "money_leases")
        return [each.user_id for each in found]

    await create(eve)
    await create(reports.other)
    assert (await listed(bob), await listed(eve)) == (["bob"], ["eve"])
    assert sorted(await listed(reports.acme)) == ["bob", "eve"]
    assert await listed(reports.acme, user_id="bob") == ["bob"]
    assert sorted(await listed(reports.root)) == ["bob", "eve", "olga"]
    assert await listed(reports.root, tenant_id="other") == ["olga"]
    await bob.refused(pb.ListMoneyLeasesRequest(user_id="eve"), "PERMISSION_DENIED")
    await bob.refused(pb.ListMoneyLeasesRequest(tenant_id="other"), "PERMISSION_DENIED")
    await reports.acme.refused(pb.ListMoneyLeasesRequest(tenant_id="other"), "PERMISSION_DENIED")
    released = await reports.acme(pb.ReleaseMoneyLeaseRequest(money_lease_id=made.id))
    assert released.money_lease.state == RELEASED


async def test_leases_come_page_by_page_and_only_open_ones_where_that_is_asked(reports: Reported) -> None:
    made = []
    for _ in range(5):
        reports.clock.at += 1
        made.append((await create(reports.acme)).id)
    await reports.acme(pb.ReleaseMoneyLeaseRequest(money_lease_id=made[2]))
    found = await all_of(reports.acme, pb.ListMoneyLeasesRequest(page_size=2), "money_leases")
    assert [each.id for each in found] == made[::-1]
    found = await all_of(reports.acme, pb.ListMoneyLeasesRequest(page_size=2, open_only=True), "money_leases")
    assert [each.id for each in found] == [made[4], made[3], made[1], made[0]]


@pytest.mark.parametrize(
    ("request_fields", "field", "rule"),
    [
        ({}, "amount_nano_usd", "RANGE"),
        ({"amount_nano_usd": -1}, "amount_nano_usd", "RANGE"),
        ({"amount_nano_usd": 9 * 10**15 + 1}, "amount_nano_usd", "RANGE"),
        ({"amount_nano_usd": 1, "duration": {"nanos": 999_999_999}}, "duration", "RANGE"),
        ({"amount_nano_usd": 1, "duration": {"seconds": 86_401}}, "duration", "RANGE"),
        ({"amount_nano_usd": 1, "duration": {"seconds": 2**62}}, "duration", "RANGE"),
        ({"amount_nano_usd": 1, "labels": {"": "x"}}, "labels['']", "LENGTH"),
        ({"amount_nano_usd": 1, "labels": {"a": "\0"}}, "labels['a']", "CHARACTERS"),
    ],
)
async def test_a_lease_that_makes_no_sense_is_refused(
    reports: Reported, request_fields: dict[str, Any], field: str, rule: str
) -> None:
    error = await reports.acme.refused(pb.CreateMoneyLeaseRequest(**request_fields), "INVALID_REQUEST")
    assert error.fields == {field: rule}


@pytest.mark.parametrize("kind", [pb.GetMoneyLeaseRequest, pb.ReleaseMoneyLeaseRequest])
async def test_a_lease_must_be_named_and_be_there(reports: Reported, kind: Any) -> None:
    error = await reports.acme.refused(kind(), "INVALID_REQUEST")
    assert error.fields == {"money_lease_id": "REQUIRED"}
    await reports.acme.refused(kind(money_lease_id="lease_none"), "RESOURCE_NOT_FOUND")


def leases(service: Service) -> Any:
    return lease_service_pb2_grpc.LeaseServiceStub(service.channel)


async def taken(service: Service, amount: int) -> pb.MoneyLease:
    reply = await leases(service).CreateMoneyLease(pb.CreateMoneyLeaseRequest(amount_nano_usd=amount))
    made: pb.MoneyLease = reply.money_lease
    return made


async def shown(service: Service, lease: pb.MoneyLease) -> tuple[int, int, int]:
    """Gives what is spent of a lease, reserved, and left."""
    reply = await leases(service).GetMoneyLease(pb.GetMoneyLeaseRequest(money_lease_id=lease.id))
    now = reply.money_lease
    return now.spent_nano_usd, now.reserved_nano_usd, now.left_nano_usd


async def test_calls_are_paid_from_the_lease_that_they_name(database_url: str) -> None:
    await give(database_url, Budget("bud_1", LOCAL_TENANT, Period.TOTAL, 10**9))
    async with accounting(database_url) as service:
        lease = await taken(service, 10**8)
        for _ in range(3):
            await complete(service, small(money_lease=lease.id))
        assert await shown(service, lease) == (3 * COST, 0, 10**8 - 3 * COST)
        await leases(service).ReleaseMoneyLease(pb.ReleaseMoneyLeaseRequest(money_lease_id=lease.id))
        assert (await refused(service, small(money_lease=lease.id))).reason == "MONEY_LEASE_ENDED"
    books = books_of(database_url)
    [counter] = books.counters
    assert (counter["spent_nano_usd"], counter["reserved_nano_usd"]) == (3 * COST, 0)
    assert {row["money_lease_id"] for row in books.entries} == {lease.id}


async def test_of_two_calls_at_once_the_lease_pays_for_as_many_as_it_has_money_for(database_url: str) -> None:
    gate = asyncio.Event()
    async with accounting(database_url, play(gate)) as service:
        alone = asyncio.create_task(complete(service, small()))
        async with asyncio.timeout(30):
            while not service.acme.open:
                await asyncio.sleep(0.01)
        [promise] = books_of(database_url).reservations
        amount = promise["amount_nano_usd"]
        lease = await taken(service, 2 * amount - 1)
        calls = [asyncio.create_task(complete(service, small(money_lease=lease.id))) for _ in range(2)]
        done, running = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        [failed] = done
        error = failed.exception()
        assert isinstance(error, grpc.aio.AioRpcError)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await shown(service, lease) == (0, amount, amount - 1)
        for each in (alone, *running):
            each.cancel()
        await asyncio.gather(alone, *running, return_exceptions=True)


async def test_nobody_else_s_lease_pays(database_url: str) -> None:
    async with accounting(database_url) as service:
        error = await refused(service, small(money_lease="lease_of_somebody"))
        assert (error.reason, error.metadata) == ("MONEY_LEASE_ENDED", {"money_lease": "lease_of_somebody"})
    assert books_of(database_url).reserved == 0


async def test_without_a_proof_the_lease_is_the_local_user_s(database_url: str) -> None:
    async with accounting(database_url) as service:
        lease = await taken(service, 5)
    assert (lease.tenant_id, lease.user_id) == (LOCAL_TENANT, LOCAL_USER)
