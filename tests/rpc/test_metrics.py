"""GetMetrics: windows, groups, health and the cache of one process, and the figures of all that share a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from muxer.v1 import errors_pb2, metrics_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.bootstrap import new_id
from muxer_grpc.bootstrap_storage import open_storage
from muxer_grpc.domain import tallies
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.tenancy import LOCAL, Principal, Role, Subject
from muxer_grpc.rpc.gates import Guards
from muxer_grpc.settings import Settings
from muxer_grpc.settings_storage import StorageSettings
from muxer_grpc.storage.database import Database
from tests.rpc.accounting import COST, Someone, events, small
from tests.rpc.service import ONE_ATTEMPT, PLAIN, Clock, Service, Told, play, running, spec, told
from tests.rpc.test_cached_answers import caching
from tests.storage.bookings import add_tenants

PROVIDER, MODEL, INTENT, STRATEGY = range(1, 5)
MINUTE, FIVE_MINUTES, HOUR, SINCE_START = range(1, 5)
PROCESS, FLEET = 1, 2


async def figures(service: Service, **wanted: Any) -> muxer_service_pb2.GetMetricsResponse:
    return await service.stub.GetMetrics(muxer_service_pb2.GetMetricsRequest(**wanted))


async def refused(service: Service, **wanted: Any) -> Told:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await figures(service, **wanted)
    return told(raised.value)


async def complete(service: Service, **changes: Any) -> None:
    await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=small(**changes)))


async def fail(service: Service, failure: FailureClass = FailureClass.OVERLOAD) -> None:
    before, service.acme.script = service.acme.script, play(ProviderFailure(failure, "played"))
    with pytest.raises(grpc.aio.AioRpcError):
        await complete(service)
    service.acme.script = before


async def test_a_window_tells_its_bounds_and_what_ended_within_them() -> None:
    clock = Clock(1_200_000.0)
    async with running(now=clock) as service:
        await complete(service)
        clock.at += 200
        for _ in range(2):
            await complete(service)
        counts = {}
        for window in (0, MINUTE, FIVE_MINUTES, HOUR, SINCE_START):
            reply = await figures(service, window=window)
            counts[window] = reply.total.requests
            assert (reply.window, reply.scope) == (window or SINCE_START, PROCESS)
            assert (reply.end_time.seconds, reply.tenant_id) == (1_200_200, "")
            # The process is younger than the longer windows.
            assert reply.start_time.seconds == (1_200_140 if window == MINUTE else 1_200_000)
        clock.at += 3_600 + 240
        assert (await figures(service, window=HOUR)).total.requests == 0
        assert (await figures(service)).total.requests == 3
    assert counts == {0: 3, MINUTE: 2, FIVE_MINUTES: 3, HOUR: 3, SINCE_START: 3}


async def test_a_row_tells_requests_failures_tokens_money_and_times(monkeypatch: pytest.MonkeyPatch) -> None:
    # Also on a machine that pauses between two pieces of an answer they come whole.
    monkeypatch.setattr(tallies, "LEAST_PACED_SECONDS", 60)
    async with running(settings=ONE_ATTEMPT) as service:
        for _ in range(3):
            await complete(service)
        await fail(service)
        [row] = (await figures(service, window=MINUTE, group_by=[MODEL])).rows
    assert (row.model, row.provider, row.requests, row.successes, row.success_rate) == ("acme/small", "", 4, 3, 0.75)
    assert [(f.failure_class, f.count) for f in row.failures] == [(errors_pb2.FAILURE_CLASS_OVERLOAD, 1)]
    assert (row.cost_nano_usd, row.usage.input_tokens, row.usage.output_tokens) == (3 * COST, 300, 60)
    assert row.cost_per_1k_tokens_nano_usd == round(3 * COST * 1_000 / 360)
    assert (row.latency.samples, row.time_to_first_token.samples, row.consecutive_failures) == (3, 3, 1)
    assert 0 < row.latency.p50.ToNanoseconds() <= row.latency.p99.ToNanoseconds()
    assert not row.HasField("cache")
    assert not row.HasField("output_tokens_per_second"), "they came whole"


async def test_health_tells_whether_a_model_or_a_provider_can_be_relied_upon() -> None:
    async def states(service: Service, *group_by: int) -> dict[str, int]:
        reply = await figures(service, group_by=group_by)
        return {row.model or row.provider: row.health for row in reply.rows}

    async with running(settings=Settings()) as service:
        await complete(service)
        assert await states(service, MODEL) == {"acme/small": metrics_pb2.HEALTH_STATE_HEALTHY}
        await fail(service)
        assert (await states(service, MODEL))["acme/small"] == metrics_pb2.HEALTH_STATE_DEGRADED
        for _ in range(3):
            await fail(service)
        assert (await states(service, MODEL))["acme/small"] == metrics_pb2.HEALTH_STATE_DOWN
        service.app.muxer._metrics.health.set_disabled(provider="acme", disabled=True)
        assert await states(service, PROVIDER) == {"acme": metrics_pb2.HEALTH_STATE_DISABLED}
        assert await states(service, INTENT, STRATEGY) == {"": metrics_pb2.HEALTH_STATE_UNSPECIFIED}


async def test_the_cache_is_told_by_model_intent_and_strategy() -> None:
    async with caching() as service:
        for _ in range(3):
            await complete(service)
        await events(service, small())
        await complete(service, text="another")
        grouped = await figures(service, window=FIVE_MINUTES, group_by=[MODEL, INTENT, STRATEGY])
        code = await figures(service, intents=[routing_pb2.INTENT_CODE_GEN])
    [row] = grouped.rows
    assert (row.model, row.intent, row.strategy) == ("acme/small", routing_pb2.INTENT_CHAT_LITE, "learned")
    assert row.cache == metrics_pb2.CacheFigures(hits=3, misses=2, hit_rate=0.6, saved_nano_usd=3 * COST)
    assert (row.requests, row.cost_nano_usd) == (2, 2 * COST)
    assert grouped.total.cache == row.cache
    assert not code.total.HasField("cache")


async def test_requests_that_wait_for_the_same_one_under_way_are_told_as_shared() -> None:
    go_on = asyncio.Event()
    async with caching(play(go_on, *PLAIN)) as service:
        answers = service.app.muxer._pipeline._around.answers
        assert answers is not None
        asked = [asyncio.ensure_future(complete(service)) for _ in range(3)]
        flights = answers._flights._flights
        while sum(len(flight.waiting) for flight in flights.values()) < 2 or not service.acme.requests:
            await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.gather(*asked)
        cache = (await figures(service, window=MINUTE)).total.cache
    assert cache == metrics_pb2.CacheFigures(shared_hits=2, misses=1, hit_rate=2 / 3, saved_nano_usd=2 * COST)


BAD: dict[str, dict[str, Any]] = {
    "scope": {"scope": 9},
    "window": {"window": 9},
    "tenant_id": {"tenant_id": "acme"},
    "models[1]": {"models": ["small", "nobody/knows"]},
    "providers[0]": {"providers": ["nobody"]},
    "strategies[0]": {"strategies": ["nobody"]},
    "intents[0]": {"intents": [99]},
    "group_by[0]": {"group_by": [99]},
    "models": {"models": ["small"] * 101},
}


@pytest.mark.parametrize("field", BAD)
async def test_what_names_nothing_is_a_violation(field: str) -> None:
    async with running() as service:
        error = await refused(service, **BAD[field])
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert field in error.fields


async def test_the_fleet_may_know_models_that_this_process_does_not(tmp_path: Path) -> None:
    async with fleet(f"sqlite:///{tmp_path / 'muxer.db'}") as [service]:
        reply = await figures(service, scope=FLEET, models=["nobody/knows"], providers=["nobody"])
        error = await refused(service, scope=FLEET, models=["no name at all", "bad\nname/x"], tenant_id="No tenant")
    assert reply.total.requests == 0
    assert set(error.fields) == {"models[0]", "models[1]", "tenant_id"}


@asynccontextmanager
async def fleet(url: str, *principals: Principal) -> AsyncGenerator[list[Service], None]:
    """Runs services that share a database, one for each principal, who is whoever calls it."""
    async with AsyncExitStack() as stack:
        services = []
        for principal in principals or (LOCAL,):
            settings = Settings(storage=StorageSettings(url=url))
            storage = await stack.enter_async_context(open_storage(settings, new_id()))
            guards = Guards(identity=Someone(principal))
            services.append(
                await stack.enter_async_context(running(settings=ONE_ATTEMPT, storage=storage, guards=guards))
            )
        yield services


def viewer(tenant_id: str, role: Role = Role.VIEWER) -> Principal:
    return Principal(Subject(tenant_id, "ann"), role, f"{tenant_id}/ann")


async def test_the_fleet_is_all_processes_that_share_the_ledger(database_url: str) -> None:
    async with fleet(database_url, LOCAL, LOCAL) as [one, other]:
        await complete(one)
        await complete(other)
        await fail(other)
        process = await figures(one, window=HOUR)
        whole = await figures(one, window=HOUR, scope=FLEET)
        by_intent = await figures(other, scope=FLEET, group_by=[INTENT])
    assert process.total.requests == 1
    assert (whole.scope, whole.tenant_id) == (metrics_pb2.METRICS_SCOPE_FLEET, "")
    length = whole.end_time.ToNanoseconds() - whole.start_time.ToNanoseconds()
    assert length == pytest.approx(3_600 * 10**9, abs=10_000)
    [row] = whole.rows
    assert (row.provider, row.model, row.requests, row.success_rate) == ("acme", "acme/small", 3, 2 / 3)
    assert (row.cost_nano_usd, row.usage.output_tokens) == (2 * COST, 40)
    assert [(f.failure_class, f.count) for f in row.failures] == [(errors_pb2.FAILURE_CLASS_OVERLOAD, 1)]
    assert (row.latency.samples, row.time_to_first_token.samples, row.consecutive_failures) == (2, 2, 1)
    assert (row.breaker, row.HasField("cache")) == (metrics_pb2.BREAKER_STATE_CLOSED, False)
    assert whole.total.cost_nano_usd == 2 * COST
    # Since this process began, which is before anything happened.
    assert [(each.intent, each.requests) for each in by_intent.rows] == [(routing_pb2.INTENT_CHAT_LITE, 3)]


async def test_a_principal_of_a_tenant_sees_the_fleet_s_figures_of_its_tenant_alone(database_url: str) -> None:
    database = Database(database_url)
    await add_tenants(database)
    await database.aclose()
    callers = [viewer(tenant, Role.ADMIN) for tenant in ("acme", "other")]
    async with fleet(database_url, LOCAL, *callers) as [local, acme, other]:
        for service in (local, acme, other, other):
            await complete(service)
        seen = {
            (name, tenant): await figures(service, scope=FLEET, window=HOUR, tenant_id=tenant)
            for name, service, tenant in (
                ("acme", acme, ""),
                ("acme", acme, "acme"),
                ("other", other, ""),
                ("local", local, ""),
                ("local", local, "other"),
            )
        }
        error = await refused(acme, scope=FLEET, tenant_id="other")
    assert {key: (reply.total.requests, reply.tenant_id) for key, reply in seen.items()} == {
        ("acme", ""): (1, "acme"),
        ("acme", "acme"): (1, "acme"),
        ("other", ""): (2, "other"),
        ("local", ""): (4, ""),
        ("local", "other"): (2, "other"),
    }
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_a_tenant_s_viewer_sees_no_figures_of_the_process_and_its_own_where_it_names_no_scope(
    tmp_path: Path,
) -> None:
    async with fleet(f"sqlite:///{tmp_path / 'muxer.db'}", viewer("acme")) as [service]:
        error = await refused(service, scope=PROCESS)
        reply = await figures(service)
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert (reply.scope, reply.tenant_id) == (metrics_pb2.METRICS_SCOPE_FLEET, "acme")


@pytest.mark.parametrize("scope", [PROCESS, FLEET])
async def test_a_caller_without_the_scope_sees_no_figures(scope: int, tmp_path: Path) -> None:
    async with fleet(f"sqlite:///{tmp_path / 'muxer.db'}", viewer("acme", Role.CALLER)) as [service]:
        error = await refused(service, scope=scope)
    assert (error.reason, error.metadata) == ("PERMISSION_DENIED", {"scope": "metrics.read"})


async def test_without_a_ledger_there_is_no_fleet() -> None:
    async with running() as service:
        error = await refused(service, scope=FLEET)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PRECONDITION_FAILED")


async def test_a_ledger_that_cannot_be_read_is_told_as_that_and_the_process_is_told_still(tmp_path: Path) -> None:
    settings = Settings(storage=StorageSettings(url=f"sqlite:///{tmp_path / 'muxer.db'}"))
    away = Database(f"sqlite:///{tmp_path / 'no such folder' / 'muxer.db'}")
    async with (
        open_storage(settings, new_id()) as storage,
        running(settings=settings, storage=replace(storage, database=away)) as service,
    ):
        error = await refused(service, scope=FLEET, window=MINUTE)
        await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
        reply = await figures(service)
        await away.aclose()
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
    assert reply.total.requests == 1
