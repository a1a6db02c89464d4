"""Puts together the services that keep tenants, users, keys and budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from muxer_grpc.bootstrap_identity import api_keys
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.rpc.listener import Servicer
from muxer_grpc.rpc.servicers import audit, budgets, keys, tenants, users
from muxer_grpc.settings import Settings
from muxer_grpc.settings_budgets import BudgetSettings
from muxer_grpc.storage.audit import AuditTable
from muxer_grpc.storage.budgets import BudgetTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.keys import KeyTable
from muxer_grpc.storage.tenants import TenantTable
from muxer_grpc.storage.users import DefaultBudgets, UserTable

Now = Callable[[], float]
NewId = Callable[[], str]


def account_services(
    settings: Settings, database: Database, fleet: Fleet, *, now: Now, new_id: NewId
) -> Mapping[str, Servicer]:
    """Gives the admin services over a database, by full name. Raises ValueError on a pepper that cannot be read."""
    user_table = UserTable(database, default_budgets(settings.budgets), new_id)
    maker = api_keys(settings.identity)
    return {
        tenants.SERVICE: tenants.TenantServicer(TenantTable(database), fleet, now),
        users.SERVICE: users.UserServicer(user_table, now),
        keys.SERVICE: keys.KeyServicer(KeyTable(database, new_id), user_table, maker, now),
        budgets.SERVICE: budgets.BudgetServicer(BudgetTable(database), new_id, now),
        audit.SERVICE: audit.AuditServicer(AuditTable(database)),
    }


def default_budgets(chosen: BudgetSettings) -> DefaultBudgets:
    """Gives the budgets that a new user has."""
    if not chosen.for_new_users:
        return DefaultBudgets()
    return DefaultBudgets(chosen.daily_nano_usd, chosen.monthly_nano_usd, chosen.time_zone)
