"""What listings of reports share: how they are named in page tokens, and how keys of all kinds are spelled there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from google.protobuf import timestamp_pb2

from muxer_grpc.rpc.admin_fields import check_tenant_id, read_time
from muxer_grpc.rpc.paging import Paging
from muxer_grpc.rpc.violations import Violations

MAX_DIGITS = 18
_NOT_OURS = ("page_token", "unknown", "give a token that this listing returned")


def named(*parts: object) -> tuple[str, str]:
    """Names a listing with all that narrows it, in a bounded length."""
    return str(parts[0]), hashlib.sha256(repr(parts).encode()).hexdigest()


def check_numbers(paging: Paging, count: int, violations: Violations) -> None:
    """Checks that the first parts of a page's key are numbers, as those of our own are."""
    ours = all(part.isascii() and part.isdigit() and len(part) <= MAX_DIGITS for part in paging.after[:count])
    violations.check(ours, *_NOT_OURS)


def spelled(parts: Sequence[str]) -> tuple[str, ...]:
    """Spells the parts of a key in printable signs, whatever callers put into them."""
    return tuple(json.dumps(part) for part in parts)


def read_spelled(parts: Sequence[str], violations: Violations) -> tuple[str, ...]:
    """Reads the parts of a key that was spelled."""
    read = [_unspelled(part) for part in parts]
    violations.check(None not in read, *_NOT_OURS)
    return tuple(part or "" for part in read)


def read_span(
    since: timestamp_pb2.Timestamp | None, until: timestamp_pb2.Timestamp | None, path: str, violations: Violations
) -> tuple[int | None, int | None]:
    """Reads the time that a report is about; None is unbounded. A time that ends before it begins is a violation."""
    since_us = None if since is None else read_time(since, f"{path}since", violations)
    until_us = None if until is None else read_time(until, f"{path}until", violations)
    ordered = since_us is None or until_us is None or since_us <= until_us
    violations.check(ordered, f"{path}until", "range", "give a time after since")
    return since_us, until_us


def check_text(text: str, path: str, longest: int, violations: Violations) -> None:
    """Checks a text that callers made up: PostgreSQL holds every sign but NUL."""
    fits = len(text) <= longest and "\0" not in text
    violations.check(fits, path, "length", f"give up to {longest} characters, and no NUL")


def _unspelled(part: str) -> str | None:
    try:
        text = json.loads(part)
        if not isinstance(text, str) or "\0" in text:
            return None
        text.encode()
    except (ValueError, RecursionError):
        # A surrogate without its other half is a ValueError too.
        return None
    return text


def read_tenant_span(request: Any, tenant_id: str | None, violations: Violations) -> tuple[int | None, int | None]:
    """Reads the time that a report on a tenant, or on all (None), is about, from its fields `since` and `until`."""
    if tenant_id is not None:
        check_tenant_id(tenant_id, "tenant_id", violations)
    since = request.since if request.HasField("since") else None
    until = request.until if request.HasField("until") else None
    return read_span(since, until, "", violations)
