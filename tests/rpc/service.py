"""A real server in the test's own loop, with providers that play what a test writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from muxer.v1 import chat_pb2, completion_pb2, muxer_service_pb2_grpc

from muxer_grpc.bootstrap import App, assemble, new_id
from muxer_grpc.bootstrap_storage import Storage
from muxer_grpc.domain.catalogue import Catalogue, Feature, Model, ProviderEntry, Tier
from muxer_grpc.domain.completion import (
    Finished,
    FinishReason,
    ModelReported,
    ProviderEvent,
    ProviderRequest,
    TextDelta,
    UsageReported,
)
from muxer_grpc.domain.money import Price, Usage, UsageSource
from muxer_grpc.domain.ports import ProbeResult, Provider, RateLimiter
from muxer_grpc.pipeline.response_cache import Answers
from muxer_grpc.rpc.calls import CallLimits, Calls
from muxer_grpc.rpc.gates import Guards
from muxer_grpc.rpc.listener import Listener, ListenerOptions
from muxer_grpc.rpc.servicers import catalogue as catalogue_service
from muxer_grpc.rpc.servicers import muxer as muxer_service
from muxer_grpc.settings import Settings
from muxer_grpc.settings_resilience import BreakerSettings, ResilienceSettings

PLAIN: tuple[ProviderEvent, ...] = (
    ModelReported("vendor-model-1"),
    TextDelta("Hello "),
    TextDelta("world"),
    UsageReported(Usage(input_tokens=100, output_tokens=20, source=UsageSource.PROVIDER)),
    Finished(FinishReason.STOP, "stop"),
)

Script = Callable[[ProviderRequest], AsyncGenerator[ProviderEvent, None]]


class PlayedProvider:
    """A provider that plays a script; by default a plain answer."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or play(*PLAIN)
        self.requests: list[ProviderRequest] = []
        self.open = 0

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        self.requests.append(request)
        self.open += 1
        try:
            async with aclosing(self.script(request)) as events:
                async for event in events:
                    yield event
        finally:
            self.open -= 1

    async def probe(self) -> ProbeResult:
        return ProbeResult(ok=True, latency_seconds=0.0)

    async def aclose(self) -> None:
        """Holds nothing open."""


def play(*steps: ProviderEvent | Exception | asyncio.Event) -> Script:
    """Makes a script: yields events, raises exceptions, waits for asyncio events."""

    async def script(_request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step

    return script


ALL = frozenset(Feature)


def model(name: str, tier: Tier, usd_in: str = "1", usd_out: str = "2", **changes: object) -> Model:
    provider, _, vendor_model = name.partition("/")
    facts: dict[str, object] = {
        "context_window": 100_000,
        "max_output_tokens": 4_000,
        "features": ALL,
        "price": Price.from_usd_per_million(usd_in, usd_out),
        **changes,
    }
    return Model(name, provider, vendor_model, tier, **facts)  # type: ignore[arg-type]


MODELS = (
    model("acme/small", Tier.ECONOMY, "0.1", "0.2"),
    model("acme/middle", Tier.BALANCED, "1", "2"),
    model("acme/large", Tier.PREMIUM, "10", "20"),
    model("other/tiny", Tier.ECONOMY, "0.2", "0.4", features=frozenset(), context_window=1_000),
    model("absent/model", Tier.PREMIUM, "5", "5"),
)
PROVIDERS = (
    ProviderEntry("acme", configured=True, vendor_options=frozenset({"service_tier"})),
    ProviderEntry("other", configured=True),
    ProviderEntry("absent", configured=False, detail="set ABSENT_API_KEY"),
)
CATALOGUE = Catalogue.of(MODELS, PROVIDERS, version="fleet-test", price_book_version="prices-test")

# For tests of one attempt: none is made after it, and none is kept from a model by what went before.
ONE_ATTEMPT = Settings(resilience=ResilienceSettings(max_attempts=1, breaker=BreakerSettings(enabled=False)))


@dataclass
class Clock:
    """A clock that stands until a test moves it; in seconds since the epoch."""

    at: float = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Service:
    """A running service and a channel to each of its listeners."""

    app: App
    acme: PlayedProvider
    data: Listener
    admin: Listener
    calls: Calls
    channel: grpc.aio.Channel
    admin_channel: grpc.aio.Channel
    stub: muxer_service_pb2_grpc.MuxerServiceAsyncStub = field(init=False)

    def __post_init__(self) -> None:
        self.stub = muxer_service_pb2_grpc.MuxerServiceStub(self.channel)  # type: ignore[assignment]


@asynccontextmanager
async def running(
    script: Script | None = None,
    *,
    limits: CallLimits | None = None,
    options: Mapping[str, object] | None = None,
    catalogue: Catalogue = CATALOGUE,
    settings: Settings | None = None,
    now: Callable[[], float] = time.time,
    guards: Guards | None = None,
    limiter: RateLimiter | None = None,
    storage: Storage | None = None,
    answers: Answers | None = None,
) -> AsyncGenerator[Service, None]:
    """Starts a service on free ports of the loopback address, and stops it. Guards bring a limiter of their own."""
    acme = PlayedProvider(script)
    providers: dict[str, Provider] = {"acme": acme, "other": PlayedProvider()}
    app = assemble(catalogue, providers, settings, now, limiter=limiter, storage=storage, answers=answers)
    calls = Calls(limits or CallLimits(), new_id, guards or Guards(limiter=limiter))
    given = {"addresses": ("127.0.0.1:0",), **(options or {})}
    data = Listener(ListenerOptions(**given), {muxer_service.SERVICE: app.muxer, **app.data_services}, calls)  # type: ignore[arg-type]
    services = {catalogue_service.SERVICE: app.catalogue_service, **app.admin_services}
    admin = Listener(ListenerOptions(("127.0.0.1:0",)), services, calls)
    await data.start()
    await admin.start()
    try:
        async with (
            grpc.aio.insecure_channel(data.addresses[0]) as channel,
            grpc.aio.insecure_channel(admin.addresses[0]) as admin_channel,
        ):
            yield Service(app, acme, data, admin, calls, channel, admin_channel)
    finally:
        data.health.drain()
        admin.health.drain()
        await asyncio.gather(data.server.stop(None), admin.server.stop(None))


def spec(text: str = "Tell me about climate change", **changes: object) -> chat_pb2.CompletionSpec:
    """Makes the spec of a plain prompt."""
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.ContentPart(text=text)])
    return chat_pb2.CompletionSpec(messages=[message], **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Told:
    """What an error tells a program."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    message: str
    details: dict[str, object]
    trailers: dict[str, object]

    @property
    def fields(self) -> dict[str, str]:
        """Maps the violated fields to their rules."""
        bad = self.details["BadRequest"]
        assert isinstance(bad, error_details_pb2.BadRequest)
        return {violation.field: violation.reason for violation in bad.field_violations}


DETAIL_TYPES = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RetryInfo,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.QuotaFailure,
        completion_pb2.CompletionFailure,
    )
}


def told(error: grpc.aio.AioRpcError) -> Told:
    """Reads an error as a program would; fails when it is not a proper one."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, f"no google.rpc.Status: {error}"
    details: dict[str, object] = {}
    for packed in status.details:
        kind = DETAIL_TYPES[packed.TypeName()]
        message = kind()
        packed.Unpack(message)
        assert kind.__name__ not in details, "each detail type comes at most once"
        details[kind.__name__] = message
    info = details["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert info.domain == "muxer.v1"
    return Told(
        error.code(),
        info.reason,
        dict(info.metadata),
        status.message,
        details,
        dict(error.trailing_metadata() or ()),  # type: ignore[arg-type]
    )
