"""BudgetService: who may spend how much, and what is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import grpc
from muxer.v1 import budget_service_pb2 as pb

from muxer_grpc.domain.administration import BudgetFilter, BudgetRecord, Budgets, is_time_zone
from muxer_grpc.domain.budgeting import DEFAULT_ALERT_SHARES, Budget, Period
from muxer_grpc.domain.tenancy import Principal
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import (
    check_made_id,
    check_revision_given,
    check_tenant_id,
    check_user_id,
    optional_time,
    read_mask,
    time_message,
)
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.enums import BUDGET_PERIOD_OF, BUDGET_PERIODS
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.tenant_access import Now, actor_of, check_everywhere, microseconds, tenant_meant, tenants_meant
from muxer_grpc.rpc.violations import Violations, quote

SERVICE = "muxer.v1.BudgetService"

CHANGEABLE = ("limit_nano_usd", "soft", "alert_shares")
FIXED = tuple(field.name for field in pb.Budget.DESCRIPTOR.fields if field.name not in CHANGEABLE)
# Nine million USD, exactly as far as every language's numbers reach.
MAX_LIMIT_NANO_USD = 9 * 10**15
MAX_ALERT_SHARES = 100


class BudgetServicer:
    """Serves the admin listener. `new_id` makes unique ids, `now` gives the seconds since the epoch."""

    def __init__(self, budgets: Budgets, new_id: Callable[[], str], now: Now = time.time) -> None:
        self._budgets = budgets
        self._new_id = new_id
        self._now = now

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "CreateBudget": calls.unary(pb.CreateBudgetRequest, self.create_budget),
            "GetBudget": calls.unary(pb.GetBudgetRequest, self.get_budget),
            "ListBudgets": calls.unary(pb.ListBudgetsRequest, self.list_budgets),
            "UpdateBudget": calls.unary(pb.UpdateBudgetRequest, self.update_budget),
            "DeleteBudget": calls.unary(pb.DeleteBudgetRequest, self.delete_budget),
        }

    async def create_budget(self, request: pb.CreateBudgetRequest, limit: TimeLimit) -> pb.CreateBudgetResponse:
        """Makes a budget."""
        given = request.budget
        tenant_id = tenant_meant(limit.principal, given.tenant_id)
        _check_may_change(limit.principal, given.user_id, given.key_id)
        violations = Violations()
        check_tenant_id(tenant_id, "budget.tenant_id", violations)
        _check_subject(given.user_id, given.key_id, "budget.", violations)
        period = BUDGET_PERIOD_OF.get(given.period)
        violations.check(period is not None, "budget.period", "required", "give daily, monthly or total")
        zone = given.time_zone or "UTC"
        known = is_time_zone(zone)
        violations.check(known, "budget.time_zone", "unknown", f"{quote(zone)} is not in the IANA database")
        values = _read_values(given, CHANGEABLE, violations)
        violations.raise_if_any()
        budget = Budget(
            id=f"bud_{self._new_id()}",
            tenant_id=tenant_id,
            user_id=given.user_id,
            key_id=given.key_id,
            period=period or Period.TOTAL,
            time_zone=zone,
            **values,
        )
        actor = actor_of(limit.principal, self._now)
        record = await limit.wait(lambda: self._budgets.create(budget, actor))
        return pb.CreateBudgetResponse(budget=_message(record, actor.at_us))

    async def get_budget(self, request: pb.GetBudgetRequest, limit: TimeLimit) -> pb.GetBudgetResponse:
        """Shows one budget as it stands now."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        _check_names(tenant_id, request.budget_id, "tenant_id", "budget_id", violations)
        violations.raise_if_any()
        at_us = microseconds(self._now)
        record = await limit.wait(lambda: self._budgets.get(tenant_id, request.budget_id, at_us))
        return pb.GetBudgetResponse(budget=_message(record, at_us))

    async def list_budgets(self, request: pb.ListBudgetsRequest, limit: TimeLimit) -> pb.ListBudgetsResponse:
        """Lists budgets by tenant, user, key and id."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        _check_subject(request.user_id, request.key_id, "", violations)
        period = None
        if request.period != pb.BUDGET_PERIOD_UNSPECIFIED:
            period = BUDGET_PERIOD_OF.get(request.period)
            violations.check(period is not None, "period", "unknown", f"{request.period} is not a period")
        listing = ("budgets", tenant_id, request.user_id, request.key_id, request.period)
        paging = Paging(request.page_size, request.page_token, listing, violations, keys=4)
        violations.raise_if_any()
        wanted = BudgetFilter(tenant_id, request.user_id, request.key_id, period)
        at_us = microseconds(self._now)
        found = await limit.wait(lambda: self._budgets.page(wanted, paging.request, at_us))
        page, following = paging.cut(found, lambda record: _order_of(record.budget))
        return pb.ListBudgetsResponse(budgets=[_message(each, at_us) for each in page], next_page_token=following)

    async def update_budget(self, request: pb.UpdateBudgetRequest, limit: TimeLimit) -> pb.UpdateBudgetResponse:
        """Changes a budget."""
        given = request.budget
        tenant_id = tenants_meant(limit.principal, given.tenant_id)
        violations = Violations()
        _check_names(tenant_id, given.id, "budget.tenant_id", "budget.id", violations)
        revision = check_revision_given(given.revision, "budget.revision", violations)
        paths = read_mask(request.update_mask, CHANGEABLE, FIXED, violations)
        values = _read_values(given, paths, violations)
        violations.raise_if_any()
        actor = actor_of(limit.principal, self._now)

        def change(budget: Budget) -> Budget:
            _check_may_change(limit.principal, budget.user_id, budget.key_id)
            return replace(budget, **values)

        record = await limit.wait(lambda: self._budgets.change(tenant_id, given.id, revision, change, actor))
        return pb.UpdateBudgetResponse(budget=_message(record, actor.at_us))

    async def delete_budget(self, request: pb.DeleteBudgetRequest, limit: TimeLimit) -> pb.DeleteBudgetResponse:
        """Deletes a budget."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        _check_names(tenant_id, request.budget_id, "tenant_id", "budget_id", violations)
        revision = check_revision_given(request.revision, "revision", violations)
        violations.raise_if_any()
        actor = actor_of(limit.principal, self._now)
        if not limit.principal.everywhere:
            # Whose budget it is never changes, so that it may be looked at before.
            there = await limit.wait(lambda: self._budgets.get(tenant_id, request.budget_id, actor.at_us))
            _check_may_change(limit.principal, there.budget.user_id, there.budget.key_id)
        await limit.wait(lambda: self._budgets.delete(tenant_id, request.budget_id, revision, actor))
        return pb.DeleteBudgetResponse()


def _check_may_change(principal: Principal, user_id: str, key_id: str) -> None:
    """Raises PermissionDenied where a tenant's own admin would change what bounds the whole tenant."""
    if not user_id and not key_id:
        check_everywhere(principal, "change the budgets of a whole tenant")


def _check_subject(user_id: str, key_id: str, path: str, violations: Violations) -> None:
    if user_id:
        check_user_id(user_id, f"{path}user_id", violations)
    if key_id:
        check_made_id(key_id, f"{path}key_id", violations)


def _check_names(
    tenant_id: str | None, budget_id: str, tenant_path: str, budget_path: str, violations: Violations
) -> None:
    if tenant_id is not None:
        check_tenant_id(tenant_id, tenant_path, violations)
    check_made_id(budget_id, budget_path, violations)


def _read_values(given: pb.Budget, paths: Sequence[str], violations: Violations) -> dict[str, Any]:
    """Reads the named fields."""
    values: dict[str, Any] = {}
    if "limit_nano_usd" in paths:
        fits = 0 <= given.limit_nano_usd <= MAX_LIMIT_NANO_USD
        violations.check(fits, "budget.limit_nano_usd", "range", f"give 0 to {MAX_LIMIT_NANO_USD:,}")
        values["limit_nano_usd"] = given.limit_nano_usd
    if "soft" in paths:
        values["hard"] = not given.soft
    if "alert_shares" in paths:
        values["alert_shares"] = _read_shares(given.alert_shares, violations)
    return values


def _read_shares(given: Iterable[int], violations: Violations) -> tuple[int, ...]:
    shares = tuple(given)
    if not shares:
        return DEFAULT_ALERT_SHARES
    rising = all(before < after for before, after in pairwise(shares))
    fits = rising and shares[0] >= 1 and shares[-1] <= MAX_ALERT_SHARES
    violations.check(fits, "budget.alert_shares", "range", "give percents from 1 to 100, each above the one before")
    return shares


def _order_of(budget: Budget) -> Sequence[str]:
    return (budget.tenant_id, budget.user_id, budget.key_id, budget.id)


def _message(record: BudgetRecord, at_us: int) -> pb.Budget:
    """Describes a budget as it stands in the period of a time."""
    budget = record.budget
    total = budget.period is Period.TOTAL
    return pb.Budget(
        id=budget.id,
        tenant_id=budget.tenant_id,
        user_id=budget.user_id,
        key_id=budget.key_id,
        period=BUDGET_PERIODS[budget.period],  # type: ignore[arg-type]
        limit_nano_usd=budget.limit_nano_usd,
        time_zone=budget.time_zone,
        soft=not budget.hard,
        alert_shares=budget.alert_shares,
        spent_nano_usd=record.spent_nano_usd,
        reserved_nano_usd=record.reserved_nano_usd,
        left_nano_usd=max(0, budget.limit_nano_usd - record.spent_nano_usd - record.reserved_nano_usd),
        period_start_time=None if total else time_message(budget.period_start(at_us)),
        reset_time=optional_time(budget.reset_at(at_us)),
        revision=record.revision,
        create_time=time_message(record.created_us),
        update_time=time_message(record.updated_us),
    )
