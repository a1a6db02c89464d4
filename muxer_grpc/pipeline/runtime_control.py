"""Puts in force what changes while the service runs: settings, and breakers that operators open and close by hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from muxer_grpc.domain.overrides import RUNTIME, Override, OverrideKind, OverrideName
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.runtime import RuntimeSettings
from muxer_grpc.pipeline.failover import Resilience

_log = logging.getLogger(__name__)

DISABLED = "disabled"
RESETS = "resets"


class RuntimeControl:
    """Holds the settings in force: what is `configured`, and over it what an operator has set, wherever that was."""

    def __init__(self, configured: RuntimeSettings, fleet: Fleet, resilience: Resilience) -> None:
        self.configured = configured
        self.kept = Override(RUNTIME)
        self._overridden: Mapping[str, Any] = {}
        self._fleet = fleet
        self._resilience = resilience
        self.in_force = configured
        self._put_in_force(configured)

    @property
    def overridden(self) -> Mapping[str, Any]:
        """Gives what is set over the configuration, by path."""
        return self._overridden

    def reconfigure(self, configured: RuntimeSettings) -> None:
        """Takes another configuration; what is set over it stays."""
        self.configured = configured
        self._put_in_force(configured.overridden(self._overridden))

    def take_over(self, kept: Override) -> None:
        """Takes what is kept now. What this version cannot read is told in the log, and what was in force stays."""
        if kept.revision == self.kept.revision:
            return
        self.kept = kept
        try:
            settings = self.configured.overridden(kept.value)
        except (ValueError, TypeError) as error:
            _log.error("the runtime settings of revision %d are refused, those before stay: %s", kept.revision, error)
            return
        self._overridden = kept.value
        self._put_in_force(settings)
        _log.info("the runtime settings of revision %d are in force", kept.revision)

    def _put_in_force(self, settings: RuntimeSettings) -> None:
        self.in_force = settings
        self._fleet.steer(settings.default_strategy, settings.weights)
        resilience = self._resilience
        resilience.rules = settings.attempts
        resilience.retries.follow(settings.retry_share)
        resilience.hedges.follow(settings.hedge_share)
        resilience.health.follow(settings.breakers, enabled=settings.breakers_enabled)


class ManualBreakers:
    """Opens and closes breakers as operators have set them. What a process has seen of resets it does not repeat."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._kept: dict[OverrideName, Override] = {}

    def kept(self, name: OverrideName) -> Override:
        """Gives what is set of a model or a provider."""
        return self._kept.get(name) or Override(name)

    def take_over(self, kept: Override, *, first: bool) -> None:
        """Takes what is kept now of one; with `first`, this process has just begun and has nothing to reset."""
        before = self.kept(kept.name)
        if kept.revision == before.revision:
            return
        self._kept[kept.name] = kept
        target = {kept.name.kind.value: kept.name.name}
        disabled = bool(kept.value.get(DISABLED, False))
        if disabled is not bool(before.value.get(DISABLED, False)):
            self._health.set_disabled(**target, disabled=disabled)
            _log.warning("%s is %s by hand", kept.name.resource, "disabled" if disabled else "enabled")
        if kept.value.get(RESETS, 0) != before.value.get(RESETS, 0) and not first:
            self._health.reset(**target)
            _log.info("the breaker of %s was reset by hand", kept.name.resource)


class Orders:
    """Hands what is kept to whoever puts it in force."""

    def __init__(self, control: RuntimeControl, breakers: ManualBreakers) -> None:
        self._control = control
        self._breakers = breakers
        self._first = True

    def __call__(self, kept: Sequence[Override]) -> None:
        """Takes all that is kept now."""
        for each in kept:
            if each.name == RUNTIME:
                self._control.take_over(each)
            elif each.name.kind is not OverrideKind.SETTINGS:
                self._breakers.take_over(each, first=self._first)
        self._first = False
