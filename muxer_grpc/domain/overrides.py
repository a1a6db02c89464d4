"""What operators set while the service runs, over what is configured: kept where all replicas find it.

An override is a small document with a name, as {"disabled": true} of a model. It is never deleted: what sets nothing
is an empty document, so that its revision keeps growing. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.refusals import RevisionConflict

Document = Mapping[str, Any]


class OverrideKind(Named):
    """Names what an override is of."""

    MODEL = "model"
    PROVIDER = "provider"
    SETTINGS = "settings"


class OverrideName(NamedTuple):
    """Names an override: of a model or a provider by its full name, or of settings."""

    kind: OverrideKind
    name: str

    @property
    def resource(self) -> str:
        """Names it in the audit log."""
        return self.name if self.kind is OverrideKind.SETTINGS else f"{self.kind.value}s/{self.name}"


# What ControlService changes.
RUNTIME = OverrideName(OverrideKind.SETTINGS, "runtime")


@dataclass(frozen=True, slots=True)
class Override:
    """An override as it is kept. Revision 0: there is none yet."""

    name: OverrideName
    value: Document = field(default_factory=dict)
    revision: int = 0
    updated_us: int = 0
    updated_by: str = ""


class Overrides(Protocol):
    """Keeps overrides."""

    async def all(self) -> Sequence[Override]:
        """Lists them all. Raises StorageUnavailable."""
        ...

    async def change(
        self, name: OverrideName, revision: int, change: Callable[[Document], Document], actor: Actor, *, action: str
    ) -> Override:
        """Puts what `change` makes of one in its place, and says so in the audit log; equal ones stay as they are.

        A revision of 0 builds on any. Raises RevisionConflict, StorageUnavailable, and what `change` raises.
        """
        ...


class OverridesInMemory:
    """Keeps overrides for this process alone, where there is no database: nothing is audited."""

    def __init__(self) -> None:
        self._kept: dict[OverrideName, Override] = {}

    async def all(self) -> Sequence[Override]:
        """Lists them all."""
        return list(self._kept.values())

    async def change(
        self, name: OverrideName, revision: int, change: Callable[[Document], Document], actor: Actor, *, action: str
    ) -> Override:
        """Puts what `change` makes of one in its place. Raises RevisionConflict, and what `change` raises."""
        del action
        before = self._kept.get(name) or Override(name)
        if revision not in (0, before.revision):
            raise RevisionConflict("Override", name.resource, before.revision)
        value = change(before.value)
        if value == before.value:
            return before
        made = self._kept[name] = Override(name, value, before.revision + 1, actor.at_us, actor.name)
        return made
