"""What a tenant would save: by a cheaper model of equal quality, by caching repeats, by reserving less.

All of it is estimated from what the ledger tells of the past; nothing here changes what is chosen. Money is in
nano-USD.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from muxer_grpc.domain.catalogue import Catalogue, Model
from muxer_grpc.domain.money import Price, Usage, cost_of
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.domain.tenancy import NO_POLICY, TenantPolicy

# So much lower may a quality be and still count as equal: ratings are no finer.
QUALITY_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class ModelSpending:
    """What a tenant spent on one model for one kind of task.

    `requested` counts the completions whose callers asked for the model by its name. `most_input_tokens` and
    `most_output_tokens` are of the longest attempt.
    """

    tenant_id: str
    intent: str
    model: str
    usage: Usage
    cost_nano_usd: int
    reserved_nano_usd: int
    attempts: int
    requested: int = 0
    most_input_tokens: int = 0
    most_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class RepeatSpending:
    """What a tenant spent on requests that came before, whole and alike.

    Of `known` of the tenant's `completions` it is known what was asked (by a digest, never by the text): `repeats` of
    them asked what an earlier one had asked, and cost `cost_nano_usd`, the dearest of each kind left out.
    """

    tenant_id: str
    completions: int
    known: int
    repeats: int
    cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class SpendingReport:
    """What savings are estimated from, of some time; `policies` are the tenants' own."""

    by_model: Sequence[ModelSpending]
    repeats: Sequence[RepeatSpending]
    policies: Mapping[str, TenantPolicy]


class Spendings(Protocol):
    """Sums what savings are estimated from."""

    async def spending(self, tenant_id: str | None, since_us: int | None, until_us: int | None) -> SpendingReport:
        """Reads what was spent, of one tenant or all. Raises StorageUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class CheaperModel:
    """The same usage on another model, whose quality at such tasks is rated no lower."""

    spending: ModelSpending
    model: str
    cost_nano_usd: int
    quality: float
    present_quality: float

    @property
    def saved_nano_usd(self) -> int:
        """Gives the difference."""
        return self.spending.cost_nano_usd - self.cost_nano_usd


@dataclass(frozen=True, slots=True)
class UnusedReservation:
    """What calls of a model reserved and did not use: it costs nothing, and budgets have no room for others meanwhile.

    A bound of `longest_answer_tokens` would have cut no answer.
    """

    model: str
    reserved_nano_usd: int
    spent_nano_usd: int
    longest_answer_tokens: int

    @property
    def unused_nano_usd(self) -> int:
        """Gives the difference, at least 0."""
        return max(0, self.reserved_nano_usd - self.spent_nano_usd)


@dataclass(frozen=True, slots=True)
class TenantSavings:
    """What one tenant would save; each list holds what matters most first."""

    tenant_id: str
    spent_nano_usd: int
    cheaper_models: tuple[CheaperModel, ...]
    repeats: RepeatSpending
    unused: tuple[UnusedReservation, ...]


def savings(
    report: SpendingReport, catalogue: Catalogue, tolerance: float = QUALITY_TOLERANCE
) -> tuple[TenantSavings, ...]:
    """Estimates what each tenant would save, those that would save most first.

    A cheaper model must be one that can be chosen now, that the tenant's policy allows, whose rating for the kind of
    task is at least that of the model that was used less `tolerance`, that has all its features, and that takes the
    longest of the requests. The same tokens are priced at its price: another tokenizer may count them differently, and
    where prices have tiers, the mean length of the input decides.
    """
    found = []
    for tenant_id in sorted({row.tenant_id for row in report.by_model}):
        rows = [row for row in report.by_model if row.tenant_id == tenant_id]
        policy = report.policies.get(tenant_id, NO_POLICY)
        allowed = [model for model in catalogue.available if may_use(model, policy)]
        repeats = next((each for each in report.repeats if each.tenant_id == tenant_id), None)
        cheaper = [better for row in rows if (better := _cheaper(row, catalogue, allowed, tolerance)) is not None]
        found.append(
            TenantSavings(
                tenant_id,
                sum(row.cost_nano_usd for row in rows),
                tuple(sorted(cheaper, key=lambda each: (-each.saved_nano_usd, each.spending.model, each.model))),
                repeats or RepeatSpending(tenant_id, 0, 0, 0, 0),
                _unused(rows),
            )
        )
    return tuple(sorted(found, key=lambda each: (-_saved(each), each.tenant_id)))


def may_use(model: Model, policy: TenantPolicy) -> bool:
    """Tells whether a model can be recommended to a tenant."""
    if model.price is None or model.simulated or model.retired or model.disabled:
        return False
    if model.name in policy.denied_models or model.provider in policy.denied_providers:
        return False
    if policy.allowed_regions and not policy.allowed_regions & set(model.regions):
        return False
    return (not policy.allowed_models or model.name in policy.allowed_models) and (
        not policy.allowed_providers or model.provider in policy.allowed_providers
    )


def _cheaper(
    row: ModelSpending, catalogue: Catalogue, allowed: Iterable[Model], tolerance: float
) -> CheaperModel | None:
    present = catalogue.models.get(row.model)
    intent = next((each for each in Intent if each.value == row.intent), None)
    if present is None or intent is None or not row.attempts:
        return None
    quality = _quality(present, intent)
    fitting = [
        (_cost(row, model.price), -_quality(model, intent), model.name)
        for model in allowed
        if model.price is not None
        and model.name != row.model
        and _quality(model, intent) >= quality - tolerance
        and model.features >= present.features
        and model.context_window >= row.most_input_tokens + row.most_output_tokens
        and model.max_output_tokens >= row.most_output_tokens
    ]
    if not fitting:
        return None
    cost, its_quality, name = min(fitting)
    return CheaperModel(row, name, cost, -its_quality, quality) if cost < row.cost_nano_usd else None


def _quality(model: Model, intent: Intent) -> float:
    return model.intent_quality.get(intent, model.quality)


def _cost(row: ModelSpending, price: Price) -> int:
    mean = row.usage.all_input_tokens // row.attempts
    return cost_of(row.usage, price.at(mean).with_tiers(())).total_nano


def _unused(rows: Sequence[ModelSpending]) -> tuple[UnusedReservation, ...]:
    found = []
    for name in sorted({row.model for row in rows}):
        own = [row for row in rows if row.model == name]
        unused = UnusedReservation(
            name,
            sum(row.reserved_nano_usd for row in own),
            sum(row.cost_nano_usd for row in own),
            max(row.most_output_tokens for row in own),
        )
        if unused.unused_nano_usd:
            found.append(unused)
    return tuple(sorted(found, key=lambda each: (-each.unused_nano_usd, each.model)))


def _saved(tenant: TenantSavings) -> int:
    return sum(each.saved_nano_usd for each in tenant.cheaper_models) + tenant.repeats.cost_nano_usd
