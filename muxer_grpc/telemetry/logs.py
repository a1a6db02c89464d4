"""Logs: JSON lines for machines, short lines for a terminal. No prompt, no secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

# The trace, the span and the flags of the call that a task works for, where it is sampled.
TRACE: ContextVar[tuple[int, int, int] | None] = ContextVar("muxer_trace", default=None)

CONSOLE_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

# Where gRPC logs "Invalid encoding on b'...'", with what a caller sent.
GRPC_LOGGER = "grpc._cython.cygrpc"
GRPC_SHOWS = "Invalid encoding on"


class CallLine:
    """The line of a call, as a message of the log: text for people, fields for machines."""

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields

    def __str__(self) -> str:
        """Writes what people look for first, and the rest as name=value."""
        rest = " ".join(f"{name}={value}" for name, value in self.fields.items() if name not in ("method", "code"))
        return f"{self.fields.get('method', '')} {self.fields.get('code', '')} {rest}"


class JsonFormatter(logging.Formatter):
    """Writes one JSON object per line: time (RFC 3339, UTC), level, logger, message and, for defects, the stack.

    Lines of calls have their fields beside these, and all lines of a call that is sampled its trace.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        called = record.msg if isinstance(record.msg, CallLine) else None
        if called is None:
            line["message"] = record.getMessage()
        else:
            line["message"] = f"{called.fields['method']} {called.fields['code']}"
            line.update(called.fields)
        line["pid"] = record.process
        trace = TRACE.get()
        if trace is not None:
            line["trace_id"], line["span_id"] = f"{trace[0]:032x}", f"{trace[1]:016x}"
            line["trace_flags"] = f"{trace[2]:02x}"
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def keep_metadata_out(record: logging.LogRecord) -> bool:
    """Drops the lines in which gRPC shows metadata that is not UTF-8: it may be somebody's key with a stray byte."""
    return not str(record.msg).startswith(GRPC_SHOWS)


def set_up_logging(level: str, form: str) -> None:
    """Sets logging up on stderr, once per process and before any gRPC object exists.

    `form` is `json`, `console`, or `auto`: console on a terminal, else JSON. gRPC holds a lock while it logs, and
    changing handlers later can deadlock with it (grpc/grpc#43421).
    """
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(CONSOLE_FORMAT, "%H:%M:%S") if console else JsonFormatter())
    logging.getLogger(GRPC_LOGGER).addFilter(keep_metadata_out)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
