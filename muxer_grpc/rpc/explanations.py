"""Explanations of decisions, written to the wire."""

from __future__ import annotations

from collections.abc import Iterator

from muxer.v1 import decision_service_pb2 as pb
from muxer.v1 import routing_pb2

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.routing.alternatives import Admission, Alternative, Explanation
from muxer_grpc.domain.routing.past import PastDecision
from muxer_grpc.domain.routing.remedies import remedy_of
from muxer_grpc.rpc.enums import ALTERNATIVE_KINDS, REMEDY_KINDS


def explanation_response(
    record: pb.DecisionRecord, past: PastDecision, explanation: Explanation, catalogue: Catalogue
) -> pb.ExplainDecisionResponse:
    """Explains a decision that `record` holds whole; `catalogue` is the one that it was made again with."""
    present = explanation.present
    name = "" if present is None else present.candidates[0].model.name
    told, admissions = record.decision, explanation.admissions
    return pb.ExplainDecisionResponse(
        decision=record,
        candidates=_candidates(told),
        exclusions=[
            _exclusion(message, index, past, catalogue, admissions.get(message.model))
            for index, message in enumerate(told.exclusions)
        ],
        alternatives=[_alternative(each) for each in explanation.alternatives],
        reproduced=bool(name) and name == past.selected_model,
        present_model=name,
        # Behind the dot stands how models did, which is part of the basis.
        models_changed=past.fleet_version.partition(".")[0] != catalogue.version,
        prices_changed=past.price_book_version != catalogue.price_book_version,
    )


def _candidates(told: routing_pb2.RouteDecision) -> Iterator[pb.CandidateExplanation]:
    places = {name: place for place, name in enumerate(told.fallback_models, 1)}
    best = told.candidates[0] if told.candidates else routing_pb2.Candidate()
    parts = {factor.name: factor.value * factor.weight for factor in best.factors}
    for rank, each in enumerate(told.candidates, 1):
        yield pb.CandidateExplanation(
            model=each.model,
            rank=rank,
            score=each.score,
            behind=best.score - each.score,
            factors=[
                pb.FactorExplanation(
                    name=factor.name,
                    value=factor.value,
                    weight=factor.weight,
                    contribution=factor.value * factor.weight,
                    behind=parts.get(factor.name, 0.0) - factor.value * factor.weight,
                )
                for factor in each.factors
            ],
            fallback_rank=places.get(each.model, 0),
        )


def _exclusion(
    message: routing_pb2.Exclusion, index: int, past: PastDecision, catalogue: Catalogue, admission: Admission | None
) -> pb.ExclusionExplanation:
    remedy = remedy_of(past.exclusions[index], past, catalogue, admission)
    return pb.ExclusionExplanation(
        exclusion=message,
        remedy="" if remedy is None else remedy.text,
        remedy_kind=None if remedy is None else REMEDY_KINDS[remedy.kind],  # type: ignore[arg-type]
        rank_if_admitted=0 if admission is None else admission.rank,
        score_if_admitted=0.0 if admission is None else admission.candidate.score,
    )


def _alternative(each: Alternative) -> pb.Alternative:
    message = pb.Alternative(
        kind=ALTERNATIVE_KINDS[each.kind],  # type: ignore[arg-type]
        subject=each.subject,
        value_before=each.before,
        value_after=each.after,
        changes_choice=each.changes,
    )
    if each.choice is not None:
        best = each.choice.candidates[0]
        message.selected_model = best.model.name
        message.explanation = each.choice.explanation
        message.estimated_cost_nano_usd = best.estimated_cost_nano_usd
        message.expected_quality = best.expected_quality
    return message
