from google.protobuf import field_mask_pb2 as _field_mask_pb2
from muxer.v1 import billing_pb2 as _billing_pb2
from muxer.v1 import routing_pb2 as _routing_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "provider")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    provider: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., provider: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class UpdateModelRequest(_message.Message):
    __slots__ = ("model", "update_mask")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    model: Model
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class ListProvidersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProvidersResponse(_message.Message):
    __slots__ = ("providers", "next_page_token")
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[Provider]
    next_page_token: str
    def __init__(self, providers: _Optional[_Iterable[_Union[Provider, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "provider", "vendor_model", "tier", "context_window_tokens", "max_output_tokens", "features", "regions", "price", "free", "available", "simulated", "retired", "disabled", "quality", "intent_qualities", "capability_qualities", "quality_source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    VENDOR_MODEL_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_WINDOW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    INTENT_QUALITIES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_QUALITIES_FIELD_NUMBER: _ClassVar[int]
    QUALITY_SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider: str
    vendor_model: str
    tier: _routing_pb2.ModelTier
    context_window_tokens: int
    max_output_tokens: int
    features: _containers.RepeatedScalarFieldContainer[_routing_pb2.ModelFeature]
    regions: _containers.RepeatedScalarFieldContainer[str]
    price: _billing_pb2.Price
    free: bool
    available: bool
    simulated: bool
    retired: bool
    disabled: bool
    quality: float
    intent_qualities: _containers.RepeatedCompositeFieldContainer[IntentQuality]
    capability_qualities: _containers.RepeatedCompositeFieldContainer[CapabilityQuality]
    quality_source: str
    def __init__(self, name: _Optional[str] = ..., provider: _Optional[str] = ..., vendor_model: _Optional[str] = ..., tier: _Optional[_Union[_routing_pb2.ModelTier, str]] = ..., context_window_tokens: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., features: _Optional[_Iterable[_Union[_routing_pb2.ModelFeature, str]]] = ..., regions: _Optional[_Iterable[str]] = ..., price: _Optional[_Union[_billing_pb2.Price, _Mapping]] = ..., free: _Optional[bool] = ..., available: _Optional[bool] = ..., simulated: _Optional[bool] = ..., retired: _Optional[bool] = ..., disabled: _Optional[bool] = ..., quality: _Optional[float] = ..., intent_qualities: _Optional[_Iterable[_Union[IntentQuality, _Mapping]]] = ..., capability_qualities: _Optional[_Iterable[_Union[CapabilityQuality, _Mapping]]] = ..., quality_source: _Optional[str] = ...) -> None: ...

class IntentQuality(_message.Message):
    __slots__ = ("intent", "quality")
    INTENT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    intent: _routing_pb2.Intent
    quality: float
    def __init__(self, intent: _Optional[_Union[_routing_pb2.Intent, str]] = ..., quality: _Optional[float] = ...) -> None: ...

class CapabilityQuality(_message.Message):
    __slots__ = ("capability", "quality")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    capability: _routing_pb2.Capability
    quality: float
    def __init__(self, capability: _Optional[_Union[_routing_pb2.Capability, str]] = ..., quality: _Optional[float] = ...) -> None: ...

class Provider(_message.Message):
    __slots__ = ("name", "configured", "detail", "model_count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIGURED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    MODEL_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    configured: bool
    detail: str
    model_count: int
    def __init__(self, name: _Optional[str] = ..., configured: _Optional[bool] = ..., detail: _Optional[str] = ..., model_count: _Optional[int] = ...) -> None: ...
