"""Fields that resources of admin services share, read from the wire and written to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from google.protobuf import field_mask_pb2, timestamp_pb2
from muxer.v1 import principals_pb2

from muxer_grpc.domain.administration import TENANT_ID, USER_ID
from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.tenancy import UNLIMITED, RateLimit
from muxer_grpc.rpc.violations import Violations, quote

MAX_DISPLAY_NAME_CHARACTERS = 200
MAX_FILTER_CHARACTERS = 256
MAX_RATE = 10**12
# The last second of the year 9999, as google.protobuf.Timestamp has it.
LAST_SECOND = 253_402_300_799
NANOSECONDS = 1_000

_TENANT_RULE = "give 1 to 63 of a to z, 0 to 9, `.`, `_` and `-`, beginning with a letter or a digit"
_USER_RULE = "give 1 to 128 of letters, digits and ._%+@:|/=-, beginning with a letter or a digit"


def check_tenant_id(tenant_id: str, path: str, violations: Violations) -> None:
    """Checks the id of a tenant."""
    violations.check(bool(TENANT_ID.fullmatch(tenant_id)), path, "pattern", _TENANT_RULE)


def check_user_id(user_id: str, path: str, violations: Violations) -> None:
    """Checks the id of a user."""
    violations.check(bool(USER_ID.fullmatch(user_id)), path, "pattern", _USER_RULE)


def check_made_id(made_id: str, path: str, violations: Violations) -> None:
    """Checks an id that the service makes, of a key or a budget."""
    fits = 0 < len(made_id) <= 64 and made_id.isascii() and made_id.isprintable()
    violations.check(fits, path, "required" if not made_id else "pattern", "give an id that the service made")


def check_filter(text: str, path: str, violations: Violations) -> None:
    """Checks a text that things are looked up by."""
    fits = len(text) <= MAX_FILTER_CHARACTERS and text.isprintable()
    violations.check(fits, path, "pattern", f"give up to {MAX_FILTER_CHARACTERS} printable characters")


def check_display_name(name: str, path: str, violations: Violations) -> str:
    """Checks a name for people; gives it back."""
    fits = len(name) <= MAX_DISPLAY_NAME_CHARACTERS and name.isprintable()
    violations.check(fits, path, "length", f"give up to {MAX_DISPLAY_NAME_CHARACTERS} printable characters")
    return name


def check_revision_given(revision: int, path: str, violations: Violations) -> int:
    """Checks the revision that a change builds on; gives it back."""
    violations.check(revision >= 0, path, "range", "give 0, or a revision that the service told")
    return revision


def read_mask(
    mask: field_mask_pb2.FieldMask, changeable: Collection[str], fixed: Collection[str], violations: Violations
) -> Sequence[str]:
    """Reads which fields to change. `fixed` ones are there to see, and said to stay."""
    paths = mask.paths
    told = ", ".join(changeable)
    violations.check(bool(paths), "update_mask", "required", f"name the fields to change: {told}")
    for index, path in enumerate(paths):
        if path in fixed:
            violations.add(f"update_mask.paths[{index}]", "immutable", f"{path} stays; what changes is {told}")
        elif path not in changeable:
            violations.add(f"update_mask.paths[{index}]", "unknown", f"{quote(path)} is not one of {told}")
    return paths


def read_rate_limit(limit: principals_pb2.RateLimit, path: str, violations: Violations) -> RateLimit:
    """Reads a rate limit; what is not set is unbounded."""
    read: dict[str, int | None] = {}
    for name in ("requests_per_minute", "tokens_per_minute"):
        value = getattr(limit, name) if limit.HasField(name) else None
        read[name] = value
        holds = value is None or 1 <= value <= MAX_RATE
        violations.check(holds, f"{path}.{name}", "range", f"give 1 to {MAX_RATE:,}, or leave it out")
    return RateLimit(**read) if any(value is not None for value in read.values()) else UNLIMITED


def rate_limit_message(limit: RateLimit) -> principals_pb2.RateLimit | None:
    """Writes a rate limit; nothing where it is unbounded."""
    if limit.unbounded:
        return None
    return principals_pb2.RateLimit(
        requests_per_minute=limit.requests_per_minute, tokens_per_minute=limit.tokens_per_minute
    )


def time_message(at_us: int) -> timestamp_pb2.Timestamp:
    """Writes a time of microseconds since the epoch."""
    seconds, micros = divmod(at_us, MICROSECONDS)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=micros * NANOSECONDS)


def optional_time(at_us: int | None) -> timestamp_pb2.Timestamp | None:
    """Writes a time, or nothing."""
    return None if at_us is None else time_message(at_us)


def read_time(told: timestamp_pb2.Timestamp, path: str, violations: Violations) -> int:
    """Reads a time as microseconds since the epoch; 0 in place of one that breaks the rule."""
    fits = 0 <= told.seconds <= LAST_SECOND and 0 <= told.nanos < MICROSECONDS * NANOSECONDS
    violations.check(fits, path, "range", "give a time from 1970 to 9999")
    return told.seconds * MICROSECONDS + told.nanos // NANOSECONDS if fits else 0
