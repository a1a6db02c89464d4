"""Background probes: when a provider is asked, for how long, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.ports import ProbeResult
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.pipeline.probing import ProbeClocks, Probes
from tests.unit.domain.fleet_of import model_named

GOOD = ProbeResult(True, 0.1, ("one", "two"))
BAD = ProbeResult(False, 0.1, failure_class=FailureClass.TRANSIENT)
SOON, NEVER = 0.001, 3_600.0


@dataclass
class Probed:
    """A provider that is only probed; `gate`, where there is one, holds each probe up."""

    results: list[ProbeResult] = field(default_factory=lambda: [GOOD])
    gate: asyncio.Event | None = None
    probes: int = 0
    under_way: int = 0
    most_under_way: int = 0

    def stream(self, _request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        raise AssertionError

    async def probe(self) -> ProbeResult:
        self.probes += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.gate is not None:
                await self.gate.wait()
            return self.results.pop(0) if len(self.results) > 1 else self.results[0]
        finally:
            self.under_way -= 1

    async def aclose(self) -> None:
        """Holds nothing open."""


@asynccontextmanager
async def probing(health: Health, seconds: float, **targets: Probed) -> AsyncGenerator[Probes, None]:
    probes = Probes(targets, health, clocks=ProbeClocks(now=lambda: 1_000.0))
    probes.follow(seconds)
    try:
        yield probes
    finally:
        await probes.aclose()


async def until_probed(provider: Probed, times: int) -> None:
    while provider.probes < times:
        await asyncio.sleep(0)


async def test_each_provider_is_probed_again_and_again() -> None:
    one, other = Probed(), Probed()
    async with probing(Health(), SOON, one=one, other=other):
        await until_probed(one, 3)
        await until_probed(other, 3)


async def test_without_an_interval_no_task_runs() -> None:
    before = asyncio.all_tasks()
    async with probing(Health(), 0.0, one=Probed()) as probes:
        assert asyncio.all_tasks() == before
        assert probes.due_at("one") is None


async def test_the_interval_changes_at_run_time_and_0_ends_all_probing() -> None:
    one = Probed()
    before = asyncio.all_tasks()
    async with probing(Health(), NEVER, one=one) as probes:
        await asyncio.sleep(0)
        assert probes.due_at("one") == 1_000.0 + NEVER
        probes.follow(SOON)
        await until_probed(one, 2)
        probes.follow(0.0)
        while asyncio.all_tasks() != before:
            await asyncio.sleep(0)
        assert probes.due_at("one") is None


async def test_a_provider_is_asked_one_question_at_a_time() -> None:
    one = Probed(gate=asyncio.Event())
    async with probing(Health(), 0.05, one=one) as probes:
        await until_probed(one, 1)
        # The bound on a probe is the interval here, so that the next ones come after it.
        await until_probed(one, 3)
        assert one.most_under_way == 1
        outcome = probes.outcome("one")
        assert outcome is not None
        assert outcome.failure_class is FailureClass.TIMEOUT


async def test_probes_open_the_breaker_of_a_provider_that_is_gone_and_close_it_when_it_is_back() -> None:
    one = Probed([BAD, BAD, BAD, GOOD])
    health = Health()
    probes = Probes({"one": one}, health)
    for _ in range(3):
        await probes.probe("one")
    now = asyncio.get_running_loop().time()
    assert health.of_providers(["one"], now)[0].state is BreakerState.OPEN
    await probes.probe("one")
    assert health.of_providers(["one"], now)[0].state is BreakerState.CLOSED
    assert probes.outcome("one") is not None


async def test_a_provider_that_has_answered_a_call_within_the_interval_is_not_probed() -> None:
    one = Probed()
    health = Health()
    async with probing(health, NEVER, one=one) as probes:
        now = asyncio.get_running_loop().time()
        health.succeeded(model_named("one/model"), now)
        await probes.probe("one")
        assert one.probes == 0
        health.succeeded(model_named("one/model"), now - NEVER)
        await probes.probe("one")
        assert one.probes == 1


async def test_a_provider_that_an_operator_has_disabled_is_not_probed() -> None:
    one = Probed()
    health = Health()
    health.set_disabled(provider="one", disabled=True)
    await Probes({"one": one}, health).probe("one")
    assert one.probes == 0


async def test_what_a_good_probe_lists_is_told_and_what_a_bad_one_does_not_is_not() -> None:
    told: list[tuple[str, ProbeResult]] = []

    async def found(name: str, result: ProbeResult) -> None:
        told.append((name, result))

    probes = Probes({"one": Probed([BAD, GOOD])}, Health(), found)
    await probes.probe("one")
    assert told == []
    await probes.probe("one")
    assert told == [("one", GOOD)]


async def test_a_defect_in_a_probe_is_logged_and_does_not_end_probing(caplog: pytest.LogCaptureFixture) -> None:
    one = Probed()

    async def found(_name: str, _result: ProbeResult) -> None:
        raise LookupError

    probes = Probes({"one": one}, Health(), found)
    probes.follow(SOON)
    try:
        await until_probed(one, 3)
    finally:
        await probes.aclose()
    assert "a probe of provider=one met a defect" in caplog.text


async def test_probes_of_replicas_are_spread_by_half_of_the_interval() -> None:
    for chance, expected in ((0.0, 75.0), (1.0, 125.0)):
        probes = Probes({"one": Probed()}, Health(), clocks=ProbeClocks(lambda c=chance: c, lambda: 0.0))  # type: ignore[misc]
        probes.follow(100.0)
        await asyncio.sleep(0)
        assert probes.due_at("one") == expected
        await probes.aclose()
