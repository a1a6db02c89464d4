import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import ledger_pb2 as _ledger_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LedgerImbalance(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEDGER_IMBALANCE_UNSPECIFIED: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_COUNTER_SPENT: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_COUNTER_RESERVED: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_RESERVATION_OVERDUE: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_RESERVATION_SETTLED: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_ATTEMPTS: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_ROUNDING: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_LEASE_SPENT: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_LEASE_RESERVED: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_LEASE_OVERDUE: _ClassVar[LedgerImbalance]
    LEDGER_IMBALANCE_LEASE_UNKNOWN: _ClassVar[LedgerImbalance]
LEDGER_IMBALANCE_UNSPECIFIED: LedgerImbalance
LEDGER_IMBALANCE_COUNTER_SPENT: LedgerImbalance
LEDGER_IMBALANCE_COUNTER_RESERVED: LedgerImbalance
LEDGER_IMBALANCE_RESERVATION_OVERDUE: LedgerImbalance
LEDGER_IMBALANCE_RESERVATION_SETTLED: LedgerImbalance
LEDGER_IMBALANCE_ATTEMPTS: LedgerImbalance
LEDGER_IMBALANCE_ROUNDING: LedgerImbalance
LEDGER_IMBALANCE_LEASE_SPENT: LedgerImbalance
LEDGER_IMBALANCE_LEASE_RESERVED: LedgerImbalance
LEDGER_IMBALANCE_LEASE_OVERDUE: LedgerImbalance
LEDGER_IMBALANCE_LEASE_UNKNOWN: LedgerImbalance

class ListEntriesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter", "oldest_first")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: _ledger_pb2.LedgerFilter
    oldest_first: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[_Union[_ledger_pb2.LedgerFilter, _Mapping]] = ..., oldest_first: _Optional[bool] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_ledger_pb2.LedgerEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[_ledger_pb2.LedgerEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetCompletionRequest(_message.Message):
    __slots__ = ("tenant_id", "completion_id")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    completion_id: str
    def __init__(self, tenant_id: _Optional[str] = ..., completion_id: _Optional[str] = ...) -> None: ...

class GetCompletionResponse(_message.Message):
    __slots__ = ("entries", "cost_nano_usd", "reserved_nano_usd")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_ledger_pb2.LedgerEntry]
    cost_nano_usd: int
    reserved_nano_usd: int
    def __init__(self, entries: _Optional[_Iterable[_Union[_ledger_pb2.LedgerEntry, _Mapping]]] = ..., cost_nano_usd: _Optional[int] = ..., reserved_nano_usd: _Optional[int] = ...) -> None: ...

class CheckLedgerRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class CheckLedgerResponse(_message.Message):
    __slots__ = ("differences", "difference_count", "budgets", "counters", "entries", "completions", "spent_nano_usd", "open_reservations", "reserved_nano_usd", "open_leases", "held_nano_usd", "check_time")
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_COUNT_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    OPEN_RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    OPEN_LEASES_FIELD_NUMBER: _ClassVar[int]
    HELD_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    CHECK_TIME_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[LedgerDifference]
    difference_count: int
    budgets: int
    counters: int
    entries: int
    completions: int
    spent_nano_usd: int
    open_reservations: int
    reserved_nano_usd: int
    open_leases: int
    held_nano_usd: int
    check_time: _timestamp_pb2.Timestamp
    def __init__(self, differences: _Optional[_Iterable[_Union[LedgerDifference, _Mapping]]] = ..., difference_count: _Optional[int] = ..., budgets: _Optional[int] = ..., counters: _Optional[int] = ..., entries: _Optional[int] = ..., completions: _Optional[int] = ..., spent_nano_usd: _Optional[int] = ..., open_reservations: _Optional[int] = ..., reserved_nano_usd: _Optional[int] = ..., open_leases: _Optional[int] = ..., held_nano_usd: _Optional[int] = ..., check_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LedgerDifference(_message.Message):
    __slots__ = ("imbalance", "resource", "expected", "found", "detail")
    IMBALANCE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    imbalance: LedgerImbalance
    resource: str
    expected: int
    found: int
    detail: str
    def __init__(self, imbalance: _Optional[_Union[LedgerImbalance, str]] = ..., resource: _Optional[str] = ..., expected: _Optional[int] = ..., found: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...
