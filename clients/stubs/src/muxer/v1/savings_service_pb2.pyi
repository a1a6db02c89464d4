import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import routing_pb2 as _routing_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetSavingsRequest(_message.Message):
    __slots__ = ("tenant_id", "since", "until", "quality_tolerance")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    QUALITY_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    quality_tolerance: float
    def __init__(self, tenant_id: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quality_tolerance: _Optional[float] = ...) -> None: ...

class GetSavingsResponse(_message.Message):
    __slots__ = ("tenants",)
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[TenantSavings]
    def __init__(self, tenants: _Optional[_Iterable[_Union[TenantSavings, _Mapping]]] = ...) -> None: ...

class TenantSavings(_message.Message):
    __slots__ = ("tenant_id", "spent_nano_usd", "cheaper_models", "cached_repeats", "unused_reservations")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    CHEAPER_MODELS_FIELD_NUMBER: _ClassVar[int]
    CACHED_REPEATS_FIELD_NUMBER: _ClassVar[int]
    UNUSED_RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    spent_nano_usd: int
    cheaper_models: _containers.RepeatedCompositeFieldContainer[CheaperModel]
    cached_repeats: CachedRepeats
    unused_reservations: _containers.RepeatedCompositeFieldContainer[UnusedReservation]
    def __init__(self, tenant_id: _Optional[str] = ..., spent_nano_usd: _Optional[int] = ..., cheaper_models: _Optional[_Iterable[_Union[CheaperModel, _Mapping]]] = ..., cached_repeats: _Optional[_Union[CachedRepeats, _Mapping]] = ..., unused_reservations: _Optional[_Iterable[_Union[UnusedReservation, _Mapping]]] = ...) -> None: ...

class CheaperModel(_message.Message):
    __slots__ = ("intent", "present_model", "model", "present_cost_nano_usd", "cost_nano_usd", "saved_nano_usd", "present_quality", "quality", "attempts", "requested_completions")
    INTENT_FIELD_NUMBER: _ClassVar[int]
    PRESENT_MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRESENT_COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    SAVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    PRESENT_QUALITY_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    intent: _routing_pb2.Intent
    present_model: str
    model: str
    present_cost_nano_usd: int
    cost_nano_usd: int
    saved_nano_usd: int
    present_quality: float
    quality: float
    attempts: int
    requested_completions: int
    def __init__(self, intent: _Optional[_Union[_routing_pb2.Intent, str]] = ..., present_model: _Optional[str] = ..., model: _Optional[str] = ..., present_cost_nano_usd: _Optional[int] = ..., cost_nano_usd: _Optional[int] = ..., saved_nano_usd: _Optional[int] = ..., present_quality: _Optional[float] = ..., quality: _Optional[float] = ..., attempts: _Optional[int] = ..., requested_completions: _Optional[int] = ...) -> None: ...

class CachedRepeats(_message.Message):
    __slots__ = ("completions", "known_completions", "repeats", "saved_nano_usd")
    COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    SAVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    completions: int
    known_completions: int
    repeats: int
    saved_nano_usd: int
    def __init__(self, completions: _Optional[int] = ..., known_completions: _Optional[int] = ..., repeats: _Optional[int] = ..., saved_nano_usd: _Optional[int] = ...) -> None: ...

class UnusedReservation(_message.Message):
    __slots__ = ("model", "reserved_nano_usd", "spent_nano_usd", "unused_nano_usd", "unused_share", "longest_answer_tokens")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RESERVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    UNUSED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    UNUSED_SHARE_FIELD_NUMBER: _ClassVar[int]
    LONGEST_ANSWER_TOKENS_FIELD_NUMBER: _ClassVar[int]
    model: str
    reserved_nano_usd: int
    spent_nano_usd: int
    unused_nano_usd: int
    unused_share: float
    longest_answer_tokens: int
    def __init__(self, model: _Optional[str] = ..., reserved_nano_usd: _Optional[int] = ..., spent_nano_usd: _Optional[int] = ..., unused_nano_usd: _Optional[int] = ..., unused_share: _Optional[float] = ..., longest_answer_tokens: _Optional[int] = ...) -> None: ...
