"""Outages of providers under many callers at once: a real server, real adapters, and a fake that tells when calls came.

Providers are held to what a breaker promises: one attempt at a time, and none sooner than an interval after the last.
Only that they come too early is ever asserted, so that a slow machine fails no test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import grpc.aio
import pytest
from google.rpc import error_details_pb2
from muxer.v1 import completion_pb2, muxer_service_pb2, muxer_service_pb2_grpc, routing_pb2

from muxer_grpc.server import running_server
from muxer_grpc.settings import Settings
from muxer_grpc.settings_loading import load_settings
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider
from tests.rpc.service import Told, spec, told

NAMES = ("first", "second", "third")
MODELS = tuple(f"{name}/{name}" for name in NAMES)
CALLERS = 20
# For so long a breaker is open; each probe that fails doubles it, up to twice that.
OPEN_SECONDS = 0.1
# By which two clock readings may be off.
RESOLUTION = 0.01
# A promise of the service to its operators: so soon after an outage the calls are back.
BACK_SECONDS = 30.0
DOWN, WELL = Play(error="overloaded"), Play()
METHODS = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


def settings(folder: Path, url: str, open_seconds: float) -> Settings:
    """Gives settings with three providers of a model each, all at one address, and short intervals of breakers."""
    variables = {
        "MUXER_STORAGE__URL": f"sqlite:///{folder}/muxer.db",
        "MUXER_SERVER__LISTEN": "127.0.0.1:0",
        "MUXER_SERVER__ADMIN_LISTEN": "",
        "MUXER_PROVIDERS__OLLAMA__ENABLED": "false",
        "MUXER_RESILIENCE__PROBE_SECONDS": "0",
        "MUXER_RESILIENCE__FIRST_WAIT_SECONDS": "0.02",
        "MUXER_RESILIENCE__BREAKER__OPEN_SECONDS": str(open_seconds),
        "MUXER_RESILIENCE__BREAKER__MOST_OPEN_SECONDS": str(2 * open_seconds),
        "MUXER_LOG__LEVEL": "error",
    }
    for name in NAMES:
        model = {"name": name, "tier": "economy", "context_window": 100_000, "free": True}
        variables[f"MUXER_PROVIDERS__{name.upper()}__ADAPTER"] = "compatible"
        variables[f"MUXER_PROVIDERS__{name.upper()}__BASE_URL"] = f"{url}/v1"
        variables[f"MUXER_PROVIDERS__{name.upper()}__MODELS"] = json.dumps([model])
    return load_settings(None, None, variables)


@dataclass
class Ground:
    """A service, its providers, and a way to call."""

    fake: FakeProvider
    stub: muxer_service_pb2_grpc.MuxerServiceAsyncStub
    stream: bool

    async def call(self) -> str:
        """Asks for the first model, or else any; gives the model that answered. Raises the service's refusal."""
        policy = routing_pb2.RoutingPolicy(allowed_models=MODELS, fall_back=True)
        asked = spec("Hello", requested_model=MODELS[0], routing=policy)
        if not self.stream:
            reply = await self.stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked), timeout=30)
            summary = reply.summary
        else:
            stream = self.stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=asked), timeout=30)
            summary = [event async for event in stream][-1].summary
        assert summary.outcome == completion_pb2.OUTCOME_COMPLETE
        return summary.selected_model

    def down(self, *names: str) -> None:
        for name in names:
            self.fake.script(name, DOWN)

    def came(self, name: str) -> list[float]:
        """Lists when calls of a model came."""
        return self.fake.times[name]

    async def open_breakers(self) -> None:
        """Calls, one after the other, until providers that are down are left alone."""
        for _ in range(2):
            await asyncio.gather(self.call(), return_exceptions=True)

    async def under_load(self, until: Callable[[], bool], call: Callable[[], Awaitable[object]] | None = None) -> None:
        """Has many callers call again and again, until something is so."""

        async def caller() -> None:
            while not until():
                await (call or self.call)()

        async with asyncio.timeout(BACK_SECONDS):
            await asyncio.gather(*(caller() for _ in range(CALLERS)))

    async def refused(self) -> Told:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.call()
        return told(raised.value)


@asynccontextmanager
async def ground(folder: Path, *, stream: bool, open_seconds: float = OPEN_SECONDS) -> AsyncGenerator[Ground, None]:
    async with (
        fake_provider() as fake,
        running_server(settings(folder, fake.url, open_seconds)) as server,
        grpc.aio.insecure_channel(server.data.addresses[0]) as channel,
    ):
        yield Ground(fake, muxer_service_pb2_grpc.MuxerServiceStub(channel), stream)


def are_apart(times: Sequence[float]) -> bool:
    """Tells whether no attempt came sooner after another than a breaker stays open."""
    return all(after - before >= OPEN_SECONDS - RESOLUTION for before, after in pairwise(times))


@METHODS
async def test_of_many_callers_one_attempt_per_interval_reaches_a_provider_that_is_down_and_all_go_back_to_it(
    tmp_path: Path, stream: bool
) -> None:
    async with ground(tmp_path, stream=stream) as there:
        there.down("first")
        await there.open_breakers()
        opened = len(there.came("first"))
        await there.under_load(lambda: len(there.came("first")) >= opened + 4)
        assert are_apart(there.came("first")[opened:])
        there.fake.script("first", WELL)
        answers: list[str] = []

        async def answered() -> None:
            answers.append(await there.call())

        await there.under_load(lambda: answers[-CALLERS:] == [MODELS[0]] * CALLERS, answered)
        # Once it is back, it stays.
        assert set(answers[answers.index(MODELS[0]) + CALLERS :]) == {MODELS[0]}


@METHODS
async def test_callers_whose_calls_fail_together_do_not_try_again_once_the_breaker_is_open(
    tmp_path: Path, stream: bool
) -> None:
    async with ground(tmp_path, stream=stream, open_seconds=60.0) as there:
        there.fake.script("first", Play(error="overloaded", delay=0.2))
        assert set(await asyncio.gather(*(there.call() for _ in range(CALLERS)))) == {MODELS[1]}
        # The breaker opens at the third failure: two callers may have made another attempt by then, and no more.
        assert len(there.came("first")) <= CALLERS + 2


@METHODS
async def test_callers_who_are_all_told_to_wait_do_not_come_back_all_at_once(tmp_path: Path, stream: bool) -> None:
    asking = Play(error="rate_limit", headers=(("retry-after", "1"),), delay=0.2)
    async with ground(tmp_path, stream=stream) as there:
        there.fake.script("first", *([asking] * CALLERS), Play(delay=0.2))
        answers = await asyncio.gather(*(there.call() for _ in range(CALLERS)))
    assert answers.count(MODELS[0]) <= 1
    # Who comes when the first is told already goes elsewhere at once.
    assert len(there.came("first")) <= CALLERS + answers.count(MODELS[0])


@METHODS
async def test_two_providers_down_at_once_are_each_left_alone_and_the_third_answers(
    tmp_path: Path, stream: bool
) -> None:
    async with ground(tmp_path, stream=stream) as there:
        there.down("first", "second")
        await there.open_breakers()
        opened = {name: len(there.came(name)) for name in NAMES[:2]}
        answers: list[str] = []

        async def answered() -> None:
            answers.append(await there.call())

        await there.under_load(lambda: all(len(there.came(n)) >= opened[n] + 3 for n in opened), answered)
        assert all(are_apart(there.came(name)[opened[name] :]) for name in opened)
        assert set(answers) == {MODELS[2]}


@METHODS
async def test_with_all_down_each_caller_is_told_so_at_once_and_when_to_come_again(
    tmp_path: Path, stream: bool
) -> None:
    async with ground(tmp_path, stream=stream) as there:
        there.down(*NAMES)
        for _ in range(3):
            await there.refused()
        opened = {name: len(there.came(name)) for name in NAMES}
        refusals: list[Told] = []

        async def refused() -> None:
            refusals.append(await there.refused())

        await there.under_load(lambda: all(len(there.came(n)) >= opened[n] + 2 for n in opened), refused)
    assert all(are_apart(there.came(name)[opened[name] :]) for name in NAMES)
    assert {(each.code, each.reason) for each in refusals} == {(grpc.StatusCode.UNAVAILABLE, "NO_PROVIDER_AVAILABLE")}
    for each in refusals:
        retry = each.details["RetryInfo"]
        assert isinstance(retry, error_details_pb2.RetryInfo)
        # Where a probe is under way just then, as long as is usual.
        assert 0 < retry.retry_delay.ToNanoseconds() <= 10**9


@METHODS
async def test_a_provider_that_comes_and_goes_is_not_hammered_while_it_is_away(tmp_path: Path, stream: bool) -> None:
    """It fails four calls, answers one, and so on: whenever it fails, it is left alone after three at the most."""
    cycle = [DOWN, DOWN, DOWN, DOWN, WELL]
    async with ground(tmp_path, stream=stream) as there:
        there.fake.script("first", *(cycle * 5), WELL)
        answers: list[str] = []

        async def answered() -> None:
            answers.append(await there.call())

        await there.under_load(lambda: len(there.came("first")) > 5 * len(cycle), answered)
        assert set(answers) <= {MODELS[0], MODELS[1]}
        assert len(answers) > len(there.came("first"))
