"""Load shedding over the wire: who gets a place while room is little or the loop is late, and what others hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from muxer.v1 import catalogue_service_pb2, catalogue_service_pb2_grpc, chat_pb2, muxer_service_pb2

from muxer_grpc.domain.tenancy import Credentials, Principal, Role, Subject, TenantPolicy
from muxer_grpc.rpc import health_messages as health
from muxer_grpc.rpc.calls import CallLimits
from muxer_grpc.rpc.gates import Guards
from tests.rpc.service import Service, Told, play, running, spec, told

LOW, NORMAL, HIGH = chat_pb2.PRIORITY_LOW, chat_pb2.PRIORITY_NORMAL, chat_pb2.PRIORITY_HIGH
RUSHED = TenantPolicy(allows_high_priority=True)


class ByName:
    """Takes the key of a call for the name of its tenant: `rushed` may hurry, `muxer` is the operators'."""

    async def authenticate(self, credentials: Credentials, _now: float) -> Principal:
        name = credentials.api_key
        role = Role.ADMIN if name in ("muxer", "chief") else Role.CALLER
        policy = RUSHED if name == "rushed" else TenantPolicy()
        return Principal(Subject(name, "ann"), role, name, policy, everywhere=name == "muxer")


class Crowd:
    """Calls that stay open until they are let go."""

    def __init__(self, service: Service, gate: asyncio.Event) -> None:
        self.service = service
        self.gate = gate
        self.open: list[Any] = []

    def call(self, tenant: str, priority: int = 0, *, stream: bool = False) -> Any:
        asked = spec(requested_model="acme/small", priority=priority)
        metadata = (("x-api-key", tenant),)
        if stream:
            return self.service.stub.StreamComplete(
                muxer_service_pb2.StreamCompleteRequest(spec=asked), metadata=metadata
            )
        return self.service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked), metadata=metadata)

    async def take(self, count: int, tenant: str, priority: int = 0, *, stream: bool = False) -> None:
        """Opens so many calls more."""
        places = self.service.calls.stream_places if stream else self.service.calls.unary_places
        for _ in range(count):
            wanted = places.held + 1
            call = self.call(tenant, priority, stream=stream)
            self.open.append(call)
            reading = asyncio.ensure_future(call.read()) if stream else call
            self.open.append(reading)
            while places.held < wanted:
                assert not reading.done(), reading
                await asyncio.sleep(0)

    async def refused(self, tenant: str, priority: int = 0, *, stream: bool = False) -> Told:
        call = self.call(tenant, priority, stream=stream)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await (call.read() if stream else call)
        return told(raised.value)

    async def let_go(self) -> None:
        self.gate.set()
        for call in self.open:
            if isinstance(call, asyncio.Future):
                call.cancel()
            else:
                call.cancel()
        while self.service.calls.under_way:
            await asyncio.sleep(0)


@asynccontextmanager
async def crowded(most: int = 20, streams: int = 20) -> AsyncGenerator[Crowd, None]:
    gate = asyncio.Event()
    limits = CallLimits(max_unary=most, max_streams=streams)
    async with running(play(gate), limits=limits, guards=Guards(identity=ByName())) as service:
        crowd = Crowd(service, gate)
        try:
            yield crowd
        finally:
            await crowd.let_go()
            # Whoever came in has left, and nobody's place is still taken.
            assert (service.calls.unary_places.held, service.calls.stream_places.held) == (0, 0)


def check_overloaded(error: Told, cause: str) -> None:
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "OVERLOADED")
    assert error.metadata == {"cause": cause}
    retry = error.details["RetryInfo"]
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() > 0
    assert int(str(error.trailers["grpc-retry-pushback-ms"])) >= retry.retry_delay.ToMilliseconds()


@pytest.mark.parametrize("stream", [False, True])
async def test_one_tenant_cannot_take_all_places(stream: bool) -> None:
    async with crowded() as crowd:
        await crowd.take(1, "small", stream=stream)
        await crowd.take(15, "flood", stream=stream)
        check_overloaded(await crowd.refused("flood", stream=stream), "share")
        await crowd.take(1, "small", stream=stream)
        await crowd.take(1, "third", stream=stream)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tenant_that_comes_last_gets_in_as_soon_as_a_place_is_free(stream: bool) -> None:
    async with crowded() as crowd:
        await crowd.take(19, "flood", stream=stream)
        check_overloaded(await crowd.refused("late", stream=stream), "calls")
        places = crowd.service.calls.stream_places if stream else crowd.service.calls.unary_places
        crowd.open[0].cancel()
        while places.held == 19:
            await asyncio.sleep(0)
        check_overloaded(await crowd.refused("flood", stream=stream), "share")
        await crowd.take(1, "late", stream=stream)


async def test_low_priority_is_shed_first_and_high_priority_last() -> None:
    async with crowded() as crowd:
        await crowd.take(14, "acme", LOW)
        check_overloaded(await crowd.refused("acme", LOW), "calls")
        await crowd.take(5, "acme", NORMAL)
        check_overloaded(await crowd.refused("acme"), "calls")
        await crowd.take(1, "rushed", HIGH)
        check_overloaded(await crowd.refused("rushed", HIGH), "calls")


async def test_unary_calls_and_streams_have_places_of_their_own() -> None:
    async with crowded(most=1, streams=1) as crowd:
        await crowd.take(1, "acme")
        check_overloaded(await crowd.refused("acme"), "calls")
        await crowd.take(1, "acme", stream=True)
        check_overloaded(await crowd.refused("acme", stream=True), "calls")


@pytest.mark.parametrize("tenant", ["rushed", "chief", "muxer"])
async def test_admins_and_tenants_whose_policy_allows_it_may_have_high_priority(tenant: str) -> None:
    async with crowded() as crowd:
        await crowd.take(1, tenant, HIGH)


@pytest.mark.parametrize("stream", [False, True])
async def test_others_may_not_have_high_priority(stream: bool) -> None:
    async with crowded() as crowd:
        error = await crowd.refused("acme", HIGH, stream=stream)
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert "spec.priority" in error.message


async def test_what_is_no_priority_is_a_violation() -> None:
    async with crowded() as crowd:
        error = await crowd.refused("acme", 7)
    assert error.fields == {"spec.priority": "UNKNOWN"}


async def test_a_late_loop_sheds_streams_before_unary_calls_and_by_priority() -> None:
    async with crowded() as crowd:
        lag = crowd.service.calls.lag
        lag.seconds = 0.6
        check_overloaded(await crowd.refused("acme", stream=True), "lag")
        check_overloaded(await crowd.refused("acme", LOW), "lag")
        await crowd.take(1, "acme")
        await crowd.take(1, "rushed", HIGH, stream=True)
        lag.seconds = 1.5
        check_overloaded(await crowd.refused("acme"), "lag")
        await crowd.take(1, "rushed", HIGH)
        lag.seconds = 3.0
        check_overloaded(await crowd.refused("rushed", HIGH), "lag")
        lag.seconds = 0.0
        await crowd.take(1, "acme", LOW)


async def test_operators_can_look_while_callers_are_shed_and_health_is_always_told() -> None:
    async with crowded(most=20) as crowd:
        await crowd.take(19, "flood")
        crowd.service.calls.lag.seconds = 1.5
        check_overloaded(await crowd.refused("acme"), "lag")
        stub: Any = catalogue_service_pb2_grpc.CatalogueServiceStub(crowd.service.admin_channel)
        await stub.ListModels(catalogue_service_pb2.ListModelsRequest(), metadata=(("x-api-key", "muxer"),))
        crowd.service.calls.lag.seconds = 60.0
        check = crowd.service.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health.HealthCheckRequest.SerializeToString,
            response_deserializer=health.HealthCheckResponse.FromString,
        )
        assert (await check(health.HealthCheckRequest())).status == health.SERVING


async def test_idle_watches_of_health_are_bounded_and_checks_and_calls_go_on() -> None:
    """Nobody has to say who they are for them."""
    limits = CallLimits(max_unary=2, max_streams=1)
    async with running(limits=limits) as service:
        watch = service.channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health.HealthCheckRequest.SerializeToString,
            response_deserializer=health.HealthCheckResponse.FromString,
        )
        watches = [watch(health.HealthCheckRequest()) for _ in range(3)]
        for each in watches:
            assert (await each.read()).status == health.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await watch(health.HealthCheckRequest()).read()
        check_overloaded(told(raised.value), "calls")
        check = service.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health.HealthCheckRequest.SerializeToString,
            response_deserializer=health.HealthCheckResponse.FromString,
        )
        assert (await check(health.HealthCheckRequest())).status == health.SERVING
        await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()))
        for each in watches:
            each.cancel()


async def test_beyond_the_door_nobody_is_even_asked_who_they_are() -> None:
    asked: list[str] = []
    gate = asyncio.Event()

    class Slow(ByName):
        async def authenticate(self, credentials: Credentials, now: float) -> Principal:
            asked.append(credentials.api_key)
            await gate.wait()
            return await super().authenticate(credentials, now)

    limits = CallLimits(max_unary=4)
    async with running(play(gate), limits=limits, guards=Guards(identity=Slow())) as service:
        crowd = Crowd(service, gate)
        waiting = [asyncio.ensure_future(crowd.call(f"t{number}")) for number in range(20)]
        while service.calls.under_way < 20:
            await asyncio.sleep(0)
        check_overloaded(await crowd.refused("t20"), "calls")
        assert "t20" not in asked
        for call in waiting:
            call.cancel()
        await crowd.let_go()


async def test_priority_does_not_count_when_two_requests_are_compared() -> None:
    async with running() as service:
        low = spec(priority=LOW)
        decision = (await service.stub.Route(muxer_service_pb2.RouteRequest(spec=low))).decision
        request = muxer_service_pb2.CompleteRequest(spec=spec(priority=HIGH), decision_id=decision.decision_id)
        assert (await service.stub.Complete(request)).decision.decision_id == decision.decision_id
