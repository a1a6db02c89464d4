import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import routing_pb2 as _routing_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RuntimeSettings(_message.Message):
    __slots__ = ("default_strategy", "weights", "breaker", "attempts", "retry_share", "hedge_share")
    DEFAULT_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_SHARE_FIELD_NUMBER: _ClassVar[int]
    HEDGE_SHARE_FIELD_NUMBER: _ClassVar[int]
    default_strategy: str
    weights: _routing_pb2.RoutingWeights
    breaker: BreakerRules
    attempts: AttemptRules
    retry_share: float
    hedge_share: float
    def __init__(self, default_strategy: _Optional[str] = ..., weights: _Optional[_Union[_routing_pb2.RoutingWeights, _Mapping]] = ..., breaker: _Optional[_Union[BreakerRules, _Mapping]] = ..., attempts: _Optional[_Union[AttemptRules, _Mapping]] = ..., retry_share: _Optional[float] = ..., hedge_share: _Optional[float] = ...) -> None: ...

class BreakerRules(_message.Message):
    __slots__ = ("enabled", "consecutive_failures", "failure_share", "least_calls", "window", "open_time", "most_open_time")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FAILURES_FIELD_NUMBER: _ClassVar[int]
    FAILURE_SHARE_FIELD_NUMBER: _ClassVar[int]
    LEAST_CALLS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    MOST_OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    consecutive_failures: int
    failure_share: float
    least_calls: int
    window: _duration_pb2.Duration
    open_time: _duration_pb2.Duration
    most_open_time: _duration_pb2.Duration
    def __init__(self, enabled: _Optional[bool] = ..., consecutive_failures: _Optional[int] = ..., failure_share: _Optional[float] = ..., least_calls: _Optional[int] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., open_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., most_open_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class AttemptRules(_message.Message):
    __slots__ = ("max_attempts", "max_attempts_per_model", "first_wait", "most_wait", "first_token_time", "gap_time")
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_PER_MODEL_FIELD_NUMBER: _ClassVar[int]
    FIRST_WAIT_FIELD_NUMBER: _ClassVar[int]
    MOST_WAIT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_TIME_FIELD_NUMBER: _ClassVar[int]
    GAP_TIME_FIELD_NUMBER: _ClassVar[int]
    max_attempts: int
    max_attempts_per_model: int
    first_wait: _duration_pb2.Duration
    most_wait: _duration_pb2.Duration
    first_token_time: _duration_pb2.Duration
    gap_time: _duration_pb2.Duration
    def __init__(self, max_attempts: _Optional[int] = ..., max_attempts_per_model: _Optional[int] = ..., first_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., most_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_token_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., gap_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RuntimeSettingsStatus(_message.Message):
    __slots__ = ("settings", "configured", "overridden", "revision", "update_time")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CONFIGURED_FIELD_NUMBER: _ClassVar[int]
    OVERRIDDEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    settings: RuntimeSettings
    configured: RuntimeSettings
    overridden: _field_mask_pb2.FieldMask
    revision: int
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, settings: _Optional[_Union[RuntimeSettings, _Mapping]] = ..., configured: _Optional[_Union[RuntimeSettings, _Mapping]] = ..., overridden: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., revision: _Optional[int] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetRuntimeSettingsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRuntimeSettingsResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: RuntimeSettingsStatus
    def __init__(self, status: _Optional[_Union[RuntimeSettingsStatus, _Mapping]] = ...) -> None: ...

class UpdateRuntimeSettingsRequest(_message.Message):
    __slots__ = ("settings", "update_mask", "revision")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    settings: RuntimeSettings
    update_mask: _field_mask_pb2.FieldMask
    revision: int
    def __init__(self, settings: _Optional[_Union[RuntimeSettings, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class UpdateRuntimeSettingsResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: RuntimeSettingsStatus
    def __init__(self, status: _Optional[_Union[RuntimeSettingsStatus, _Mapping]] = ...) -> None: ...
