"""What spans are made and sent with, as OpenTelemetry's standard variables say. Loaded where an endpoint is set."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import (
    OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT,
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    OTEL_BSP_MAX_QUEUE_SIZE,
    OTEL_BSP_SCHEDULE_DELAY,
    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from muxer_grpc.telemetry.span_wire import Attributes
from muxer_grpc.telemetry.spans import NO_LIMIT, Caller, QueueRules, Spans, spans_to

# Trace context alone, whatever else is set: baggage of callers is not for third parties.
_propagator = TraceContextTextMapPropagator()


class _Exporter(OTLPSpanExporter):
    """OpenTelemetry's own exporter: endpoint, headers, compression, certificates, retries; it is given bytes."""

    def send(self, written: bytes) -> bool:
        """Sends a request in wire format; tells whether the receiver took it."""
        return bool(self._client.export(written).success)


def resource_of(own: Mapping[str, str]) -> Resource:
    """Says whose telemetry it is; what the standard variables say of it goes first."""
    return Resource.create({}).merge(Resource(dict(own))).merge(OTELResourceDetector().detect())


def extract(carried: Mapping[str, str]) -> Caller | None:
    """Reads who called; None where the headers name nobody."""
    context = _propagator.extract(carried, Context())
    found = get_current_span(context).get_span_context()
    if not found.is_valid:
        return None
    return Caller(found.trace_id, found.span_id, int(found.trace_flags), found.trace_state.to_header(), context)


def open_spans(resource: Resource, version: str, environment: Mapping[str, str]) -> tuple[Spans, _Exporter]:
    """Begins to send spans. Close it by `stop` of the queue, then `shutdown` of the exporter."""
    exporter = _Exporter()
    rules = QueueRules(
        most=_number(environment, OTEL_BSP_MAX_QUEUE_SIZE, 2_048),
        batch=_number(environment, OTEL_BSP_MAX_EXPORT_BATCH_SIZE, 512),
        seconds=_number(environment, OTEL_BSP_SCHEDULE_DELAY, 5_000) / 1000,
    )
    told = {name: value for name, value in resource.attributes.items() if isinstance(value, str | bool | int | float)}
    # It is asked for what the standard variables make of sampler and ids, and starts nothing.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    longest = _number(environment, OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT, 0) or _number(
        environment, OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT, NO_LIMIT
    )
    queue = spans_to(exporter.send, told, version, rules)
    sampler = provider.sampler
    return Spans(sampler, provider.id_generator, queue, extract, Attributes(longest), below_of(sampler)), exporter


def below_of(sampler: Sampler) -> int | None:
    """Tells below which number an id must end for a trace that begins here to be sampled; None: the sampler knows.

    As the samplers of the standard have it (https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased).
    """
    root: object = sampler
    if type(sampler).should_sample is ParentBased.should_sample:
        # It asks its root about a trace that begins here, and about no other.
        root = getattr(sampler, "_root", None)
    if root is ALWAYS_OFF:
        return 0
    if root is ALWAYS_ON:
        return TraceIdRatioBased.TRACE_ID_LIMIT + 1
    return root.bound if type(root) is TraceIdRatioBased else None


def _number(environment: Mapping[str, str], name: str, usual: int) -> int:
    """Reads a whole number above 0; anything else is the usual one, as everywhere in OpenTelemetry."""
    try:
        found = int(environment.get(name, "") or usual)
    except ValueError:
        return usual
    return found if found > 0 else usual
