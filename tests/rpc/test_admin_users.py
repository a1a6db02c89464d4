"""UserService: what it keeps, what it refuses, and who may do what."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import field_mask_pb2
from muxer.v1 import budget_service_pb2 as budgets_pb
from muxer.v1 import key_service_pb2 as keys_pb
from muxer.v1 import principals_pb2
from muxer.v1 import user_service_pb2 as pb

from muxer_grpc.domain.tenancy import Role
from tests.rpc.administered import START, Administered, Caller

CALLER, VIEWER, ADMIN = (
    principals_pb2.PRINCIPAL_ROLE_CALLER,
    principals_pb2.PRINCIPAL_ROLE_VIEWER,
    principals_pb2.PRINCIPAL_ROLE_ADMIN,
)


async def create(caller: Caller, user_id: str = "bob", tenant_id: str = "acme", **values: Any) -> pb.User:
    user = pb.User(tenant_id=tenant_id, id=user_id, **values)
    made: pb.User = (await caller(pb.CreateUserRequest(user=user))).user
    return made


def update(user_id: str, *paths: str, tenant_id: str = "acme", **values: Any) -> pb.UpdateUserRequest:
    mask = field_mask_pb2.FieldMask(paths=paths)
    return pb.UpdateUserRequest(user=pb.User(tenant_id=tenant_id, id=user_id, **values), update_mask=mask)


async def test_a_user_is_shown_as_it_was_made(world: Administered) -> None:
    made = await create(world.root, display_name="Bob", role=VIEWER, suspended=True)
    assert (made.tenant_id, made.id, made.display_name, made.role, made.suspended, made.revision) == (
        "acme",
        "bob",
        "Bob",
        VIEWER,
        True,
        1,
    )
    assert made.create_time.seconds == made.update_time.seconds == int(START)
    assert (await world.root(pb.GetUserRequest(tenant_id="acme", user_id="bob"))).user == made


async def test_a_new_user_is_a_caller_of_the_caller_s_own_tenant_unless_it_says_otherwise(
    world: Administered,
) -> None:
    made = await create(world.acme, tenant_id="")
    assert (made.tenant_id, made.role) == ("acme", CALLER)


async def test_a_new_user_has_the_default_budgets(world: Administered) -> None:
    await create(world.root)
    reply = await world.root(budgets_pb.ListBudgetsRequest(tenant_id="acme", user_id="bob"))
    told = {(b.period, b.limit_nano_usd, b.soft, b.time_zone) for b in reply.budgets}
    assert told == {
        (budgets_pb.BUDGET_PERIOD_DAILY, 10_000_000_000, False, "UTC"),
        (budgets_pb.BUDGET_PERIOD_MONTHLY, 100_000_000_000, False, "UTC"),
    }


@pytest.mark.parametrize(
    "user_id", ["ann@example.com", "auth0|4711", "system:serviceaccount:ns:name", "Ann_B.c+d%e=/f-1", "x" * 128]
)
async def test_users_are_named_as_elsewhere(world: Administered, user_id: str) -> None:
    await create(world.root, user_id)
    assert (await world.root(pb.GetUserRequest(tenant_id="acme", user_id=user_id))).user.id == user_id


@pytest.mark.parametrize("user_id", ["x" * 129, "@home", "a b", "a\n", "a\x00b", "ännchen", "a,b", "a'b"])
async def test_what_is_no_id_is_refused(world: Administered, user_id: str) -> None:
    error = await world.root.refused(
        pb.CreateUserRequest(user=pb.User(tenant_id="acme", id=user_id)), "INVALID_REQUEST"
    )
    assert error.fields == {"user.id": "PATTERN"}
    error = await world.root.refused(pb.GetUserRequest(tenant_id="acme", user_id=user_id), "INVALID_REQUEST")
    assert error.fields == {"user_id": "PATTERN"}


async def test_every_violation_is_told_at_once(world: Administered) -> None:
    user = pb.User(tenant_id="no tenant", display_name="x" * 201, role=9)  # type: ignore[arg-type]
    error = await world.root.refused(pb.CreateUserRequest(user=user), "INVALID_REQUEST")
    assert error.fields == {
        "user.tenant_id": "PATTERN",
        "user.id": "REQUIRED",
        "user.display_name": "LENGTH",
        "user.role": "UNKNOWN",
    }


async def test_a_user_without_its_tenant_and_one_that_is_there_already_are_refused(world: Administered) -> None:
    error = await world.root.refused(
        pb.CreateUserRequest(user=pb.User(tenant_id="none", id="bob")), "RESOURCE_NOT_FOUND"
    )
    assert error.message == "Tenant 'none' does not exist"
    error = await world.root.refused(pb.CreateUserRequest(user=pb.User(tenant_id="acme", id="ann")), "RESOURCE_EXISTS")
    assert error.metadata == {"resource": "ann"}


async def test_a_user_that_is_not_there_is_told(world: Administered) -> None:
    for request in (
        pb.GetUserRequest(tenant_id="acme", user_id="none"),
        pb.GetUserRequest(tenant_id="none", user_id="ann"),
        update("none", "suspended"),
        pb.DeleteUserRequest(tenant_id="acme", user_id="none"),
        pb.DeleteUserRequest(tenant_id="none", user_id="ann"),
    ):
        assert (await world.root.refused(request, "RESOURCE_NOT_FOUND")).message.startswith("User ")


async def test_only_what_the_mask_names_is_taken_over(world: Administered) -> None:
    await create(world.root, display_name="Bob")
    world.clock.at += 60
    after = (await world.root(update("bob", "role", "suspended", role=VIEWER, suspended=True, display_name="X"))).user
    assert (after.display_name, after.role, after.suspended, after.revision) == ("Bob", VIEWER, True, 2)
    assert after.update_time.seconds - after.create_time.seconds == 60


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        ((), {"update_mask": "REQUIRED"}),
        (("tenant_id", "id"), {"update_mask.paths[0]": "IMMUTABLE", "update_mask.paths[1]": "IMMUTABLE"}),
        (("colour",), {"update_mask.paths[0]": "UNKNOWN"}),
        (("role",), {"user.role": "UNKNOWN"}),
    ],
)
async def test_a_mask_of_other_fields_and_no_role_are_refused(
    world: Administered, paths: tuple[str, ...], fields: dict[str, str]
) -> None:
    assert (await world.root.refused(update("ann", *paths), "INVALID_REQUEST")).fields == fields


async def test_a_change_that_builds_on_another_revision_is_refused(world: Administered) -> None:
    await world.root(update("ann", "display_name", display_name="A"))
    request = update("ann", "display_name", display_name="B", revision=1)
    error = await world.root.refused(request, "REVISION_CONFLICT")
    assert error.metadata == {"resource": "ann", "revision": "2"}
    delete = pb.DeleteUserRequest(tenant_id="acme", user_id="ann", revision=1, force=True)
    await world.root.refused(delete, "REVISION_CONFLICT")
    negative = pb.DeleteUserRequest(tenant_id="acme", user_id="ann", revision=-1)
    assert (await world.root.refused(negative, "INVALID_REQUEST")).fields == {"revision": "RANGE"}


async def test_a_role_below_that_of_a_key_in_use_is_refused(world: Administered) -> None:
    await create(world.root, role=ADMIN)
    bob = await world.with_key("acme", "bob", Role.VIEWER)
    error = await world.root.refused(update("bob", "role", role=CALLER), "PRECONDITION_FAILED")
    key = error.metadata["key"]
    assert f"key {key} of the user could do more than a caller" in error.message
    assert (await world.root(update("bob", "role", role=VIEWER))).user.role == VIEWER
    await world.root(keys_pb.RevokeKeyRequest(key_id=key))
    assert (await world.root(update("bob", "role", role=CALLER))).user.role == CALLER
    world.clock.at += 3
    await bob.refused(pb.ListUsersRequest(), "UNAUTHENTICATED")


async def test_pages_together_list_every_user_once_by_tenant_and_id(world: Administered) -> None:
    for name in ("zoe", "bob"):
        await create(world.root, name, suspended=name == "zoe")
    found, token = [], ""
    while True:
        reply = await world.root(pb.ListUsersRequest(page_size=2, page_token=token))
        found += [(user.tenant_id, user.id) for user in reply.users]
        token = reply.next_page_token
        if not token:
            break
    assert found == [
        ("acme", "ann"),
        ("acme", "bob"),
        ("acme", "zoe"),
        ("local", "local"),
        ("muxer", "root"),
        ("other", "olga"),
    ]


@pytest.mark.parametrize(
    ("narrowed", "found"),
    [
        ({"tenant_id": "acme"}, ["ann", "bob"]),
        ({"tenant_id": "acme", "role": CALLER}, ["bob"]),
        ({"suspended": True}, ["bob"]),
        ({"tenant_id": "acme", "suspended": False}, ["ann"]),
        ({"tenant_id": "none"}, []),
    ],
)
async def test_a_listing_is_narrowed(world: Administered, narrowed: dict[str, Any], found: list[str]) -> None:
    await create(world.root, suspended=True)
    reply = await world.root(pb.ListUsersRequest(**narrowed))
    assert [user.id for user in reply.users] == found


async def test_a_deleted_user_takes_its_keys_and_budgets_along(world: Administered) -> None:
    bob = await world.person("acme", "bob", Role.VIEWER)
    assert len((await bob(pb.ListUsersRequest())).users) == 2
    delete = pb.DeleteUserRequest(tenant_id="acme", user_id="bob")
    error = await world.root.refused(delete, "PRECONDITION_FAILED")
    assert error.metadata == {"keys": "1"}
    delete.force = True
    await world.root(delete)
    world.clock.at += 3
    await bob.refused(pb.ListUsersRequest(), "UNAUTHENTICATED")
    assert not (await world.root(keys_pb.ListKeysRequest(tenant_id="acme", user_id="bob"))).keys
    assert not (await world.root(budgets_pb.ListBudgetsRequest(tenant_id="acme", user_id="bob"))).budgets
    await world.root.refused(pb.GetUserRequest(tenant_id="acme", user_id="bob"), "RESOURCE_NOT_FOUND")


async def test_a_user_without_keys_in_use_is_deleted_without_force(world: Administered) -> None:
    await create(world.acme)
    await world.acme(pb.DeleteUserRequest(user_id="bob"))
    await world.acme.refused(pb.GetUserRequest(user_id="bob"), "RESOURCE_NOT_FOUND")


async def test_the_user_that_stands_for_callers_without_proof_stays(world: Administered) -> None:
    request = pb.DeleteUserRequest(tenant_id="local", user_id="local", force=True)
    await world.root.refused(request, "PRECONDITION_FAILED")


async def test_what_a_deleted_user_spent_still_counts_when_it_comes_again(world: Administered) -> None:
    await create(world.root)
    await world.spend(7, "acme", "bob")
    await world.root(pb.DeleteUserRequest(tenant_id="acme", user_id="bob"))
    await create(world.root)
    reply = await world.root(budgets_pb.ListBudgetsRequest(tenant_id="acme", user_id="bob"))
    assert [budget.spent_nano_usd for budget in reply.budgets] == [7, 7]


async def test_the_admin_of_a_tenant_acts_in_its_own_alone(world: Administered) -> None:
    await create(world.acme)
    assert (await world.acme(update("bob", "display_name", display_name="B"))).user.display_name == "B"
    assert {u.tenant_id for u in (await world.acme(pb.ListUsersRequest())).users} == {"acme"}
    for tenant_id in ("other", "none"):
        for request in (
            pb.CreateUserRequest(user=pb.User(tenant_id=tenant_id, id="x")),
            pb.GetUserRequest(tenant_id=tenant_id, user_id="olga"),
            pb.ListUsersRequest(tenant_id=tenant_id),
            update("olga", "suspended", tenant_id=tenant_id),
            pb.DeleteUserRequest(tenant_id=tenant_id, user_id="olga"),
        ):
            await world.acme.refused(request, "PERMISSION_DENIED")


async def test_each_change_is_in_the_audit_log(world: Administered) -> None:
    await create(world.acme, display_name="Bob")
    await world.acme(update("bob", "suspended", suspended=True))
    await world.acme(pb.DeleteUserRequest(user_id="bob"))
    told = await world.acme.audited(resource="tenants/acme/users/bob")
    first = {
        "tenant_id": "acme",
        "id": "bob",
        "display_name": "Bob",
        "role": "caller",
        "suspended": False,
        "revision": 1,
    }
    second = {**first, "suspended": True, "revision": 2}
    who, resource = world.acme.name, "tenants/acme/users/bob"
    assert told == [
        (who, "CreateUser", resource, None, first),
        (who, "UpdateUser", resource, first, second),
        (who, "DeleteUser", resource, {**second, "keys": []}, None),
    ]
    actions = [action for _, action, *_ in await world.acme.audited(principal=who)]
    assert actions == [
        "CreateUser",
        "CreateBudget",
        "CreateBudget",
        "UpdateUser",
        "DeleteBudget",
        "DeleteBudget",
        "DeleteUser",
    ]
