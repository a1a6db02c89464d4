"""How models and providers do: their breakers, their figures and what probes of them came to, side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from muxer_grpc.domain.figures import Dimension, Figures, FiguresQuery
from muxer_grpc.domain.overrides import OverrideKind, OverrideName
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.resilience.health import Health, TargetHealth
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.tallies import Tally, percentile
from muxer_grpc.pipeline.probing import ProbeOutcome, Probes
from muxer_grpc.pipeline.runtime_control import ManualBreakers

WATCH_SECONDS = 0.25


class HealthSign(NamedTuple):
    """What is watched of a target: whoever watches is told when it changes."""

    name: OverrideName
    state: BreakerState
    consecutive_failures: int
    revision: int


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How a model or a provider does. Times are in seconds since the epoch, durations in seconds; None: not known.

    `success_share` and the latencies are those of its last completions; `model` is empty for a provider.
    """

    sign: HealthSign
    provider: str
    model: str
    next_attempt_at: float | None = None
    success_share: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    last_request_at: float | None = None
    probe: ProbeOutcome | None = None
    next_probe_at: float | None = None


class HealthChange(NamedTuple):
    """What whoever watches is told: all targets first, then those that changed, and the models that are gone."""

    reports: Sequence[HealthReport]
    gone: Sequence[str]
    snapshot: bool


@dataclass(slots=True)
class HealthReports:
    """Tells how models and providers do, providers first, each by name. `now` gives the seconds since the epoch."""

    fleet: Fleet
    health: Health
    figures: Figures
    breakers: ManualBreakers
    probes: Probes | None = None
    now: Callable[[], float] = time.time
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def knows(self, name: OverrideName) -> bool:
        """Tells whether there is such a model or provider."""
        catalogue = self.fleet.catalogue
        known = catalogue.models if name.kind is OverrideKind.MODEL else catalogue.providers
        return name.name in known

    def names(self, provider: str = "") -> list[OverrideName]:
        """Lists the targets, of all providers that can be called or of one."""
        catalogue = self.fleet.catalogue
        called = sorted(n for n, entry in catalogue.providers.items() if entry.configured and provider in ("", n))
        models = [m.name for m in catalogue.available if provider in ("", m.provider)]
        return [
            *(OverrideName(OverrideKind.PROVIDER, name) for name in called),
            *(OverrideName(OverrideKind.MODEL, name) for name in models),
        ]

    def of(self, names: Sequence[OverrideName]) -> list[HealthReport]:
        """Reports on targets."""
        tallies = self._tallies(names)
        return [
            self._report(name, *found, tallies.get(name) or Tally())
            for name, found in zip(names, self._found(names), strict=True)
        ]

    async def watch(self, provider: str, ends_at: float) -> AsyncGenerator[HealthChange, None]:
        """Yields all targets, and then what changes, until a time of the event loop's clock, or the process drains.

        It keeps what it told last and nothing else: whoever reads slowly misses what was in between.
        """
        told: dict[OverrideName, HealthSign] = {}
        loop = asyncio.get_running_loop()
        first = True
        while True:
            # Of the moment before the look: what changes while it is told of is for the next one.
            last = self.closed.is_set() or loop.time() >= ends_at
            names = self.names(provider)
            signs = {sign.name: sign for sign, _ in self._found(names)}
            changed = [name for name in names if told.get(name) != signs[name]]
            gone = [name.name for name in told.keys() - signs.keys() if name.kind is OverrideKind.MODEL]
            told = signs
            if first or changed or gone:
                yield HealthChange(self.of(changed), sorted(gone), first)
                first = False
            if last:
                return
            try:
                async with asyncio.timeout_at(min(loop.time() + WATCH_SECONDS, ends_at)):
                    await self.closed.wait()
            except TimeoutError:
                continue

    def _found(self, names: Sequence[OverrideName]) -> list[tuple[HealthSign, TargetHealth]]:
        at = asyncio.get_running_loop().time()
        found = []
        for name in names:
            listed = self.health.of_models if name.kind is OverrideKind.MODEL else self.health.of_providers
            told = listed([name.name], at)[0]
            sign = HealthSign(name, told.state, told.consecutive_failures, self.breakers.kept(name).revision)
            found.append((sign, told))
        return found

    def _report(self, name: OverrideName, sign: HealthSign, told: TargetHealth, tally: Tally) -> HealthReport:
        model = name.name if name.kind is OverrideKind.MODEL else ""
        provider = model.partition("/")[0] if model else name.name
        latencies = tally.latencies()
        telling = [sample.failed for sample in tally.samples if not sample.blameless]
        now = self.now()
        return HealthReport(
            sign,
            provider,
            model,
            next_attempt_at=now + told.retry_at - asyncio.get_running_loop().time()
            if sign.state is BreakerState.OPEN
            else None,
            success_share=1 - sum(telling) / len(telling) if telling else None,
            p50_seconds=percentile(latencies, 0.5) if latencies else None,
            p95_seconds=percentile(latencies, 0.95) if latencies else None,
            last_request_at=tally.last_at if tally.requests else None,
            probe=None if model or self.probes is None else self.probes.outcome(provider),
            next_probe_at=None if model or self.probes is None else self.probes.due_at(provider),
        )

    def _tallies(self, names: Sequence[OverrideName]) -> dict[OverrideName, Tally]:
        """Sums the figures of targets that were called, of all in one go: of many models, one by one takes long."""
        models = frozenset(name.name for name in names if name.kind is OverrideKind.MODEL)
        providers = frozenset(name.name for name in names if name.kind is OverrideKind.PROVIDER)
        found: dict[OverrideName, Tally] = {}
        # An empty set would keep all.
        if models:
            rows = self.figures.rows(FiguresQuery(models=models, group_by=(Dimension.MODEL,)))
            found |= {OverrideName(OverrideKind.MODEL, row.group[Dimension.MODEL]): row.tally for row in rows}
        if providers:
            rows = self.figures.rows(FiguresQuery(providers=providers, group_by=(Dimension.PROVIDER,)))
            found |= {OverrideName(OverrideKind.PROVIDER, row.group[Dimension.PROVIDER]): row.tally for row in rows}
        return found
