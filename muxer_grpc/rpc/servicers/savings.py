"""SavingsService: what tenants would save by which change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from muxer.v1 import savings_service_pb2 as pb

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.savings import (
    QUALITY_TOLERANCE,
    CheaperModel,
    Spendings,
    TenantSavings,
    UnusedReservation,
    savings,
)
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.ledger_fields import intent_number
from muxer_grpc.rpc.listings import read_tenant_span
from muxer_grpc.rpc.tenant_access import tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.SavingsService"


class SavingsServicer:
    """Serves the admin listener. `catalogue` gives the one in force."""

    def __init__(self, spendings: Spendings, catalogue: Callable[[], Catalogue]) -> None:
        self._spendings = spendings
        self._catalogue = catalogue

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {"GetSavings": calls.unary(pb.GetSavingsRequest, self.get_savings)}

    async def get_savings(self, request: pb.GetSavingsRequest, limit: TimeLimit) -> pb.GetSavingsResponse:
        """Estimates savings from what the ledger tells of the past."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        since_us, until_us = read_tenant_span(request, tenant_id, violations)
        tolerance = request.quality_tolerance if request.HasField("quality_tolerance") else QUALITY_TOLERANCE
        violations.check(0 <= tolerance <= 1, "quality_tolerance", "range", "give 0 to 1")
        violations.raise_if_any()
        report = await limit.wait(lambda: self._spendings.spending(tenant_id, since_us, until_us))
        return pb.GetSavingsResponse(tenants=[_tenant(each) for each in savings(report, self._catalogue(), tolerance)])


def _tenant(saved: TenantSavings) -> pb.TenantSavings:
    repeats = saved.repeats
    return pb.TenantSavings(
        tenant_id=saved.tenant_id,
        spent_nano_usd=saved.spent_nano_usd,
        cheaper_models=[_cheaper(each) for each in saved.cheaper_models],
        cached_repeats=pb.CachedRepeats(
            completions=repeats.completions,
            known_completions=repeats.known,
            repeats=repeats.repeats,
            saved_nano_usd=repeats.cost_nano_usd,
        ),
        unused_reservations=[_unused(each) for each in saved.unused],
    )


def _cheaper(cheaper: CheaperModel) -> pb.CheaperModel:
    spending = cheaper.spending
    return pb.CheaperModel(
        intent=intent_number(spending.intent),  # type: ignore[arg-type]
        present_model=spending.model,
        model=cheaper.model,
        present_cost_nano_usd=spending.cost_nano_usd,
        cost_nano_usd=cheaper.cost_nano_usd,
        saved_nano_usd=cheaper.saved_nano_usd,
        present_quality=cheaper.present_quality,
        quality=cheaper.quality,
        attempts=spending.attempts,
        requested_completions=spending.requested,
    )


def _unused(unused: UnusedReservation) -> pb.UnusedReservation:
    return pb.UnusedReservation(
        model=unused.model,
        reserved_nano_usd=unused.reserved_nano_usd,
        spent_nano_usd=unused.spent_nano_usd,
        unused_nano_usd=unused.unused_nano_usd,
        unused_share=unused.unused_nano_usd / unused.reserved_nano_usd,
        longest_answer_tokens=unused.longest_answer_tokens,
    )
