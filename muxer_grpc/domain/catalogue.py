"""The models that can be chosen, as data."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.money import FREE, Price
from muxer_grpc.domain.tasks import Capability, Intent
from muxer_grpc.domain.tokens import Tokenizer, tokenizer_of


class Feature(Named):
    """Names what a model can do beyond answering text with text."""

    VISION = "vision"
    TOOLS = "tools"
    JSON = "json"
    JSON_SCHEMA = "json_schema"
    REASONING = "reasoning"
    # Continues an answer that the conversation ends with.
    PREFILL = "prefill"


class Tier(Named):
    """Names the price and strength class of a model."""

    ECONOMY = "economy"
    BALANCED = "balanced"
    PREMIUM = "premium"


# What is taken for a model that nobody rated.
TIER_QUALITY = {Tier.ECONOMY: 0.35, Tier.BALANCED: 0.6, Tier.PREMIUM: 0.85}
UNRATED = -1.0


@dataclass(frozen=True, slots=True)
class Model:
    """An entry of the catalogue.

    `name` is `provider/vendor_model`. `context_window` bounds input and output together, `max_output_tokens` the
    output, both in tokens. `price` is None where no price is known; such a model is never chosen. `quality` is the
    quality of its answers, 0 to 1, on ordinary prompts, that of its tier where it is not rated; `intent_quality` and
    `capability_quality` say where it is better or worse, and `quality_source` where the figures come from. A disabled
    model is never chosen.
    """

    name: str
    provider: str
    vendor_model: str
    tier: Tier
    context_window: int
    max_output_tokens: int
    features: frozenset[Feature] = frozenset()
    regions: tuple[str, ...] = ()
    price: Price | None = None
    quality: float = UNRATED
    simulated: bool = False
    retired: bool = False
    disabled: bool = False
    intent_quality: Mapping[Intent, float] = field(default_factory=dict, hash=False)
    capability_quality: Mapping[Capability, float] = field(default_factory=dict, hash=False)
    quality_source: str = ""

    def __post_init__(self) -> None:
        """Rates an unrated model by its tier."""
        if self.quality == UNRATED:
            object.__setattr__(self, "quality", TIER_QUALITY[self.tier])

    @property
    def free(self) -> bool:
        """Is true when the model is known to cost nothing."""
        return self.price == FREE


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """A vendor connection: whether it can be called, and which vendor options callers may pass through to it."""

    name: str
    configured: bool
    detail: str = ""
    vendor_options: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Catalogue:
    """An immutable set of providers and models; the models of unconfigured providers are known but not available.

    `version` names the contents; `price_book_version` names the prices.
    """

    models: Mapping[str, Model]
    providers: Mapping[str, ProviderEntry]
    version: str
    price_book_version: str

    @classmethod
    def of(
        cls, models: Iterable[Model], providers: Iterable[ProviderEntry], *, version: str, price_book_version: str
    ) -> Catalogue:
        """Builds a catalogue. Raises ValueError on a duplicate name or a model of an unknown provider."""
        by_name: dict[str, Model] = {}
        entries = {entry.name: entry for entry in providers}
        for model in models:
            if model.name in by_name:
                msg = f"model {model.name} is described twice"
                raise ValueError(msg)
            if model.provider not in entries:
                msg = f"model {model.name} names the unknown provider {model.provider}"
                raise ValueError(msg)
            by_name[model.name] = model
        return cls(
            models=MappingProxyType(dict(sorted(by_name.items()))),
            providers=MappingProxyType(dict(sorted(entries.items()))),
            version=version,
            price_book_version=price_book_version,
        )

    def with_prices(self, prices: Mapping[str, Price], version: str) -> Catalogue:
        """Gives the catalogue with other prices; a model that is not among them has none."""
        if version == self.price_book_version:
            return self
        models = {name: replace(model, price=prices.get(name)) for name, model in self.models.items()}
        return replace(self, models=MappingProxyType(models), price_book_version=version)

    @cached_property
    def available(self) -> tuple[Model, ...]:
        """Lists the models whose provider is configured, by name."""
        return tuple(model for model in self.models.values() if self.providers[model.provider].configured)

    @cached_property
    def has_real_models(self) -> bool:
        """Tells whether any available model is not simulated."""
        return any(not model.simulated for model in self.available)

    @cached_property
    def has_retired_models(self) -> bool:
        """Tells whether any available model is retired."""
        return any(model.retired for model in self.available)

    @cached_property
    def tokenizers(self) -> Mapping[str, Tokenizer]:
        """Maps the models' names to the tokenizers by which their vendors count."""
        return {model.name: tokenizer_of(model.provider, model.vendor_model) for model in self.models.values()}

    @cached_property
    def distinct_tokenizers(self) -> tuple[Tokenizer, ...]:
        """Lists the tokenizers of all models once each, by name."""
        by_name = {tokenizer.name: tokenizer for tokenizer in self.tokenizers.values()}
        return tuple(by_name[name] for name in sorted(by_name))

    @cached_property
    def has_disabled_models(self) -> bool:
        """Tells whether any available model is disabled."""
        return any(model.disabled for model in self.available)

    @cached_property
    def smallest_window(self) -> int:
        """Gives the smallest context window of an available model, in tokens; 0 where none is available."""
        return min((model.context_window for model in self.available), default=0)

    @cached_property
    def all_priced(self) -> bool:
        """Tells whether every available model has a price or is free."""
        return all(model.price is not None for model in self.available)

    @cached_property
    def _short_names(self) -> Mapping[str, str | None]:
        """Maps bare vendor names to full names; None where several providers have the model."""
        full_names: dict[str, str | None] = {}
        for model in self.models.values():
            full_names[model.vendor_model] = model.name if model.vendor_model not in full_names else None
        return full_names

    def resolve(self, name: str) -> Model | None:
        """Finds a model by its full name or, where only one provider has it, by its bare name."""
        full_name = name if name in self.models else self._short_names.get(name)
        return None if full_name is None else self.models[full_name]

    def nearest(self, name: str) -> str:
        """Gives the full name that looks most like an unknown one, or nothing."""
        owners = [model.name for model in self.models.values() if model.vendor_model == name]
        if owners:
            return " or ".join(owners)
        known = {**{model.vendor_model: model.name for model in self.models.values()}, **{n: n for n in self.models}}
        close = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6)
        return known[close[0]] if close else ""


def fleet_version(models: Iterable[Model], providers: Iterable[ProviderEntry]) -> str:
    """Names what choices rest on, prices aside: a hash of it, so that equal contents are equal everywhere.

    Where a model's ratings come from is only told, and does not count.
    """
    facts = sorted((_plain_model(model) for model in models), key=lambda fact: str(fact[0]))
    return version_of("fleet", facts, sorted(entry.name for entry in providers if entry.configured))


def version_of(kind: str, *facts: object) -> str:
    """Names facts by a hash of how they are written; whoever gives them puts them in a fixed order."""
    return f"{kind}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}"


def _plain_model(model: Model) -> tuple[object, ...]:
    """Lists a model's facts in a fixed order; sets and mappings have none."""
    return (
        model.name,
        model.vendor_model,
        model.tier.value,
        model.context_window,
        model.max_output_tokens,
        sorted(feature.value for feature in model.features),
        model.regions,
        model.simulated,
        model.retired,
        model.disabled,
        float(model.quality),
        sorted((intent.value, float(quality)) for intent, quality in model.intent_quality.items()),
        sorted((capability.value, float(quality)) for capability, quality in model.capability_quality.items()),
    )
