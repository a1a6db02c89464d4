"""Logs: JSON lines for machines, short lines for a terminal. No prompt, no secret."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

CONSOLE_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

# Where gRPC logs "Invalid encoding on b'...'", with what a caller sent.
GRPC_LOGGER = "grpc._cython.cygrpc"
GRPC_SHOWS = "Invalid encoding on"


class JsonFormatter(logging.Formatter):
    """Writes one JSON object per line: time (RFC 3339, UTC), level, logger, message and, for defects, the stack."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


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
