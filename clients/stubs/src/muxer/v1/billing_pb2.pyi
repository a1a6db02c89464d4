from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UsageSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_SOURCE_UNSPECIFIED: _ClassVar[UsageSource]
    USAGE_SOURCE_PROVIDER: _ClassVar[UsageSource]
    USAGE_SOURCE_COUNTED: _ClassVar[UsageSource]
    USAGE_SOURCE_ESTIMATED: _ClassVar[UsageSource]
USAGE_SOURCE_UNSPECIFIED: UsageSource
USAGE_SOURCE_PROVIDER: UsageSource
USAGE_SOURCE_COUNTED: UsageSource
USAGE_SOURCE_ESTIMATED: UsageSource

class Usage(_message.Message):
    __slots__ = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "source", "cache_write_1h_tokens")
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_TOKENS_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    source: UsageSource
    cache_write_1h_tokens: int
    def __init__(self, input_tokens: _Optional[int] = ..., cached_input_tokens: _Optional[int] = ..., cache_write_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., source: _Optional[_Union[UsageSource, str]] = ..., cache_write_1h_tokens: _Optional[int] = ...) -> None: ...

class Cost(_message.Message):
    __slots__ = ("total_nano_usd", "input_pico_usd", "cached_input_pico_usd", "cache_write_pico_usd", "output_pico_usd", "reasoning_pico_usd", "price_book_version")
    TOTAL_NANO_USD_FIELD_NUMBER: _ClassVar[int]
    INPUT_PICO_USD_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_PICO_USD_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_PICO_USD_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PICO_USD_FIELD_NUMBER: _ClassVar[int]
    REASONING_PICO_USD_FIELD_NUMBER: _ClassVar[int]
    PRICE_BOOK_VERSION_FIELD_NUMBER: _ClassVar[int]
    total_nano_usd: int
    input_pico_usd: int
    cached_input_pico_usd: int
    cache_write_pico_usd: int
    output_pico_usd: int
    reasoning_pico_usd: int
    price_book_version: str
    def __init__(self, total_nano_usd: _Optional[int] = ..., input_pico_usd: _Optional[int] = ..., cached_input_pico_usd: _Optional[int] = ..., cache_write_pico_usd: _Optional[int] = ..., output_pico_usd: _Optional[int] = ..., reasoning_pico_usd: _Optional[int] = ..., price_book_version: _Optional[str] = ...) -> None: ...

class Price(_message.Message):
    __slots__ = ("input_pico_usd_per_token", "cached_input_pico_usd_per_token", "cache_write_pico_usd_per_token", "output_pico_usd_per_token", "reasoning_pico_usd_per_token", "cache_write_1h_pico_usd_per_token", "tiers")
    INPUT_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASONING_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_PICO_USD_PER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    input_pico_usd_per_token: int
    cached_input_pico_usd_per_token: int
    cache_write_pico_usd_per_token: int
    output_pico_usd_per_token: int
    reasoning_pico_usd_per_token: int
    cache_write_1h_pico_usd_per_token: int
    tiers: _containers.RepeatedCompositeFieldContainer[PriceTier]
    def __init__(self, input_pico_usd_per_token: _Optional[int] = ..., cached_input_pico_usd_per_token: _Optional[int] = ..., cache_write_pico_usd_per_token: _Optional[int] = ..., output_pico_usd_per_token: _Optional[int] = ..., reasoning_pico_usd_per_token: _Optional[int] = ..., cache_write_1h_pico_usd_per_token: _Optional[int] = ..., tiers: _Optional[_Iterable[_Union[PriceTier, _Mapping]]] = ...) -> None: ...

class PriceTier(_message.Message):
    __slots__ = ("above_input_tokens", "price")
    ABOVE_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    above_input_tokens: int
    price: Price
    def __init__(self, above_input_tokens: _Optional[int] = ..., price: _Optional[_Union[Price, _Mapping]] = ...) -> None: ...
