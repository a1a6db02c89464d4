"""What is written and measured together with others loses nothing by it."""

from __future__ import annotations

import random
import time
from functools import partial
from threading import Event, Thread
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, SamplingResult
from opentelemetry.trace import SpanKind

from muxer_grpc.telemetry import names
from muxer_grpc.telemetry.exposition import prometheus_text
from muxer_grpc.telemetry.instruments import Instruments
from muxer_grpc.telemetry.otlp import below_of, extract
from muxer_grpc.telemetry.setup import MetricSender
from muxer_grpc.telemetry.spans import TOGETHER, LiveSpan, QueueRules, Spans, spans_to


class Sent:
    """Takes what a queue sends."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def __call__(self, request: bytes) -> bool:
        self.requests.append(request)
        return True


def spans_of(sent: Sent, rules: QueueRules) -> Spans:
    return Spans(ALWAYS_ON, RandomIdGenerator(), spans_to(sent, {}, "1", rules), extract)


def ended(spans: Spans, name: str) -> None:
    LiveSpan(spans, name, 3, {}, None).end()


def test_spans_that_are_fewer_than_are_written_together_are_sent_after_the_delay() -> None:
    sent = Sent()
    spans = spans_of(sent, QueueRules(seconds=0.05))
    ended(spans, "lonely")
    until = time.monotonic() + 10
    while not sent.requests and time.monotonic() < until:
        time.sleep(0.01)
    assert b"lonely" in sent.requests[0]
    spans.queue.stop()


def test_a_span_that_ends_while_others_are_sent_is_sent_before_the_end() -> None:
    sending, go_on, taken = Event(), Event(), []

    def send(request: bytes) -> bool:
        taken.append(request)
        sending.set()
        return go_on.wait(30)

    spans = Spans(ALWAYS_ON, RandomIdGenerator(), spans_to(send, {}, "1", QueueRules(seconds=0.01)), extract)
    ended(spans, "early")
    assert sending.wait(30)
    ended(spans, "late")
    stopping = Thread(target=spans.queue.stop)
    stopping.start()
    while not spans.queue._over:
        time.sleep(0.001)
    go_on.set()
    stopping.join(30)
    assert [name for name in (b"early", b"late") for request in taken if name in request] == [b"early", b"late"]
    assert spans.queue.sent == 2


def test_spans_that_are_not_written_yet_count_among_those_that_wait() -> None:
    spans = spans_of(Sent(), QueueRules(most=5, seconds=60))
    for number in range(8):
        ended(spans, f"span {number}")
    assert spans.queue.dropped == 3
    spans.queue.stop()
    assert spans.queue.sent == 5


def test_a_span_that_cannot_be_written_is_counted_and_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    sent = Sent()
    spans = spans_of(sent, QueueRules(seconds=60))
    broken = LiveSpan(spans, "broken", 3, {}, None)
    broken.tell(lambda: {}["nothing"])
    broken.end()
    for _ in range(TOGETHER):
        ended(spans, "whole")
    spans.queue.stop()
    assert (spans.queue.failed, spans.queue.sent) == (1, TOGETHER)
    assert b"broken" not in b"".join(sent.requests)
    assert "a span could not be written" in caplog.text


class Exporter:
    """Takes what is exported, when it may."""

    def __init__(self) -> None:
        self.exported: list[Any] = []
        self.exporting, self.go_on = Event(), Event()

    def export(self, data: Any) -> None:
        self.exported.append(data)
        self.exporting.set()
        self.go_on.wait(30)

    def shutdown(self) -> None:
        self.exported.append("shut down")


def test_the_last_metrics_are_sent_whatever_waits_before_them() -> None:
    exporter = Exporter()
    sender = MetricSender(exporter)  # type: ignore[arg-type]
    sender.send("first")  # type: ignore[arg-type]
    assert exporter.exporting.wait(30)
    for data in ("second", "left out"):
        sender.send(data)  # type: ignore[arg-type]
    exporter.go_on.set()
    sender.stop("last")  # type: ignore[arg-type]
    assert exporter.exported == ["first", "second", "last", "shut down"]


def test_whoever_reads_the_instruments_reads_what_was_measured_a_moment_ago() -> None:
    instruments = Instruments()
    counter = instruments.counters[names.REFUSALS.name]
    instruments.later(partial(counter.add, ("no_eligible_model",), 7))
    assert b"7.0" in prometheus_text(instruments, {})[0]


def test_what_cannot_be_measured_keeps_nothing_else_from_being_measured(caplog: pytest.LogCaptureFixture) -> None:
    instruments = Instruments()
    counter = instruments.counters[names.REFUSALS.name]
    instruments.later(lambda: {}["nothing"])
    instruments.later(partial(counter.add, ("overloaded",)))
    instruments.catch_up()
    assert counter.cells["overloaded",] == 1
    assert "something could not be measured" in caplog.text


SAMPLERS = {
    "always_on": "",
    "always_off": "",
    "traceidratio": "0.3",
    "parentbased_always_on": "",
    "parentbased_always_off": "",
    "parentbased_traceidratio": "0.3",
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_of_traces_that_begin_here_those_are_sampled_that_the_standard_sampler_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", SAMPLERS[name])
    sampler = TracerProvider(shutdown_on_exit=False).sampler
    below = below_of(sampler)
    assert below is not None
    for trace_id in (random.Random(number).getrandbits(128) for number in range(200)):
        taken = sampler.should_sample(None, trace_id, "x", SpanKind.SERVER).decision.is_sampled()
        assert (trace_id % 2**64 < below) is taken


def test_a_sampler_of_somebody_elses_is_asked() -> None:
    class Own(ParentBased):
        def should_sample(self, *given: object, **named: object) -> SamplingResult:  # type: ignore[override]
            raise NotImplementedError

    assert below_of(Own(ALWAYS_ON)) is None
    assert below_of(ParentBased(Own(ALWAYS_ON))) is None
