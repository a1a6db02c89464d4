"""Addresses to listen on: host:port, [v6]:port or unix:/path, separated by commas."""

from __future__ import annotations

import ipaddress

UNIX = "unix:"
# What the kernel keeps of a socket's path (sockaddr_un), its end mark left out.
MAX_UNIX_PATH_BYTES = 107


def split_addresses(value: str) -> list[str]:
    """Lists the addresses."""
    return [part for part in (piece.strip() for piece in value.split(",")) if part]


def is_loopback(host: str) -> bool:
    """Tells whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def checked_addresses(value: str) -> str:
    """Refuses what is no address (ValueError)."""
    addresses = split_addresses(value)
    if value.strip() and not addresses:
        msg = "it holds commas and no address"
        raise ValueError(msg)
    for address in addresses:
        _check(address)
    return value


def reachable_by_others(value: str) -> list[str]:
    """Lists those of the addresses that others than this machine can reach."""
    return [
        address
        for address in split_addresses(value)
        if not address.startswith(UNIX) and not is_loopback(address.rpartition(":")[0])
    ]


def _check(address: str) -> None:
    if address.startswith(UNIX):
        path = address.removeprefix(UNIX)
        if not path or len(path.encode()) > MAX_UNIX_PATH_BYTES:
            msg = f"a unix address names a file by a path of up to {MAX_UNIX_PATH_BYTES} bytes: unix:/run/muxer.sock"
            raise ValueError(msg)
        return
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not host or (":" in host and not bracketed) or not port.isdecimal() or int(port) > 65535:
        msg = "an address is host:port, [::1]:port or unix:/path"
        raise ValueError(msg)
