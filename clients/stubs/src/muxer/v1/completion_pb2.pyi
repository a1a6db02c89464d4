import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from muxer.v1 import billing_pb2 as _billing_pb2
from muxer.v1 import errors_pb2 as _errors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_COMPLETE: _ClassVar[Outcome]
    OUTCOME_LENGTH: _ClassVar[Outcome]
    OUTCOME_FILTERED: _ClassVar[Outcome]
    OUTCOME_CANCELLED: _ClassVar[Outcome]
    OUTCOME_FAILED: _ClassVar[Outcome]

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_TOOL_CALLS: _ClassVar[FinishReason]
    FINISH_REASON_CONTENT_FILTER: _ClassVar[FinishReason]
    FINISH_REASON_REFUSAL: _ClassVar[FinishReason]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_COMPLETE: Outcome
OUTCOME_LENGTH: Outcome
OUTCOME_FILTERED: Outcome
OUTCOME_CANCELLED: Outcome
OUTCOME_FAILED: Outcome
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_TOOL_CALLS: FinishReason
FINISH_REASON_CONTENT_FILTER: FinishReason
FINISH_REASON_REFUSAL: FinishReason

class TextDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ReasoningDelta(_message.Message):
    __slots__ = ("text", "signature")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    text: str
    signature: str
    def __init__(self, text: _Optional[str] = ..., signature: _Optional[str] = ...) -> None: ...

class RefusalDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ToolCallDelta(_message.Message):
    __slots__ = ("index", "id", "name", "arguments_json_fragment")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    index: int
    id: str
    name: str
    arguments_json_fragment: str
    def __init__(self, index: _Optional[int] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., arguments_json_fragment: _Optional[str] = ...) -> None: ...

class AttemptSwitched(_message.Message):
    __slots__ = ("attempt", "model", "provider", "failure_class", "safe_offset")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    SAFE_OFFSET_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    model: str
    provider: str
    failure_class: _errors_pb2.FailureClass
    safe_offset: int
    def __init__(self, attempt: _Optional[int] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., failure_class: _Optional[_Union[_errors_pb2.FailureClass, str]] = ..., safe_offset: _Optional[int] = ...) -> None: ...

class CompletionSummary(_message.Message):
    __slots__ = ("completion_id", "decision_id", "outcome", "finish_reason", "requested_model", "selected_model", "reported_model", "provider", "usage", "cost", "attempts", "error_reason", "duration", "time_to_first_token", "simulated", "vendor_finish_reason", "cache_hit", "saved_nano_usd")
    COMPLETION_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    SELECTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    REPORTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_REASON_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    CACHE_HIT_FIELD_NUMBER: _ClassVar[int]
    SAVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    completion_id: str
    decision_id: str
    outcome: Outcome
    finish_reason: FinishReason
    requested_model: str
    selected_model: str
    reported_model: str
    provider: str
    usage: _billing_pb2.Usage
    cost: _billing_pb2.Cost
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    error_reason: _errors_pb2.ErrorReason
    duration: _duration_pb2.Duration
    time_to_first_token: _duration_pb2.Duration
    simulated: bool
    vendor_finish_reason: str
    cache_hit: bool
    saved_nano_usd: int
    def __init__(self, completion_id: _Optional[str] = ..., decision_id: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., requested_model: _Optional[str] = ..., selected_model: _Optional[str] = ..., reported_model: _Optional[str] = ..., provider: _Optional[str] = ..., usage: _Optional[_Union[_billing_pb2.Usage, _Mapping]] = ..., cost: _Optional[_Union[_billing_pb2.Cost, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., error_reason: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_to_first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., simulated: _Optional[bool] = ..., vendor_finish_reason: _Optional[str] = ..., cache_hit: _Optional[bool] = ..., saved_nano_usd: _Optional[int] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("number", "model", "provider", "outcome", "failure_class", "http_status", "vendor_code", "usage", "cost_nano_usd", "duration", "time_to_first_token")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    HTTP_STATUS_FIELD_NUMBER: _ClassVar[int]
    VENDOR_CODE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    number: int
    model: str
    provider: str
    outcome: Outcome
    failure_class: _errors_pb2.FailureClass
    http_status: int
    vendor_code: str
    usage: _billing_pb2.Usage
    cost_nano_usd: int
    duration: _duration_pb2.Duration
    time_to_first_token: _duration_pb2.Duration
    def __init__(self, number: _Optional[int] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., failure_class: _Optional[_Union[_errors_pb2.FailureClass, str]] = ..., http_status: _Optional[int] = ..., vendor_code: _Optional[str] = ..., usage: _Optional[_Union[_billing_pb2.Usage, _Mapping]] = ..., cost_nano_usd: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_to_first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CompletionFailure(_message.Message):
    __slots__ = ("summary",)
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    summary: CompletionSummary
    def __init__(self, summary: _Optional[_Union[CompletionSummary, _Mapping]] = ...) -> None: ...
