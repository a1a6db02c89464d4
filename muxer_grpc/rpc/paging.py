"""Pages of listings: a token tells where the next one begins, and to which listing it belongs.

A page begins behind the key of the last item, so that it stays right while items come and go.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from muxer_grpc.domain.administration import PageRequest
from muxer_grpc.rpc.violations import Violations

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000
MAX_TOKEN_CHARACTERS = 16_384

Item = TypeVar("Item")


class Paging:
    """One page of a listing, as it is asked for.

    `listing` names the listing with all that narrows it; `keys` counts the parts of an item's key. A negative size, and
    a token of another listing, are violations: see that they are raised before the page is read.
    """

    def __init__(self, size: int, token: str, listing: Sequence[object], violations: Violations, *, keys: int) -> None:
        self._listing = [str(part) for part in listing]
        violations.check(size >= 0, "page_size", "range", "give at least 0")
        after = _key_of(token, self._listing, keys) if token else ()
        violations.check(after is not None, "page_token", "unknown", "give a token that this listing returned")
        self.length = min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        self.after = after or ()

    @property
    def request(self) -> PageRequest:
        """Asks for one item more than the page holds: it tells whether the listing goes on."""
        return PageRequest(self.length + 1, self.after)

    def cut(self, found: Sequence[Item], key: Callable[[Item], Sequence[str]]) -> tuple[Sequence[Item], str]:
        """Gives the page, and the token of the next one; empty at the end."""
        page = found[: self.length]
        if len(found) <= self.length:
            return page, ""
        told = json.dumps([self._listing, list(key(page[-1]))], ensure_ascii=False, separators=(",", ":"))
        return page, base64.urlsafe_b64encode(told.encode()).decode()


def _key_of(token: str, listing: Sequence[str], keys: int) -> tuple[str, ...] | None:
    """Reads the key in a token; None where it is no token of the listing, or holds what no key can."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        return None
    try:
        told = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(told, list) or len(told) != 2 or told[0] != list(listing):
        return None
    key = told[1]
    holds = isinstance(key, list) and len(key) == keys
    if not holds or not all(isinstance(part, str) and part.isprintable() for part in key):
        return None
    return tuple(key)
