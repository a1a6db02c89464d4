"""Spans under way, and the thread that sends those that have ended.

Samplers, ids, limits and the queue are as OpenTelemetry's standard variables say; see span_wire.py for why the SDK's
own spans are not used. Nothing here waits for the receiver: a full queue loses spans, and they are counted.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from muxer_grpc.telemetry.instruments import SpanEnd
from muxer_grpc.telemetry.span_wire import Attributes, Value, envelope, request, span

if TYPE_CHECKING:  # what is not configured is not loaded
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler

_log = logging.getLogger(__name__)

# SpanKind of trace.proto.
SERVER, CLIENT = 2, 3
NO_LIMIT = 1 << 30
# Decision.RECORD_AND_SAMPLE of the SDK's samplers.
RECORD_AND_SAMPLE = 2
PARENT, STATE = "traceparent", "tracestate"
# So many spans are written in one go once they have ended, in the order in which they did. In the midst of requests the
# code that writes them is never in the processor's caches: there it takes two to three times as long.
TOGETHER = 96
# The bits of a trace id that samplers look at.
LOW_64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class QueueRules:
    """The standard `OTEL_BSP_*`: how many spans wait at most, how many go at once, and how long they wait (seconds)."""

    most: int = 2_048
    batch: int = 512
    seconds: float = 5.0


class SpanQueue:
    """Sends spans that have ended from a thread of its own. `send` sends a request, and tells whether it was taken."""

    def __init__(self, send: Callable[[bytes], bool], around: tuple[bytes, bytes], rules: QueueRules) -> None:
        self._send = send
        self._around = around
        self._rules = rules
        self._together = min(TOGETHER, rules.batch)
        # Those that have ended and are not written yet, and those that are.
        self._ended: deque[LiveSpan] = deque()
        self._waiting: deque[bytes] = deque()
        self._wake = Event()
        self._over = False
        self.sent = self.failed = self.dropped = 0
        self._thread = Thread(target=self._run, name="muxer-spans", daemon=True)
        self._thread.start()

    def put(self, ended: LiveSpan) -> None:
        """Takes a span that has ended; one for which there is no room is lost."""
        unwritten = self._ended
        if len(self._waiting) + len(unwritten) >= self._rules.most:
            self.dropped += 1
            return
        unwritten.append(ended)
        if len(unwritten) >= self._together:
            self._write()
            if len(self._waiting) >= self._rules.batch:
                self._wake.set()

    def figures(self) -> Iterable[tuple[tuple[str, ...], float]]:
        """Counts spans by what became of them: sent, failed (refused, nobody there), dropped (no room)."""
        return [(("sent",), self.sent), (("failed",), self.failed), (("dropped",), self.dropped)]

    def stop(self) -> None:
        """Sends what is left, and returns when that is done."""
        self._over = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._rules.seconds)
            self._wake.clear()
            # Of before: a span that ends while others are sent is sent in another round.
            last = self._over
            self._write()
            while self._waiting:
                self._send_batch()
            if last:
                return

    def _write(self) -> None:
        """Writes the spans that have ended; the two threads that come here take each span once."""
        while True:
            try:
                ended = self._ended.popleft()
            except IndexError:
                return
            try:
                self._waiting.append(ended.written())
            except Exception:
                self.failed += 1
                _log.exception("a span could not be written")

    def _send_batch(self) -> None:
        waiting = self._waiting
        spans = [waiting.popleft() for _ in range(min(len(waiting), self._rules.batch))]
        taken = False
        try:
            taken = self._send(request(self._around, spans))
        except Exception:
            _log.exception("spans could not be sent")
        if taken:
            self.sent += len(spans)
        else:
            self.failed += len(spans)


# Attributes that are looked up when the span is written.
Later = Callable[[], Mapping[str, Value]]


class LiveSpan:
    """A span under way. `began_ns` is in nanoseconds since the epoch."""

    __slots__ = (
        "_ended_ns",
        "_later",
        "_parent_id",
        "_remote",
        "_spans",
        "attributes",
        "began_ns",
        "failed",
        "flags",
        "kind",
        "name",
        "span_id",
        "state",
        "trace_id",
    )

    def __init__(
        self, spans: Spans, name: str, kind: int, attributes: dict[str, Value], parent: LiveSpan | Caller | None
    ) -> None:
        self._spans = spans
        self.name = name
        self.kind = kind
        self.attributes = attributes
        self.began_ns = time.time_ns()
        self._ended_ns = 0
        self._later: list[tuple[Later, Hashable]] = []
        self.failed = False
        self.span_id = spans.ids.generate_span_id()
        self._parent_id, self._remote = 0, False
        self.state, self.trace_id, self.flags = "", 0, 1
        if parent is not None:
            self.trace_id, self.flags, self.state = parent.trace_id, parent.flags | 1, parent.state
            self._parent_id, self._remote = parent.span_id, isinstance(parent, Caller)

    def child(self, name: str, attributes: dict[str, Value] | None = None) -> LiveSpan:
        """Begins a span of something that is called for this one."""
        return LiveSpan(self._spans, name, CLIENT, {} if attributes is None else attributes, self)

    def tell(self, later: Later, key: Hashable = None) -> None:
        """Adds attributes that are asked for when the span is written: of what does not change until then.

        With a key that says all that they depend on, they are written once for all spans.
        """
        self._later.append((later, key))

    def headers(self) -> Mapping[str, str]:
        """Gives the headers that carry the span on (https://www.w3.org/TR/trace-context/)."""
        carried = {PARENT: f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"}
        if self.state:
            carried[STATE] = self.state
        return carried

    def fail(self, error_type: str, name: str = "error.type") -> None:
        """Marks the span as failed."""
        self.attributes[name] = error_type
        self.failed = True

    def end(self, ended_ns: int | None = None) -> SpanEnd:
        """Ends the span, now or at a time."""
        self._ended_ns = time.time_ns() if ended_ns is None else ended_ns
        self._spans.queue.put(self)
        return SpanEnd(self.trace_id, self.span_id, self._ended_ns)

    def written(self) -> bytes:
        """Writes the span, which has ended."""
        writer = self._spans.writer
        attributes = [writer.write(self.attributes)]
        for later, key in self._later:
            attributes.append(writer.write(later()) if key is None else writer.block(key, later))
        return span(
            (self.trace_id, self.span_id, self._parent_id),
            self.name,
            self.kind,
            (self.began_ns, self._ended_ns),
            b"".join(attributes),
            state=self.state,
            remote=self._remote,
            failed=self.failed,
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """The span of another process that a call came from; `context` is that of the sampler."""

    trace_id: int
    span_id: int
    flags: int
    state: str
    context: Any


@dataclass(slots=True)
class Spans:
    """Begins spans. `extract` reads who called from headers; `writer` writes their attributes.

    `below` is set where of calls that belong to no trace those are sampled whose id ends with a lower number: then the
    sampler, which takes 12 µs to say so, is not asked about them.
    """

    sampler: Sampler
    ids: IdGenerator
    queue: SpanQueue
    extract: Callable[[Mapping[str, str]], Caller | None]
    writer: Attributes = field(default_factory=lambda: Attributes(NO_LIMIT))
    below: int | None = None

    def server(self, name: str, carried: Mapping[str, str], attributes: dict[str, Value]) -> LiveSpan | None:
        """Begins the span of a call, as part of its caller's trace where it brought one; None: it is not sampled."""
        caller = self.extract(carried) if carried else None
        trace_id = self.ids.generate_trace_id() if caller is None else caller.trace_id
        if caller is None and self.below is not None:
            sampled = trace_id & LOW_64 < self.below
        else:
            sampled = self._asks(caller, trace_id, name, attributes)
        if not sampled:
            return None
        found = LiveSpan(self, name, SERVER, attributes, caller)
        found.trace_id = trace_id
        return found

    def _asks(self, caller: Caller | None, trace_id: int, name: str, attributes: Mapping[str, Value]) -> bool:
        """Asks the sampler."""
        from opentelemetry.trace import SpanKind

        context = None if caller is None else caller.context
        result = self.sampler.should_sample(context, trace_id, name, SpanKind.SERVER, attributes)
        return bool(result.decision.value >= RECORD_AND_SAMPLE)


def spans_to(
    send: Callable[[bytes], bool], resource: Mapping[str, Value], version: str, rules: QueueRules
) -> SpanQueue:
    """Begins to send spans of a resource."""
    return SpanQueue(send, envelope(resource, "muxer", version), rules)
