"""DecisionService: the history of routing decisions."""

from __future__ import annotations

from typing import Any

import grpc
from muxer.v1 import decision_service_pb2 as pb
from muxer.v1 import routing_pb2

from muxer_grpc.domain.reporting import DecisionFilter, DecisionHistory, DecisionRecord
from muxer_grpc.pipeline.time_limit import TimeLimit
from muxer_grpc.rpc.admin_fields import check_made_id, check_tenant_id, time_message
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.rpc.exploring import DecisionExplorer
from muxer_grpc.rpc.ledger_fields import MAX_NAME_CHARACTERS, check_subject, intent_number, read_intent
from muxer_grpc.rpc.listings import check_numbers, check_text, named, read_span
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.tenant_access import tenants_meant
from muxer_grpc.rpc.violations import Violations

SERVICE = "muxer.v1.DecisionService"


class DecisionServicer:
    """Serves the admin listener."""

    def __init__(self, history: DecisionHistory, explorer: DecisionExplorer) -> None:
        self._history = history
        self._explorer = explorer

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods by name."""
        return {
            "ListDecisions": calls.unary(pb.ListDecisionsRequest, self.list_decisions),
            "GetDecision": calls.unary(pb.GetDecisionRequest, self.get_decision),
            "ExplainDecision": calls.unary(pb.ExplainDecisionRequest, self.explain_decision),
            "ReplayDecisions": calls.unary(pb.ReplayDecisionsRequest, self._explorer.replay),
        }

    async def list_decisions(self, request: pb.ListDecisionsRequest, limit: TimeLimit) -> pb.ListDecisionsResponse:
        """Lists decisions, the latest first."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        check_subject(request.user_id, "", "", violations)
        for name in ("strategy", "selected_model"):
            check_text(getattr(request, name), name, MAX_NAME_CHARACTERS, violations)
        since = request.since if request.HasField("since") else None
        until = request.until if request.HasField("until") else None
        since_us, until_us = read_span(since, until, "", violations)
        wanted = DecisionFilter(
            tenant_id=tenant_id,
            user_id=request.user_id,
            strategy=request.strategy,
            intent=read_intent(request.intent, "intent", violations),
            selected_model=request.selected_model,
            dry_run=request.dry_run if request.HasField("dry_run") else None,
            since_us=since_us,
            until_us=until_us,
        )
        paging = Paging(request.page_size, request.page_token, named("decisions", wanted), violations, keys=2)
        check_numbers(paging, 1, violations)
        violations.raise_if_any()
        found = await limit.wait(lambda: self._history.page(wanted, paging.request))
        page, following = paging.cut(found, lambda record: (str(record.created_us), record.decision_id))
        return pb.ListDecisionsResponse(decisions=[_message(each) for each in page], next_page_token=following)

    async def get_decision(self, request: pb.GetDecisionRequest, limit: TimeLimit) -> pb.GetDecisionResponse:
        """Shows one decision whole."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        check_made_id(request.decision_id, "decision_id", violations)
        violations.raise_if_any()
        found = await limit.wait(lambda: self._history.get(tenant_id, request.decision_id))
        return pb.GetDecisionResponse(decision=_whole_message(found))

    async def explain_decision(
        self, request: pb.ExplainDecisionRequest, limit: TimeLimit
    ) -> pb.ExplainDecisionResponse:
        """Shows why a decision came out as it did, and what would have changed it."""
        tenant_id = tenants_meant(limit.principal, request.tenant_id)
        violations = Violations()
        if tenant_id is not None:
            check_tenant_id(tenant_id, "tenant_id", violations)
        decision_id, completion_id = request.decision_id, request.completion_id
        both = bool(decision_id and completion_id)
        violations.check(not both, "completion_id", "contradiction", "give decision_id or completion_id, not both")
        field = "completion_id" if completion_id else "decision_id"
        check_made_id(getattr(request, field), field, violations)
        violations.raise_if_any()
        if completion_id:
            decision_id = await self._explorer.decision_of(tenant_id, completion_id, limit)
        found = await limit.wait(lambda: self._history.get(tenant_id, decision_id))
        return await self._explorer.explain(_whole_message(found), limit)


def _whole_message(record: DecisionRecord) -> pb.DecisionRecord:
    message = _message(record)
    message.decision.CopyFrom(routing_pb2.RouteDecision.FromString(record.document))
    return message


def _message(record: DecisionRecord) -> pb.DecisionRecord:
    return pb.DecisionRecord(
        decision_id=record.decision_id,
        tenant_id=record.tenant_id,
        user_id=record.user_id,
        completion_id=record.completion_id,
        strategy=record.strategy,
        intent=intent_number(record.intent),  # type: ignore[arg-type]
        selected_model=record.selected_model,
        create_time=time_message(record.created_us),
        expire_time=time_message(record.expires_us),
    )
