"""Probes providers in the background, so that one that comes or goes is noticed without a caller's request.

A probe asks for a list of models, which costs nothing. What it says of a provider's health, and what not, is written
beside Health.probed().
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.ports import ProbeResult, Provider
from muxer_grpc.domain.resilience.health import Health

_log = logging.getLogger(__name__)

# No list of models takes longer.
LONGEST_PROBE_SECONDS = 10.0
# Of the interval, so that replicas and providers do not meet.
LEAST_WAIT, SPREAD = 0.75, 0.5


class ProbeOutcome(NamedTuple):
    """What a probe came to: its end in seconds since the epoch, and how long it took; no class: it went well."""

    at: float
    latency_seconds: float
    failure_class: FailureClass | None


# Is told of each probe that went well, as models may have been found.
Found = Callable[[str, ProbeResult], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ProbeClocks:
    """What probes are timed by: `jitter` gives random numbers from 0 to 1, `now` the seconds since the epoch."""

    jitter: Callable[[], float] = lambda: 0.5
    now: Callable[[], float] = time.time


class Probes:
    """Probes each provider again and again, one probe of it at a time, and tells Health."""

    def __init__(
        self,
        targets: Mapping[str, Provider],
        health: Health,
        found: Found | None = None,
        clocks: ProbeClocks | None = None,
    ) -> None:
        self._targets = targets
        self._health = health
        self._found = found
        self._clocks = clocks or ProbeClocks()
        self._seconds = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._outcomes: dict[str, ProbeOutcome] = {}
        self._due: dict[str, float] = {}

    def outcome(self, provider: str) -> ProbeOutcome | None:
        """Tells what the last probe of a provider came to; None before the first."""
        return self._outcomes.get(provider)

    def due_at(self, provider: str) -> float | None:
        """Tells when the next probe is due, in seconds since the epoch; None where none is."""
        return self._due.get(provider)

    def follow(self, seconds: float) -> None:
        """Probes each provider about every so many seconds from now on; 0: not at all, and no task runs."""
        if seconds == self._seconds:
            return
        self._seconds = seconds
        self._stop()
        if seconds > 0:
            self._tasks = [asyncio.create_task(self._run(name)) for name in self._targets]

    async def aclose(self) -> None:
        """Ends all probing."""
        tasks = list(self._tasks)
        self._stop()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def probe(self, name: str) -> None:
        """Probes a provider now, unless it has answered a call within the interval, or an operator has disabled it."""
        health = self._health
        loop = asyncio.get_running_loop()
        answered = health.last_answer_at(name)
        if health.is_disabled(name) or (answered is not None and loop.time() - answered < self._seconds):
            return
        result = await self._ask(self._targets[name])
        failure_class = None if result.ok else result.failure_class or FailureClass.PROTOCOL
        before = self._outcomes.get(name)
        outcome = self._outcomes[name] = ProbeOutcome(self._clocks.now(), result.latency_seconds, failure_class)
        if before is not None and before.failure_class is not failure_class:
            told = "it answers" if failure_class is None else f"class={failure_class.value}"
            _log.info("probe of provider=%s: %s, after %.3f s", name, told, outcome.latency_seconds)
        health.probed(name, failure_class, loop.time())
        if result.ok and self._found is not None:
            await self._found(name, result)

    async def _ask(self, provider: Provider) -> ProbeResult:
        """Probes within a bounded time; a provider that takes longer has failed."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(min(LONGEST_PROBE_SECONDS, self._seconds or LONGEST_PROBE_SECONDS)):
                return await provider.probe()
        except TimeoutError:
            return ProbeResult(False, time.perf_counter() - began, failure_class=FailureClass.TIMEOUT)

    async def _run(self, name: str) -> None:
        while True:
            wait = self._seconds * (LEAST_WAIT + SPREAD * self._clocks.jitter())
            self._due[name] = self._clocks.now() + wait
            await asyncio.sleep(wait)
            try:
                await self.probe(name)
            except Exception:
                _log.exception("a probe of provider=%s met a defect", name)

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._due.clear()
