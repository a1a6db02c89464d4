"""AuditService: the latest first, narrowed, and to each admin what was done in its own tenant."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import timestamp_pb2
from muxer.v1 import audit_service_pb2 as pb
from muxer.v1 import tenant_service_pb2 as tenants_pb
from muxer.v1 import user_service_pb2 as users_pb

from tests.rpc.administered import START, Administered


def at(seconds: float) -> timestamp_pb2.Timestamp:
    return timestamp_pb2.Timestamp(seconds=int(START + seconds))


async def listed(world: Administered, **narrowed: Any) -> list[pb.AuditEntry]:
    return list((await world.root(pb.ListAuditEntriesRequest(**narrowed))).entries)


async def test_pages_together_list_every_entry_once_the_latest_first(world: Administered) -> None:
    await world.root(tenants_pb.CreateTenantRequest(tenant=tenants_pb.Tenant(id="blue")))
    found, token = [], ""
    while True:
        reply = await world.root(pb.ListAuditEntriesRequest(page_size=4, page_token=token))
        found += [entry.sequence for entry in reply.entries]
        token = reply.next_page_token
        if not token:
            break
    # Two tenants; three users with two budgets and a key each; the new tenant.
    assert len(found) == len(set(found)) == 2 + 3 * 4 + 1
    assert found == sorted(found, reverse=True)
    latest = (await listed(world, page_size=1))[0]
    assert (latest.action, latest.resource, latest.tenant_id) == ("CreateTenant", "tenants/blue", "blue")
    assert (latest.principal, latest.create_time) == (world.root.name, at(0))


async def test_a_listing_is_narrowed(world: Administered) -> None:
    world.clock.at += 60
    for user_id in ("bob", "cid"):
        await world.acme(users_pb.CreateUserRequest(user=users_pb.User(id=user_id)))
        world.clock.at += 60
    assert {e.tenant_id for e in await listed(world, tenant_id="acme")} == {"acme"}
    assert len(await listed(world, principal=world.acme.name)) == 6
    assert [e.resource for e in await listed(world, principal=world.acme.name, action="CreateUser")] == [
        "tenants/acme/users/cid",
        "tenants/acme/users/bob",
    ]
    assert len(await listed(world, resource="tenants/acme/users/bob")) == 1
    assert len(await listed(world, since=at(60))) == 6
    assert len(await listed(world, since=at(60), until=at(120))) == 3
    assert await listed(world, since=at(121)) == []


async def test_violations_are_told(world: Administered) -> None:
    request = pb.ListAuditEntriesRequest(
        page_size=-1,
        tenant_id="A",
        principal="\x00",
        action="x" * 257,
        since=timestamp_pb2.Timestamp(seconds=-1),
    )
    error = await world.root.refused(request, "INVALID_REQUEST")
    assert error.fields == {
        "page_size": "RANGE",
        "tenant_id": "PATTERN",
        "principal": "PATTERN",
        "action": "PATTERN",
        "since": "RANGE",
    }


@pytest.mark.parametrize("key", ["x", "-1", "1.5", "9" * 19, "\u0661"])
async def test_a_forged_token_is_refused(world: Administered, key: str) -> None:
    token = (await world.root(pb.ListAuditEntriesRequest(page_size=1))).next_page_token
    listing, _ = json.loads(base64.urlsafe_b64decode(token))
    forged = base64.urlsafe_b64encode(json.dumps([listing, [key]]).encode()).decode()
    error = await world.root.refused(pb.ListAuditEntriesRequest(page_token=forged), "INVALID_REQUEST")
    assert error.fields == {"page_token": "UNKNOWN"}


async def test_an_admin_sees_what_was_done_in_its_own_tenant_whoever_did_it(world: Administered) -> None:
    await world.root(users_pb.CreateUserRequest(user=users_pb.User(tenant_id="acme", id="bob")))
    seen = (await world.acme(pb.ListAuditEntriesRequest())).entries
    assert {entry.tenant_id for entry in seen} == {"acme"}
    assert world.root.name in {entry.principal for entry in seen}
    for tenant_id in ("other", "none"):
        await world.acme.refused(pb.ListAuditEntriesRequest(tenant_id=tenant_id), "PERMISSION_DENIED")


async def test_what_was_done_stays_when_the_tenant_is_gone(world: Administered) -> None:
    await world.root(tenants_pb.DeleteTenantRequest(tenant_id="acme", force=True))
    assert (await listed(world, tenant_id="acme"))[0].action == "DeleteTenant"
