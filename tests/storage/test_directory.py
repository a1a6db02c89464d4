"""The directory: keys and accounts as they are, and users that are made at their first call."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import Period
from muxer_grpc.domain.directory import ApiKey, Tenant, User
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.tenancy import (
    NO_POLICY,
    UNLIMITED,
    ContentStorage,
    RateLimit,
    Role,
    SafetyAction,
    TenantPolicy,
)
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.directory import ON_FIRST_CALL, DirectoryTable
from muxer_grpc.storage.keys import KeyTable
from muxer_grpc.storage.policies import policy_json, policy_of
from muxer_grpc.storage.schema import audit_log, budget_counters, budgets, users
from muxer_grpc.storage.tenants import TenantTable
from muxer_grpc.storage.users import DefaultBudgets, UserTable
from tests.storage.reckoning import rows_of

START_US = 1_800_000_000_000_000
ACTOR = Actor("test", START_US)
DEFAULTS = DefaultBudgets(10, 100, "Europe/Berlin")

_numbers = count()


def new_id() -> str:
    return str(next(_numbers))


def directory_of(database: Database, defaults: DefaultBudgets = DEFAULTS) -> DirectoryTable:
    return DirectoryTable(database, defaults, now=lambda: START_US / 1e6, new_id=new_id)


@pytest.fixture
def directory(database: Database) -> DirectoryTable:
    return directory_of(database)


async def test_a_key_is_found_by_its_id_revoked_and_expired_too(database: Database, directory: DirectoryTable) -> None:
    key = ApiKey(
        "abc",
        "local",
        "local",
        Role.VIEWER,
        "mux_abc",
        bytes(range(32)),
        "CI",
        RateLimit(5, None),
        expires_us=START_US + 1,
        revoked_us=START_US + 2,
        rotated_from="xyz",
    )
    kept = await KeyTable(database, new_id).create(key, ACTOR)
    found = await directory.key("abc")
    assert found == kept
    assert found is not None
    assert (found.digest, found.limit, found.rotated_from) == (bytes(range(32)), RateLimit(5, None), "xyz")
    assert not found.usable(START_US + 2)
    assert await directory.key("none") is None


async def test_an_account_is_a_user_with_its_tenant_and_policy(database: Database, directory: DirectoryTable) -> None:
    policy = TenantPolicy(
        allowed_providers=frozenset({"b", "a"}),
        allowed_regions=frozenset({"eu"}),
        default_strategy="cost",
        weights=Weights(quality=0.1, cost=0.7),
        safety_action=SafetyAction.BLOCK,
        content=ContentStorage.KEPT,
        content_days=7,
    )
    tenant = await TenantTable(database).create(Tenant("acme", "Acme", False, policy, RateLimit(None, 9)), ACTOR)
    user = await UserTable(database, DEFAULTS, new_id).create(User("acme", "ann", Role.CALLER), ACTOR)
    found = await directory.account("acme", "ann")
    assert found is not None
    assert (found.tenant, found.user, found.suspended) == (tenant, user, False)
    assert (found.tenant.policy, found.tenant.limit) == (policy, RateLimit(None, 9))
    for names in (("acme", "none"), ("none", "ann")):
        assert await directory.account(*names) is None


async def test_the_account_of_callers_without_proof_is_always_there_and_unbounded(
    database: Database, directory: DirectoryTable
) -> None:
    found = await directory.account("local", "local")
    assert found is not None
    # By identity: what a request asks for is then not narrowed at all.
    assert found.tenant.policy is NO_POLICY
    assert found.tenant.limit is UNLIMITED
    assert rows_of(database, budgets) == []


async def test_a_user_is_made_at_its_first_call_with_the_default_budgets(
    database: Database, directory: DirectoryTable
) -> None:
    found = await directory.ensure_account("local", "ann@example.com", Role.CALLER)
    assert found is not None
    assert (found.tenant.id, found.user.id, found.user.role) == ("local", "ann@example.com", Role.CALLER)
    told = [
        (b["user_id"], b["period"], b["limit_nano_usd"], b["hard"], b["time_zone"]) for b in rows_of(database, budgets)
    ]
    assert sorted(told) == [
        ("ann@example.com", "daily", 10, True, "Europe/Berlin"),
        ("ann@example.com", "monthly", 100, True, "Europe/Berlin"),
    ]
    assert len(rows_of(database, budget_counters)) >= 2
    audit = [(row["principal"], row["action"]) for row in rows_of(database, audit_log)]
    assert audit == [(ON_FIRST_CALL, action) for action in ("CreateUser", "CreateBudget", "CreateBudget")]


async def test_a_user_that_is_there_stays_as_it_is(database: Database, directory: DirectoryTable) -> None:
    first = await directory.ensure_account("local", "ann", Role.VIEWER)
    assert await directory.ensure_account("local", "ann", Role.ADMIN) == first
    assert len(rows_of(database, budgets)) == 2


async def test_without_defaults_a_new_user_has_no_budgets(database: Database) -> None:
    assert await directory_of(database, DefaultBudgets()).ensure_account("local", "ann", Role.CALLER)
    assert rows_of(database, budgets) == []
    assert await directory_of(database, DefaultBudgets(monthly_nano_usd=0)).ensure_account("local", "bob", Role.CALLER)
    assert [(row["period"], row["limit_nano_usd"]) for row in rows_of(database, budgets)] == [(Period.MONTHLY.value, 0)]


async def test_many_first_calls_at_once_make_one_user(database: Database) -> None:
    found = await asyncio.gather(
        *(directory_of(database).ensure_account("local", "ann", Role.CALLER) for _ in range(20))
    )
    assert all(account is not None and account == found[0] for account in found)
    assert len(rows_of(database, budgets)) == 2


@pytest.mark.parametrize("tenant_id", ["none", "No Tenant", "a\x00b", ""])
async def test_without_the_tenant_nobody_is_made(database: Database, directory: DirectoryTable, tenant_id: str) -> None:
    assert await directory.ensure_account(tenant_id, "ann", Role.CALLER) is None
    assert await directory.account(tenant_id, "ann") is None
    assert {row["id"] for row in rows_of(database, users)} == {"local"}


@pytest.mark.parametrize("user_id", ["", "x" * 129, "a b", "a\x00b", "'; DROP TABLE users", "\ud800"])
async def test_a_name_that_no_user_can_have_makes_nobody(
    database: Database, directory: DirectoryTable, user_id: str
) -> None:
    assert await directory.ensure_account("local", user_id, Role.CALLER) is None
    assert await directory.account("local", user_id) is None
    assert {row["id"] for row in rows_of(database, users)} == {"local"}


async def test_a_database_that_is_not_there_is_told() -> None:
    gone = Database("postgresql://muxer@127.0.0.1:1/muxer")
    directory = directory_of(gone)
    for ask in (
        lambda: directory.key("abc"),
        lambda: directory.account("local", "local"),
        lambda: directory.ensure_account("local", "ann", Role.CALLER),
    ):
        with pytest.raises(StorageUnavailable):
            await ask()
    await gone.aclose()


async def test_a_policy_of_a_later_version_is_not_taken_for_a_laxer_one() -> None:
    with pytest.raises(ValueError, match="does not know: forbidden_words"):
        policy_of({"forbidden_words": ["x"]})


def test_a_policy_is_kept_as_what_differs_from_the_default() -> None:
    assert policy_json(NO_POLICY) == {}
    assert policy_json(TenantPolicy(denied_models=frozenset({"b/y", "a/x"}))) == {"denied_models": ["a/x", "b/y"]}
