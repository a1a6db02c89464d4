"""Callers who call too often are told of what, whose, how many and for how long; before any work is done for them."""

from __future__ import annotations

import time

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from muxer.v1 import muxer_service_pb2

from muxer_grpc.domain.refusals import RateKind, RateLimited
from muxer_grpc.domain.tenancy import LOCAL_TENANT, RateLimit
from muxer_grpc.identity.rate_limits import DefaultLimits, RateLimits
from muxer_grpc.identity.rate_windows import WINDOW_SECONDS
from muxer_grpc.identity.shared_windows import SharedWindows
from muxer_grpc.rpc.status import pushback_ms_of
from tests.rpc.service import Clock, running, spec, told


def limited(requests: int | None = None, tokens: int | None = None) -> RateLimits:
    """Limits everybody's tenant."""
    return RateLimits(defaults=DefaultLimits(tenant=RateLimit(requests, tokens)))


def complete() -> muxer_service_pb2.CompleteRequest:
    return muxer_service_pb2.CompleteRequest(spec=spec())


def stop_the_clock(monkeypatch: pytest.MonkeyPatch, second: float) -> None:
    """Lets the limiter see one second of this minute, for as long as the test lasts."""
    monkeypatch.setattr(time, "time", Clock(time.time() // WINDOW_SECONDS * WINDOW_SECONDS + second))


# Two calls of a minute whose limit is two: one more fits when half have faded, in the middle of the next minute.
@pytest.mark.parametrize(("second", "wait", "retried"), [(45, 45, True), (0, 90, False)])
async def test_a_call_too_many_is_refused_with_the_limit_and_the_time_to_wait(
    monkeypatch: pytest.MonkeyPatch, second: int, wait: int, *, retried: bool
) -> None:
    async with running(limiter=limited(requests=2)) as service:
        stop_the_clock(monkeypatch, second)
        for _ in range(2):
            await service.stub.Complete(complete())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(complete())
        assert len(service.acme.requests) == 2
    error = told(raised.value)
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.reason == "RATE_LIMITED"
    assert error.metadata == {"limit": "2", "kind": "requests", "subject": f"tenants/{LOCAL_TENANT}", "asked": "1"}
    failure, retry = error.details["QuotaFailure"], error.details["RetryInfo"]
    assert isinstance(failure, error_details_pb2.QuotaFailure)
    assert isinstance(retry, error_details_pb2.RetryInfo)
    (violation,) = failure.violations
    assert violation.subject == f"tenants/{LOCAL_TENANT}"
    assert violation.quota_id == "requests_per_minute"
    assert violation.quota_value == 2
    assert retry.retry_delay.ToMilliseconds() == wait * 1_000
    pushback = int(str(error.trailers["grpc-retry-pushback-ms"]))
    assert wait * 1_000 <= pushback <= wait * 1_250 if retried else pushback == -1


@pytest.mark.parametrize("method", ["Complete", "StreamComplete", "Route"])
async def test_every_method_that_works_for_a_caller_counts_as_a_request(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(limiter=limited(requests=1)) as service:
        stop_the_clock(monkeypatch, 30)
        await service.stub.Complete(complete())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            if method == "StreamComplete":
                async for _ in service.stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=spec())):
                    pass
            elif method == "Route":
                await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()))
            else:
                await service.stub.Complete(complete())
    assert told(raised.value).reason == "RATE_LIMITED"


async def test_looking_at_the_metrics_is_no_request_of_a_caller() -> None:
    async with running(limiter=limited(requests=1)) as service:
        for _ in range(3):
            await service.stub.GetMetrics(muxer_service_pb2.GetMetricsRequest())
        await service.stub.Complete(complete())


async def test_tokens_too_many_for_any_minute_are_refused_for_good_before_a_provider_is_called() -> None:
    async with running(limiter=limited(tokens=5)) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(complete())
        assert service.acme.requests == []
    error = told(raised.value)
    assert error.reason == "RATE_LIMITED"
    assert error.metadata["kind"] == "tokens"
    assert error.message.endswith("it can never be let in")
    assert "RetryInfo" not in error.details
    assert error.trailers["grpc-retry-pushback-ms"] == "-1"


async def test_routing_alone_uses_no_tokens() -> None:
    async with running(limiter=limited(tokens=5)) as service:
        await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()))


async def test_limits_that_cannot_be_looked_up_are_told_as_such() -> None:
    away = SharedWindows("redis://127.0.0.1:1/0", 5)
    limiter = RateLimits(away, defaults=DefaultLimits(tenant=RateLimit(5)), refuse_when_away=True)
    async with running(limiter=limiter) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Complete(complete())
    await limiter.aclose()
    error = told(raised.value)
    assert error.code is grpc.StatusCode.UNAVAILABLE
    assert error.reason == "STORAGE_UNAVAILABLE"
    assert "127.0.0.1" not in error.message
    assert int(str(error.trailers["grpc-retry-pushback-ms"])) >= 1_000


@pytest.mark.parametrize(("wait", "least", "most"), [(2.0, 2_000, 2_500), (0.0, 10, 10), (None, -1, -1)])
def test_the_pushback_is_the_time_to_wait_or_forbids_a_retry_that_is_vain(
    wait: float | None, least: int, most: int
) -> None:
    pushback = pushback_ms_of(RateLimited(RateKind.TOKENS, 5, "keys/k1", wait, asked=6))
    assert pushback is not None
    assert least <= pushback <= most


@pytest.mark.parametrize(
    ("wait", "left", "vain"),
    [(2.0, None, False), (2.0, 60.0, False), (2.0, 3.9, True), (60.0, None, False), (61.0, None, True)],
)
def test_a_wait_that_the_deadline_does_not_leave_time_for_is_told_at_once(
    wait: float, left: float | None, vain: bool
) -> None:
    """gRPC clients wait for a pushback past their deadline, and their callers would never learn why."""
    pushback = pushback_ms_of(RateLimited(RateKind.TOKENS, 5, "keys/k1", wait, asked=6), left)
    assert pushback is not None
    assert (pushback == -1) is vain
