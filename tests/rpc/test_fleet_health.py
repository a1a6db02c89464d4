"""FleetHealthService: how models and providers do, watched, and their breakers by hand, for all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc.aio
import pytest
from muxer.v1 import fleet_health_service_pb2 as pb
from muxer.v1 import fleet_health_service_pb2_grpc, metrics_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.pipeline.probing import ProbeClocks, Probes
from muxer_grpc.storage.database import Database
from tests.rpc.administered import START
from tests.rpc.controlled import Controlled, controlled, replica
from tests.rpc.service import CATALOGUE, PLAIN, PlayedProvider, Service, play, running, spec, told

CLOSED, OPEN = metrics_pb2.BREAKER_STATE_CLOSED, metrics_pb2.BREAKER_STATE_OPEN
DISABLED = metrics_pb2.BREAKER_STATE_DISABLED
DISABLE, ENABLE, RESET = pb.BREAKER_ACTION_DISABLE, pb.BREAKER_ACTION_ENABLE, pb.BREAKER_ACTION_RESET
SMALL = CATALOGUE.models["acme/small"]
CALLED = ["acme", "other", "acme/large", "acme/middle", "acme/small", "other/tiny"]


@pytest.fixture
async def there(database: Database) -> AsyncGenerator[Controlled, None]:
    async with controlled(database) as served:
        yield served


def name_of(target: pb.TargetHealth) -> str:
    return target.model or target.provider


async def listed(there: Controlled, **wanted: Any) -> dict[str, pb.TargetHealth]:
    reply = await there.root(pb.ListHealthRequest(**wanted))
    return {name_of(target): target for target in reply.targets}


def fail(there: Controlled, times: int = 3) -> None:
    now = asyncio.get_running_loop().time()
    for _ in range(times):
        there.health.failed(SMALL, FailureClass.TRANSIENT, now)


async def test_providers_and_models_that_can_be_called_are_listed_providers_first(there: Controlled) -> None:
    reply = await there.root(pb.ListHealthRequest())
    assert [name_of(target) for target in reply.targets] == CALLED
    assert reply.targets[2] == pb.TargetHealth(provider="acme", model="acme/large", breaker=CLOSED)
    assert reply.instance_id == "instance-1"
    assert list(await listed(there, provider="other")) == ["other", "other/tiny"]
    error = await there.root.refused(pb.ListHealthRequest(provider="acne"), "INVALID_REQUEST")
    assert list(error.fields) == ["provider"]


async def test_they_come_page_by_page(there: Controlled) -> None:
    found, token = [], ""
    while True:
        reply = await there.root(pb.ListHealthRequest(page_size=2, page_token=token))
        found += [name_of(target) for target in reply.targets]
        token = reply.next_page_token
        if not token:
            break
    assert found == CALLED
    error = await there.root.refused(pb.ListHealthRequest(page_token="x"), "INVALID_REQUEST")
    assert list(error.fields) == ["page_token"]


async def test_an_open_breaker_says_when_the_next_call_may_pass(there: Controlled) -> None:
    fail(there)
    small = (await listed(there))["acme/small"]
    assert (small.breaker, small.consecutive_failures, small.disabled) == (OPEN, 3, False)
    assert 0 <= small.next_attempt_time.ToMicroseconds() / 1e6 - START <= 5


async def test_what_a_probe_came_to_and_when_the_next_one_is_due_is_told_of_providers(there: Controlled) -> None:
    class Probed(PlayedProvider):
        async def probe(self) -> ProbeResult:
            return ProbeResult(False, 0.25, failure_class=FailureClass.TIMEOUT)

    probes = Probes({"acme": Probed()}, there.health, clocks=ProbeClocks(now=there.world.clock))
    there.control.reports.probes = probes
    await probes.probe("acme")
    probes.follow(60.0)
    await asyncio.sleep(0)
    targets = await listed(there)
    await probes.aclose()
    probe = targets["acme"].last_probe
    assert (probe.ok, probe.latency.ToMilliseconds(), probe.time.seconds) == (False, 250, int(START))
    assert targets["acme"].next_probe_time.seconds == int(START) + 60
    assert not targets["acme/small"].HasField("last_probe")
    assert not targets["other"].HasField("next_probe_time")


async def test_figures_of_the_last_completions_are_told() -> None:
    failure = ProviderFailure(FailureClass.CALLER_FAULT, "no")
    broken = ProviderFailure(FailureClass.CREDENTIAL, "no")
    async with running() as service:
        for script in (play(*PLAIN), play(*PLAIN), play(failure), play(*PLAIN), play(broken)):
            service.acme.script = script
            call = service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec(requested_model="acme/small")))
            await asyncio.gather(call, return_exceptions=True)
        stub: Any = fleet_health_service_pb2_grpc.FleetHealthServiceStub(service.admin_channel)
        reply = await stub.ListHealth(pb.ListHealthRequest(provider="acme"))
    targets = {name_of(target): target for target in reply.targets}
    # What a caller is at fault for speaks against nobody.
    assert targets["acme/small"].success_rate == 0.75
    assert targets["acme"].success_rate == 0.75
    assert targets["acme/small"].p95_latency.ToMicroseconds() >= targets["acme/small"].p50_latency.ToMicroseconds() > 0
    assert targets["acme/small"].HasField("last_request_time")
    assert not targets["acme/large"].HasField("success_rate")
    assert not targets["acme/large"].HasField("p50_latency")


@pytest.mark.parametrize("target", [{"model": "acme/small"}, {"provider": "acme"}])
async def test_what_is_disabled_by_hand_gets_no_calls_until_it_is_enabled(
    there: Controlled, target: dict[str, str]
) -> None:
    [name] = target.values()
    reply = await there.root(pb.SetBreakerRequest(**target, action=DISABLE))
    assert (reply.target.breaker, reply.target.disabled, reply.target.revision) == (DISABLED, True, 1)
    assert name_of(reply.target) == name
    assert not there.health.admits(SMALL, asyncio.get_running_loop().time())
    reply = await there.root(pb.SetBreakerRequest(**target, action=ENABLE, revision=1))
    assert (reply.target.breaker, reply.target.disabled, reply.target.revision) == (CLOSED, False, 2)
    assert there.health.admits(SMALL, asyncio.get_running_loop().time())


async def test_a_reset_closes_a_breaker_each_time(there: Controlled) -> None:
    for revision in (1, 2):
        fail(there)
        reply = await there.root(pb.SetBreakerRequest(model="acme/small", action=RESET))
        assert (reply.target.breaker, reply.target.consecutive_failures) == (CLOSED, 0)
        assert reply.target.revision == revision


async def test_enabling_what_is_not_disabled_changes_nothing(there: Controlled) -> None:
    fail(there)
    reply = await there.root(pb.SetBreakerRequest(model="acme/small", action=ENABLE))
    assert (reply.target.breaker, reply.target.revision) == (OPEN, 0)


async def test_changes_are_audited(there: Controlled) -> None:
    await there.root(pb.SetBreakerRequest(provider="acme", action=DISABLE))
    await there.root(pb.SetBreakerRequest(provider="acme", action=RESET))
    found = [each for each in await there.root.audited() if each[1] == "SetBreaker"]
    assert found == [
        (there.root.name, "SetBreaker", "providers/acme", {}, {"disabled": True}),
        (there.root.name, "SetBreaker", "providers/acme", {"disabled": True}, {"disabled": True, "resets": 1}),
    ]


@pytest.mark.parametrize(
    ("request_", "reason", "fields"),
    [
        (pb.SetBreakerRequest(action=DISABLE), "INVALID_REQUEST", ["target"]),
        (pb.SetBreakerRequest(model="", action=DISABLE), "INVALID_REQUEST", ["model"]),
        (pb.SetBreakerRequest(model="acme/small"), "INVALID_REQUEST", ["action"]),
        (pb.SetBreakerRequest(model="acme/small", action=9), "INVALID_REQUEST", ["action"]),  # type: ignore[arg-type]
        (pb.SetBreakerRequest(model="acme/small", action=RESET, revision=-1), "INVALID_REQUEST", ["revision"]),
        (pb.SetBreakerRequest(model="small", action=DISABLE), "RESOURCE_NOT_FOUND", None),
        (pb.SetBreakerRequest(provider="acme/small", action=DISABLE), "RESOURCE_NOT_FOUND", None),
        (pb.SetBreakerRequest(model="acme/small", action=DISABLE, revision=4), "REVISION_CONFLICT", None),
    ],
)
async def test_what_names_no_breaker_or_no_action_is_refused(
    there: Controlled, request_: pb.SetBreakerRequest, reason: str, fields: list[str] | None
) -> None:
    error = await there.root.refused(request_, reason)
    if fields is not None:
        assert list(error.fields) == fields


async def test_an_admin_of_one_tenant_may_look_and_not_act(there: Controlled) -> None:
    await there.acme.refused(pb.SetBreakerRequest(model="acme/small", action=DISABLE), "PERMISSION_DENIED")
    assert len((await there.acme(pb.ListHealthRequest())).targets) == len(CALLED)


async def test_another_replica_follows_and_one_that_starts_later_resets_nothing(there: Controlled) -> None:
    control, resilience, _, _ = replica(there.world.database, there.world.clock)
    await control.feed.refresh()
    watch = asyncio.create_task(control.feed.watch())
    now = asyncio.get_running_loop().time
    await there.root(pb.SetBreakerRequest(provider="acme", action=DISABLE))
    while resilience.health.admits(SMALL, now()):
        await asyncio.sleep(0.01)
    for _ in range(3):
        resilience.health.failed(CATALOGUE.models["other/tiny"], FailureClass.TRANSIENT, now())
    await there.root(pb.SetBreakerRequest(model="other/tiny", action=RESET))
    while resilience.health.of_models(["other/tiny"], now())[0].consecutive_failures:
        await asyncio.sleep(0.01)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    late, later, _, _ = replica(there.world.database, there.world.clock)
    for _ in range(3):
        later.health.failed(CATALOGUE.models["other/tiny"], FailureClass.TRANSIENT, now())
    await late.feed.refresh()
    assert not later.health.admits(SMALL, now())
    assert later.health.of_models(["other/tiny"], now())[0].consecutive_failures == 3


async def test_whoever_watches_is_told_all_first_and_then_what_changes(there: Controlled) -> None:
    stream = there.watch(there.acme)
    first = await stream.read()
    assert (first.snapshot, first.instance_id) == (True, "instance-1")
    assert [name_of(target) for target in first.targets] == CALLED
    await there.root(pb.SetBreakerRequest(model="acme/small", action=DISABLE))
    second = await stream.read()
    assert second.snapshot is False
    assert [(name_of(t), t.breaker) for t in second.targets] == [("acme/small", DISABLED)]
    fail(there, 1)
    third = await stream.read()
    assert [(name_of(t), t.consecutive_failures) for t in third.targets] == [("acme/small", 1)]
    stream.cancel()


async def test_whoever_watches_is_told_of_models_that_come_and_go(there: Controlled) -> None:
    stream = there.watch(there.root, provider="acme")
    await stream.read()
    kept = [model for model in CATALOGUE.models.values() if model.name != "acme/small"]
    entries = CATALOGUE.providers.values()
    there.fleet.replace(Catalogue.of(kept, entries, version="less", price_book_version="prices-test"))
    gone = await stream.read()
    assert (list(gone.gone_models), list(gone.targets)) == (["acme/small"], [])
    there.fleet.replace(CATALOGUE)
    come = await stream.read()
    assert [name_of(target) for target in come.targets] == ["acme/small"]
    stream.cancel()


async def test_a_slow_reader_misses_what_was_in_between_and_never_the_latest(there: Controlled) -> None:
    changes = there.control.reports.watch("acme", asyncio.get_running_loop().time() + 60)
    await anext(changes)
    for _ in range(5):
        fail(there, 1)
    now = asyncio.get_running_loop().time()
    there.health.succeeded(SMALL, now + 60)
    there.health.failed(SMALL, FailureClass.TRANSIENT, now + 60)
    change = await anext(changes)
    assert [each.sign.consecutive_failures for each in change.reports] == [1]
    await changes.aclose()


async def test_what_changes_before_a_drain_is_told_whatever_is_told_at_the_time(there: Controlled) -> None:
    async with aclosing(there.control.reports.watch("acme", asyncio.get_running_loop().time() + 60)) as changes:
        await anext(changes)
        fail(there, 1)
        there.control.reports.closed.set()
        told = [each.sign.consecutive_failures async for change in changes for each in change.reports]
    assert told == [1]


@pytest.mark.usefixtures("much_to_spare")
async def test_a_watch_ends_without_an_error_when_the_process_drains_and_when_its_time_is_over(
    there: Controlled,
) -> None:
    timed, open_ended = there.watch(there.root, timeout=5), there.watch(there.root)
    for stream in (timed, open_ended):
        assert (await stream.read()).snapshot
    assert await timed.read() is grpc.aio.EOF
    there.control.reports.closed.set()
    assert await open_ended.read() is grpc.aio.EOF
    assert await open_ended.code() is grpc.StatusCode.OK


async def test_a_watch_of_an_unknown_provider_is_refused(there: Controlled) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await there.watch(there.root, provider="acne").read()
    assert list(told(raised.value).fields) == ["provider"]


async def breakers(service: Service, *dimensions: int) -> dict[tuple[str, str], int]:
    reply = await service.stub.GetMetrics(muxer_service_pb2.GetMetricsRequest(group_by=dimensions))  # type: ignore[arg-type]
    return {(row.provider, row.model): row.breaker for row in reply.rows}


async def test_rows_of_metrics_say_whether_calls_pass() -> None:
    provider, model = metrics_pb2.METRICS_DIMENSION_PROVIDER, metrics_pb2.METRICS_DIMENSION_MODEL
    async with running() as service:
        for name in ("acme/small", "acme/large"):
            request = muxer_service_pb2.CompleteRequest(spec=spec(requested_model=name))
            await service.stub.Complete(request)
        stub: Any = fleet_health_service_pb2_grpc.FleetHealthServiceStub(service.admin_channel)
        await stub.SetBreaker(pb.SetBreakerRequest(model="acme/small", action=DISABLE))
        assert await breakers(service) == {("acme", "acme/large"): CLOSED, ("acme", "acme/small"): DISABLED}
        assert await breakers(service, provider) == {("acme", ""): CLOSED}
        assert set((await breakers(service, metrics_pb2.METRICS_DIMENSION_STRATEGY)).values()) == {0}
        await stub.SetBreaker(pb.SetBreakerRequest(provider="acme", action=DISABLE))
        assert await breakers(service, model) == {("", "acme/large"): DISABLED, ("", "acme/small"): DISABLED}
        assert await breakers(service, provider) == {("acme", ""): DISABLED}


async def test_decisions_leave_out_what_is_disabled_by_hand_and_say_so() -> None:
    async with running() as service:
        stub: Any = fleet_health_service_pb2_grpc.FleetHealthServiceStub(service.admin_channel)
        await stub.SetBreaker(pb.SetBreakerRequest(provider="acme", action=DISABLE))
        decision = (await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()))).decision
        assert decision.selected_model == "other/tiny"
        reasons = {each.model: each.reason for each in decision.exclusions}
        assert reasons["acme/small"] == routing_pb2.EXCLUSION_REASON_BREAKER_OPEN
        await stub.SetBreaker(pb.SetBreakerRequest(provider="acme", action=ENABLE))
        await stub.SetBreaker(pb.SetBreakerRequest(model="acme/small", action=DISABLE))
        asked = muxer_service_pb2.CompleteRequest(spec=spec(requested_model="acme/small"))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(asked, timeout=600)
        refusal = told(raised.value)
        # Nobody knows when that ends: a client is told at once, and does not wait by itself.
        assert (refusal.reason, refusal.trailers["grpc-retry-pushback-ms"]) == ("NO_PROVIDER_AVAILABLE", "-1")
        assert "an operator has disabled it" in refusal.message
        again = (await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()))).decision
        assert again.selected_model != "other/tiny"
