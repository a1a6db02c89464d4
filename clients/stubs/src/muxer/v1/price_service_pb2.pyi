import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import billing_pb2 as _billing_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PriceSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRICE_SOURCE_UNSPECIFIED: _ClassVar[PriceSource]
    PRICE_SOURCE_PACKAGE: _ClassVar[PriceSource]
    PRICE_SOURCE_PROVIDER: _ClassVar[PriceSource]
    PRICE_SOURCE_STORED: _ClassVar[PriceSource]
    PRICE_SOURCE_SETTINGS: _ClassVar[PriceSource]

class PriceBookKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRICE_BOOK_KIND_UNSPECIFIED: _ClassVar[PriceBookKind]
    PRICE_BOOK_KIND_STORED: _ClassVar[PriceBookKind]
    PRICE_BOOK_KIND_MERGED: _ClassVar[PriceBookKind]
PRICE_SOURCE_UNSPECIFIED: PriceSource
PRICE_SOURCE_PACKAGE: PriceSource
PRICE_SOURCE_PROVIDER: PriceSource
PRICE_SOURCE_STORED: PriceSource
PRICE_SOURCE_SETTINGS: PriceSource
PRICE_BOOK_KIND_UNSPECIFIED: PriceBookKind
PRICE_BOOK_KIND_STORED: PriceBookKind
PRICE_BOOK_KIND_MERGED: PriceBookKind

class PriceBook(_message.Message):
    __slots__ = ("version", "kind", "effective_time", "create_time", "created_by", "note", "prices")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    version: str
    kind: PriceBookKind
    effective_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    created_by: str
    note: str
    prices: _containers.RepeatedCompositeFieldContainer[ModelPrice]
    def __init__(self, version: _Optional[str] = ..., kind: _Optional[_Union[PriceBookKind, str]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., note: _Optional[str] = ..., prices: _Optional[_Iterable[_Union[ModelPrice, _Mapping]]] = ...) -> None: ...

class ModelPrice(_message.Message):
    __slots__ = ("model", "price", "free", "source")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    model: str
    price: _billing_pb2.Price
    free: bool
    source: PriceSource
    def __init__(self, model: _Optional[str] = ..., price: _Optional[_Union[_billing_pb2.Price, _Mapping]] = ..., free: _Optional[bool] = ..., source: _Optional[_Union[PriceSource, str]] = ...) -> None: ...

class GetPriceBookRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class GetPriceBookResponse(_message.Message):
    __slots__ = ("price_book",)
    PRICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    price_book: PriceBook
    def __init__(self, price_book: _Optional[_Union[PriceBook, _Mapping]] = ...) -> None: ...

class ListPriceBooksRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "kind")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    kind: PriceBookKind
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., kind: _Optional[_Union[PriceBookKind, str]] = ...) -> None: ...

class ListPriceBooksResponse(_message.Message):
    __slots__ = ("price_books", "next_page_token")
    PRICE_BOOKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    price_books: _containers.RepeatedCompositeFieldContainer[PriceBook]
    next_page_token: str
    def __init__(self, price_books: _Optional[_Iterable[_Union[PriceBook, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TokenPrices(_message.Message):
    __slots__ = ("input_pico_usd_per_token", "output_pico_usd_per_token", "cached_input_pico_usd_per_token", "cache_write_pico_usd_per_token", "cache_write_1h_pico_usd_per_token", "reasoning_pico_usd_per_token")
    INPUT_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASONING_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    input_pico_usd_per_token: int
    output_pico_usd_per_token: int
    cached_input_pico_usd_per_token: int
    cache_write_pico_usd_per_token: int
    cache_write_1h_pico_usd_per_token: int
    reasoning_pico_usd_per_token: int
    def __init__(self, input_pico_usd_per_token: _Optional[int] = ..., output_pico_usd_per_token: _Optional[int] = ..., cached_input_pico_usd_per_token: _Optional[int] = ..., cache_write_pico_usd_per_token: _Optional[int] = ..., cache_write_1h_pico_usd_per_token: _Optional[int] = ..., reasoning_pico_usd_per_token: _Optional[int] = ...) -> None: ...

class TokenPricesTier(_message.Message):
    __slots__ = ("above_input_tokens", "prices")
    ABOVE_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    above_input_tokens: int
    prices: TokenPrices
    def __init__(self, above_input_tokens: _Optional[int] = ..., prices: _Optional[_Union[TokenPrices, _Mapping]] = ...) -> None: ...

class GivenPrice(_message.Message):
    __slots__ = ("model", "prices", "tiers", "free")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    model: str
    prices: TokenPrices
    tiers: _containers.RepeatedCompositeFieldContainer[TokenPricesTier]
    free: bool
    def __init__(self, model: _Optional[str] = ..., prices: _Optional[_Union[TokenPrices, _Mapping]] = ..., tiers: _Optional[_Iterable[_Union[TokenPricesTier, _Mapping]]] = ..., free: _Optional[bool] = ...) -> None: ...

class CreatePriceBookRequest(_message.Message):
    __slots__ = ("prices", "effective_time", "note", "force", "dry_run")
    PRICES_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    prices: _containers.RepeatedCompositeFieldContainer[GivenPrice]
    effective_time: _timestamp_pb2.Timestamp
    note: str
    force: bool
    dry_run: bool
    def __init__(self, prices: _Optional[_Iterable[_Union[GivenPrice, _Mapping]]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ..., force: _Optional[bool] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class PriceChange(_message.Message):
    __slots__ = ("model", "before", "after", "jumps")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    JUMPS_FIELD_NUMBER: _ClassVar[int]
    model: str
    before: _billing_pb2.Price
    after: _billing_pb2.Price
    jumps: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., before: _Optional[_Union[_billing_pb2.Price, _Mapping]] = ..., after: _Optional[_Union[_billing_pb2.Price, _Mapping]] = ..., jumps: _Optional[_Iterable[str]] = ...) -> None: ...

class CreatePriceBookResponse(_message.Message):
    __slots__ = ("price_book", "changes", "overruled_models", "compared_version")
    PRICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    OVERRULED_MODELS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_VERSION_FIELD_NUMBER: _ClassVar[int]
    price_book: PriceBook
    changes: _containers.RepeatedCompositeFieldContainer[PriceChange]
    overruled_models: _containers.RepeatedScalarFieldContainer[str]
    compared_version: str
    def __init__(self, price_book: _Optional[_Union[PriceBook, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[PriceChange, _Mapping]]] = ..., overruled_models: _Optional[_Iterable[str]] = ..., compared_version: _Optional[str] = ...) -> None: ...
