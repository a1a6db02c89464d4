"""Server reflection under v1 and v1alpha, which are equal on the wire; the package serves v1alpha only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from muxer_grpc.rpc import health_messages


def _v1_pool() -> descriptor_pool.DescriptorPool:
    """Describes reflection v1 itself, which the package knows as v1alpha only; tools that list methods ask for it."""
    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(text, descriptor_pb2.FileDescriptorProto()))
    return pool


SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class _Pools:
    """Looks descriptors up in several pools, the first that knows wins."""

    def __init__(self, pools: Sequence[Any]) -> None:
        self._pools = pools

    def _first(self, lookup: str, *arguments: Any) -> Any:
        for pool in self._pools[:-1]:
            try:
                return getattr(pool, lookup)(*arguments)
            except KeyError:
                continue
        return getattr(self._pools[-1], lookup)(*arguments)

    def FindFileByName(self, name: str) -> Any:  # noqa: N802 (the pool's own name)
        return self._first("FindFileByName", name)

    def FindFileContainingSymbol(self, name: str) -> Any:  # noqa: N802
        return self._first("FindFileContainingSymbol", name)

    def FindMessageTypeByName(self, name: str) -> Any:  # noqa: N802
        return self._first("FindMessageTypeByName", name)

    def FindExtensionByNumber(self, message: Any, number: int) -> Any:  # noqa: N802
        return self._pools[-1].FindExtensionByNumber(message, number)

    def FindAllExtensions(self, message: Any) -> Any:  # noqa: N802
        return self._pools[-1].FindAllExtensions(message)


def reflection_handlers(services: Iterable[str]) -> list[grpc.GenericRpcHandler]:
    """Gives handlers that describe these services, under both names of reflection."""
    pools = _Pools((health_messages.POOL, _v1_pool(), descriptor_pool.Default()))
    servicer = ReflectionServicer((*services, *SERVICES), pool=pools)
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return [grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in SERVICES]
