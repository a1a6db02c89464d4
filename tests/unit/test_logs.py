"""Logs are one JSON object per line, and hold what was logged and no more."""

from __future__ import annotations

import json
import logging
import sys

from muxer_grpc.telemetry.logs import GRPC_LOGGER, JsonFormatter, keep_metadata_out


def record(message: str, *arguments: object, error: bool = False) -> logging.LogRecord:
    return logging.LogRecord("muxer", logging.WARNING, "f", 1, message, arguments, sys.exc_info() if error else None)


def test_a_line_is_json_with_time_level_logger_and_message() -> None:
    line = json.loads(JsonFormatter().format(record("over %d\nlines", 2)))
    assert (line["level"], line["logger"], line["message"]) == ("warning", "muxer", "over 2\nlines")
    assert line["time"].endswith("+00:00")


def test_a_record_stays_on_one_line() -> None:
    try:
        msg = "x"
        raise ValueError(msg)
    except ValueError:
        text = JsonFormatter().format(record("broke", error=True))
    assert "\n" not in text
    assert "ValueError: x" in json.loads(text)["stack"]


def test_lines_in_which_grpc_shows_what_a_caller_sent_are_dropped_and_its_other_lines_kept() -> None:
    shown = logging.LogRecord(GRPC_LOGGER, logging.ERROR, "f", 1, "Invalid encoding on %s", (b"Bearer x\xff",), None)
    other = logging.LogRecord(GRPC_LOGGER, logging.ERROR, "f", 1, "Unexpected exception in %s", ("x",), None)
    assert not keep_metadata_out(shown)
    assert keep_metadata_out(other)
