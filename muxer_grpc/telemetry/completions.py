"""Follows completions: the GenAI span of each, an HTTP span for each attempt, and its metrics.

Tokens, cost and finish reason are on the GenAI span alone, which covers all attempts
(open-telemetry/semantic-conventions-genai#299).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.chat import Conversation, Sampling
from muxer_grpc.domain.completion import Attempt, Completion, Outcome, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.domain.observing import NO_HEADERS, Headers, SideCall
from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.content import input_messages, output_messages
from muxer_grpc.telemetry.instruments import Instruments, SpanEnd
from muxer_grpc.telemetry.span_wire import Value
from muxer_grpc.telemetry.spans import LiveSpan, Spans

NANO = 1_000_000_000
POST = "POST"
_COUNTED = (UsageSource.PROVIDER,)


@dataclass(frozen=True, slots=True)
class Tracing:
    """What spans are made with. `endpoints` holds the host and the port of each provider that has them."""

    spans: Spans
    endpoints: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    propagating: frozenset[str] = frozenset()
    captures_content: bool = False

    def where(self, model: Model) -> dict[str, Value]:
        """Says which provider is called, and where."""
        endpoint = self.endpoints.get(model.provider)
        provider: dict[str, Value] = {names.PROVIDER: model.provider}
        if endpoint is None:
            return provider
        return {**provider, names.SERVER_ADDRESS: endpoint[0], names.SERVER_PORT: endpoint[1]}


class CompletionSpans:
    """The spans of one completion; see CompletionTrace."""

    def __init__(
        self,
        tracing: Tracing,
        parent: LiveSpan,
        conversation: Conversation,
        decision: Decision,
        *,
        stream: bool,
        captures: bool = False,
    ) -> None:
        self._tracing = tracing
        self._stream = stream
        self._captures = captures
        self._attempts: dict[int, LiveSpan] = {}
        model = decision.selected
        self._span = parent.child(f"{names.CHAT} {model.vendor_model}")
        # Not the conversation itself, which may be large: this is kept until the span is written.
        asked = (conversation.max_output_tokens, conversation.sampling, conversation.stop)
        key = (_of_request, model.provider, model.name, model.vendor_model, asked, stream)
        self._span.tell(partial(_of_request, tracing, model, asked, stream=stream), key)
        if captures:
            self._span.attributes[names.INPUT_MESSAGES] = input_messages(conversation)

    def attempt_began(self, number: int, model: Model) -> Headers:
        """Begins the span of an attempt; gives the headers that carry it, for a provider that may have them."""
        span = self._attempts[number] = self._span.child(POST)
        span.tell(partial(_of_attempt, self._tracing, model, number), (_of_attempt, model.provider, model.name, number))
        return span.headers() if model.provider in self._tracing.propagating else NO_HEADERS

    def ended(self, summary: Summary, answer: Completion | None) -> SpanEnd:
        """Ends all spans; gives the end of the completion's own."""
        for attempt in summary.attempts:
            span = self._attempts.pop(attempt.number, None)
            if span is not None:
                _end_attempt(span, attempt)
        for span in self._attempts.values():
            span.end()
        self._attempts.clear()
        own = self._span
        own.tell(partial(_of_end, summary, stream=self._stream))
        ending = _ending_of(summary)
        own.tell(partial(_of_ending, ending), ending)
        if answer is not None and self._captures:
            own.attributes[names.OUTPUT_MESSAGES] = output_messages(answer, summary.finish_reason)
        if summary.error is not None or summary.outcome is Outcome.FAILED:
            reason = summary.error_reason
            own.fail("failed" if reason is None else reason.value)
        return own.end()


def _of_request(
    tracing: Tracing, model: Model, asked: tuple[int | None, Sampling, tuple[str, ...]], *, stream: bool
) -> dict[str, Value]:
    """Tells what a model was asked for: a bound on its tokens, its sampling, and what ends its answer."""
    bound, sampling, stop = asked
    given = {
        names.MAX_TOKENS: bound,
        names.TEMPERATURE: sampling.temperature,
        names.TOP_P: sampling.top_p,
        names.SEED: sampling.seed,
        names.FREQUENCY_PENALTY: sampling.frequency_penalty,
        names.PRESENCE_PENALTY: sampling.presence_penalty,
        names.STOP: stop or None,
    }
    return {
        names.OPERATION: names.CHAT,
        **tracing.where(model),
        names.REQUEST_MODEL: model.vendor_model,
        names.REQUEST_STREAM: stream,
        names.MODEL: model.name,
        **{name: value for name, value in given.items() if value is not None},
    }


def _of_end(summary: Summary, *, stream: bool) -> dict[str, Value]:
    """Tells what a completion came to, as far as it differs from others."""
    told: dict[str, Value] = {
        names.RESPONSE_ID: summary.completion_id,
        names.COMPLETION_ID: summary.completion_id,
        names.DECISION_ID: summary.decision.decision_id,
        names.COST_USD: summary.cost.total_nano / NANO,
        names.COST_NANO_USD: summary.cost.total_nano,
        **_tokens(summary.usage),
    }
    if stream and summary.time_to_first_token is not None:
        told[names.TIME_TO_FIRST_CHUNK] = summary.time_to_first_token
    return told


# Price book, outcome, how many attempts, where the usage is from, the model that answered, why it stopped.
_Ending = tuple[str, str, int, str, str, str]


def _ending_of(summary: Summary) -> _Ending:
    """Gives what many completions end with."""
    model = summary.answered_by or summary.decision.selected
    return (
        summary.decision.price_book_version,
        summary.outcome.value,
        len(summary.attempts),
        summary.usage.source.value,
        (summary.reported_model or model.vendor_model) if summary.attempts else "",
        "" if summary.finish_reason is None else summary.finish_reason.value,
    )


def _of_ending(ending: _Ending) -> dict[str, Value]:
    price_book, outcome, attempts, source, model, finish_reason = ending
    told: dict[str, Value] = {
        names.PRICE_BOOK: price_book,
        names.OUTCOME: outcome,
        names.ATTEMPTS: attempts,
        names.USAGE_SOURCE: source,
    }
    if model:
        told[names.RESPONSE_MODEL] = model
    if finish_reason:
        told[names.FINISH_REASONS] = (finish_reason,)
    return told


def _tokens(usage: Usage) -> dict[str, int]:
    """Counts tokens under the standard names; what was only estimated stays under our own."""
    if usage.source is UsageSource.NONE:
        return {}
    counts = {names.INPUT_TOKENS: usage.all_input_tokens, names.OUTPUT_TOKENS: usage.all_output_tokens}
    # Most answers have none of these.
    if usage.cached_input_tokens:
        counts[names.CACHE_READ_TOKENS] = usage.cached_input_tokens
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    if written:
        # The one is the name of v1.41, the other that which is to come; readers know one of them each.
        counts[names.CACHE_CREATION_TOKENS] = counts[names.CACHE_WRITE_TOKENS] = written
    if usage.reasoning_tokens:
        counts[names.REASONING_TOKENS] = usage.reasoning_tokens
    if usage.source in _COUNTED:
        return counts
    return {f"{names.OWN}{name.removeprefix('gen_ai.')}": count for name, count in counts.items() if count}


def _of_attempt(tracing: Tracing, model: Model, number: int) -> dict[str, Value]:
    """Tells what an attempt is made at."""
    told: dict[str, Value] = {
        names.HTTP_METHOD: POST,
        **tracing.where(model),
        names.MODEL: model.name,
        names.ATTEMPT_NUMBER: number,
    }
    if number > 1:
        told[names.HTTP_RESENDS] = number - 1
    return told


def _end_attempt(span: LiveSpan, attempt: Attempt) -> None:
    key = (_of_attempts_end, attempt.outcome, attempt.failure_class, attempt.http_status, attempt.vendor_code)
    span.tell(partial(_of_attempts_end, attempt), key)
    if attempt.failure_class is not None:
        span.fail(str(attempt.http_status or attempt.failure_class.value))
    span.end(span.began_ns + round(attempt.duration * NANO))


def _of_attempts_end(attempt: Attempt) -> dict[str, Value]:
    """Tells what an attempt came to."""
    failure, status = attempt.failure_class, attempt.http_status
    told: dict[str, Value] = {names.OUTCOME: attempt.outcome.value}
    if not status and failure is None and attempt.outcome is not Outcome.CANCELLED:
        # No adapter goes on with an answer of another status.
        status = 200
    if status:
        told[names.HTTP_STATUS] = status
    if failure is not None:
        told[names.FAILURE_CLASS] = failure.value
        if attempt.vendor_code:
            told[names.VENDOR_CODE] = attempt.vendor_code
    return told


def side_span(tracing: Tracing, parent: LiveSpan, side: SideCall) -> SpanEnd:
    """Makes the span of a model that helped to decide; gives its end."""
    model = side.model
    span = parent.child(
        f"{names.CHAT} {model.vendor_model}",
        {
            names.OPERATION: names.CHAT,
            **tracing.where(model),
            names.REQUEST_MODEL: model.vendor_model,
            names.MODEL: model.name,
            names.ROLE: names.JUDGE,
            names.COST_USD: side.cost_nano_usd / NANO,
            names.COST_NANO_USD: side.cost_nano_usd,
            names.USAGE_SOURCE: side.usage.source.value,
            **_tokens(side.usage),
        },
    )
    span.began_ns -= round(side.seconds * NANO)
    if side.failure:
        span.fail(side.failure)
    return span.end()


class CompletionMetrics:
    """Measures completions when they end."""

    def __init__(self, instruments: Instruments, profile: names.Profile) -> None:
        self._later = instruments.later
        histograms, counters = instruments.histograms, instruments.counters
        old, new = profile.v1_41, profile.latest
        durations = ((names.OPERATION_DURATION, old), (names.LATEST_DURATION, new))
        firsts = ((names.FIRST_CHUNK, old), (names.LATEST_FIRST_CHUNK, new))
        self._durations = [histograms[metric.name] for metric, wanted in durations if wanted]
        self._firsts = [histograms[metric.name] for metric, wanted in firsts if wanted]
        self._usage = histograms[names.TOKEN_USAGE.name] if old else None
        self._latest = {kind: counters[metric.name] for kind, metric in names.LATEST_TOKENS.items()} if new else {}
        self._completions = counters[names.COMPLETIONS.name]
        self._attempts = counters[names.ATTEMPTS_MADE.name]
        self._cost = counters[names.COST.name]
        self._tokens = counters[names.TOKENS.name]

    def ended(self, summary: Summary, span: SpanEnd | None, *, stream: bool) -> None:
        """Takes a completion that ended, with the end of its span where it is sampled."""
        self._later(partial(self._measure, summary, span, stream=stream))

    def _measure(self, summary: Summary, span: SpanEnd | None, *, stream: bool) -> None:
        model = summary.answered_by or summary.decision.selected
        provider, vendor_model = model.provider, model.vendor_model
        intent = summary.decision.classification.intent.value
        reason = "" if summary.error is None else summary.error.reason.value
        values = (names.CHAT, provider, vendor_model)
        for histogram in self._durations:
            histogram.record((*values, reason), summary.duration, span)
        if stream and summary.time_to_first_token is not None:
            for histogram in self._firsts:
                histogram.record(values, summary.time_to_first_token, span)
        self._completions.add((provider, model.name, intent, summary.outcome.value, reason))
        for attempt in summary.attempts:
            failure = attempt.failure_class
            tried = attempt.model
            self._attempts.add((tried.provider, tried.name, "" if failure is None else failure.value))
        if summary.cost.total_nano:
            self._cost.add((provider, model.name, intent), summary.cost.total_nano)
        if summary.usage.source is not UsageSource.NONE:
            self._count(summary.usage, provider, model, values)

    def asked(self, side: SideCall, span: SpanEnd | None) -> None:
        """Takes a model that helped to decide."""
        model = side.model
        values = (names.CHAT, model.provider, model.vendor_model)
        for histogram in self._durations:
            histogram.record((*values, side.failure), side.seconds, span)
        if side.cost_nano_usd:
            self._cost.add((model.provider, model.name, names.JUDGE), side.cost_nano_usd)
        if side.usage.source is not UsageSource.NONE:
            self._count(side.usage, model.provider, model, values)

    def _count(self, usage: Usage, provider: str, model: Model, values: tuple[str, str, str]) -> None:
        written = usage.cache_write_tokens + usage.cache_write_1h_tokens
        for kind, count in (
            ("input", usage.input_tokens),
            ("cached_input", usage.cached_input_tokens),
            ("cache_write", written),
            ("output", usage.output_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if count:
                self._tokens.add((provider, model.name, kind), count)
        if usage.source not in _COUNTED:
            return
        if self._usage is not None:
            self._usage.record((*values, "input"), usage.all_input_tokens)
            self._usage.record((*values, "output"), usage.all_output_tokens)
        if self._latest:
            for kind, count in (
                ("input_tokens", usage.all_input_tokens),
                ("output_tokens", usage.all_output_tokens),
                ("cache_read.input_tokens", usage.cached_input_tokens),
                ("cache_write.input_tokens", written),
                ("reasoning.output_tokens", usage.reasoning_tokens),
            ):
                self._latest[kind].add(values, count)
