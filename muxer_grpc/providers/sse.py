"""Server-sent events and JSON lines, parsed from bytes as they come.

Rules: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. Bytes are decoded by
whole lines only, so a character cut between two reads stays whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from muxer_grpc.domain.errors import FailureClass, ProviderFailure

MAX_EVENT_BYTES = 1024 * 1024

_LINE_END = re.compile(rb"\r\n|\n|\r")


class LineParser:
    """Splits bytes into lines that end with CR, LF or CRLF."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Gives the lines that are complete now. Raises ProviderFailure (PROTOCOL) on a line over 1 MiB."""
        data = self._rest + chunk if self._rest else chunk
        # A CR at the very end may be half of a CRLF: wait for what follows.
        held = b""
        if data.endswith(b"\r"):
            data, held = data[:-1], b"\r"
        lines = data.split(b"\n") if b"\r" not in data else _LINE_END.split(data)
        self._rest = lines.pop() + held
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ProviderFailure(FailureClass.PROTOCOL, f"a line of more than {MAX_EVENT_BYTES} bytes")
        return lines

    def finish(self) -> bytes:
        """Gives what came after the last line end, when the body has ended."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        return rest


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event: its data (the lines joined by newlines) and its type, `message` unless named."""

    data: bytes
    event: str = "message"


class SseParser:
    """Collects lines into events. An event counts once the empty line behind it has come, as the standard has it."""

    def __init__(self) -> None:
        self._lines = LineParser()
        self._data: list[bytes] = []
        self._size = 0
        self._event = ""
        self._first = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Gives the events that are complete now. Raises ProviderFailure (PROTOCOL) on one over 1 MiB."""
        events: list[SseEvent] = []
        for line in self._lines.feed(chunk):
            if not line:
                if self._data:
                    events.append(SseEvent(b"\n".join(self._data), self._event or "message"))
                    self._data = []
                    self._size = 0
                self._event = ""
            elif line.startswith(b"data: "):
                self._take(line[6:])
            else:
                self._take_field(line)
            self._first = False
        return events

    def _take_field(self, line: bytes) -> None:
        if self._first:
            line = line.removeprefix(b"\xef\xbb\xbf")
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._take(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        # Comments (an empty name), ids, retry times and unknown fields mean nothing here.

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_EVENT_BYTES:
            raise ProviderFailure(FailureClass.PROTOCOL, f"an event of more than {MAX_EVENT_BYTES} bytes")
        self._data.append(data)
