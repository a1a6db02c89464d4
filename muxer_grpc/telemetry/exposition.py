"""Writes what the instruments hold for those who read it: OTLP's exporter, and Prometheus.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ says how names and units are written.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from muxer_grpc.telemetry.instruments import Cell, Histogram, Instruments, Values
from muxer_grpc.telemetry.names import Metric

if TYPE_CHECKING:  # what is not configured is not loaded
    from opentelemetry.sdk.metrics.export import HistogramDataPoint, MetricsData
    from opentelemetry.sdk.metrics.export import Metric as OtlpMetric
    from opentelemetry.sdk.resources import Resource
    from prometheus_client import Metric as PrometheusMetric

SCOPE = "muxer"
NANO = 1_000_000_000
# How Prometheus writes units; one in braces says what is counted and is left out.
UNITS = {"s": "seconds", "By": "bytes", "1": "ratio"}


def attributes_of(metric: Metric, values: Values) -> dict[str, str]:
    """Gives the attributes of a cell by name; those without a value are left out."""
    return {name: value for name, value in zip(metric.attributes, values, strict=True) if value}


def otlp_data(instruments: Instruments, resource: Resource, version: str) -> MetricsData:
    """Writes all instruments, cumulative since the process began."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    metrics = list(_otlp_metrics(instruments, time.time_ns()))
    scope = ScopeMetrics(InstrumentationScope(SCOPE, version), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], resource.schema_url)])


def _otlp_metrics(instruments: Instruments, now_ns: int) -> Iterator[OtlpMetric]:
    from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, NumberDataPoint, Sum
    from opentelemetry.sdk.metrics.export import Histogram as HistogramPoints
    from opentelemetry.sdk.metrics.export import Metric as OtlpMetric

    began, cumulative = instruments.started_ns, AggregationTemporality.CUMULATIVE

    def points(metric: Metric, cells: Iterable[tuple[Values, float]]) -> list[NumberDataPoint]:
        return [NumberDataPoint(attributes_of(metric, values), began, now_ns, value) for values, value in cells]

    instruments.catch_up()
    for histogram in instruments.histograms.values():
        metric = histogram.metric
        if histogram.cells:
            found = HistogramPoints(list(_otlp_histogram(histogram, began, now_ns)), cumulative)
            yield OtlpMetric(metric.name, metric.description, metric.unit, found)
    for counter in instruments.counters.values():
        metric = counter.metric
        if counter.cells:
            sums = Sum(points(metric, counter.cells.items()), cumulative, True)
            yield OtlpMetric(metric.name, metric.description, metric.unit, sums)
    for each in instruments.observed:
        metric, seen = each.metric, points(each.metric, each.look())
        if seen:
            kind = Sum(seen, cumulative, True) if each.grows else Gauge(seen)
            yield OtlpMetric(metric.name, metric.description, metric.unit, kind)


def _otlp_histogram(histogram: Histogram, began: int, now_ns: int) -> Iterator[HistogramDataPoint]:
    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import HistogramDataPoint

    for values, cell in histogram.cells.items():
        yield HistogramDataPoint(
            attributes=attributes_of(histogram.metric, values),
            start_time_unix_nano=began,
            time_unix_nano=now_ns,
            count=cell.count,
            sum=cell.total,
            bucket_counts=tuple(cell.counts),
            explicit_bounds=histogram.metric.bounds,
            min=cell.least,
            max=cell.most,
            exemplars=[
                Exemplar({}, each.value, each.at_ns, each.span_id, each.trace_id) for each in cell.exemplars.values()
            ],
        )


def prometheus_name(metric: Metric, *, ratio: bool = False) -> str:
    """Gives the name that Prometheus knows a metric by, without the ending that tells its kind."""
    name = metric.name.replace(".", "_")
    unit = UNITS.get(metric.unit, "")
    if unit == "ratio" and not ratio:
        # What is 1 for the state that something is in is no ratio of anything.
        unit = ""
    return f"{name}_{unit}" if unit and not name.endswith(f"_{unit}") else name


class PrometheusCollector:
    """Collects all instruments for Prometheus's own writer of its text."""

    def __init__(self, instruments: Instruments, labels: dict[str, str]) -> None:
        self._instruments = instruments
        self._labels = labels

    def collect(self) -> Iterator[PrometheusMetric]:
        """Gives each metric with its samples."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        fixed = tuple(self._labels)
        self._instruments.catch_up()
        for histogram in self._instruments.histograms.values():
            metric = histogram.metric
            family = HistogramMetricFamily(prometheus_name(metric), metric.description, labels=_labels(metric, fixed))
            for values, cell in list(histogram.cells.items()):
                buckets = _prometheus_buckets(metric, cell)
                family.add_metric((*values, *self._labels.values()), buckets, cell.total)
            yield family
        for counter in self._instruments.counters.values():
            metric = counter.metric
            sums = CounterMetricFamily(prometheus_name(metric), metric.description, labels=_labels(metric, fixed))
            for values, amount in list(counter.cells.items()):
                sums.add_metric((*values, *self._labels.values()), amount)
            yield sums
        for each in self._instruments.observed:
            metric = each.metric
            kind = CounterMetricFamily if each.grows else GaugeMetricFamily
            found = kind(prometheus_name(metric), metric.description, labels=_labels(metric, fixed))
            for values, value in each.look():
                found.add_metric((*values, *self._labels.values()), value)
            yield found


def _labels(metric: Metric, fixed: tuple[str, ...]) -> list[str]:
    return [name.replace(".", "_") for name in (*metric.attributes, *fixed)]


def _prometheus_buckets(metric: Metric, cell: Cell) -> list[Any]:
    """Sums the buckets up, as Prometheus counts them, each with its exemplar where it has one."""
    from prometheus_client.samples import Exemplar
    from prometheus_client.utils import floatToGoString

    bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
    buckets: list[Any] = []
    so_far = 0
    for number, (bound, count) in enumerate(zip(bounds, cell.counts, strict=True)):
        so_far += count
        found = cell.exemplars.get(number)
        exemplar = None
        if found is not None:
            ids = {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}
            exemplar = Exemplar(ids, found.value, found.at_ns / NANO)
        buckets.append((bound, float(so_far), exemplar))
    return buckets


def prometheus_text(instruments: Instruments, labels: dict[str, str], accept: str = "") -> tuple[bytes, str]:
    """Writes all instruments as Prometheus reads them, and gives the content type.

    That is OpenMetrics, with exemplars, for those who `accept` it, else the text format 0.0.4.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(PrometheusCollector(instruments, labels))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type
