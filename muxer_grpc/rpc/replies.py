"""From the domain to the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from muxer.v1 import billing_pb2, chat_pb2, completion_pb2, muxer_service_pb2, routing_pb2

from muxer_grpc.domain import chat, completion
from muxer_grpc.domain.decision import Candidate, Classification, Decision, Exclusion
from muxer_grpc.domain.money import Cost, Price, Usage
from muxer_grpc.rpc.enums import (
    CAPABILITIES,
    EXCLUSION_REASONS,
    FAILURE_CLASSES,
    FINISH_REASONS,
    INTENTS,
    OUTCOMES,
    REASONS,
    ROLES,
    TIERS,
    USAGE_SOURCES,
)
from muxer_grpc.rpc.written import Remembered, Written, field

NANOS = 1_000_000_000


def duration_message(seconds: float) -> Duration:
    """Converts seconds."""
    nanos = round(seconds * NANOS)
    return Duration(seconds=nanos // NANOS, nanos=nanos % NANOS)


def timestamp_message(seconds: float) -> Timestamp:
    """Converts seconds since the epoch."""
    nanos = round(seconds * NANOS)
    return Timestamp(seconds=nanos // NANOS, nanos=nanos % NANOS)


# Fields of the contract that are written by number here; a test reads the replies back by name.
_REPLY_DECISION, _DECISION_CLASSIFICATION = 1, 9


def route_response(decision: Decision) -> Written:
    """Writes a decision for the caller of Route."""
    return Written(field(_REPLY_DECISION, written_decision(decision)))


def written_decision(decision: Decision) -> bytes:
    """Writes a decision, as a RouteDecision in wire format."""
    return _decisions.of(decision)


def _write_decision(decision: Decision) -> bytes:
    classification = field(_DECISION_CLASSIFICATION, _classifications.of(decision.classification))
    # Candidates of one choice are one tuple, which the router keeps; its exclusions go with it.
    known = _choices.get(id(decision.candidates))
    if known is None or known[0] is not decision.candidates:
        if len(_choices) >= _MAX_CHOICES:
            del _choices[next(iter(_choices))]
        known = _choices[id(decision.candidates)] = (decision.candidates, _write_choice(decision))
    return _decision_head(decision).SerializeToString() + classification + known[1]


def _decision_head(decision: Decision) -> routing_pb2.RouteDecision:
    """Converts what is of this one decision."""
    selected = decision.selected
    return routing_pb2.RouteDecision(
        decision_id=decision.decision_id,
        create_time=timestamp_message(decision.created_at),
        requested_model=decision.requested_model,
        selected_model=selected.name,
        selected_provider=selected.provider,
        strategy=decision.strategy,
        explanation=decision.explanation,
        policy_version=decision.policy_version,
        price_book_version=decision.price_book_version,
        fleet_version=decision.fleet_version,
        estimated_input_tokens=decision.estimated_input_tokens,
    )


def _write_choice(decision: Decision) -> bytes:
    return routing_pb2.RouteDecision(
        candidates=[_candidate_message(candidate) for candidate in decision.candidates],
        exclusions=[exclusion_message(exclusion) for exclusion in decision.exclusions],
        fallback_models=[fallback.model.name for fallback in decision.fallbacks],
    ).SerializeToString()


def _write_classification(classification: Classification) -> bytes:
    return _classification_message(classification).SerializeToString()


_MAX_CHOICES = 512
_choices: dict[int, tuple[tuple[Candidate, ...], bytes]] = {}
_classifications = Remembered(_write_classification, 1_024)
# A decision is written for its history and for its caller.
_decisions = Remembered(_write_decision, 256)


def _classification_message(classification: Classification) -> routing_pb2.Classification:
    return routing_pb2.Classification(
        intent=INTENTS[classification.intent],  # type: ignore[arg-type]
        confidence=classification.confidence,
        capabilities=[
            routing_pb2.CapabilityScore(capability=CAPABILITIES[capability], score=score)  # type: ignore[arg-type]
            for capability, score in classification.capabilities
        ],
        complexity=classification.complexity,
        signals=[routing_pb2.Signal(name=s.name, value=s.value) for s in classification.signals],
        classifier_version=classification.classifier_version,
        gain=classification.gain,
        difficulty=classification.difficulty,
        settled=classification.settled,
        runners_up=[
            routing_pb2.IntentScore(intent=INTENTS[intent], score=score)  # type: ignore[arg-type]
            for intent, score in classification.runners_up
        ],
    )


def _candidate_message(candidate: Candidate) -> routing_pb2.Candidate:
    model = candidate.model
    return routing_pb2.Candidate(
        model=model.name,
        provider=model.provider,
        tier=TIERS[model.tier],  # type: ignore[arg-type]
        score=candidate.score,
        factors=[routing_pb2.ScoreFactor(name=f.name, value=f.value, weight=f.weight) for f in candidate.factors],
        estimated_cost_nano_usd=candidate.estimated_cost_nano_usd,
        expected_quality=candidate.expected_quality,
        estimated_latency=duration_message(candidate.estimated_latency_seconds),
        estimated_input_tokens=candidate.estimated_input_tokens,
        estimated_output_tokens=candidate.estimated_output_tokens,
    )


def exclusion_message(exclusion: Exclusion) -> routing_pb2.Exclusion:
    """Converts an exclusion."""
    return routing_pb2.Exclusion(
        model=exclusion.model.name,
        provider=exclusion.model.provider,
        reason=EXCLUSION_REASONS[exclusion.reason],  # type: ignore[arg-type]
        detail=exclusion.detail,
    )


def usage_message(usage: Usage) -> billing_pb2.Usage:
    """Converts token counts."""
    return billing_pb2.Usage(
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        source=USAGE_SOURCES[usage.source],
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
    )


def cost_message(cost: Cost, price_book_version: str) -> billing_pb2.Cost:
    """Converts a cost."""
    return billing_pb2.Cost(
        total_nano_usd=cost.total_nano,
        input_pico_usd=cost.input_pico,
        cached_input_pico_usd=cost.cached_input_pico,
        cache_write_pico_usd=cost.cache_write_pico,
        output_pico_usd=cost.output_pico,
        reasoning_pico_usd=cost.reasoning_pico,
        price_book_version=price_book_version,
    )


def price_message(price: Price) -> billing_pb2.Price:
    """Converts a price."""
    return billing_pb2.Price(
        input_pico_usd_per_token=price.input,
        cached_input_pico_usd_per_token=price.cached_input,
        cache_write_pico_usd_per_token=price.cache_write,
        output_pico_usd_per_token=price.output,
        reasoning_pico_usd_per_token=price.reasoning,
        cache_write_1h_pico_usd_per_token=price.cache_write_1h,
        tiers=[
            billing_pb2.PriceTier(above_input_tokens=tier.above_input_tokens, price=price_message(tier.price))
            for tier in price.tiers
        ],
    )


def summary_message(summary: completion.Summary) -> completion_pb2.CompletionSummary:
    """Converts the end of a completion."""
    decision = summary.decision
    answered_by = summary.answered_by
    finish = summary.finish_reason
    reason = summary.error_reason
    first = summary.time_to_first_token
    usage = usage_message(summary.usage)
    return completion_pb2.CompletionSummary(
        completion_id=summary.completion_id,
        decision_id=decision.decision_id,
        outcome=OUTCOMES[summary.outcome],  # type: ignore[arg-type]
        finish_reason=None if finish is None else FINISH_REASONS[finish],  # type: ignore[arg-type]
        requested_model=decision.requested_model,
        selected_model="" if answered_by is None else answered_by.name,
        reported_model=summary.reported_model,
        provider="" if answered_by is None else answered_by.provider,
        usage=usage,
        cost=cost_message(summary.cost, decision.price_book_version),
        # A single attempt counts what the whole counts.
        attempts=[
            _attempt_message(attempt, usage if attempt.usage is summary.usage else usage_message(attempt.usage))
            for attempt in summary.attempts
        ],
        error_reason=None if reason is None else REASONS[reason],  # type: ignore[arg-type]
        duration=duration_message(summary.duration),
        time_to_first_token=None if first is None else duration_message(first),
        simulated=answered_by is not None and answered_by.simulated,
        vendor_finish_reason=summary.vendor_finish_reason,
        cache_hit=summary.cache_hit,
        saved_nano_usd=summary.saved_nano_usd,
    )


def _attempt_message(attempt: completion.Attempt, usage: billing_pb2.Usage) -> completion_pb2.Attempt:
    failure = attempt.failure_class
    first = attempt.time_to_first_token
    return completion_pb2.Attempt(
        number=attempt.number,
        model=attempt.model.name,
        provider=attempt.model.provider,
        outcome=OUTCOMES[attempt.outcome],  # type: ignore[arg-type]
        failure_class=None if failure is None else FAILURE_CLASSES[failure],  # type: ignore[arg-type]
        http_status=attempt.http_status,
        vendor_code=attempt.vendor_code,
        usage=usage,
        cost_nano_usd=attempt.cost.total_nano,
        duration=duration_message(attempt.duration),
        time_to_first_token=None if first is None else duration_message(first),
    )


def complete_response(done: completion.Completion) -> Written:
    """Writes a folded completion."""
    rest = muxer_service_pb2.CompleteResponse(
        message=_assistant_message(done.message), summary=summary_message(done.summary)
    )
    return Written(field(_REPLY_DECISION, written_decision(done.decision)) + rest.SerializeToString())


def _assistant_message(message: chat.Message) -> chat_pb2.Message:
    parts = [_part_message(part) for part in message.parts]
    return chat_pb2.Message(role=ROLES[message.role], parts=parts)  # type: ignore[arg-type]


def _part_message(part: chat.ContentPart) -> chat_pb2.ContentPart:
    """Converts a part of an answer; models answer with text, reasoning, refusals and tool calls."""
    if isinstance(part, chat.TextPart):
        return chat_pb2.ContentPart(text=part.text)
    if isinstance(part, chat.ToolCallPart):
        call = chat_pb2.ToolCall(id=part.id, name=part.name, arguments_json=part.arguments_json)
        return chat_pb2.ContentPart(tool_call=call)
    if isinstance(part, chat.ReasoningPart):
        return chat_pb2.ContentPart(reasoning=chat_pb2.Reasoning(text=part.text, signature=part.signature))
    if isinstance(part, chat.RefusalPart):
        return chat_pb2.ContentPart(refusal=part.text)
    msg = f"an answer holds no {type(part).__name__}"
    raise TypeError(msg)


def stream_response(event: completion.CompletionEvent) -> muxer_service_pb2.StreamCompleteResponse | Written:
    """Converts one event of a stream."""
    return _EVENT_WRITERS[type(event)](event)


def _text_response(event: completion.TextDelta) -> muxer_service_pb2.StreamCompleteResponse:
    return muxer_service_pb2.StreamCompleteResponse(text_delta=completion_pb2.TextDelta(text=event.text))


def _decision_response(event: Decision) -> Written:
    return Written(field(_REPLY_DECISION, written_decision(event)))


def _summary_response(event: completion.Summary) -> muxer_service_pb2.StreamCompleteResponse:
    return muxer_service_pb2.StreamCompleteResponse(summary=summary_message(event))


def _tool_call_response(event: completion.ToolCallDelta) -> muxer_service_pb2.StreamCompleteResponse:
    delta = completion_pb2.ToolCallDelta(
        index=event.index, id=event.id, name=event.name, arguments_json_fragment=event.arguments_json_fragment
    )
    return muxer_service_pb2.StreamCompleteResponse(tool_call_delta=delta)


def _reasoning_response(event: completion.ReasoningDelta) -> muxer_service_pb2.StreamCompleteResponse:
    delta = completion_pb2.ReasoningDelta(text=event.text, signature=event.signature)
    return muxer_service_pb2.StreamCompleteResponse(reasoning_delta=delta)


def _refusal_response(event: completion.RefusalDelta) -> muxer_service_pb2.StreamCompleteResponse:
    return muxer_service_pb2.StreamCompleteResponse(refusal_delta=completion_pb2.RefusalDelta(text=event.text))


def _switch_response(event: completion.AttemptSwitched) -> muxer_service_pb2.StreamCompleteResponse:
    switch = completion_pb2.AttemptSwitched(
        attempt=event.attempt,
        model=event.model,
        provider=event.provider,
        failure_class=FAILURE_CLASSES[event.failure_class],  # type: ignore[arg-type]
        safe_offset=event.safe_offset,
    )
    return muxer_service_pb2.StreamCompleteResponse(attempt_switched=switch)


# By exact type: one look-up per event of a stream.
_EVENT_WRITERS: dict[type, Callable[[Any], muxer_service_pb2.StreamCompleteResponse | Written]] = {
    completion.TextDelta: _text_response,
    Decision: _decision_response,
    completion.Summary: _summary_response,
    completion.ToolCallDelta: _tool_call_response,
    completion.ReasoningDelta: _reasoning_response,
    completion.RefusalDelta: _refusal_response,
    completion.AttemptSwitched: _switch_response,
}
