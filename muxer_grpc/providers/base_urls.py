"""Addresses of vendors: from an operator, never from a caller."""

from __future__ import annotations

from urllib.parse import urlsplit


def checked_base_url(url: str) -> str:
    """Gives an operator's base URL without its trailing slash. Raises ValueError on what is no plain http(s) URL."""
    msg = "a base URL must be http or https, with a host and without credentials, query and fragment"
    try:
        parts = urlsplit(url)
        port_holds = parts.port is None or parts.port > 0
        # A name that no resolver can be asked for would fail in each call, with an error of another kind.
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise ValueError(msg) from None
    plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    if not plain or not port_holds or parts.query or parts.fragment or any(c.isspace() for c in url):
        raise ValueError(msg)
    return url.rstrip("/")


def check_key(key: str) -> str:
    """Gives a key back. Raises ValueError on one that cannot stand in a header; what it is, is not told."""
    if not key.isascii() or not key.isprintable() or " " in key:
        msg = "a key is printable ASCII without spaces; this one was pasted with something else"
        raise ValueError(msg)
    return key
