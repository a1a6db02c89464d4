"""Model profiles that are changed while the service runs: the changes, and the catalogue that comes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from types import MappingProxyType
from typing import Any, Protocol

from muxer_grpc.domain.catalogue import Catalogue, Model, Tier, fleet_version
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.price_book import PriceBook
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.tasks import Capability, Intent

OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What an operator has changed of a model; None: as it was. Empty qualities by intent or capability clear them.

    Qualities are 0 to 1. Raises ValueError on one outside of that.
    """

    disabled: bool | None = None
    tier: Tier | None = None
    quality: float | None = None
    intent_quality: Mapping[Intent, float] | None = None
    capability_quality: Mapping[Capability, float] | None = None

    def __post_init__(self) -> None:
        given = [] if self.quality is None else [("quality", self.quality)]
        by_task: tuple[Mapping[Any, float], ...] = (self.intent_quality or {}, self.capability_quality or {})
        given += [(task.value, quality) for each in by_task for task, quality in each.items()]
        for name, quality in given:
            if not is_quality(quality):
                msg = f"{name}: a quality is a number from 0 to 1, not {quality}"
                raise ValueError(msg)

    @property
    def given(self) -> dict[str, Any]:
        """Gives the fields that are changed, by the names that they have in a model."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def rates(self) -> bool:
        """Tells whether it changes a rating."""
        return not (self.quality is None and self.intent_quality is None and self.capability_quality is None)

    def followed_by(self, later: ProfileChange) -> ProfileChange:
        """Merges with a later change, which wins field by field."""
        return replace(self, **later.given)

    def of(self, model: Model) -> Model:
        """Gives a model as it is with the change; ratings that were changed come from the operator."""
        source = OPERATOR if self.rates else model.quality_source
        return replace(model, **self.given, quality_source=source)


Changes = Mapping[str, ProfileChange]


def is_quality(value: float) -> bool:
    """Tells whether a number can be a quality: finite, and 0 to 1."""
    return isfinite(value) and 0 <= value <= 1


class Profiles:
    """The changes by the models' full names, over a base catalogue that never changes itself."""

    def __init__(self, base: Catalogue, changes: Changes = MappingProxyType({})) -> None:
        self._base = base
        self._base_contents = _version_of(base)
        self._changes: dict[str, ProfileChange] = {}
        self._catalogue = base
        self.replace_all(changes)

    @property
    def catalogue(self) -> Catalogue:
        """Gives the catalogue as it is with all changes."""
        return self._catalogue

    @property
    def changes(self) -> Changes:
        """Gives the changes, those of models that the catalogue does not hold included."""
        return MappingProxyType(self._changes)

    def require(self, name: str) -> None:
        """Raises ResourceNotFound when no model of the catalogue has this full name."""
        if name not in self._base.models:
            raise ResourceNotFound("Model", name[:200])

    def apply(self, name: str, change: ProfileChange) -> Catalogue:
        """Adds a change to those of a model, and gives the new catalogue.

        Raises ResourceNotFound on an unknown full name.
        """
        self.require(name)
        return self.replace_all(with_change(self._changes, name, change))

    def replace_all(self, changes: Changes) -> Catalogue:
        """Puts changes in place of all present ones, and gives the new catalogue; unknown names wait for a model."""
        self._changes = dict(changes)
        changed = {name: change.of(self._base.models[name]) for name, change in changes.items() if self._knows(name)}
        models = {**self._base.models, **changed}
        contents = fleet_version(models.values(), self._base.providers.values())
        self._catalogue = replace(
            self._base,
            models=MappingProxyType(models),
            version=self._base.version if contents == self._base_contents else contents,
        )
        return self._catalogue

    def rebase(self, base: Catalogue) -> None:
        """Puts another catalogue below the changes, which stay. It has no prices of a book: reprice() comes next."""
        self._base = base
        self._base_contents = _version_of(base)

    def reprice(self, book: PriceBook) -> Catalogue:
        """Puts the prices of a book in place of all present ones, and gives the new catalogue."""
        self._base = book.applied_to(self._base)
        return self.replace_all(self._changes)

    def _knows(self, name: str) -> bool:
        return name in self._base.models


def with_change(changes: Changes, name: str, change: ProfileChange) -> Changes:
    """Gives changes with one more, merged with what the same model has."""
    return {**changes, name: changes.get(name, ProfileChange()).followed_by(change)}


def _version_of(catalogue: Catalogue) -> str:
    return fleet_version(catalogue.models.values(), catalogue.providers.values())


class ProfileStore(Protocol):
    """Keeps changes beyond the life of a process, and shares them with others."""

    async def merge(self, name: str, change: ProfileChange) -> Changes:
        """Adds a change to those kept by anyone, and gives them all. Raises OSError or ValueError when it cannot."""


class ProfileEditor:
    """Changes profiles and puts what comes of it in force; `refusal` says why changes are not taken here, if so."""

    def __init__(self, profiles: Profiles, fleet: Fleet, store: ProfileStore | None = None, refusal: str = "") -> None:
        self._profiles = profiles
        self._fleet = fleet
        self._store = store
        self.refusal = refusal

    async def change(self, name: str, change: ProfileChange) -> Model:
        """Changes a model: first where changes are kept, then here. Gives it as it is now.

        Raises ResourceNotFound on an unknown full name, and whatever the store raises; then nothing has changed here.
        """
        self._profiles.require(name)
        if self._store is None:
            self._fleet.replace(self._profiles.apply(name, change))
        else:
            self.take_over(await self._store.merge(name, change))
        return self._profiles.catalogue.models[name]

    def rebase(self, base: Catalogue) -> None:
        """Takes another catalogue, as models were found; it is in force with the reprice() that must come next."""
        self._profiles.rebase(base)

    def reprice(self, book: PriceBook) -> None:
        """Puts the prices of a book in force; a request that began keeps those that it began with."""
        self._fleet.replace(self._profiles.reprice(book))

    def take_over(self, changes: Changes) -> None:
        """Puts changes in force in place of all present ones; equal ones leave everything as it is."""
        if changes != self._profiles.changes:
            self._fleet.replace(self._profiles.replace_all(changes))
