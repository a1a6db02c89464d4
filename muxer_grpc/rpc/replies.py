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
    USAGE_SOURCES,
)
from muxer_grpc.rpc.written import Remembered, Written, field
from muxer_grpc.rpc.written_candidates import written_candidates

NANOS = 1_000_000_000


def duration_message(seconds: float) -> Duration:
    """Converts seconds."""
    message = Duration()
    _write_seconds(message, seconds)
    return message


def timestamp_message(seconds: float) -> Timestamp:
    """Converts seconds since the epoch."""
    message = Timestamp()
    _write_seconds(message, seconds)
    return message


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
    head = routing_pb2.RouteDecision(
        decision_id=decision.decision_id,
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
    _write_seconds(head.create_time, decision.created_at)
    return head


def _write_choice(decision: Decision) -> bytes:
    others = routing_pb2.RouteDecision(
        exclusions=[exclusion_message(exclusion) for exclusion in decision.exclusions],
        fallback_models=[fallback.model.name for fallback in decision.fallbacks],
    )
    return others.SerializeToString() + written_candidates(decision.candidates)


def _write_classification(classification: Classification) -> bytes:
    return _classification_message(classification).SerializeToString()


_MAX_CHOICES = 512
_choices: dict[int, tuple[tuple[Candidate, ...], bytes]] = {}
_classifications = Remembered(_write_classification, 1_024)
# A decision is written for its history and, when its answer is there, for its caller.
_decisions = Remembered(_write_decision, 512)


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
    message = billing_pb2.Usage()
    _write_usage(message, usage)
    return message


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
    message = completion_pb2.CompletionSummary()
    _write_summary(message, summary)
    return message


# Written in place: a message that is given to the constructor of another is copied, which costs as much as all else.


def _write_summary(into: completion_pb2.CompletionSummary, summary: completion.Summary) -> None:
    decision = summary.decision
    into.completion_id = summary.completion_id
    into.decision_id = decision.decision_id
    into.outcome = OUTCOMES[summary.outcome]  # type: ignore[assignment]
    into.requested_model = decision.requested_model
    into.reported_model = summary.reported_model
    into.vendor_finish_reason = summary.vendor_finish_reason
    answered_by = summary.answered_by
    if answered_by is not None:
        into.selected_model = answered_by.name
        into.provider = answered_by.provider
        into.simulated = answered_by.simulated
    if summary.finish_reason is not None:
        into.finish_reason = FINISH_REASONS[summary.finish_reason]  # type: ignore[assignment]
    if summary.error_reason is not None:
        into.error_reason = REASONS[summary.error_reason]  # type: ignore[assignment]
    if summary.cache_hit:
        into.cache_hit = True
        into.saved_nano_usd = summary.saved_nano_usd
    _write_usage(into.usage, summary.usage)
    _write_cost(into.cost, summary.cost, decision.price_book_version)
    _write_seconds(into.duration, summary.duration)
    if summary.time_to_first_token is not None:
        _write_seconds(into.time_to_first_token, summary.time_to_first_token)
    for attempt in summary.attempts:
        _write_attempt(into.attempts.add(), attempt)


def _write_attempt(into: completion_pb2.Attempt, attempt: completion.Attempt) -> None:
    into.number = attempt.number
    into.model = attempt.model.name
    into.provider = attempt.model.provider
    into.outcome = OUTCOMES[attempt.outcome]  # type: ignore[assignment]
    if attempt.failure_class is not None:
        into.failure_class = FAILURE_CLASSES[attempt.failure_class]  # type: ignore[assignment]
        into.http_status = attempt.http_status
        into.vendor_code = attempt.vendor_code
    _write_usage(into.usage, attempt.usage)
    into.cost_nano_usd = attempt.cost.total_nano
    _write_seconds(into.duration, attempt.duration)
    if attempt.time_to_first_token is not None:
        _write_seconds(into.time_to_first_token, attempt.time_to_first_token)


def _write_seconds(into: Duration | Timestamp, seconds: float) -> None:
    # It is there even where it is 0.
    into.SetInParent()
    into.seconds, into.nanos = divmod(round(seconds * NANOS), NANOS)


def _write_usage(into: billing_pb2.Usage, usage: Usage) -> None:
    into.SetInParent()
    into.input_tokens = usage.input_tokens
    into.cached_input_tokens = usage.cached_input_tokens
    into.cache_write_tokens = usage.cache_write_tokens
    into.cache_write_1h_tokens = usage.cache_write_1h_tokens
    into.output_tokens = usage.output_tokens
    into.reasoning_tokens = usage.reasoning_tokens
    into.source = USAGE_SOURCES[usage.source]


def _write_cost(into: billing_pb2.Cost, cost: Cost, price_book_version: str) -> None:
    into.SetInParent()
    into.total_nano_usd = cost.total_nano
    into.input_pico_usd = cost.input_pico
    into.cached_input_pico_usd = cost.cached_input_pico
    into.cache_write_pico_usd = cost.cache_write_pico
    into.output_pico_usd = cost.output_pico
    into.reasoning_pico_usd = cost.reasoning_pico
    into.price_book_version = price_book_version


def complete_response(done: completion.Completion) -> Written:
    """Writes a folded completion."""
    rest = muxer_service_pb2.CompleteResponse()
    _write_message(rest.message, done.message)
    _write_summary(rest.summary, done.summary)
    return Written(field(_REPLY_DECISION, written_decision(done.decision)) + rest.SerializeToString())


def _write_message(into: chat_pb2.Message, message: chat.Message) -> None:
    into.role = ROLES[message.role]  # type: ignore[assignment]
    for part in message.parts:
        _write_part(into.parts.add(), part)


def _write_part(into: chat_pb2.ContentPart, part: chat.ContentPart) -> None:
    """Writes a part of an answer; models answer with text, reasoning, refusals and tool calls."""
    if isinstance(part, chat.TextPart):
        into.text = part.text
    elif isinstance(part, chat.ToolCallPart):
        call = into.tool_call
        call.id, call.name, call.arguments_json = part.id, part.name, part.arguments_json
    elif isinstance(part, chat.ReasoningPart):
        into.reasoning.text, into.reasoning.signature = part.text, part.signature
    elif isinstance(part, chat.RefusalPart):
        into.refusal = part.text
    else:
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
    response = muxer_service_pb2.StreamCompleteResponse()
    _write_summary(response.summary, event)
    return response


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
