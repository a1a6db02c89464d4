import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import billing_pb2 as _billing_pb2
from muxer.v1 import errors_pb2 as _errors_pb2
from muxer.v1 import routing_pb2 as _routing_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricsDimension(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRICS_DIMENSION_UNSPECIFIED: _ClassVar[MetricsDimension]
    METRICS_DIMENSION_PROVIDER: _ClassVar[MetricsDimension]
    METRICS_DIMENSION_MODEL: _ClassVar[MetricsDimension]
    METRICS_DIMENSION_INTENT: _ClassVar[MetricsDimension]
    METRICS_DIMENSION_STRATEGY: _ClassVar[MetricsDimension]

class BreakerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BREAKER_STATE_UNSPECIFIED: _ClassVar[BreakerState]
    BREAKER_STATE_CLOSED: _ClassVar[BreakerState]
    BREAKER_STATE_OPEN: _ClassVar[BreakerState]
    BREAKER_STATE_HALF_OPEN: _ClassVar[BreakerState]
    BREAKER_STATE_DISABLED: _ClassVar[BreakerState]

class HealthState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEALTH_STATE_UNSPECIFIED: _ClassVar[HealthState]
    HEALTH_STATE_HEALTHY: _ClassVar[HealthState]
    HEALTH_STATE_DEGRADED: _ClassVar[HealthState]
    HEALTH_STATE_DOWN: _ClassVar[HealthState]
    HEALTH_STATE_DISABLED: _ClassVar[HealthState]

class MetricsScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRICS_SCOPE_UNSPECIFIED: _ClassVar[MetricsScope]
    METRICS_SCOPE_PROCESS: _ClassVar[MetricsScope]
    METRICS_SCOPE_FLEET: _ClassVar[MetricsScope]

class MetricsWindow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRICS_WINDOW_UNSPECIFIED: _ClassVar[MetricsWindow]
    METRICS_WINDOW_MINUTE: _ClassVar[MetricsWindow]
    METRICS_WINDOW_FIVE_MINUTES: _ClassVar[MetricsWindow]
    METRICS_WINDOW_HOUR: _ClassVar[MetricsWindow]
    METRICS_WINDOW_SINCE_START: _ClassVar[MetricsWindow]
METRICS_DIMENSION_UNSPECIFIED: MetricsDimension
METRICS_DIMENSION_PROVIDER: MetricsDimension
METRICS_DIMENSION_MODEL: MetricsDimension
METRICS_DIMENSION_INTENT: MetricsDimension
METRICS_DIMENSION_STRATEGY: MetricsDimension
BREAKER_STATE_UNSPECIFIED: BreakerState
BREAKER_STATE_CLOSED: BreakerState
BREAKER_STATE_OPEN: BreakerState
BREAKER_STATE_HALF_OPEN: BreakerState
BREAKER_STATE_DISABLED: BreakerState
HEALTH_STATE_UNSPECIFIED: HealthState
HEALTH_STATE_HEALTHY: HealthState
HEALTH_STATE_DEGRADED: HealthState
HEALTH_STATE_DOWN: HealthState
HEALTH_STATE_DISABLED: HealthState
METRICS_SCOPE_UNSPECIFIED: MetricsScope
METRICS_SCOPE_PROCESS: MetricsScope
METRICS_SCOPE_FLEET: MetricsScope
METRICS_WINDOW_UNSPECIFIED: MetricsWindow
METRICS_WINDOW_MINUTE: MetricsWindow
METRICS_WINDOW_FIVE_MINUTES: MetricsWindow
METRICS_WINDOW_HOUR: MetricsWindow
METRICS_WINDOW_SINCE_START: MetricsWindow

class MetricsRow(_message.Message):
    __slots__ = ("provider", "model", "intent", "strategy", "requests", "successes", "cancelled", "failures", "consecutive_failures", "usage", "cost_nano_usd", "latency", "time_to_first_token", "last_request_time", "breaker", "success_rate", "output_tokens_per_second", "cost_per_1k_tokens_nano_usd", "cache", "health")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LAST_REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_RATE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    COST_PER_1K_TOKENS_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    intent: _routing_pb2.Intent
    strategy: str
    requests: int
    successes: int
    cancelled: int
    failures: _containers.RepeatedCompositeFieldContainer[FailureCount]
    consecutive_failures: int
    usage: _billing_pb2.Usage
    cost_nano_usd: int
    latency: LatencySummary
    time_to_first_token: LatencySummary
    last_request_time: _timestamp_pb2.Timestamp
    breaker: BreakerState
    success_rate: float
    output_tokens_per_second: float
    cost_per_1k_tokens_nano_usd: int
    cache: CacheFigures
    health: HealthState
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., intent: _Optional[_Union[_routing_pb2.Intent, str]] = ..., strategy: _Optional[str] = ..., requests: _Optional[int] = ..., successes: _Optional[int] = ..., cancelled: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[FailureCount, _Mapping]]] = ..., consecutive_failures: _Optional[int] = ..., usage: _Optional[_Union[_billing_pb2.Usage, _Mapping]] = ..., cost_nano_usd: _Optional[int] = ..., latency: _Optional[_Union[LatencySummary, _Mapping]] = ..., time_to_first_token: _Optional[_Union[LatencySummary, _Mapping]] = ..., last_request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., breaker: _Optional[_Union[BreakerState, str]] = ..., success_rate: _Optional[float] = ..., output_tokens_per_second: _Optional[float] = ..., cost_per_1k_tokens_nano_usd: _Optional[int] = ..., cache: _Optional[_Union[CacheFigures, _Mapping]] = ..., health: _Optional[_Union[HealthState, str]] = ...) -> None: ...

class CacheFigures(_message.Message):
    __slots__ = ("hits", "shared_hits", "misses", "hit_rate", "saved_nano_usd")
    HITS_FIELD_NUMBER: _ClassVar[int]
    SHARED_HITS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    HIT_RATE_FIELD_NUMBER: _ClassVar[int]
    SAVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    hits: int
    shared_hits: int
    misses: int
    hit_rate: float
    saved_nano_usd: int
    def __init__(self, hits: _Optional[int] = ..., shared_hits: _Optional[int] = ..., misses: _Optional[int] = ..., hit_rate: _Optional[float] = ..., saved_nano_usd: _Optional[int] = ...) -> None: ...

class FailureCount(_message.Message):
    __slots__ = ("failure_class", "count")
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    failure_class: _errors_pb2.FailureClass
    count: int
    def __init__(self, failure_class: _Optional[_Union[_errors_pb2.FailureClass, str]] = ..., count: _Optional[int] = ...) -> None: ...

class LatencySummary(_message.Message):
    __slots__ = ("samples", "p50", "p90", "p95", "p99")
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    P50_FIELD_NUMBER: _ClassVar[int]
    P90_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    P99_FIELD_NUMBER: _ClassVar[int]
    samples: int
    p50: _duration_pb2.Duration
    p90: _duration_pb2.Duration
    p95: _duration_pb2.Duration
    p99: _duration_pb2.Duration
    def __init__(self, samples: _Optional[int] = ..., p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., p90: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., p95: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., p99: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ProcessStatus(_message.Message):
    __slots__ = ("version", "start_time", "completions_in_flight", "instance_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETIONS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    version: str
    start_time: _timestamp_pb2.Timestamp
    completions_in_flight: int
    instance_id: str
    def __init__(self, version: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., completions_in_flight: _Optional[int] = ..., instance_id: _Optional[str] = ...) -> None: ...
