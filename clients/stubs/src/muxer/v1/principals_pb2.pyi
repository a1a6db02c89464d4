from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PrincipalRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRINCIPAL_ROLE_UNSPECIFIED: _ClassVar[PrincipalRole]
    PRINCIPAL_ROLE_CALLER: _ClassVar[PrincipalRole]
    PRINCIPAL_ROLE_VIEWER: _ClassVar[PrincipalRole]
    PRINCIPAL_ROLE_ADMIN: _ClassVar[PrincipalRole]
PRINCIPAL_ROLE_UNSPECIFIED: PrincipalRole
PRINCIPAL_ROLE_CALLER: PrincipalRole
PRINCIPAL_ROLE_VIEWER: PrincipalRole
PRINCIPAL_ROLE_ADMIN: PrincipalRole

class RateLimit(_message.Message):
    __slots__ = ("requests_per_minute", "tokens_per_minute")
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    requests_per_minute: int
    tokens_per_minute: int
    def __init__(self, requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ...) -> None: ...
