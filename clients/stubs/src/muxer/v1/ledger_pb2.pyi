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
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EntryOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_OUTCOME_UNSPECIFIED: _ClassVar[EntryOutcome]
    ENTRY_OUTCOME_COMPLETE: _ClassVar[EntryOutcome]
    ENTRY_OUTCOME_LENGTH: _ClassVar[EntryOutcome]
    ENTRY_OUTCOME_FILTERED: _ClassVar[EntryOutcome]
    ENTRY_OUTCOME_CANCELLED: _ClassVar[EntryOutcome]
    ENTRY_OUTCOME_FAILED: _ClassVar[EntryOutcome]
    ENTRY_OUTCOME_ABANDONED: _ClassVar[EntryOutcome]
ENTRY_OUTCOME_UNSPECIFIED: EntryOutcome
ENTRY_OUTCOME_COMPLETE: EntryOutcome
ENTRY_OUTCOME_LENGTH: EntryOutcome
ENTRY_OUTCOME_FILTERED: EntryOutcome
ENTRY_OUTCOME_CANCELLED: EntryOutcome
ENTRY_OUTCOME_FAILED: EntryOutcome
ENTRY_OUTCOME_ABANDONED: EntryOutcome

class LedgerFilter(_message.Message):
    __slots__ = ("tenant_id", "user_id", "key_id", "model", "provider", "intent", "strategy", "outcome", "labels", "since", "until", "request_id", "money_lease_id", "flagged")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MONEY_LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    FLAGGED_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    user_id: str
    key_id: str
    model: str
    provider: str
    intent: _routing_pb2.Intent
    strategy: str
    outcome: EntryOutcome
    labels: _containers.ScalarMap[str, str]
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    request_id: str
    money_lease_id: str
    flagged: bool
    def __init__(self, tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., key_id: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., intent: _Optional[_Union[_routing_pb2.Intent, str]] = ..., strategy: _Optional[str] = ..., outcome: _Optional[_Union[EntryOutcome, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ..., money_lease_id: _Optional[str] = ..., flagged: _Optional[bool] = ...) -> None: ...

class LedgerEntry(_message.Message):
    __slots__ = ("sequence", "completion_id", "attempt", "tenant_id", "user_id", "key_id", "principal", "request_id", "decision_id", "money_lease_id", "strategy", "intent", "requested_model", "model", "provider", "reported_model", "outcome", "failure_class", "usage", "cost_nano_usd", "cost_pico_usd", "reserved_nano_usd", "price_book_version", "streamed", "flagged", "labels", "duration", "time_to_first_token", "create_time", "settle_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    MONEY_LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    REPORTED_MODEL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_CLASS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    COST_PICO_USD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_VERSION_FIELD_NUMBER: _ClassVar[int]
    STREAMED_FIELD_NUMBER: _ClassVar[int]
    FLAGGED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SETTLE_TIME_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    completion_id: str
    attempt: int
    tenant_id: str
    user_id: str
    key_id: str
    principal: str
    request_id: str
    decision_id: str
    money_lease_id: str
    strategy: str
    intent: _routing_pb2.Intent
    requested_model: str
    model: str
    provider: str
    reported_model: str
    outcome: EntryOutcome
    failure_class: _errors_pb2.FailureClass
    usage: _billing_pb2.Usage
    cost_nano_usd: int
    cost_pico_usd: int
    reserved_nano_usd: int
    price_book_version: str
    streamed: bool
    flagged: bool
    labels: _containers.ScalarMap[str, str]
    duration: _duration_pb2.Duration
    time_to_first_token: _duration_pb2.Duration
    create_time: _timestamp_pb2.Timestamp
    settle_time: _timestamp_pb2.Timestamp
    def __init__(self, sequence: _Optional[int] = ..., completion_id: _Optional[str] = ..., attempt: _Optional[int] = ..., tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., key_id: _Optional[str] = ..., principal: _Optional[str] = ..., request_id: _Optional[str] = ..., decision_id: _Optional[str] = ..., money_lease_id: _Optional[str] = ..., strategy: _Optional[str] = ..., intent: _Optional[_Union[_routing_pb2.Intent, str]] = ..., requested_model: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., reported_model: _Optional[str] = ..., outcome: _Optional[_Union[EntryOutcome, str]] = ..., failure_class: _Optional[_Union[_errors_pb2.FailureClass, str]] = ..., usage: _Optional[_Union[_billing_pb2.Usage, _Mapping]] = ..., cost_nano_usd: _Optional[int] = ..., cost_pico_usd: _Optional[int] = ..., reserved_nano_usd: _Optional[int] = ..., price_book_version: _Optional[str] = ..., streamed: _Optional[bool] = ..., flagged: _Optional[bool] = ..., labels: _Optional[_Mapping[str, str]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_to_first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., settle_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
