"""What each method needs of whoever calls it: one table. A method without a row is refused, whoever calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from muxer_grpc.domain.tenancy import Scope

REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
CHANNELZ = "grpc.channelz.v1.Channelz"


def _rows(service: str, scope: Scope, methods: str) -> Iterable[tuple[str, Scope]]:
    return [(f"/{service}/{method}", scope) for method in methods.split()]


_ROWS = (
    *_rows("grpc.health.v1.Health", Scope.PUBLIC, "Check List Watch"),
    *_rows(REFLECTION[0], Scope.DESCRIBE, "ServerReflectionInfo"),
    *_rows(REFLECTION[1], Scope.DESCRIBE, "ServerReflectionInfo"),
    *_rows(
        CHANNELZ,
        Scope.READ_ADMIN,
        "GetTopChannels GetServers GetServer GetServerSockets GetChannel GetSubchannel GetSocket",
    ),
    *_rows("muxer.v1.MuxerService", Scope.COMPLETE, "Route Complete StreamComplete"),
    *_rows("muxer.v1.MuxerService", Scope.READ_METRICS, "GetMetrics"),
    *_rows(
        "muxer.v1.LeaseService",
        Scope.COMPLETE,
        "CreateMoneyLease GetMoneyLease ListMoneyLeases ReleaseMoneyLease",
    ),
    *_rows("muxer.v1.CatalogueService", Scope.READ_ADMIN, "ListModels GetModel ListProviders"),
    *_rows("muxer.v1.CatalogueService", Scope.WRITE_ADMIN, "UpdateModel"),
    *_rows("muxer.v1.TenantService", Scope.READ_ADMIN, "GetTenant ListTenants"),
    *_rows("muxer.v1.TenantService", Scope.WRITE_ADMIN, "CreateTenant UpdateTenant DeleteTenant"),
    *_rows("muxer.v1.UserService", Scope.READ_ADMIN, "GetUser ListUsers"),
    *_rows("muxer.v1.UserService", Scope.WRITE_ADMIN, "CreateUser UpdateUser DeleteUser"),
    *_rows("muxer.v1.KeyService", Scope.READ_ADMIN, "GetKey ListKeys"),
    *_rows("muxer.v1.KeyService", Scope.WRITE_ADMIN, "CreateKey UpdateKey RotateKey RevokeKey"),
    *_rows("muxer.v1.BudgetService", Scope.READ_ADMIN, "GetBudget ListBudgets"),
    *_rows("muxer.v1.BudgetService", Scope.WRITE_ADMIN, "CreateBudget UpdateBudget DeleteBudget"),
    *_rows("muxer.v1.PriceService", Scope.READ_ADMIN, "GetPriceBook ListPriceBooks"),
    *_rows("muxer.v1.PriceService", Scope.WRITE_ADMIN, "CreatePriceBook"),
    *_rows("muxer.v1.FleetHealthService", Scope.READ_ADMIN, "ListHealth WatchHealth"),
    *_rows("muxer.v1.FleetHealthService", Scope.WRITE_ADMIN, "SetBreaker"),
    *_rows("muxer.v1.ControlService", Scope.READ_ADMIN, "GetRuntimeSettings"),
    *_rows("muxer.v1.ControlService", Scope.WRITE_ADMIN, "UpdateRuntimeSettings"),
    *_rows("muxer.v1.AuditService", Scope.READ_ADMIN, "ListAuditEntries"),
    *_rows("muxer.v1.AlertService", Scope.READ_USAGE, "ListAlerts WatchAlerts"),
    *_rows("muxer.v1.DecisionService", Scope.READ_USAGE, "ListDecisions GetDecision ExplainDecision ReplayDecisions"),
    *_rows("muxer.v1.LedgerService", Scope.READ_USAGE, "ListEntries GetCompletion CheckLedger"),
    *_rows("muxer.v1.SavingsService", Scope.READ_USAGE, "GetSavings"),
    *_rows("muxer.v1.UsageService", Scope.READ_USAGE, "QueryUsage"),
    *_rows("muxer.v1.CacheService", Scope.READ_ADMIN, "GetCacheStats"),
    *_rows("muxer.v1.CacheService", Scope.WRITE_ADMIN, "InvalidateCache"),
)
SCOPES: Mapping[str, Scope] = MappingProxyType(dict(_ROWS))

# What concerns the whole process or all tenants: only for those who act on all tenants.
PROCESS_WIDE = frozenset(
    {
        *(method for method in SCOPES if method.startswith(f"/{CHANNELZ}/")),
        "/muxer.v1.CatalogueService/UpdateModel",
        "/muxer.v1.PriceService/CreatePriceBook",
        "/muxer.v1.FleetHealthService/SetBreaker",
        "/muxer.v1.ControlService/UpdateRuntimeSettings",
        "/muxer.v1.CacheService/GetCacheStats",
    }
)


def scopes(*, public_reflection: bool = False) -> Mapping[str, Scope]:
    """Gives the table; with `public_reflection`, anybody may read the contract."""
    if not public_reflection:
        return SCOPES
    public = {f"/{service}/ServerReflectionInfo": Scope.PUBLIC for service in REFLECTION}
    return MappingProxyType({**SCOPES, **public})
