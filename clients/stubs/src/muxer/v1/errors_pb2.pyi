from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_NO_ELIGIBLE_MODEL: _ClassVar[ErrorReason]
    ERROR_REASON_CONTEXT_TOO_LONG: _ClassVar[ErrorReason]
    ERROR_REASON_CONTENT_POLICY: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_REJECTED: _ClassVar[ErrorReason]
    ERROR_REASON_NO_PROVIDER_AVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_TIMEOUT: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_CREDENTIALS: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_PROTOCOL: _ClassVar[ErrorReason]
    ERROR_REASON_STREAM_INTERRUPTED: _ClassVar[ErrorReason]
    ERROR_REASON_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_DRAINING: _ClassVar[ErrorReason]
    ERROR_REASON_DEADLINE_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_CANCELLED: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_METHOD_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_QUOTA: _ClassVar[ErrorReason]
    ERROR_REASON_RESOURCE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_PROVIDER_MODEL_GONE: _ClassVar[ErrorReason]

class FailureClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_CLASS_UNSPECIFIED: _ClassVar[FailureClass]
    FAILURE_CLASS_CREDENTIAL: _ClassVar[FailureClass]
    FAILURE_CLASS_QUOTA: _ClassVar[FailureClass]
    FAILURE_CLASS_RATE_LIMIT: _ClassVar[FailureClass]
    FAILURE_CLASS_OVERLOAD: _ClassVar[FailureClass]
    FAILURE_CLASS_CALLER_FAULT: _ClassVar[FailureClass]
    FAILURE_CLASS_CONTEXT_LENGTH: _ClassVar[FailureClass]
    FAILURE_CLASS_CONTENT_FILTER: _ClassVar[FailureClass]
    FAILURE_CLASS_TRANSIENT: _ClassVar[FailureClass]
    FAILURE_CLASS_TIMEOUT: _ClassVar[FailureClass]
    FAILURE_CLASS_PROTOCOL: _ClassVar[FailureClass]
    FAILURE_CLASS_MODEL_GONE: _ClassVar[FailureClass]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_REQUEST: ErrorReason
ERROR_REASON_MODEL_NOT_FOUND: ErrorReason
ERROR_REASON_NO_ELIGIBLE_MODEL: ErrorReason
ERROR_REASON_CONTEXT_TOO_LONG: ErrorReason
ERROR_REASON_CONTENT_POLICY: ErrorReason
ERROR_REASON_PROVIDER_REJECTED: ErrorReason
ERROR_REASON_NO_PROVIDER_AVAILABLE: ErrorReason
ERROR_REASON_PROVIDER_TIMEOUT: ErrorReason
ERROR_REASON_PROVIDER_CREDENTIALS: ErrorReason
ERROR_REASON_PROVIDER_PROTOCOL: ErrorReason
ERROR_REASON_STREAM_INTERRUPTED: ErrorReason
ERROR_REASON_OVERLOADED: ErrorReason
ERROR_REASON_DRAINING: ErrorReason
ERROR_REASON_DEADLINE_EXCEEDED: ErrorReason
ERROR_REASON_CANCELLED: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_METHOD_NOT_FOUND: ErrorReason
ERROR_REASON_PROVIDER_QUOTA: ErrorReason
ERROR_REASON_RESOURCE_NOT_FOUND: ErrorReason
ERROR_REASON_PROVIDER_MODEL_GONE: ErrorReason
FAILURE_CLASS_UNSPECIFIED: FailureClass
FAILURE_CLASS_CREDENTIAL: FailureClass
FAILURE_CLASS_QUOTA: FailureClass
FAILURE_CLASS_RATE_LIMIT: FailureClass
FAILURE_CLASS_OVERLOAD: FailureClass
FAILURE_CLASS_CALLER_FAULT: FailureClass
FAILURE_CLASS_CONTEXT_LENGTH: FailureClass
FAILURE_CLASS_CONTENT_FILTER: FailureClass
FAILURE_CLASS_TRANSIENT: FailureClass
FAILURE_CLASS_TIMEOUT: FailureClass
FAILURE_CLASS_PROTOCOL: FailureClass
FAILURE_CLASS_MODEL_GONE: FailureClass
