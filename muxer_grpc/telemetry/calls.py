"""Follows every call: its server span, its metrics, and its line in the log.

Our own, since the packaged interceptor of grpc.aio records a call that ran out of time, and a defect, as a success
(open-telemetry/opentelemetry-python-contrib#3375). Names: names.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.completion import Completion, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.observing import NO_HEADERS, CallEnd, CallTrace, CompletionTrace, Headers, SideCall
from muxer_grpc.domain.tenancy import Principal
from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.completions import CompletionMetrics, CompletionSpans, Tracing, side_span
from muxer_grpc.telemetry.content import may_be_captured
from muxer_grpc.telemetry.instruments import Instruments, SpanEnd
from muxer_grpc.telemetry.logs import TRACE, CallLine
from muxer_grpc.telemetry.span_wire import Value
from muxer_grpc.telemetry.spans import PARENT, STATE, LiveSpan

_log = logging.getLogger("muxer_grpc.calls")

# Of these codes alone is a server's span an error: docs/rpc/grpc.md of the semantic conventions.
ERROR_CODES = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
MOST_EXCLUSIONS = 20
TRACE_HEADERS = (PARENT, STATE)


class CallRecord:
    """What is known of one call; see CallTrace."""

    __slots__ = ("_telemetry", "began", "decision", "method", "noted_", "principal", "span", "summary")

    def __init__(self, telemetry: CallTelemetry, method: str, span: LiveSpan | None) -> None:
        self._telemetry = telemetry
        self.method = method
        # None where there is no trace, or this call is not sampled.
        self.span = span
        self.began = time.perf_counter()
        self.principal: Principal | None = None
        self.decision: Decision | None = None
        self.summary: Summary | None = None
        self.noted_: dict[str, str | float] = {}

    def called_by(self, principal: Principal) -> None:
        """Notes who calls."""
        self.principal = principal
        if self.span is not None:
            self.span.attributes[names.TENANT] = principal.subject.tenant_id

    def decided(self, decision: Decision, seconds: float) -> None:
        """Notes what was decided."""
        self.decision = decision
        if self.span is not None:
            self.span.tell(partial(_of_decision, decision, seconds))
        self._telemetry.decided(decision, seconds)

    def completion_began(
        self, completion_id: str, conversation: Conversation, decision: Decision, *, stream: bool
    ) -> CompletionTrace | None:
        """Begins to follow a completion."""
        return self._telemetry.completion_began(self, conversation, decision, stream=stream)

    def asked(self, side: SideCall) -> None:
        """Notes a model that was asked to help."""
        self._telemetry.asked(self.span, side)

    def noted(self, name: str, value: str | float) -> None:
        """Notes one thing."""
        self.noted_[name] = value
        if self.span is not None:
            self.span.attributes[names.OWN + name] = value


class FollowedCompletion:
    """One completion under way, its spans where it is sampled; see CompletionTrace."""

    __slots__ = ("_call", "_metrics", "_spans", "_stream", "wants_content")

    def __init__(
        self, call: CallRecord, spans: CompletionSpans | None, metrics: CompletionMetrics | None, *, stream: bool
    ) -> None:
        self._call = call
        self._spans = spans
        self._metrics = metrics
        self._stream = stream
        self.wants_content = False

    def attempt_began(self, number: int, model: Model) -> Headers:
        """Begins the span of an attempt."""
        return NO_HEADERS if self._spans is None else self._spans.attempt_began(number, model)

    def ended(self, summary: Summary, answer: Completion | None) -> None:
        """Ends the spans, and measures."""
        self._call.summary = summary
        span = None if self._spans is None else self._spans.ended(summary, answer)
        if self._metrics is not None:
            self._metrics.ended(summary, span, stream=self._stream)


class CallTelemetry:
    """Follows calls with what there is: spans, metrics, lines in the log; see CallObserver."""

    def __init__(
        self,
        instruments: Instruments | None = None,
        tracing: Tracing | None = None,
        *,
        writes_lines: bool = True,
        profile: names.Profile | None = None,
    ) -> None:
        self._tracing = tracing
        self._writes_lines = writes_lines
        self._instruments = instruments
        self._metrics = None
        if instruments is not None:
            self._metrics = CompletionMetrics(instruments, profile or names.Profile())
            self._durations = instruments.histograms[names.CALL_DURATION.name]
            self._decide = instruments.histograms[names.DECIDE_DURATION.name]
            self._decisions = instruments.counters[names.DECISIONS.name]
            self._refusals = instruments.counters[names.REFUSALS.name]

    def began(self, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> CallTrace:
        """Begins to follow a call, as part of its caller's trace where it brought one."""
        span = None
        if self._tracing is not None:
            span = self._span(self._tracing, method, metadata)
        return CallRecord(self, method, span)

    def _span(self, tracing: Tracing, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> LiveSpan | None:
        carried = {name: str(value) for name, value in metadata if name in TRACE_HEADERS}
        span = tracing.spans.server(method, carried, {names.RPC_SYSTEM: names.GRPC, names.RPC_METHOD: method})
        if span is not None:
            TRACE.set((span.trace_id, span.span_id, span.flags))
        return span

    def decided(self, decision: Decision, seconds: float) -> None:
        """Measures a decision."""
        if self._instruments is not None:
            self._instruments.later(partial(self._measure_decision, decision, seconds))

    def _measure_decision(self, decision: Decision, seconds: float) -> None:
        strategy = decision.strategy
        self._decide.record((strategy,), seconds)
        self._decisions.add((strategy, decision.classification.intent.value, decision.selected.name))

    def asked(self, parent: LiveSpan | None, side: SideCall) -> None:
        """Tells of a model that helped to decide, in a GenAI span of its own."""
        span = None
        if self._tracing is not None and parent is not None:
            span = side_span(self._tracing, parent, side)
        if self._metrics is not None:
            self._metrics.asked(side, span)

    def completion_began(
        self, call: CallRecord, conversation: Conversation, decision: Decision, *, stream: bool
    ) -> CompletionTrace | None:
        """Begins to follow a completion of a call."""
        spans, tracing, captures = None, self._tracing, False
        if tracing is not None and call.span is not None:
            captures = tracing.captures_content and call.principal is not None and may_be_captured(call.principal)
            spans = CompletionSpans(tracing, call.span, conversation, decision, stream=stream, captures=captures)
        elif self._metrics is None and not self._writes_lines:
            return None
        followed = FollowedCompletion(call, spans, self._metrics, stream=stream)
        followed.wants_content = captures
        return followed

    def ended(self, trace: CallTrace, end: CallEnd) -> None:
        """Ends the span of a call, measures it, and writes its line."""
        if not isinstance(trace, CallRecord):
            return
        seconds = time.perf_counter() - trace.began
        sent, span = None, trace.span
        # What a caller is told as the reason: a cut off stream too is one to it.
        error_type = end.reason if end.code != "OK" else ""
        if span is not None:
            sent = _end_span(span, end, error_type)
        if self._instruments is not None:
            self._instruments.later(partial(self._measure, trace.method, end.code, error_type, seconds, sent))
        if self._writes_lines:
            self._write(trace, end, seconds)

    def _measure(self, method: str, code: str, error_type: str, seconds: float, span: SpanEnd | None) -> None:
        self._durations.record((names.GRPC, method, code, error_type), seconds, span)
        if error_type:
            self._refusals.add((error_type,))

    def _write(self, call: CallRecord, end: CallEnd, seconds: float) -> None:
        level = logging.INFO
        if end.code != "OK":
            level = logging.ERROR if end.defect or end.code in ("INTERNAL", "UNKNOWN", "DATA_LOSS") else logging.WARNING
            if end.code not in ERROR_CODES:
                level = logging.INFO
        if _log.isEnabledFor(level):
            _log.log(level, CallLine(_line(call, end, seconds)))


def _of_decision(decision: Decision, seconds: float) -> dict[str, Value]:
    classified = decision.classification
    return {
        names.DECISION_ID: decision.decision_id,
        names.DECIDE_SECONDS: seconds,
        names.STRATEGY: decision.strategy,
        names.INTENT: classified.intent.value,
        names.COMPLEXITY: classified.complexity,
        names.REQUESTED_MODEL: decision.requested_model,
        names.SELECTED_MODEL: decision.selected.name,
        names.CANDIDATES: len(decision.candidates),
        names.FALLBACKS: tuple(each.model.name for each in decision.fallbacks),
        names.EXCLUSIONS: tuple(
            f"{each.model.name}={each.reason.value}" for each in decision.exclusions[:MOST_EXCLUSIONS]
        ),
        names.PRICE_BOOK: decision.price_book_version,
    }


def _end_span(span: LiveSpan, end: CallEnd, error_type: str) -> SpanEnd:
    span.attributes[names.RPC_STATUS] = end.code
    if error_type:
        span.attributes[names.ERROR_TYPE] = error_type
    span.failed = end.code in ERROR_CODES
    return span.end()


def _line(call: CallRecord, end: CallEnd, seconds: float) -> dict[str, Any]:
    """Gives the fields of a call's line, in the order in which people read them."""
    line: dict[str, Any] = {
        "method": call.method.rpartition("/")[2],
        "code": end.code,
        "reason": end.reason,
        "duration_ms": round(seconds * 1000, 2),
    }
    if call.principal is not None:
        line["tenant"] = call.principal.subject.tenant_id
        line["caller"] = call.principal.name
    decision, summary = call.decision, call.summary
    if decision is not None:
        line["intent"] = decision.classification.intent.value
        line["model"] = decision.selected.name
        line["decision_id"] = decision.decision_id
    if summary is not None:
        line["model"] = (summary.answered_by or summary.decision.selected).name
        line["completion_id"] = summary.completion_id
        line["outcome"] = summary.outcome.value
        line["attempts"] = len(summary.attempts)
        line["cost_nano_usd"] = summary.cost.total_nano
        line["input_tokens"] = summary.usage.all_input_tokens
        line["output_tokens"] = summary.usage.all_output_tokens
    for name, value in call.noted_.items():
        if isinstance(value, str):
            line[name.replace(".", "_")] = value
        else:
            line[f"{name.removesuffix('.duration')}_ms"] = round(value * 1000, 2)
    return {name: value for name, value in line.items() if value != ""}
