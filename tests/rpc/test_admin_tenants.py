"""TenantService: what it keeps, what it refuses, and who may do what."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import field_mask_pb2
from muxer.v1 import principals_pb2, routing_pb2
from muxer.v1 import tenant_service_pb2 as pb
from muxer.v1 import user_service_pb2 as users_pb
from sqlalchemy import select

from muxer_grpc.domain.tenancy import Role
from muxer_grpc.storage.schema import audit_log, budgets, tenants, users
from tests.rpc.administered import START, Administered, Caller

POLICY = pb.TenantPolicy(
    allowed_providers=["acme"],
    denied_providers=["other"],
    denied_models=["acme/large"],
    default_strategy="cost",
    weights=routing_pb2.RoutingWeights(quality=0.5, cost=0.25),
    safety_action=pb.SAFETY_ACTION_BLOCK,
    content_storage=pb.CONTENT_STORAGE_KEPT,
    content_days=30,
)
LIMIT = principals_pb2.RateLimit(requests_per_minute=60, tokens_per_minute=10**12)


async def create(caller: Caller, tenant_id: str = "blue", **values: Any) -> pb.Tenant:
    tenant: pb.Tenant = (await caller(pb.CreateTenantRequest(tenant=pb.Tenant(id=tenant_id, **values)))).tenant
    return tenant


def update(tenant_id: str, *paths: str, **values: Any) -> pb.UpdateTenantRequest:
    mask = field_mask_pb2.FieldMask(paths=paths)
    return pb.UpdateTenantRequest(tenant=pb.Tenant(id=tenant_id, **values), update_mask=mask)


async def changed(caller: Caller, tenant_id: str, *paths: str, **values: Any) -> pb.Tenant:
    tenant: pb.Tenant = (await caller(update(tenant_id, *paths, **values))).tenant
    return tenant


async def test_a_tenant_is_shown_as_it_was_made(world: Administered) -> None:
    made = await create(world.root, display_name="Blue", suspended=True, policy=POLICY, rate_limit=LIMIT)
    assert (made.id, made.display_name, made.suspended, made.revision) == ("blue", "Blue", True, 1)
    assert (made.policy, made.rate_limit) == (POLICY, LIMIT)
    assert made.create_time.seconds == made.update_time.seconds == int(START)
    assert (await world.root(pb.GetTenantRequest(tenant_id="blue"))).tenant == made


async def test_a_tenant_without_rules_has_no_policy_and_no_limit(world: Administered) -> None:
    made = await create(world.root)
    assert (made.HasField("policy"), made.HasField("rate_limit")) == (False, False)


async def test_a_second_tenant_of_the_same_id_is_refused(world: Administered) -> None:
    error = await world.root.refused(pb.CreateTenantRequest(tenant=pb.Tenant(id="acme")), "RESOURCE_EXISTS")
    assert error.metadata == {"resource": "acme"}
    assert error.message == "Tenant 'acme' exists already"


async def test_a_tenant_that_is_not_there_is_told(world: Administered) -> None:
    for request in (
        pb.GetTenantRequest(tenant_id="none"),
        update("none", "suspended"),
        pb.DeleteTenantRequest(tenant_id="none"),
    ):
        error = await world.root.refused(request, "RESOURCE_NOT_FOUND")
        assert error.metadata == {"resource": "none"}


async def test_every_violation_is_told_at_once(world: Administered) -> None:
    tenant = pb.Tenant(
        id="Blue Team",
        display_name="a\nb",
        rate_limit=principals_pb2.RateLimit(requests_per_minute=0, tokens_per_minute=10**12 + 1),
        policy=pb.TenantPolicy(
            allowed_providers=["acme", "nobody"],
            allowed_models=["acme/small", "acme/gone"],
            denied_models=["nothing"],
            allowed_regions=["mars"],
            default_strategy="gossip",
            weights=routing_pb2.RoutingWeights(cost=-1),
            safety_action=9,  # type: ignore[arg-type]
            content_storage=9,  # type: ignore[arg-type]
        ),
    )
    error = await world.root.refused(pb.CreateTenantRequest(tenant=tenant), "INVALID_REQUEST")
    assert error.fields == {
        "tenant.id": "PATTERN",
        "tenant.display_name": "LENGTH",
        "tenant.rate_limit.requests_per_minute": "RANGE",
        "tenant.rate_limit.tokens_per_minute": "RANGE",
        "tenant.policy.allowed_providers[1]": "UNKNOWN",
        "tenant.policy.allowed_models[1]": "UNKNOWN",
        "tenant.policy.denied_models[0]": "UNKNOWN",
        "tenant.policy.allowed_regions[0]": "UNKNOWN",
        "tenant.policy.default_strategy": "UNKNOWN",
        "tenant.policy.weights.cost": "RANGE",
        "tenant.policy.safety_action": "UNKNOWN",
        "tenant.policy.content_storage": "UNKNOWN",
    }


@pytest.mark.parametrize("tenant_id", ["", "-a", ".a", "a" * 64, "Ä", "a b", "a/b", "a\x00"])
async def test_what_is_no_id_is_refused(world: Administered, tenant_id: str) -> None:
    error = await world.root.refused(pb.CreateTenantRequest(tenant=pb.Tenant(id=tenant_id)), "INVALID_REQUEST")
    assert error.fields == {"tenant.id": "PATTERN"}


@pytest.mark.parametrize(
    ("policy", "field", "rule"),
    [
        (pb.TenantPolicy(content_days=1), "content_days", "RANGE"),
        (pb.TenantPolicy(content_storage=pb.CONTENT_STORAGE_KEPT), "content_days", "RANGE"),
        (pb.TenantPolicy(content_storage=pb.CONTENT_STORAGE_HASHED, content_days=5), "content_days", "RANGE"),
        (pb.TenantPolicy(allowed_models=["small"], denied_models=["acme/small"]), "denied_models", "CONTRADICTION"),
        (pb.TenantPolicy(allowed_providers=["acme"], denied_providers=["acme"]), "denied_providers", "CONTRADICTION"),
    ],
)
async def test_a_policy_that_does_not_fit_together_is_refused(
    world: Administered, policy: pb.TenantPolicy, field: str, rule: str
) -> None:
    request = pb.CreateTenantRequest(tenant=pb.Tenant(id="blue", policy=policy))
    assert (await world.root.refused(request, "INVALID_REQUEST")).fields == {f"tenant.policy.{field}": rule}


async def test_a_field_of_a_policy_that_does_not_fit_the_others_that_stay_is_refused(world: Administered) -> None:
    await create(world.root, policy=POLICY)
    request = update("blue", "policy.content_storage", policy=pb.TenantPolicy())
    assert (await world.root.refused(request, "INVALID_REQUEST")).fields == {"tenant.policy.content_days": "RANGE"}
    assert (await world.root(pb.GetTenantRequest(tenant_id="blue"))).tenant.revision == 1


async def test_only_what_the_mask_names_is_taken_over(world: Administered) -> None:
    await create(world.root, display_name="Blue", policy=POLICY, rate_limit=LIMIT)
    world.clock.at += 60
    after = await changed(
        world.root, "blue", "policy.denied_models", "display_name", display_name="Navy", suspended=True
    )
    expected = pb.TenantPolicy()
    expected.CopyFrom(POLICY)
    del expected.denied_models[:]
    assert (after.display_name, after.suspended, after.policy, after.rate_limit) == ("Navy", False, expected, LIMIT)
    assert (after.revision, after.update_time.seconds - after.create_time.seconds) == (2, 60)
    emptied = await changed(world.root, "blue", "policy", "rate_limit")
    assert (emptied.HasField("policy"), emptied.HasField("rate_limit")) == (False, False)


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        ((), {"update_mask": "REQUIRED"}),
        (("id",), {"update_mask.paths[0]": "IMMUTABLE"}),
        (("display_name", "colour"), {"update_mask.paths[1]": "UNKNOWN"}),
        (("policy.colour",), {"update_mask.paths[0]": "UNKNOWN"}),
    ],
)
async def test_a_mask_of_other_fields_is_refused(
    world: Administered, paths: tuple[str, ...], fields: dict[str, str]
) -> None:
    assert (await world.root.refused(update("acme", *paths), "INVALID_REQUEST")).fields == fields


async def test_a_change_that_builds_on_another_revision_is_refused(world: Administered) -> None:
    await changed(world.root, "acme", "display_name", display_name="A")
    error = await world.root.refused(update("acme", "display_name", display_name="B", revision=1), "REVISION_CONFLICT")
    assert error.metadata == {"resource": "acme", "revision": "2"}
    await world.root.refused(pb.DeleteTenantRequest(tenant_id="acme", revision=1, force=True), "REVISION_CONFLICT")
    after = await changed(world.root, "acme", "display_name", display_name="B", revision=2)
    assert (after.display_name, after.revision) == ("B", 3)


async def test_a_change_that_changes_nothing_makes_no_revision(world: Administered) -> None:
    before = await changed(world.root, "acme", "display_name", display_name="A")
    assert await changed(world.root, "acme", "display_name", "suspended", display_name="A") == before


async def test_pages_together_list_every_tenant_once_in_order(world: Administered) -> None:
    for name in ("t3", "t1", "t2"):
        await create(world.root, name, suspended=name == "t2")
    found, token = [], ""
    while True:
        reply = await world.root(pb.ListTenantsRequest(page_size=2, page_token=token))
        assert len(reply.tenants) <= 2
        found += [tenant.id for tenant in reply.tenants]
        token = reply.next_page_token
        if not token:
            break
    assert found == ["acme", "local", "muxer", "other", "t1", "t2", "t3"]
    suspended = await world.root(pb.ListTenantsRequest(suspended=True))
    assert [tenant.id for tenant in suspended.tenants] == ["t2"]
    assert len((await world.root(pb.ListTenantsRequest(suspended=False))).tenants) == 6


async def test_tokens_of_other_listings_and_forged_ones_are_refused(world: Administered) -> None:
    token = (await world.root(pb.ListTenantsRequest(page_size=1))).next_page_token
    listing = json.loads(base64.urlsafe_b64decode(token))[0]

    def forged(told: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()

    wrong = [
        pb.ListTenantsRequest(page_token=token, suspended=True),
        *(
            pb.ListTenantsRequest(page_token=text)
            for text in ("x", "!", "Ä", forged([listing, []]), forged([listing, ["a", "b"]]), forged([listing, [1]]))
        ),
        *(pb.ListTenantsRequest(page_token=forged([listing, [key]])) for key in ("\x00", "\ud800")),
        *(pb.ListTenantsRequest(page_token=text) for text in (forged(1), forged({}), "W" * 5_000)),
    ]
    for request in wrong:
        assert (await world.root.refused(request, "INVALID_REQUEST")).fields == {"page_token": "UNKNOWN"}
    error = await world.root.refused(pb.ListTenantsRequest(page_size=-1), "INVALID_REQUEST")
    assert error.fields == {"page_size": "RANGE"}


async def test_a_deleted_tenant_is_gone_with_all_that_was_its_own(world: Administered) -> None:
    await world.root.refused(pb.DeleteTenantRequest(tenant_id="acme"), "PRECONDITION_FAILED")
    await world.root(pb.DeleteTenantRequest(tenant_id="acme", force=True))
    await world.root.refused(pb.GetTenantRequest(tenant_id="acme"), "RESOURCE_NOT_FOUND")
    async with world.database.read() as connection:
        for table in (users, budgets):
            query = select(table.c.id).where(table.c.tenant_id == "acme")
            assert (await connection.execute(query)).all() == []


async def test_a_tenant_without_users_is_deleted_without_force(world: Administered) -> None:
    await create(world.root)
    await world.root(pb.DeleteTenantRequest(tenant_id="blue", revision=1))
    await world.root.refused(pb.GetTenantRequest(tenant_id="blue"), "RESOURCE_NOT_FOUND")


async def test_a_tenant_that_stands_in_the_ledger_stays(world: Administered) -> None:
    await world.spend(5)
    error = await world.root.refused(pb.DeleteTenantRequest(tenant_id="acme", force=True), "PRECONDITION_FAILED")
    assert "suspend it instead" in error.message
    assert (await world.root(pb.GetTenantRequest(tenant_id="acme"))).tenant.revision == 1


async def test_a_tenant_that_comes_again_counts_its_budget_changes_from_where_no_writer_was(
    world: Administered,
) -> None:
    async def count() -> int:
        async with world.database.read() as connection:
            query = select(tenants.c.budgets_revision).where(tenants.c.id == "acme")
            return (await connection.execute(query)).scalar_one()

    before = await count()
    await world.root(pb.DeleteTenantRequest(tenant_id="acme", force=True))
    world.clock.at += 1
    await create(world.root, "acme")
    assert await count() > before + 100


@pytest.mark.parametrize("tenant_id", ["muxer", "local"])
async def test_the_service_s_own_tenants_are_neither_made_nor_suspended_nor_deleted(
    world: Administered, tenant_id: str
) -> None:
    error = await world.root.refused(pb.CreateTenantRequest(tenant=pb.Tenant(id=tenant_id)), "INVALID_REQUEST")
    assert error.fields == {"tenant.id": "RESERVED"}
    await world.root.refused(update(tenant_id, "suspended", suspended=True), "PRECONDITION_FAILED")
    await world.root.refused(pb.DeleteTenantRequest(tenant_id=tenant_id, force=True), "PRECONDITION_FAILED")
    assert (await changed(world.root, tenant_id, "display_name", display_name="Ours")).display_name == "Ours"


async def test_the_admin_of_a_tenant_sees_its_own_alone_and_changes_none(world: Administered) -> None:
    assert [t.id for t in (await world.acme(pb.ListTenantsRequest())).tenants] == ["acme"]
    assert len((await world.acme(pb.ListTenantsRequest(suspended=True))).tenants) == 0
    assert (await world.acme(pb.GetTenantRequest())).tenant.id == "acme"
    for request in (
        pb.GetTenantRequest(tenant_id="other"),
        pb.GetTenantRequest(tenant_id="not-there"),
        pb.CreateTenantRequest(tenant=pb.Tenant(id="mine")),
        update("other", "suspended"),
        update("acme", "rate_limit"),
        pb.DeleteTenantRequest(tenant_id="not-there"),
        pb.DeleteTenantRequest(tenant_id="acme", force=True),
    ):
        await world.acme.refused(request, "PERMISSION_DENIED")


async def test_what_is_there_and_what_is_not_is_refused_alike(world: Administered) -> None:
    told = [
        (await world.acme.refused(pb.GetTenantRequest(tenant_id=name), "PERMISSION_DENIED")).message
        for name in ("other", "not-there")
    ]
    assert told == ["you may act in the tenant acme alone"] * 2


async def test_viewers_look_and_callers_do_not(world: Administered) -> None:
    viewer = await world.person("muxer", "vera", Role.VIEWER)
    caller = await world.person("muxer", "carl", Role.CALLER)
    assert len((await viewer(pb.ListTenantsRequest())).tenants) == 4
    await viewer.refused(pb.CreateTenantRequest(tenant=pb.Tenant(id="blue")), "PERMISSION_DENIED")
    await caller.refused(pb.ListTenantsRequest(), "PERMISSION_DENIED")


async def test_the_keys_of_a_suspended_tenant_are_refused_within_seconds(world: Administered) -> None:
    await world.acme(pb.GetTenantRequest())
    await changed(world.root, "acme", "suspended", suspended=True)
    world.clock.at += 3
    await world.acme.refused(pb.GetTenantRequest(), "PERMISSION_DENIED")
    await changed(world.root, "acme", "suspended")
    world.clock.at += 3
    assert (await world.acme(pb.GetTenantRequest())).tenant.id == "acme"


async def test_each_change_is_in_the_audit_log_with_who_what_before_and_after(world: Administered) -> None:
    await create(world.root, display_name="Blue", policy=POLICY)
    await changed(world.root, "blue", "policy.denied_models", "rate_limit", rate_limit=LIMIT)
    await world.root(pb.DeleteTenantRequest(tenant_id="blue"))
    policy = {
        "allowed_providers": ["acme"],
        "denied_providers": ["other"],
        "denied_models": ["acme/large"],
        "default_strategy": "cost",
        "weights": {"quality": 0.5, "cost": 0.25, "performance": 0.0, "availability": 0.0},
        "safety_action": "block",
        "content": "kept",
        "content_days": 30,
    }
    first = {
        "id": "blue",
        "display_name": "Blue",
        "suspended": False,
        "policy": policy,
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "revision": 1,
    }
    second = {
        **first,
        "policy": {name: value for name, value in policy.items() if name != "denied_models"},
        "requests_per_minute": 60,
        "tokens_per_minute": 10**12,
        "revision": 2,
    }
    who = world.root.name
    assert await world.root.audited(tenant_id="blue") == [
        (who, "CreateTenant", "tenants/blue", None, first),
        (who, "UpdateTenant", "tenants/blue", first, second),
        (who, "DeleteTenant", "tenants/blue", second, None),
    ]


async def test_what_was_refused_is_not_in_the_audit_log(world: Administered) -> None:
    async def rows() -> int:
        async with world.database.read() as connection:
            return len((await connection.execute(select(audit_log.c.seq))).all())

    before = await rows()
    await world.root.refused(update("acme", "suspended", revision=7), "REVISION_CONFLICT")
    await world.root.refused(pb.CreateTenantRequest(tenant=pb.Tenant(id="acme")), "RESOURCE_EXISTS")
    await world.acme.refused(update("acme", "suspended"), "PERMISSION_DENIED")
    await world.root.refused(
        users_pb.CreateUserRequest(user=users_pb.User(tenant_id="acme", id="ann")), "RESOURCE_EXISTS"
    )
    assert await rows() == before
