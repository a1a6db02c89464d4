from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InvalidateCacheRequest(_message.Message):
    __slots__ = ("tenant_id", "model", "label", "everything")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    EVERYTHING_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    model: str
    label: CacheLabel
    everything: bool
    def __init__(self, tenant_id: _Optional[str] = ..., model: _Optional[str] = ..., label: _Optional[_Union[CacheLabel, _Mapping]] = ..., everything: _Optional[bool] = ...) -> None: ...

class CacheLabel(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class InvalidateCacheResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: int
    def __init__(self, answers: _Optional[int] = ...) -> None: ...

class GetCacheStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCacheStatsResponse(_message.Message):
    __slots__ = ("stats",)
    STATS_FIELD_NUMBER: _ClassVar[int]
    stats: CacheStats
    def __init__(self, stats: _Optional[_Union[CacheStats, _Mapping]] = ...) -> None: ...

class CacheStats(_message.Message):
    __slots__ = ("enabled", "backend", "instance_id", "hits", "shared_hits", "misses", "stored", "evicted", "failures", "away", "answers", "held_bytes", "max_bytes", "saved_nano_usd")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    SHARED_HITS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    EVICTED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    AWAY_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    HELD_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    SAVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    backend: str
    instance_id: str
    hits: int
    shared_hits: int
    misses: int
    stored: int
    evicted: int
    failures: int
    away: bool
    answers: int
    held_bytes: int
    max_bytes: int
    saved_nano_usd: int
    def __init__(self, enabled: _Optional[bool] = ..., backend: _Optional[str] = ..., instance_id: _Optional[str] = ..., hits: _Optional[int] = ..., shared_hits: _Optional[int] = ..., misses: _Optional[int] = ..., stored: _Optional[int] = ..., evicted: _Optional[int] = ..., failures: _Optional[int] = ..., away: _Optional[bool] = ..., answers: _Optional[int] = ..., held_bytes: _Optional[int] = ..., max_bytes: _Optional[int] = ..., saved_nano_usd: _Optional[int] = ...) -> None: ...
