"""BudgetService: limits, what is left of them, and who may do what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import field_mask_pb2
from muxer.v1 import budget_service_pb2 as pb
from muxer.v1 import key_service_pb2 as keys_pb
from sqlalchemy import select, update

from muxer_grpc.domain.tenancy import Role
from muxer_grpc.storage.schema import budget_counters, tenants
from tests.rpc.administered import START, Administered, Caller

DAILY, MONTHLY, TOTAL = pb.BUDGET_PERIOD_DAILY, pb.BUDGET_PERIOD_MONTHLY, pb.BUDGET_PERIOD_TOTAL
USD = 10**9


async def create(caller: Caller, **values: Any) -> pb.Budget:
    given = {"tenant_id": "acme", "period": DAILY, "limit_nano_usd": 5 * USD, **values}
    budget: pb.Budget = (await caller(pb.CreateBudgetRequest(budget=pb.Budget(**given)))).budget
    return budget


def change(budget_id: str, *paths: str, **values: Any) -> pb.UpdateBudgetRequest:
    mask = field_mask_pb2.FieldMask(paths=paths)
    return pb.UpdateBudgetRequest(budget=pb.Budget(id=budget_id, **values), update_mask=mask)


def text_of(time: Any) -> str:
    return datetime.fromtimestamp(time.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def count_of(world: Administered, tenant_id: str = "acme") -> int:
    """Gives the count by which writers know that budgets have changed."""
    async with world.database.read() as connection:
        query = select(tenants.c.budgets_revision).where(tenants.c.id == tenant_id)
        return (await connection.execute(query)).scalar_one()


async def test_a_budget_is_shown_as_it_was_made(world: Administered) -> None:
    made = await create(world.root, user_id="ann", period=TOTAL, soft=True, alert_shares=[10, 90])
    assert made.id.startswith("bud_")
    assert (made.tenant_id, made.user_id, made.key_id, made.period) == ("acme", "ann", "", TOTAL)
    assert (made.limit_nano_usd, made.soft, list(made.alert_shares), made.time_zone) == (5 * USD, True, [10, 90], "UTC")
    assert (made.spent_nano_usd, made.reserved_nano_usd, made.left_nano_usd, made.revision) == (0, 0, 5 * USD, 1)
    assert made.create_time.seconds == made.update_time.seconds == int(START)
    assert (await world.root(pb.GetBudgetRequest(budget_id=made.id))).budget == made


async def test_a_budget_is_hard_and_alerts_at_50_80_and_100_percent_unless_it_says_otherwise(
    world: Administered,
) -> None:
    made = await create(world.root)
    assert (made.soft, list(made.alert_shares)) == (False, [50, 80, 100])


async def test_a_budget_tells_when_its_period_began_and_when_it_begins_anew_in_its_time_zone(
    world: Administered,
) -> None:
    daily = await create(world.root, time_zone="America/New_York")
    monthly = await create(world.root, period=MONTHLY, time_zone="Asia/Kathmandu")
    total = await create(world.root, period=TOTAL)
    assert text_of(daily.period_start_time) == "2027-01-15T05:00:00Z"
    assert text_of(daily.reset_time) == "2027-01-16T05:00:00Z"
    assert text_of(monthly.period_start_time) == "2026-12-31T18:15:00Z"
    assert text_of(monthly.reset_time) == "2027-01-31T18:15:00Z"
    assert (total.HasField("period_start_time"), total.HasField("reset_time")) == (False, False)


async def test_what_was_spent_before_counts_in_the_period_that_it_was_in(world: Administered) -> None:
    await world.spend(3)
    world.clock.at += 86_400
    await world.spend(4)
    spent = {p: (await create(world.root, period=p)).spent_nano_usd for p in (DAILY, MONTHLY, TOTAL)}
    assert spent == {DAILY: 4, MONTHLY: 7, TOTAL: 7}


async def test_what_is_left_is_never_below_nothing_and_comes_back_with_the_next_period(world: Administered) -> None:
    await world.spend(7)
    made = await create(world.root, limit_nano_usd=5)
    assert (made.spent_nano_usd, made.left_nano_usd) == (7, 0)
    world.clock.at += 86_400
    later = (await world.root(pb.GetBudgetRequest(budget_id=made.id))).budget
    assert (later.spent_nano_usd, later.left_nano_usd) == (0, 5)
    assert later.period_start_time == made.reset_time


async def test_what_is_reserved_is_not_left(world: Administered) -> None:
    made = await create(world.root)
    async with world.database.change() as connection:
        mine = budget_counters.c.budget_id == made.id
        await connection.execute(update(budget_counters).where(mine).values(spent_nano_usd=1, reserved_nano_usd=2))
    shown = (await world.root(pb.GetBudgetRequest(budget_id=made.id))).budget
    assert (shown.spent_nano_usd, shown.reserved_nano_usd, shown.left_nano_usd) == (1, 2, 5 * USD - 3)
    assert (await world.root(pb.ListBudgetsRequest(tenant_id="acme", period=DAILY))).budgets[0] == shown


async def test_every_violation_is_told_at_once(world: Administered) -> None:
    budget = pb.Budget(
        tenant_id="A",
        user_id="a b",
        key_id="\x00",
        limit_nano_usd=9 * 10**15 + 1,
        time_zone="Mars/Olympus",
        alert_shares=[80, 50],
    )
    error = await world.root.refused(pb.CreateBudgetRequest(budget=budget), "INVALID_REQUEST")
    assert error.fields == {
        "budget.tenant_id": "PATTERN",
        "budget.user_id": "PATTERN",
        "budget.key_id": "PATTERN",
        "budget.period": "REQUIRED",
        "budget.time_zone": "UNKNOWN",
        "budget.limit_nano_usd": "RANGE",
        "budget.alert_shares": "RANGE",
    }


@pytest.mark.parametrize("shares", [[0], [101], [50, 50], [80, 50], [-1, 5]])
async def test_alert_shares_that_do_not_rise_from_1_to_100_are_refused(world: Administered, shares: list[int]) -> None:
    made = await create(world.root)
    request = change(made.id, "alert_shares", alert_shares=shares)
    assert (await world.root.refused(request, "INVALID_REQUEST")).fields == {"budget.alert_shares": "RANGE"}


@pytest.mark.parametrize("limit", [-1, 9 * 10**15 + 1, 2**63 - 1])
async def test_a_limit_out_of_range_is_refused(world: Administered, limit: int) -> None:
    request = pb.CreateBudgetRequest(budget=pb.Budget(tenant_id="acme", period=DAILY, limit_nano_usd=limit))
    assert (await world.root.refused(request, "INVALID_REQUEST")).fields == {"budget.limit_nano_usd": "RANGE"}


@pytest.mark.parametrize("limit", [0, 9 * 10**15])
async def test_the_least_and_the_largest_limit_are_kept_exactly(world: Administered, limit: int) -> None:
    assert (await create(world.root, limit_nano_usd=limit)).limit_nano_usd == limit


@pytest.mark.parametrize(
    "zone", ["Europe", "localtime", "posixrules", "right/UTC", "../etc/passwd", "/etc/passwd", "UTC\x00", "x" * 65]
)
async def test_what_is_no_time_zone_of_the_database_is_refused(world: Administered, zone: str) -> None:
    request = pb.CreateBudgetRequest(budget=pb.Budget(tenant_id="acme", period=DAILY, time_zone=zone))
    assert (await world.root.refused(request, "INVALID_REQUEST")).fields == {"budget.time_zone": "UNKNOWN"}


async def test_a_budget_of_somebody_who_is_not_there_is_refused(world: Administered) -> None:
    bobs = (await world.root(keys_pb.ListKeysRequest(tenant_id="other"))).keys[0].id
    for given, missing in (
        ({"tenant_id": "none"}, "none"),
        ({"user_id": "none"}, "none"),
        ({"key_id": "none"}, "none"),
        ({"key_id": bobs}, bobs),
        ({"user_id": "olga"}, "olga"),
    ):
        budget = pb.Budget(**{"tenant_id": "acme", "period": DAILY, **given})  # type: ignore[arg-type]
        error = await world.root.refused(pb.CreateBudgetRequest(budget=budget), "RESOURCE_NOT_FOUND")
        assert error.metadata == {"resource": missing}


async def test_a_second_budget_of_the_same_subject_and_period_is_refused(world: Administered) -> None:
    made = await create(world.root)
    again = pb.CreateBudgetRequest(budget=pb.Budget(tenant_id="acme", period=DAILY, limit_nano_usd=1))
    error = await world.root.refused(again, "RESOURCE_EXISTS")
    assert error.metadata == {"resource": made.id}
    await create(world.root, period=MONTHLY)


async def test_a_budget_that_is_not_there_is_told(world: Administered) -> None:
    for request in (
        pb.GetBudgetRequest(budget_id="bud_none"),
        change("bud_none", "soft"),
        pb.DeleteBudgetRequest(budget_id="bud_none"),
    ):
        assert (await world.root.refused(request, "RESOURCE_NOT_FOUND")).message == "Budget 'bud_none' does not exist"


async def test_only_what_the_mask_names_is_taken_over(world: Administered) -> None:
    made = await create(world.root, alert_shares=[10])
    world.clock.at += 60
    request = change(made.id, "limit_nano_usd", "soft", limit_nano_usd=7, soft=True, alert_shares=[20])
    after = (await world.root(request)).budget
    assert (after.limit_nano_usd, after.soft, list(after.alert_shares), after.revision) == (7, True, [10], 2)
    assert after.update_time.seconds - after.create_time.seconds == 60
    usual = (await world.root(change(made.id, "alert_shares"))).budget
    assert list(usual.alert_shares) == [50, 80, 100]


@pytest.mark.parametrize("path", ["period", "time_zone", "user_id", "key_id", "tenant_id", "spent_nano_usd"])
async def test_what_the_counters_of_a_budget_rest_on_stays(world: Administered, path: str) -> None:
    made = await create(world.root)
    error = await world.root.refused(change(made.id, path), "INVALID_REQUEST")
    assert error.fields == {"update_mask.paths[0]": "IMMUTABLE"}


async def test_a_change_that_builds_on_another_revision_is_refused(world: Administered) -> None:
    made = await create(world.root)
    await world.root(change(made.id, "soft", soft=True))
    for request in (
        change(made.id, "soft", revision=1),
        pb.DeleteBudgetRequest(budget_id=made.id, revision=1),
    ):
        assert (await world.root.refused(request, "REVISION_CONFLICT")).metadata["revision"] == "2"


async def test_writers_learn_of_every_change_that_concerns_them(world: Administered) -> None:
    before = await count_of(world)
    made = await create(world.root)
    await world.root(change(made.id, "limit_nano_usd", limit_nano_usd=6))
    await world.root(change(made.id, "limit_nano_usd", limit_nano_usd=6))
    await world.root(pb.DeleteBudgetRequest(budget_id=made.id))
    assert await count_of(world) == before + 3


async def test_a_deleted_budget_is_gone_with_its_counters(world: Administered) -> None:
    made = await create(world.root)
    await world.root(pb.DeleteBudgetRequest(budget_id=made.id))
    await world.root.refused(pb.GetBudgetRequest(budget_id=made.id), "RESOURCE_NOT_FOUND")
    async with world.database.read() as connection:
        query = select(budget_counters).where(budget_counters.c.budget_id == made.id)
        assert (await connection.execute(query)).all() == []


async def test_pages_together_list_every_budget_once(world: Administered) -> None:
    await create(world.root)
    found, token = [], ""
    while True:
        reply = await world.root(pb.ListBudgetsRequest(page_size=2, page_token=token))
        found += [(b.tenant_id, b.user_id, b.key_id, b.id) for b in reply.budgets]
        token = reply.next_page_token
        if not token:
            break
    assert found == sorted(set(found))
    # Two each of three admins, and that of the tenant.
    assert len(found) == 7


async def test_a_listing_is_narrowed(world: Administered) -> None:
    key = (await world.root(keys_pb.ListKeysRequest(tenant_id="acme"))).keys[0]
    of_key = await create(world.root, key_id=key.id)
    of_both = await create(world.root, user_id="ann", key_id=key.id, period=TOTAL)

    async def listed(**narrowed: Any) -> set[str]:
        return {b.id for b in (await world.root(pb.ListBudgetsRequest(**narrowed))).budgets}

    assert len(await listed(tenant_id="acme")) == 4
    assert await listed(key_id=key.id) == {of_key.id, of_both.id}
    assert await listed(user_id="ann", period=TOTAL) == {of_both.id}
    assert await listed(tenant_id="other", user_id="ann") == set()


async def test_the_admin_of_a_tenant_changes_those_of_its_users_and_not_the_tenant_s_own(world: Administered) -> None:
    whole = await create(world.root)
    await world.person("acme", "bob", Role.CALLER)
    await world.acme.refused(
        pb.CreateBudgetRequest(budget=pb.Budget(period=MONTHLY, limit_nano_usd=9)), "PERMISSION_DENIED"
    )
    await world.acme.refused(change(whole.id, "limit_nano_usd", limit_nano_usd=9), "PERMISSION_DENIED")
    await world.acme.refused(pb.DeleteBudgetRequest(budget_id=whole.id), "PERMISSION_DENIED")
    assert (await world.acme(pb.GetBudgetRequest(budget_id=whole.id))).budget == whole
    own = await create(world.acme, tenant_id="", user_id="bob", period=TOTAL)
    assert (await world.acme(change(own.id, "limit_nano_usd", limit_nano_usd=9))).budget.limit_nano_usd == 9
    await world.acme(pb.DeleteBudgetRequest(budget_id=own.id))


async def test_the_admin_of_a_tenant_acts_in_its_own_alone(world: Administered) -> None:
    theirs = (await world.other(pb.ListBudgetsRequest())).budgets[0]
    assert {b.tenant_id for b in (await world.acme(pb.ListBudgetsRequest())).budgets} == {"acme"}
    for request in (
        pb.CreateBudgetRequest(budget=pb.Budget(tenant_id="other", user_id="olga", period=TOTAL)),
        pb.GetBudgetRequest(tenant_id="other", budget_id=theirs.id),
        pb.ListBudgetsRequest(tenant_id="other"),
        change(theirs.id, "soft", tenant_id="other"),
        pb.DeleteBudgetRequest(tenant_id="other", budget_id=theirs.id),
    ):
        await world.acme.refused(request, "PERMISSION_DENIED")
    for request in (
        pb.GetBudgetRequest(budget_id=theirs.id),
        change(theirs.id, "soft", soft=True),
        pb.DeleteBudgetRequest(budget_id=theirs.id),
    ):
        await world.acme.refused(request, "RESOURCE_NOT_FOUND")


async def test_each_change_is_in_the_audit_log(world: Administered) -> None:
    made = await create(world.root)
    await world.root(change(made.id, "limit_nano_usd", limit_nano_usd=7))
    await world.root(pb.DeleteBudgetRequest(budget_id=made.id))
    first = {
        "id": made.id,
        "tenant_id": "acme",
        "user_id": "",
        "key_id": "",
        "period": "daily",
        "time_zone": "UTC",
        "limit_nano_usd": 5 * USD,
        "hard": True,
        "alert_shares": [50, 80, 100],
        "revision": 1,
    }
    second = {**first, "limit_nano_usd": 7, "revision": 2}
    who, resource = world.root.name, f"tenants/acme/budgets/{made.id}"
    assert await world.root.audited(resource=resource) == [
        (who, "CreateBudget", resource, None, first),
        (who, "UpdateBudget", resource, first, second),
        (who, "DeleteBudget", resource, second, None),
    ]
