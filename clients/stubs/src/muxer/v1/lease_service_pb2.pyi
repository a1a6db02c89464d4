import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MoneyLeaseState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MONEY_LEASE_STATE_UNSPECIFIED: _ClassVar[MoneyLeaseState]
    MONEY_LEASE_STATE_OPEN: _ClassVar[MoneyLeaseState]
    MONEY_LEASE_STATE_EXPIRED: _ClassVar[MoneyLeaseState]
    MONEY_LEASE_STATE_RELEASED: _ClassVar[MoneyLeaseState]
MONEY_LEASE_STATE_UNSPECIFIED: MoneyLeaseState
MONEY_LEASE_STATE_OPEN: MoneyLeaseState
MONEY_LEASE_STATE_EXPIRED: MoneyLeaseState
MONEY_LEASE_STATE_RELEASED: MoneyLeaseState

class MoneyLease(_message.Message):
    __slots__ = ("id", "tenant_id", "user_id", "key_id", "amount_nano_usd", "spent_nano_usd", "reserved_nano_usd", "left_nano_usd", "state", "labels", "create_time", "expire_time")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    SPENT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    LEFT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant_id: str
    user_id: str
    key_id: str
    amount_nano_usd: int
    spent_nano_usd: int
    reserved_nano_usd: int
    left_nano_usd: int
    state: MoneyLeaseState
    labels: _containers.ScalarMap[str, str]
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., key_id: _Optional[str] = ..., amount_nano_usd: _Optional[int] = ..., spent_nano_usd: _Optional[int] = ..., reserved_nano_usd: _Optional[int] = ..., left_nano_usd: _Optional[int] = ..., state: _Optional[_Union[MoneyLeaseState, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateMoneyLeaseRequest(_message.Message):
    __slots__ = ("amount_nano_usd", "duration", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AMOUNT_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    amount_nano_usd: int
    duration: _duration_pb2.Duration
    labels: _containers.ScalarMap[str, str]
    def __init__(self, amount_nano_usd: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateMoneyLeaseResponse(_message.Message):
    __slots__ = ("money_lease",)
    MONEY_LEASE_FIELD_NUMBER: _ClassVar[int]
    money_lease: MoneyLease
    def __init__(self, money_lease: _Optional[_Union[MoneyLease, _Mapping]] = ...) -> None: ...

class GetMoneyLeaseRequest(_message.Message):
    __slots__ = ("money_lease_id",)
    MONEY_LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    money_lease_id: str
    def __init__(self, money_lease_id: _Optional[str] = ...) -> None: ...

class GetMoneyLeaseResponse(_message.Message):
    __slots__ = ("money_lease",)
    MONEY_LEASE_FIELD_NUMBER: _ClassVar[int]
    money_lease: MoneyLease
    def __init__(self, money_lease: _Optional[_Union[MoneyLease, _Mapping]] = ...) -> None: ...

class ListMoneyLeasesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "tenant_id", "user_id", "open_only")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_ONLY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    tenant_id: str
    user_id: str
    open_only: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., open_only: _Optional[bool] = ...) -> None: ...

class ListMoneyLeasesResponse(_message.Message):
    __slots__ = ("money_leases", "next_page_token")
    MONEY_LEASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    money_leases: _containers.RepeatedCompositeFieldContainer[MoneyLease]
    next_page_token: str
    def __init__(self, money_leases: _Optional[_Iterable[_Union[MoneyLease, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReleaseMoneyLeaseRequest(_message.Message):
    __slots__ = ("money_lease_id",)
    MONEY_LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    money_lease_id: str
    def __init__(self, money_lease_id: _Optional[str] = ...) -> None: ...

class ReleaseMoneyLeaseResponse(_message.Message):
    __slots__ = ("money_lease",)
    MONEY_LEASE_FIELD_NUMBER: _ClassVar[int]
    money_lease: MoneyLease
    def __init__(self, money_lease: _Optional[_Union[MoneyLease, _Mapping]] = ...) -> None: ...
