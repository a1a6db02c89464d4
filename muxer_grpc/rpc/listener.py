"""A grpc.aio server on one or more addresses: its options, its services, its health and reflection."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio

from muxer_grpc.rpc.calls import Calls, UnknownMethods
from muxer_grpc.rpc.foreign import GuardedRegistrar
from muxer_grpc.rpc.reflection import reflection_handlers
from muxer_grpc.rpc.servicers import health
from muxer_grpc.rpc.servicers.health import HealthServicer
from muxer_grpc.rpc.tls import TlsFiles, server_credentials

UNIX_PREFIX = "unix:"

# The last fuse far above our own limits: gRPC's own refusal has no details, and strikes health checks too.
FUSE_FACTOR = 4

# Bytes of metadata: up to the first bound all calls pass, beyond the second none. gRPC itself begins at 8 KiB, which
# is less than a long token and a forwarded certificate take together.
METADATA_BYTES = 16 * 1024
MOST_METADATA_BYTES = 32 * 1024


class Servicer(Protocol):
    """A service of ours: its wrapped methods by name."""

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Gives the wrapped methods."""
        ...


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """Transport settings of a listener. Sizes are in bytes, times in seconds; 0 leaves a time unbounded."""

    addresses: tuple[str, ...]
    max_receive_bytes: int = 8 * 1024 * 1024
    max_send_bytes: int = 32 * 1024 * 1024
    keepalive_seconds: float = 120.0
    min_client_ping_interval_seconds: float = 30.0
    max_connection_age_seconds: float = 0.0
    max_connection_age_grace_seconds: float = 0.0
    max_connection_idle_seconds: float = 0.0
    max_concurrent_streams: int = 1_000
    max_concurrent_calls: int = 0
    reuse_port: bool = False
    reflection: bool = True
    tls: TlsFiles | None = None

    def channel_arguments(self) -> list[tuple[str, int]]:
        """Writes the settings as gRPC's channel arguments."""
        arguments = {
            "grpc.so_reuseport": int(self.reuse_port),
            "grpc.max_receive_message_length": self.max_receive_bytes,
            "grpc.max_send_message_length": self.max_send_bytes,
            "grpc.max_metadata_size": METADATA_BYTES,
            "grpc.absolute_max_metadata_size": MOST_METADATA_BYTES,
            "grpc.max_concurrent_streams": self.max_concurrent_streams,
            "grpc.keepalive_time_ms": round(self.keepalive_seconds * 1000),
            "grpc.keepalive_permit_without_calls": 1,
            "grpc.http2.min_ping_interval_without_data_ms": round(self.min_client_ping_interval_seconds * 1000),
            "grpc.max_connection_age_ms": round(self.max_connection_age_seconds * 1000),
            "grpc.max_connection_age_grace_ms": round(self.max_connection_age_grace_seconds * 1000),
            "grpc.max_connection_idle_ms": round(self.max_connection_idle_seconds * 1000),
        }
        return [(name, value) for name, value in arguments.items() if value or name == "grpc.so_reuseport"]


class Listener:
    """A server that knows where it listens. Build it inside the running loop."""

    def __init__(self, options: ListenerOptions, services: Mapping[str, Servicer], calls: Calls) -> None:
        self._options = options
        self._calls = calls
        self.health = HealthServicer(services)
        fuse = FUSE_FACTOR * options.max_concurrent_calls or None
        self.server = grpc.aio.server(options=options.channel_arguments(), maximum_concurrent_rpcs=fuse)
        for name, servicer in (*services.items(), (health.SERVICE, self.health)):
            opened = calls.registered(name, servicer.handlers(calls))
            handler = grpc.method_handlers_generic_handler(name, opened)
            self.server.add_generic_rpc_handlers((handler,))
        self._described = [*services, health.SERVICE]
        self.addresses: tuple[str, ...] = ()

    async def start(self) -> None:
        """Binds every address and serves. Raises OSError when one cannot be bound."""
        if self._options.reflection:
            guarded = GuardedRegistrar(self.server, self._calls)
            guarded.add_generic_rpc_handlers(tuple(reflection_handlers(self._described)))
        self.server.add_generic_rpc_handlers((UnknownMethods(),))
        self.addresses = tuple(self._bind(address) for address in self._options.addresses)
        await self.server.start()
        self.health.serve()

    def add_packaged(self, service: str, register: Callable[[Any], None]) -> None:
        """Adds a packaged service, which `register` registers on what it is given. Before start() only."""
        register(GuardedRegistrar(self.server, self._calls))
        self._described.append(service)

    def _bind(self, address: str) -> str:
        tls = self._options.tls
        unix = address.startswith(UNIX_PREFIX)
        # A unix socket has no TLS; the mode of its file is its guard, from the first moment on.
        mask = os.umask(0o177) if unix else None
        try:
            if tls is None or unix:
                port = self.server.add_insecure_port(address)
            else:
                port = self.server.add_secure_port(address, server_credentials(tls))
        except RuntimeError as error:
            msg = f"cannot listen on {address}: the address is taken or not of this machine"
            raise OSError(msg) from error
        finally:
            if mask is not None:
                os.umask(mask)
        if unix:
            return address
        return f"{address.rpartition(':')[0]}:{port}"
