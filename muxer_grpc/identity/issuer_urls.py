"""Addresses of issuers of tokens: from an operator, never from a caller or a token."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def checked_jwks_url(url: str) -> str:
    """Gives an operator's URL back. Raises ValueError unless it is https, or http to this machine alone."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")
        plain_port = parts.port is None or parts.port > 0
    except ValueError:
        host, plain_port, parts = "", False, urlsplit("")
    safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not host or not plain_port or not safe or "@" in parts.netloc or parts.fragment or any(c.isspace() for c in url):
        msg = "a JWKS URL is https (http to this machine alone), with a host and without credentials and fragment"
        raise ValueError(msg)
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
