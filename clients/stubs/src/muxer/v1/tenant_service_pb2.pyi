import datetime

from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from muxer.v1 import principals_pb2 as _principals_pb2
from muxer.v1 import routing_pb2 as _routing_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SafetyAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAFETY_ACTION_UNSPECIFIED: _ClassVar[SafetyAction]
    SAFETY_ACTION_ALLOW: _ClassVar[SafetyAction]
    SAFETY_ACTION_FLAG: _ClassVar[SafetyAction]
    SAFETY_ACTION_BLOCK: _ClassVar[SafetyAction]

class ContentStorage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTENT_STORAGE_UNSPECIFIED: _ClassVar[ContentStorage]
    CONTENT_STORAGE_OFF: _ClassVar[ContentStorage]
    CONTENT_STORAGE_HASHED: _ClassVar[ContentStorage]
    CONTENT_STORAGE_KEPT: _ClassVar[ContentStorage]
SAFETY_ACTION_UNSPECIFIED: SafetyAction
SAFETY_ACTION_ALLOW: SafetyAction
SAFETY_ACTION_FLAG: SafetyAction
SAFETY_ACTION_BLOCK: SafetyAction
CONTENT_STORAGE_UNSPECIFIED: ContentStorage
CONTENT_STORAGE_OFF: ContentStorage
CONTENT_STORAGE_HASHED: ContentStorage
CONTENT_STORAGE_KEPT: ContentStorage

class TenantPolicy(_message.Message):
    __slots__ = ("allowed_providers", "denied_providers", "allowed_models", "denied_models", "allowed_regions", "default_strategy", "weights", "safety_action", "content_storage", "content_days", "allows_high_priority")
    ALLOWED_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    DENIED_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_MODELS_FIELD_NUMBER: _ClassVar[int]
    DENIED_MODELS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_REGIONS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    SAFETY_ACTION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_STORAGE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DAYS_FIELD_NUMBER: _ClassVar[int]
    ALLOWS_HIGH_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    allowed_providers: _containers.RepeatedScalarFieldContainer[str]
    denied_providers: _containers.RepeatedScalarFieldContainer[str]
    allowed_models: _containers.RepeatedScalarFieldContainer[str]
    denied_models: _containers.RepeatedScalarFieldContainer[str]
    allowed_regions: _containers.RepeatedScalarFieldContainer[str]
    default_strategy: str
    weights: _routing_pb2.RoutingWeights
    safety_action: SafetyAction
    content_storage: ContentStorage
    content_days: int
    allows_high_priority: bool
    def __init__(self, allowed_providers: _Optional[_Iterable[str]] = ..., denied_providers: _Optional[_Iterable[str]] = ..., allowed_models: _Optional[_Iterable[str]] = ..., denied_models: _Optional[_Iterable[str]] = ..., allowed_regions: _Optional[_Iterable[str]] = ..., default_strategy: _Optional[str] = ..., weights: _Optional[_Union[_routing_pb2.RoutingWeights, _Mapping]] = ..., safety_action: _Optional[_Union[SafetyAction, str]] = ..., content_storage: _Optional[_Union[ContentStorage, str]] = ..., content_days: _Optional[int] = ..., allows_high_priority: _Optional[bool] = ...) -> None: ...

class Tenant(_message.Message):
    __slots__ = ("id", "display_name", "suspended", "policy", "rate_limit", "revision", "create_time", "update_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    display_name: str
    suspended: bool
    policy: TenantPolicy
    rate_limit: _principals_pb2.RateLimit
    revision: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., display_name: _Optional[str] = ..., suspended: _Optional[bool] = ..., policy: _Optional[_Union[TenantPolicy, _Mapping]] = ..., rate_limit: _Optional[_Union[_principals_pb2.RateLimit, _Mapping]] = ..., revision: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateTenantRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class CreateTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class GetTenantRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class GetTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class ListTenantsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "suspended")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    suspended: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., suspended: _Optional[bool] = ...) -> None: ...

class ListTenantsResponse(_message.Message):
    __slots__ = ("tenants", "next_page_token")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[Tenant]
    next_page_token: str
    def __init__(self, tenants: _Optional[_Iterable[_Union[Tenant, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateTenantRequest(_message.Message):
    __slots__ = ("tenant", "update_mask")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class DeleteTenantRequest(_message.Message):
    __slots__ = ("tenant_id", "revision", "force")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    revision: int
    force: bool
    def __init__(self, tenant_id: _Optional[str] = ..., revision: _Optional[int] = ..., force: _Optional[bool] = ...) -> None: ...

class DeleteTenantResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
