import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import errors_pb2 as _errors_pb2
from muxer.v1 import metrics_pb2 as _metrics_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BreakerAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BREAKER_ACTION_UNSPECIFIED: _ClassVar[BreakerAction]
    BREAKER_ACTION_DISABLE: _ClassVar[BreakerAction]
    BREAKER_ACTION_ENABLE: _ClassVar[BreakerAction]
    BREAKER_ACTION_RESET: _ClassVar[BreakerAction]
BREAKER_ACTION_UNSPECIFIED: BreakerAction
BREAKER_ACTION_DISABLE: BreakerAction
BREAKER_ACTION_ENABLE: BreakerAction
BREAKER_ACTION_RESET: BreakerAction

class TargetHealth(_message.Message):
    __slots__ = ("provider", "model", "breaker", "consecutive_failures", "disabled", "revision", "next_attempt_time", "success_rate", "p50_latency", "p95_latency", "last_request_time", "last_probe", "next_probe_time")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_RATE_FIELD_NUMBER: _ClassVar[int]
    P50_LATENCY_FIELD_NUMBER: _ClassVar[int]
    P95_LATENCY_FIELD_NUMBER: _ClassVar[int]
    LAST_REQUEST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_PROBE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PROBE_TIME_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    breaker: _metrics_pb2.BreakerState
    consecutive_failures: int
    disabled: bool
    revision: int
    next_attempt_time: _timestamp_pb2.Timestamp
    success_rate: float
    p50_latency: _duration_pb2.Duration
    p95_latency: _duration_pb2.Duration
    last_request_time: _timestamp_pb2.Timestamp
    last_probe: ProbeOutcome
    next_probe_time: _timestamp_pb2.Timestamp
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., breaker: _Optional[_Union[_metrics_pb2.BreakerState, str]] = ..., consecutive_failures: _Optional[int] = ..., disabled: _Optional[bool] = ..., revision: _Optional[int] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., success_rate: _Optional[float] = ..., p50_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., p95_latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., last_request_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_probe: _Optional[_Union[ProbeOutcome, _Mapping]] = ..., next_probe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProbeOutcome(_message.Message):
    __slots__ = ("time", "ok", "latency", "failure_class")
    TIME_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    ok: bool
    latency: _duration_pb2.Duration
    failure_class: _errors_pb2.FailureClass
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ok: _Optional[bool] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., failure_class: _Optional[_Union[_errors_pb2.FailureClass, str]] = ...) -> None: ...

class ListHealthRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "provider")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    provider: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., provider: _Optional[str] = ...) -> None: ...

class ListHealthResponse(_message.Message):
    __slots__ = ("targets", "next_page_token", "instance_id")
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[TargetHealth]
    next_page_token: str
    instance_id: str
    def __init__(self, targets: _Optional[_Iterable[_Union[TargetHealth, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., instance_id: _Optional[str] = ...) -> None: ...

class WatchHealthRequest(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: str
    def __init__(self, provider: _Optional[str] = ...) -> None: ...

class WatchHealthResponse(_message.Message):
    __slots__ = ("targets", "snapshot", "gone_models", "instance_id")
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    GONE_MODELS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[TargetHealth]
    snapshot: bool
    gone_models: _containers.RepeatedScalarFieldContainer[str]
    instance_id: str
    def __init__(self, targets: _Optional[_Iterable[_Union[TargetHealth, _Mapping]]] = ..., snapshot: _Optional[bool] = ..., gone_models: _Optional[_Iterable[str]] = ..., instance_id: _Optional[str] = ...) -> None: ...

class SetBreakerRequest(_message.Message):
    __slots__ = ("model", "provider", "action", "revision")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    model: str
    provider: str
    action: BreakerAction
    revision: int
    def __init__(self, model: _Optional[str] = ..., provider: _Optional[str] = ..., action: _Optional[_Union[BreakerAction, str]] = ..., revision: _Optional[int] = ...) -> None: ...

class SetBreakerResponse(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: TargetHealth
    def __init__(self, target: _Optional[_Union[TargetHealth, _Mapping]] = ...) -> None: ...
