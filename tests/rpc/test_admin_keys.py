"""KeyService: secrets told once, rotation with overlap, revocation, and who may do what."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2
from muxer.v1 import budget_service_pb2 as budgets_pb
from muxer.v1 import key_service_pb2 as pb
from muxer.v1 import principals_pb2
from muxer.v1 import user_service_pb2 as users_pb
from sqlalchemy import select

from muxer_grpc.domain.tenancy import Role
from muxer_grpc.settings import Settings
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.schema import metadata
from tests.rpc.administered import PEPPER, START, Administered, Caller, administered

CALLER, VIEWER, ADMIN = (
    principals_pb2.PRINCIPAL_ROLE_CALLER,
    principals_pb2.PRINCIPAL_ROLE_VIEWER,
    principals_pb2.PRINCIPAL_ROLE_ADMIN,
)
DAY = 86_400


def at(seconds: float) -> timestamp_pb2.Timestamp:
    """Gives a time, in seconds from the beginning of a test."""
    return timestamp_pb2.Timestamp(seconds=int(START + seconds))


async def create(caller: Caller, user_id: str = "ann", tenant_id: str = "acme", **values: Any) -> pb.CreateKeyResponse:
    key = pb.ApiKey(tenant_id=tenant_id, user_id=user_id, **values)
    made: pb.CreateKeyResponse = await caller(pb.CreateKeyRequest(key=key))
    return made


def update(key_id: str, *paths: str, **values: Any) -> pb.UpdateKeyRequest:
    mask = field_mask_pb2.FieldMask(paths=paths)
    return pb.UpdateKeyRequest(key=pb.ApiKey(id=key_id, **values), update_mask=mask)


def holder(world: Administered, secret: str) -> Caller:
    return Caller(world.channel, "", secret)


async def test_a_key_opens_what_its_role_may_and_shows_its_secret_once(world: Administered) -> None:
    limit = principals_pb2.RateLimit(requests_per_minute=5)
    made = await create(world.root, display_name="CI", role=VIEWER, rate_limit=limit, expire_time=at(90 * DAY))
    key = made.key
    assert made.secret.startswith(f"{key.prefix}_")
    assert key.prefix == f"mux_{key.id}"
    assert (key.tenant_id, key.user_id, key.role, key.display_name) == ("acme", "ann", VIEWER, "CI")
    assert (key.rate_limit, key.expire_time, key.usable, key.revision) == (limit, at(90 * DAY), True, 1)
    assert not key.HasField("revoke_time")
    shown = (await world.root(pb.GetKeyRequest(key_id=key.id))).key
    assert shown == key
    assert made.secret not in str(shown)
    assert len((await holder(world, made.secret)(pb.ListKeysRequest())).keys) == 2


async def test_a_key_has_its_user_s_role_unless_it_says_otherwise(world: Administered) -> None:
    await world.person("acme", "bob", Role.CALLER)
    assert (await create(world.root, "bob")).key.role == CALLER
    assert (await create(world.root, "ann")).key.role == ADMIN


async def test_a_key_that_could_do_more_than_its_user_is_refused(world: Administered) -> None:
    await world.person("acme", "bob", Role.CALLER)
    for role in (VIEWER, ADMIN):
        request = pb.CreateKeyRequest(key=pb.ApiKey(tenant_id="acme", user_id="bob", role=role))
        assert (await world.root.refused(request, "PRECONDITION_FAILED")).metadata == {"role": "caller"}


async def test_the_secret_is_nowhere_in_the_database(world: Administered) -> None:
    made = await create(world.root)
    rotated = await world.root(pb.RotateKeyRequest(key_id=made.key.id))
    secrets = [text.split("_", 2)[2] for text in (made.secret, rotated.secret)]
    async with world.database.read() as connection:
        for table in metadata.sorted_tables:
            kept = str((await connection.execute(select(table))).all())
            assert not [secret for secret in secrets if secret in kept], table.name


async def test_every_violation_is_told_at_once(world: Administered) -> None:
    key = pb.ApiKey(
        tenant_id="A",
        display_name="\x00",
        role=9,  # type: ignore[arg-type]
        rate_limit=principals_pb2.RateLimit(tokens_per_minute=-1),
        expire_time=at(0),
    )
    error = await world.root.refused(pb.CreateKeyRequest(key=key), "INVALID_REQUEST")
    assert error.fields == {
        "key.tenant_id": "PATTERN",
        "key.user_id": "REQUIRED",
        "key.role": "UNKNOWN",
        "key.display_name": "LENGTH",
        "key.rate_limit.tokens_per_minute": "RANGE",
        "key.expire_time": "PAST",
    }


@pytest.mark.parametrize(
    "ends", [timestamp_pb2.Timestamp(seconds=2**62), timestamp_pb2.Timestamp(seconds=-1, nanos=-1)]
)
async def test_an_expiry_that_is_no_time_is_refused(world: Administered, ends: timestamp_pb2.Timestamp) -> None:
    request = pb.CreateKeyRequest(key=pb.ApiKey(tenant_id="acme", user_id="ann", expire_time=ends))
    assert (await world.root.refused(request, "INVALID_REQUEST")).fields == {"key.expire_time": "RANGE"}


async def test_a_key_of_nobody_is_refused(world: Administered) -> None:
    for role in (CALLER, principals_pb2.PRINCIPAL_ROLE_UNSPECIFIED):
        request = pb.CreateKeyRequest(key=pb.ApiKey(tenant_id="acme", user_id="none", role=role))
        assert (await world.root.refused(request, "RESOURCE_NOT_FOUND")).metadata == {"resource": "none"}


async def test_a_key_that_is_not_there_is_told(world: Administered) -> None:
    for request in (
        pb.GetKeyRequest(key_id="none"),
        update("none", "display_name"),
        pb.RotateKeyRequest(key_id="none"),
        pb.RevokeKeyRequest(key_id="none"),
    ):
        assert (await world.root.refused(request, "RESOURCE_NOT_FOUND")).message.startswith("ApiKey ")
    for key_id, rule in (("", "REQUIRED"), ("\x00", "PATTERN"), ("x" * 65, "PATTERN")):
        error = await world.root.refused(pb.GetKeyRequest(key_id=key_id), "INVALID_REQUEST")
        assert error.fields == {"key_id": rule}


async def test_only_what_the_mask_names_is_taken_over(world: Administered) -> None:
    key = (await create(world.root, display_name="CI", expire_time=at(DAY))).key
    limit = principals_pb2.RateLimit(requests_per_minute=5)
    after = (await world.root(update(key.id, "rate_limit", rate_limit=limit, display_name="X"))).key
    assert (after.display_name, after.rate_limit, after.expire_time, after.revision) == ("CI", limit, at(DAY), 2)
    never = (await world.root(update(key.id, "expire_time", "rate_limit"))).key
    assert (never.HasField("expire_time"), never.HasField("rate_limit")) == (False, False)


@pytest.mark.parametrize("path", ["role", "user_id", "tenant_id", "revoke_time", "usable"])
async def test_what_a_key_is_stays(world: Administered, path: str) -> None:
    key = (await create(world.root)).key
    error = await world.root.refused(update(key.id, path), "INVALID_REQUEST")
    assert error.fields == {"update_mask.paths[0]": "IMMUTABLE"}


async def test_a_change_that_builds_on_another_revision_is_refused(world: Administered) -> None:
    key = (await create(world.root)).key
    await world.root(update(key.id, "display_name", display_name="A"))
    for request in (
        update(key.id, "display_name", display_name="B", revision=1),
        pb.RotateKeyRequest(key_id=key.id, revision=1),
        pb.RevokeKeyRequest(key_id=key.id, revision=1),
    ):
        assert (await world.root.refused(request, "REVISION_CONFLICT")).metadata["revision"] == "2"


async def test_both_keys_of_a_rotation_open_the_same_until_the_overlap_is_over(world: Administered) -> None:
    limit = principals_pb2.RateLimit(requests_per_minute=5)
    made = await create(world.acme, display_name="CI", role=VIEWER, rate_limit=limit, expire_time=at(90 * DAY))
    world.clock.at += 10 * DAY
    overlap = duration_pb2.Duration(seconds=3_600)
    rotated = await world.acme(pb.RotateKeyRequest(key_id=made.key.id, overlap=overlap))
    fresh, old = rotated.key, rotated.replaced
    assert (fresh.rotated_from, fresh.display_name, fresh.role, fresh.rate_limit) == (made.key.id, "CI", VIEWER, limit)
    assert fresh.expire_time == at(100 * DAY)
    assert (old.revoke_time, old.usable, old.revision) == (at(10 * DAY + 3_600), True, 2)
    assert rotated.secret != made.secret
    for secret in (made.secret, rotated.secret):
        assert (await holder(world, secret)(pb.ListKeysRequest())).keys
    world.clock.at += 3_600
    await holder(world, made.secret).refused(pb.ListKeysRequest(), "UNAUTHENTICATED")
    assert (await holder(world, rotated.secret)(pb.ListKeysRequest())).keys
    assert not (await world.acme(pb.GetKeyRequest(key_id=made.key.id))).key.usable


async def test_without_an_overlap_the_old_key_ends_at_once_and_one_without_expiry_stays_so(
    world: Administered,
) -> None:
    made = await create(world.acme)
    rotated = await world.acme(pb.RotateKeyRequest(key_id=made.key.id))
    assert (rotated.replaced.usable, rotated.key.HasField("expire_time")) == (False, False)
    await holder(world, made.secret).refused(pb.ListKeysRequest(), "UNAUTHENTICATED")
    ends = await world.acme(pb.RotateKeyRequest(key_id=rotated.key.id, expire_time=at(DAY)))
    assert ends.key.expire_time == at(DAY)


@pytest.mark.parametrize("overlap", [-1, 30 * DAY + 1, 10**12])
async def test_an_overlap_of_more_than_thirty_days_is_refused(world: Administered, overlap: int) -> None:
    request = pb.RotateKeyRequest(key_id="some", overlap=duration_pb2.Duration(seconds=overlap))
    assert (await world.root.refused(request, "INVALID_REQUEST")).fields == {"overlap": "RANGE"}


async def test_a_key_that_ends_or_has_ended_is_not_rotated(world: Administered) -> None:
    replaced, revoked, expired = [(await create(world.root, expire_time=at(DAY))).key.id for _ in range(3)]
    await world.root(pb.RotateKeyRequest(key_id=replaced, overlap=duration_pb2.Duration(seconds=2 * DAY)))
    await world.root(pb.RevokeKeyRequest(key_id=revoked))
    for key_id, why in ((replaced, "being replaced already"), (revoked, "expired or revoked")):
        error = await world.root.refused(pb.RotateKeyRequest(key_id=key_id), "PRECONDITION_FAILED")
        assert why in error.message
    world.clock.at += DAY
    await world.root.refused(pb.RotateKeyRequest(key_id=expired), "PRECONDITION_FAILED")


async def test_what_bounds_a_key_bounds_the_one_that_takes_over(world: Administered) -> None:
    key = (await create(world.root)).key
    budget = budgets_pb.Budget(
        tenant_id="acme", key_id=key.id, period=budgets_pb.BUDGET_PERIOD_DAILY, limit_nano_usd=5, soft=True
    )
    await world.root(budgets_pb.CreateBudgetRequest(budget=budget))
    fresh = (await world.root(pb.RotateKeyRequest(key_id=key.id))).key
    found = (await world.root(budgets_pb.ListBudgetsRequest(tenant_id="acme", key_id=fresh.id))).budgets
    assert [(b.limit_nano_usd, b.soft, b.period) for b in found] == [(5, True, budgets_pb.BUDGET_PERIOD_DAILY)]


async def test_a_revoked_key_is_refused_within_seconds_for_ever(world: Administered) -> None:
    made = await create(world.acme)
    anns = holder(world, made.secret)
    assert (await anns(pb.ListKeysRequest())).keys
    revoked = (await world.acme(pb.RevokeKeyRequest(key_id=made.key.id))).key
    assert (revoked.usable, revoked.revoke_time, revoked.revision) == (False, at(0), 2)
    world.clock.at += 2
    await anns.refused(pb.ListKeysRequest(), "UNAUTHENTICATED")
    assert (await world.acme(pb.RevokeKeyRequest(key_id=made.key.id))).key == revoked
    await world.acme.refused(update(made.key.id, "expire_time"), "PRECONDITION_FAILED")


async def test_revoking_ends_an_overlap(world: Administered) -> None:
    made = await create(world.acme)
    await world.acme(pb.RotateKeyRequest(key_id=made.key.id, overlap=duration_pb2.Duration(seconds=DAY)))
    world.clock.at += 60
    revoked = (await world.acme(pb.RevokeKeyRequest(key_id=made.key.id))).key
    assert (revoked.usable, revoked.revoke_time) == (False, at(60))


async def test_an_expired_key_is_refused_and_comes_back_with_a_later_expiry(world: Administered) -> None:
    made = await create(world.acme, expire_time=at(60))
    anns = holder(world, made.secret)
    assert (await anns(pb.ListKeysRequest())).keys
    world.clock.at += 60
    await anns.refused(pb.ListKeysRequest(), "UNAUTHENTICATED")
    await world.acme(update(made.key.id, "expire_time", expire_time=at(DAY)))
    world.clock.at += 3
    assert (await anns(pb.ListKeysRequest())).keys


async def test_pages_together_list_every_key_once(world: Administered) -> None:
    await world.person("acme", "bob", Role.CALLER)
    for _ in range(3):
        await create(world.root, "bob")
    found, token = [], ""
    while True:
        reply = await world.root(pb.ListKeysRequest(page_size=2, page_token=token))
        found += [(key.tenant_id, key.user_id, key.id) for key in reply.keys]
        token = reply.next_page_token
        if not token:
            break
    assert found == sorted(set(found))
    assert [user for _, user, _ in found] == ["ann", *["bob"] * 4, "root", "olga"]


async def test_a_listing_is_narrowed_to_a_user_and_to_keys_in_use(world: Administered) -> None:
    revoked = (await create(world.root)).key
    await world.root(pb.RevokeKeyRequest(key_id=revoked.id))
    expiring = (await create(world.root, expire_time=at(60))).key
    replaced = (await create(world.root)).key
    await world.root(pb.RotateKeyRequest(key_id=replaced.id, overlap=duration_pb2.Duration(seconds=30)))

    async def listed(**narrowed: Any) -> list[pb.ApiKey]:
        reply = await world.root(pb.ListKeysRequest(tenant_id="acme", **narrowed))
        return list(reply.keys)

    assert len(await listed()) == len(await listed(user_id="ann")) == 5
    assert await listed(user_id="bob") == []
    assert {k.id for k in await listed()} - {k.id for k in await listed(usable_only=True)} == {revoked.id}
    world.clock.at += 60
    gone = {k.id for k in await listed()} - {k.id for k in await listed(usable_only=True)}
    assert gone == {revoked.id, expiring.id, replaced.id}
    assert {k.id for k in await listed() if not k.usable} == gone


async def test_the_admin_of_a_tenant_acts_in_its_own_alone(world: Administered) -> None:
    theirs = (await create(world.other, "olga", "")).key
    assert theirs.tenant_id == "other"
    assert {key.tenant_id for key in (await world.acme(pb.ListKeysRequest())).keys} == {"acme"}
    for request in (
        pb.CreateKeyRequest(key=pb.ApiKey(tenant_id="other", user_id="olga")),
        pb.GetKeyRequest(tenant_id="other", key_id=theirs.id),
        pb.ListKeysRequest(tenant_id="other"),
        update(theirs.id, "display_name", tenant_id="other"),
        pb.RotateKeyRequest(tenant_id="other", key_id=theirs.id),
        pb.RevokeKeyRequest(tenant_id="other", key_id=theirs.id),
    ):
        await world.acme.refused(request, "PERMISSION_DENIED")


async def test_a_key_of_another_tenant_is_to_an_admin_as_if_it_were_not_there(world: Administered) -> None:
    theirs = (await create(world.other, "olga", "")).key
    for request in (
        pb.GetKeyRequest(key_id=theirs.id),
        update(theirs.id, "display_name", display_name="mine"),
        pb.RotateKeyRequest(key_id=theirs.id),
        pb.RevokeKeyRequest(key_id=theirs.id),
    ):
        await world.acme.refused(request, "RESOURCE_NOT_FOUND")
    assert (await world.other(pb.GetKeyRequest(key_id=theirs.id))).key == theirs


async def test_without_a_pepper_no_key_is_made_and_it_is_said_what_to_set(database: Database) -> None:
    async with administered(database, Settings()) as world:
        for request in (
            pb.CreateKeyRequest(key=pb.ApiKey(tenant_id="acme", user_id="ann")),
            pb.RotateKeyRequest(key_id="some"),
        ):
            error = await world.root.refused(request, "PRECONDITION_FAILED")
            assert "MUXER_IDENTITY__PEPPER" in error.message


async def test_each_change_is_in_the_audit_log_and_no_secret_is(world: Administered) -> None:
    made = await create(world.acme, display_name="CI")
    await world.acme(update(made.key.id, "display_name", display_name="CD"))
    rotated = await world.acme(pb.RotateKeyRequest(key_id=made.key.id, overlap=duration_pb2.Duration(seconds=60)))
    await world.acme(pb.RevokeKeyRequest(key_id=made.key.id))
    told = await world.acme.audited(resource=f"tenants/acme/keys/{made.key.id}")
    assert [action for _, action, *_ in told] == ["CreateKey", "UpdateKey", "RotateKey", "RevokeKey"]
    assert {who for who, *_ in told} == {world.acme.name}
    first = {
        "id": made.key.id,
        "tenant_id": "acme",
        "user_id": "ann",
        "display_name": "CI",
        "prefix": made.key.prefix,
        "role": "admin",
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "expires_us": None,
        "revoked_us": None,
        "rotated_from": None,
        "revision": 1,
    }
    renamed = {**first, "display_name": "CD", "revision": 2}
    ending = {**renamed, "revoked_us": int((START + 60) * 1_000_000), "revision": 3}
    ended = {**ending, "revoked_us": int(START * 1_000_000), "revision": 4}
    steps = [None, first, renamed, ending, ended]
    assert [(before, after) for *_, before, after in told] == list(zip(steps[:-1], steps[1:], strict=True))
    successor = (await world.acme.audited(resource=f"tenants/acme/keys/{rotated.key.id}"))[0]
    assert (successor[1], successor[4]["rotated_from"]) == ("CreateKey", made.key.id)
    everything = str(await world.root.audited())
    assert PEPPER not in everything
    assert not [secret for secret in (made.secret, rotated.secret) if secret.split("_", 2)[2] in everything]


async def test_a_deleted_user_s_keys_are_named_in_the_audit_log(world: Administered) -> None:
    key = (await create(world.root)).key
    await world.root(users_pb.DeleteUserRequest(tenant_id="acme", user_id="ann", force=True))
    before = (await world.root.audited(action="DeleteUser"))[0][3]
    assert key.id in before["keys"]
