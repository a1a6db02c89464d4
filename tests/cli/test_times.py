"""Durations that people type, and times that they read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from muxer_grpc.cli.times import expiry_message, read_duration, time_text


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta(0)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        (" 4w ", timedelta(weeks=4)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert read_duration("--expires", text) == duration


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1.5h", "1y", "9999999999d", "999999999w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration like 30m, 12h, 90d or 4w"):
        read_duration("--expires", text)


def test_what_would_end_after_the_last_year_is_refused() -> None:
    with pytest.raises(ValueError, match="ends after the year 9999"):
        expiry_message("--expires", "3000000d")


def test_a_time_is_read_in_utc_and_none_as_nothing() -> None:
    assert time_text(Timestamp(seconds=1_800_000_000)) == "2027-01-15T08:00:00Z"
    assert time_text(Timestamp()) == ""
