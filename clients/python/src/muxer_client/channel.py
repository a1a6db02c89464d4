"""How a channel to the service is set up: retries, sizes, keepalive, credentials, trace context."""

from __future__ import annotations

import importlib
import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

# Retries for UNAVAILABLE alone: other codes either cannot help or cost money again. A backoff under 10 ms makes gRPC
# hang past the deadline (grpc/grpc#41036). A stream that may be tried again, and whose service dies before the first
# message, hangs past it too, whatever the backoff: streams are not tried again.
RETRIED = ("Route", "Complete", "GetMetrics")
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                *({"service": "muxer.v1.MuxerService", "method": name} for name in RETRIED),
                {"service": "muxer.v1.CatalogueService"},
            ],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # Retries stop while half of these are used up, one by each failure. A replica that dies fails every call on it at
    # once, hundreds in a busy caller, and all of them are to be tried again; a service that is down costs more, and
    # its retries do stop. 1000 is the most that gRPC takes.
    "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1},
}

MAX_MESSAGE_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS towards the service. PEM bytes; without `root_certificates` the system's authorities count."""

    root_certificates: bytes | None = None
    private_key: bytes | None = None
    certificate_chain: bytes | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Makes gRPC credentials."""
        return grpc.ssl_channel_credentials(self.root_certificates, self.private_key, self.certificate_chain)


def channel_options() -> list[tuple[str, Any]]:
    """Gives the channel arguments."""
    return [
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        # Requests larger than this buffer silently lose their retries; the default is 256 KiB.
        ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 60_000),
    ]


def check_api_key(api_key: str | None, target: str, *, secure: bool) -> None:
    """Refuses to send a key in the clear. Raises ValueError unless the line is TLS or does not leave the machine."""
    if api_key and not secure and not stays_on_machine(target):
        msg = f"an API key would cross the network in the clear to {target}; use tls=TlsOptions()"
        raise ValueError(msg)


def stays_on_machine(target: str) -> bool:
    """Tells whether a target is this machine alone."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = target.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def current_traceparent() -> str | None:
    """Gives the W3C trace context of the current span where the OpenTelemetry API is installed, else None."""
    try:
        trace = importlib.import_module("opentelemetry.trace")
    except ImportError:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def call_metadata(api_key: str | None, traceparent: Callable[[], str | None]) -> tuple[tuple[str, str], ...]:
    """Gives the metadata of a call."""
    metadata: list[tuple[str, str]] = []
    if api_key:
        metadata.append(("authorization", f"Bearer {api_key}"))
    context = traceparent()
    if context:
        metadata.append(("traceparent", context))
    return tuple(metadata)
