"""Gates before methods: waiting in them, counting requests, and what is not there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import grpc
import grpc.aio
import pytest
from muxer.v1 import muxer_service_pb2

from muxer_grpc.domain.directory import ApiKey
from muxer_grpc.domain.errors import Draining
from muxer_grpc.domain.refusals import RateKind, RateLimited
from muxer_grpc.domain.tenancy import Principal, Role
from muxer_grpc.rpc.gates import Guards
from tests.identity.people import KEYS, START, People, by_keys
from tests.rpc.callers import guarded, refusal, route
from tests.rpc.service import running, spec


@dataclass
class Slow(People):
    """A directory that does not answer before it is told to."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def key(self, key_id: str) -> ApiKey | None:
        found = await super().key(key_id)
        await self.gate.wait()
        return found


@pytest.mark.usefixtures("much_to_spare")
async def test_waiting_for_the_directory_is_within_the_callers_deadline() -> None:
    people = Slow()
    key = people.add_key()
    async with running(guards=guarded(by_keys(people))) as service:
        error = await refusal(service, ("x-api-key", key.text), timeout=5)
        assert error.reason == "DEADLINE_EXCEEDED"
        assert service.calls.under_way == 0
        people.gate.set()


async def test_a_drain_ends_a_call_that_waits_for_the_directory() -> None:
    people = Slow()
    key = people.add_key()
    async with running(guards=guarded(by_keys(people))) as service:
        asking = asyncio.create_task(refusal(service, ("x-api-key", key.text)))
        while not service.calls.under_way:
            await asyncio.sleep(0)
        service.calls.end_all(Draining("the process is shutting down", retry_after_seconds=0.05))
        people.gate.set()
        assert (await asking).reason == "DRAINING"
        assert service.calls.under_way == 0


async def test_a_caller_who_goes_away_leaves_nothing_under_way() -> None:
    people = Slow()
    key = people.add_key()
    async with running(guards=guarded(by_keys(people))) as service:
        call = service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()), metadata=(("x-api-key", key.text),))
        while not people.asked:
            await asyncio.sleep(0)
        call.cancel()
        while service.calls.under_way:
            await asyncio.sleep(0)
        people.gate.set()
        await route(service, ("x-api-key", key.text))


async def test_without_the_directory_calls_are_told_to_come_again() -> None:
    people = People(down=True)
    async with running(guards=guarded(by_keys(people))) as service:
        error = await refusal(service, ("x-api-key", KEYS.make().text))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")


async def test_a_revoked_key_is_refused_on_the_same_connection_two_seconds_later() -> None:
    people = People()
    key = people.add_key()
    at = [START]
    async with running(guards=Guards(by_keys(people), now=lambda: at[0])) as service:
        await route(service, ("x-api-key", key.text))
        people.change_key(key.id, revoked_us=int(START * 1e6))
        at[0] += 2
        assert (await refusal(service, ("x-api-key", key.text))).reason == "UNAUTHENTICATED"


async def test_a_suspended_account_is_denied() -> None:
    people = People()
    key = people.add_key()
    people.suspend_tenant()
    async with running(guards=guarded(by_keys(people))) as service:
        error = await refusal(service, ("x-api-key", key.text))
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


@dataclass
class Counting:
    """A rate limiter that lets a number of requests pass."""

    left: int
    asked: list[str] = field(default_factory=list)

    def limits(self, principal: Principal) -> bool:
        return True

    async def admit_request(self, principal: Principal) -> None:
        self.asked.append(principal.name)
        if len(self.asked) > self.left:
            raise RateLimited(RateKind.REQUESTS, self.left, "the key", 30.0)

    async def admit_tokens(self, principal: Principal, tokens: int) -> None:
        raise AssertionError


async def test_requests_for_completions_are_counted_once_they_are_known_to_be_somebodys() -> None:
    people = People()
    key, viewer = people.add_key(), people.add_key("vera", Role.VIEWER)
    limiter = Counting(2)
    async with running(guards=guarded(by_keys(people), limiter)) as service:
        for _ in range(2):
            await route(service, ("x-api-key", key.text))
        assert (await refusal(service, ("x-api-key", "wrong"))).reason == "UNAUTHENTICATED"
        assert (await refusal(service, ("x-api-key", viewer.text))).reason == "PERMISSION_DENIED"
        # It passes the door, and finds that there are no figures of its tenant where no ledger is kept.
        with pytest.raises(grpc.aio.AioRpcError, match="keeps no ledger"):
            await service.stub.GetMetrics(muxer_service_pb2.GetMetricsRequest(), metadata=(("x-api-key", viewer.text),))
        assert limiter.asked == [f"search/ada by key {key.id}"] * 2
        error = await refusal(service, ("x-api-key", key.text))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")


async def test_an_open_service_counts_requests_too() -> None:
    limiter = Counting(1)
    async with running(guards=Guards(limiter=limiter)) as service:
        await route(service)
        assert (await refusal(service)).reason == "RATE_LIMITED"
    assert limiter.asked == ["local", "local"]


async def test_an_open_service_does_not_look_at_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_arguments: object, **_options: object) -> None:
        raise AssertionError

    monkeypatch.setattr("muxer_grpc.rpc.gates.read_credentials", read)
    async with running() as service:
        await route(service, ("authorization", "Bearer whatever"), ("x-api-key", "whatever"))
