"""Enums of the domain and of the contract, side by side; a test holds each table complete."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from muxer.v1 import (
    billing_pb2,
    budget_service_pb2,
    chat_pb2,
    completion_pb2,
    decision_service_pb2,
    errors_pb2,
    ledger_pb2,
    ledger_service_pb2,
    metrics_pb2,
    price_service_pb2,
    principals_pb2,
    routing_pb2,
    tenant_service_pb2,
    usage_service_pb2,
)

from muxer_grpc.domain import (
    buckets,
    budgeting,
    chat,
    completion,
    decision,
    errors,
    figure_slots,
    figures,
    ledger,
    ledger_check,
    price_book,
    reporting,
    tasks,
    tenancy,
)
from muxer_grpc.domain.catalogue import Feature, Tier
from muxer_grpc.domain.load import Priority
from muxer_grpc.domain.money import UsageSource
from muxer_grpc.domain.resilience.breaker import BreakerState
from muxer_grpc.domain.resilience.health_state import HealthState
from muxer_grpc.domain.routing import alternatives, policy, remedies

Member = TypeVar("Member", bound=Enum)


def _by_name(members: type[Member], wire_enum: object, prefix: str) -> dict[Member, int]:
    """Pairs the members of a domain enum with the wire values of the same name. Raises KeyError on a gap."""
    numbers = dict(wire_enum.items())  # type: ignore[attr-defined]
    return {member: numbers[f"{prefix}_{member.name}"] for member in members}


def _inverse(table: Mapping[Member, int]) -> dict[int, Member]:
    return {number: member for member, number in table.items()}


INTENTS = _by_name(tasks.Intent, routing_pb2.Intent, "INTENT")
CAPABILITIES = _by_name(tasks.Capability, routing_pb2.Capability, "CAPABILITY")
EXCLUSION_REASONS = _by_name(decision.ExclusionReason, routing_pb2.ExclusionReason, "EXCLUSION_REASON")
TIERS = _by_name(Tier, routing_pb2.ModelTier, "MODEL_TIER")
FEATURES = _by_name(Feature, routing_pb2.ModelFeature, "MODEL_FEATURE")
OUTCOMES = _by_name(completion.Outcome, completion_pb2.Outcome, "OUTCOME")
FINISH_REASONS = _by_name(completion.FinishReason, completion_pb2.FinishReason, "FINISH_REASON")
FAILURE_CLASSES = _by_name(errors.FailureClass, errors_pb2.FailureClass, "FAILURE_CLASS")
REASONS = _by_name(errors.Reason, errors_pb2.ErrorReason, "ERROR_REASON")
METRICS_SCOPES = _by_name(figures.FiguresScope, metrics_pb2.MetricsScope, "METRICS_SCOPE")
METRICS_WINDOWS = _by_name(figure_slots.FiguresWindow, metrics_pb2.MetricsWindow, "METRICS_WINDOW")
HEALTH_STATES = _by_name(HealthState, metrics_pb2.HealthState, "HEALTH_STATE")
DIMENSIONS = _by_name(figures.Dimension, metrics_pb2.MetricsDimension, "METRICS_DIMENSION")
USAGE_SOURCES = {
    UsageSource.NONE: billing_pb2.USAGE_SOURCE_UNSPECIFIED,
    UsageSource.PROVIDER: billing_pb2.USAGE_SOURCE_PROVIDER,
    UsageSource.COUNTED: billing_pb2.USAGE_SOURCE_COUNTED,
    UsageSource.ESTIMATED: billing_pb2.USAGE_SOURCE_ESTIMATED,
}
ROLES = _by_name(chat.Role, chat_pb2.Role, "ROLE")
PRINCIPAL_ROLES = _by_name(tenancy.Role, principals_pb2.PrincipalRole, "PRINCIPAL_ROLE")
STREAM_RECOVERIES = _by_name(policy.StreamRecovery, chat_pb2.StreamRecovery, "STREAM_RECOVERY")
CACHE_MODES = _by_name(policy.CacheMode, chat_pb2.CacheMode, "CACHE_MODE")
PRIORITIES = _by_name(Priority, chat_pb2.Priority, "PRIORITY")
BREAKER_STATES = _by_name(BreakerState, metrics_pb2.BreakerState, "BREAKER_STATE")
SAFETY_ACTIONS = _by_name(tenancy.SafetyAction, tenant_service_pb2.SafetyAction, "SAFETY_ACTION")
CONTENT_STORAGES = _by_name(tenancy.ContentStorage, tenant_service_pb2.ContentStorage, "CONTENT_STORAGE")
BUDGET_PERIODS = _by_name(budgeting.Period, budget_service_pb2.BudgetPeriod, "BUDGET_PERIOD")
PRICE_SOURCES = _by_name(price_book.PriceSource, price_service_pb2.PriceSource, "PRICE_SOURCE")
ENTRY_OUTCOMES = _by_name(ledger.EntryOutcome, ledger_pb2.EntryOutcome, "ENTRY_OUTCOME")
USAGE_DIMENSIONS = _by_name(reporting.UsageDimension, usage_service_pb2.UsageDimension, "USAGE_DIMENSION")
TIME_BUCKETS = _by_name(buckets.BucketSize, usage_service_pb2.TimeBucket, "TIME_BUCKET")
LEDGER_IMBALANCES = _by_name(ledger_check.Imbalance, ledger_service_pb2.LedgerImbalance, "LEDGER_IMBALANCE")
ALTERNATIVE_KINDS = _by_name(alternatives.AlternativeKind, decision_service_pb2.AlternativeKind, "ALTERNATIVE_KIND")
REMEDY_KINDS = _by_name(remedies.RemedyKind, decision_service_pb2.RemedyKind, "REMEDY_KIND")
PRICE_BOOK_KINDS = _by_name(price_book.BookKind, price_service_pb2.PriceBookKind, "PRICE_BOOK_KIND")

ROLE_OF = _inverse(ROLES)
PRINCIPAL_ROLE_OF = _inverse(PRINCIPAL_ROLES)
STREAM_RECOVERY_OF = {
    **_inverse(STREAM_RECOVERIES),
    chat_pb2.STREAM_RECOVERY_UNSPECIFIED: policy.StreamRecovery.RESTART,
}
CACHE_MODE_OF = {**_inverse(CACHE_MODES), chat_pb2.CACHE_MODE_UNSPECIFIED: policy.CacheMode.DEFAULT}
PRIORITY_OF = {**_inverse(PRIORITIES), chat_pb2.PRIORITY_UNSPECIFIED: Priority.NORMAL}
SAFETY_ACTION_OF = {
    **_inverse(SAFETY_ACTIONS),
    tenant_service_pb2.SAFETY_ACTION_UNSPECIFIED: tenancy.SafetyAction.ALLOW,
}
CONTENT_STORAGE_OF = {
    **_inverse(CONTENT_STORAGES),
    tenant_service_pb2.CONTENT_STORAGE_UNSPECIFIED: tenancy.ContentStorage.OFF,
}
BUDGET_PERIOD_OF = _inverse(BUDGET_PERIODS)
PRICE_BOOK_KIND_OF = {
    **_inverse(PRICE_BOOK_KINDS),
    price_service_pb2.PRICE_BOOK_KIND_UNSPECIFIED: price_book.BookKind.STORED,
}
INTENT_OF = _inverse(INTENTS)
ENTRY_OUTCOME_OF = _inverse(ENTRY_OUTCOMES)
USAGE_DIMENSION_OF = _inverse(USAGE_DIMENSIONS)
TIME_BUCKET_OF = _inverse(TIME_BUCKETS)
FEATURE_OF = _inverse(FEATURES)
CAPABILITY_OF = _inverse(CAPABILITIES)
EXCLUSION_REASON_OF = _inverse(EXCLUSION_REASONS)

DIMENSION_OF = _inverse(DIMENSIONS)
METRICS_SCOPE_OF = {
    **_inverse(METRICS_SCOPES),
    metrics_pb2.METRICS_SCOPE_UNSPECIFIED: figures.FiguresScope.PROCESS,
}
METRICS_WINDOW_OF = {
    **_inverse(METRICS_WINDOWS),
    metrics_pb2.METRICS_WINDOW_UNSPECIFIED: figure_slots.FiguresWindow.SINCE_START,
}
TOOL_CHOICE_MODE_OF = {
    **_inverse(_by_name(chat.ToolChoiceMode, chat_pb2.ToolChoiceMode, "TOOL_CHOICE_MODE")),
    chat_pb2.TOOL_CHOICE_MODE_UNSPECIFIED: chat.ToolChoiceMode.AUTO,
}
REASONING_EFFORT_OF = _inverse(_by_name(chat.ReasoningEffort, chat_pb2.ReasoningEffort, "REASONING_EFFORT"))
IMAGE_DETAIL_OF = {
    chat_pb2.IMAGE_DETAIL_UNSPECIFIED: chat.ImageDetail.AUTO,
    chat_pb2.IMAGE_DETAIL_LOW: chat.ImageDetail.LOW,
    chat_pb2.IMAGE_DETAIL_HIGH: chat.ImageDetail.HIGH,
}
