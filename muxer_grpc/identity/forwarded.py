"""`x-forwarded-client-cert`: what a proxy says of the certificate that it verified.

Format: Envoy, "HTTP header manipulation", x-forwarded-client-cert. Elements are separated by commas, one for each proxy
on the way, the nearest last. An element is `Key=value` pairs between semicolons; values with such signs are quoted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

from muxer_grpc.identity.proof import NotProven

MAX_LENGTH = 16_384
UNIX = "unix"

# Neither alternative can match a text in two ways, so that time grows with the length alone.
_PAIR = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;\\]*)')
_SEPARATOR = re.compile(r"; *|(?P<element> *, *)")
_ESCAPED = re.compile(r"\\(.)")

# The pairs that name whoever showed the certificate; the subject is free text, and names nobody.
_NAMING = frozenset({"uri", "dns"})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def forwarded_names(header: str) -> tuple[str, ...]:
    """Gives the URIs and host names of the last element, which the nearest proxy wrote. Raises NotProven."""
    if len(header) > MAX_LENGTH or not header.isascii() or not header.isprintable():
        msg = "the forwarded certificate is too long, or no printable text"
        raise NotProven(msg)
    names: list[str] = []
    at = 0
    while True:
        pair = _PAIR.match(header, at)
        if pair is None:
            break
        key, value = pair[1].lower(), pair[2]
        if value[:1] == '"':
            value = _ESCAPED.sub(r"\1", value[1:-1])
        if value and key in _NAMING:
            names.append(value)
        at = pair.end()
        if at == len(header):
            return tuple(names)
        separator = _SEPARATOR.match(header, at)
        if separator is None:
            break
        if separator["element"]:
            names.clear()
        at = separator.end()
    msg = "the forwarded certificate is malformed"
    raise NotProven(msg)


def checked_proxy(text: str) -> str:
    """Gives a trusted proxy back: an address, a network in CIDR, or `unix`. Raises ValueError."""
    if text == UNIX:
        return text
    try:
        ipaddress.ip_network(text)
    except ValueError:
        msg = "a trusted proxy is an address (127.0.0.1), a network (10.0.0.0/8), or unix for those on a unix socket"
        raise ValueError(msg) from None
    return text


class TrustedProxies:
    """The peers whose word about certificates counts."""

    def __init__(self, proxies: Iterable[str]) -> None:
        given = tuple(checked_proxy(text) for text in proxies)
        self._unix = UNIX in given
        self._networks = tuple(ipaddress.ip_network(text) for text in given if text != UNIX)
        # A connection makes many calls, and each asks.
        self.trusts = lru_cache(maxsize=4_096)(self._trusts)

    def _trusts(self, peer: str) -> bool:
        """Tells whether a peer, as gRPC writes it (ipv4:127.0.0.1:5, ipv6:%5B::1%5D:5, unix:), is one of them."""
        kind, _, rest = peer.partition(":")
        if kind == UNIX:
            return self._unix
        if kind not in ("ipv4", "ipv6"):
            return False
        host = unquote(rest).rpartition(":")[0].strip("[]")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)
