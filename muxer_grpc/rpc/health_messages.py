"""Messages of grpc.health.v1, List included.

The packaged messages lack List (gRFC A90), and a second definition of their file cannot live in the default pool beside
them; so these live in a pool of their own.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "grpc.health.v1"
_FILE = "grpc/health/v1/health.proto"
_FIELD = descriptor_pb2.FieldDescriptorProto

STATUS_NAMES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = range(4)


def _field(name: str, kind: Any, type_name: str = "", *, repeated: bool = False, number: int = 1) -> Any:
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    return _FIELD(name=name, number=number, type=kind, label=label, type_name=type_name or None)


def _file() -> descriptor_pb2.FileDescriptorProto:
    """Writes down health.proto as gRFC A90 has it."""
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package=_PACKAGE, syntax="proto3")
    response = f".{_PACKAGE}.HealthCheckResponse"
    file.message_type.add(name="HealthCheckRequest", field=[_field("service", _FIELD.TYPE_STRING)])
    check = file.message_type.add(name="HealthCheckResponse")
    status = check.enum_type.add(name="ServingStatus")
    for number, name in enumerate(STATUS_NAMES):
        status.value.add(name=name, number=number)
    check.field.append(_field("status", _FIELD.TYPE_ENUM, f"{response}.ServingStatus"))
    file.message_type.add(name="HealthListRequest")
    listing = file.message_type.add(name="HealthListResponse")
    entry = listing.nested_type.add(name="StatusesEntry")
    entry.options.map_entry = True
    entry.field.append(_field("key", _FIELD.TYPE_STRING))
    entry.field.append(_field("value", _FIELD.TYPE_MESSAGE, response, number=2))
    entries = f".{_PACKAGE}.HealthListResponse.StatusesEntry"
    listing.field.append(_field("statuses", _FIELD.TYPE_MESSAGE, entries, repeated=True))
    service = file.service.add(name="Health")
    for method, request, reply in (
        ("Check", "HealthCheckRequest", response),
        ("List", "HealthListRequest", f".{_PACKAGE}.HealthListResponse"),
        ("Watch", "HealthCheckRequest", response),
    ):
        service.method.add(
            name=method,
            input_type=f".{_PACKAGE}.{request}",
            output_type=reply,
            server_streaming=method == "Watch",
        )
    return file


POOL = descriptor_pool.DescriptorPool()
POOL.Add(_file())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


HealthCheckRequest = _message("HealthCheckRequest")
HealthCheckResponse = _message("HealthCheckResponse")
HealthListRequest = _message("HealthListRequest")
HealthListResponse = _message("HealthListResponse")
