"""Times and durations as people type and read them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,9})([smhdw])")


def read_duration(option: str, text: str) -> timedelta:
    """Reads a duration like 90d. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    try:
        if found is not None:
            return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        pass
    msg = f"{option} {text!r} is not a duration like 30m, 12h, 90d or 4w"
    raise ValueError(msg)


def duration_message(option: str, text: str) -> Duration:
    """Reads a duration into a message."""
    from google.protobuf.duration_pb2 import Duration

    message = Duration()
    message.FromTimedelta(read_duration(option, text))
    return message


def expiry_message(option: str, text: str) -> Timestamp:
    """Reads when something ends, as a duration from now, into a message."""
    from datetime import UTC, datetime

    from google.protobuf.timestamp_pb2 import Timestamp

    message = Timestamp()
    try:
        message.FromDatetime(datetime.now(UTC) + read_duration(option, text))
    except OverflowError:
        msg = f"{option} {text!r} ends after the year 9999"
        raise ValueError(msg) from None
    return message


def time_text(message: Timestamp) -> str:
    """Writes a time to the second, in UTC; nothing where none is set."""
    if not message.ByteSize():
        return ""
    return message.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ")
