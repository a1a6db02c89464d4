"""The bytes of the fake provider's replies, and how they are sent: well, slowly, or only in part."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from functools import lru_cache

from tests.fakes.dialects import Dialect
from tests.fakes.plays import Play

Headers = tuple[tuple[str, str], ...]


def head(status: int, content_type: str, *, length: int | None = None, headers: Headers = ()) -> bytes:
    """Gives the head of a reply; without a length its body comes in chunks."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"HTTP/1.1 {status} Fake", f"content-type: {content_type}", framing]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Frames a piece of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by a TCP reset, not by the orderly end that a plain close is."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@lru_cache(maxsize=256)
def stream_events(dialect: Dialect, play: Play, model: str) -> tuple[bytes, ...]:
    """Gives the events of a stream with the play's faults put in."""
    events = dialect.events(play.answer, model)
    if play.garbage_at is not None:
        events[play.garbage_at] = events[play.garbage_at].replace(b"{", b"{{", 1)
    if play.error_at is not None:
        events = [*events[: play.error_at], dialect.error_event]
    elif not play.no_end and dialect.end:
        events.append(dialect.end)
    if play.multi_line:
        events = [re.sub(rb',"(?=choices|message|delta|index)', b',\ndata: "', event, count=1) for event in events]
    if play.comments:
        events = [b": still here\n\nid: 7\nretry: 10\n" + event for event in events]
    if play.crlf:
        events = [event.replace(b"\n", b"\r\n") for event in events]
    return tuple(events)


@lru_cache(maxsize=256)
def _framed_stream(dialect: Dialect, play: Play, model: str) -> bytes:
    """Gives a whole stream as it goes over the line, made once: for load."""
    events = stream_events(dialect, play, model)
    return b"".join(map(chunk, events)) + b"0\r\n\r\n"


async def send_whole(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    play: Play,
    dialect: Dialect,
    model: str = "",
    body: bytes | None = None,
) -> bool:
    """Sends a reply that is no stream. Tells whether the connection goes on."""
    status, content_type = play.status or 200, play.content_type or "application/json"
    if play.error:
        status, body = dialect.error(play.error)
        status = play.status or status
    elif play.body is not None:
        body = play.body
    elif body is None:
        body = dialect.whole(play.answer, model)
    if play.garbage_at is not None:
        body = body.replace(b"{", b"{{", 1)
    await asyncio.sleep(play.delay)
    headers = (*play.headers, *((("x-padding", "x" * play.header_bytes),) if play.header_bytes else ()))
    if play.endless:
        writer.write(head(status, content_type, headers=headers))
        while True:
            writer.write(chunk(b" " * 65536))
            await writer.drain()
    cut_at = _cut_of_whole(play, dialect, model, body)
    sent = body[:cut_at]
    writer.write(head(status, content_type, headers=headers, length=len(sent if play.orderly else body)))
    await asyncio.sleep(play.first_token_after)
    if play.stall_after is not None:
        stalls_at = _part_of(play.stall_after, play, dialect, model, body)
        await _write(writer, body[:stalls_at], 0.0)
        await _stall(reader, play.stall)
        sent = body[stalls_at:]
    await _write(writer, sent, play.trickle)
    return await _end(writer, play, cut=cut_at is not None and not play.orderly)


def _cut_of_whole(play: Play, dialect: Dialect, model: str, body: bytes) -> int | None:
    """Gives the byte of a whole reply at which it is cut; None where it is not."""
    if play.cut_in_character:
        return _within_character(body)
    if play.cut_after is not None:
        return _part_of(play.cut_after, play, dialect, model, body)
    return play.cut_at


def _within_character(data: bytes) -> int:
    """Gives the position after the first byte of the first character that has several."""
    return next(position for position, byte in enumerate(data) if byte >= 0x80) + 1


def _part_of(events: int, play: Play, dialect: Dialect, model: str, body: bytes) -> int:
    """Gives the byte of a whole reply up to which it holds as large a part as so many events of the stream."""
    return len(body) * events // len(dialect.events(play.answer, model))


async def send_stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, play: Play, dialect: Dialect, model: str
) -> bool:
    """Sends a stream. Tells whether the connection goes on."""
    await asyncio.sleep(play.delay)
    writer.write(head(200, play.content_type or dialect.stream_type, headers=play.headers))
    await asyncio.sleep(play.first_token_after)
    events = stream_events(dialect, play, model)
    cut_at = _within_character(b"".join(events)) if play.cut_in_character else play.cut_at
    cut = cut_at is not None or play.cut_after is not None
    if not cut and play.stall_after is None and not play.pause and not play.trickle and not play.holds:
        writer.write(_framed_stream(dialect, play, model))
        return await _end(writer, play, cut=False)
    events = events[: play.cut_after]
    if cut_at is not None and play.orderly:
        events = (b"".join(events)[:cut_at],) if cut_at else ()
    elif cut_at is not None:
        writer.write(_cut_chunks(events, cut_at))
        return await _end(writer, play, cut=True)
    for number, event in enumerate(events):
        if number == play.stall_after:
            await _stall(reader, play.stall)
        await _write(writer, chunk(event), play.trickle)
        await asyncio.sleep(play.pause)
    if play.holds:
        await reader.read()
        raise ConnectionResetError
    if play.orderly or not cut:
        writer.write(b"0\r\n\r\n")
    return await _end(writer, play, cut=cut and not play.orderly)


def _cut_chunks(events: tuple[bytes, ...], cut_at: int) -> bytes:
    """Frames the events up to so many bytes of the body; the last chunk says its full length and lacks the rest."""
    framed = b""
    for event in events:
        if cut_at < len(event):
            return framed + (b"%x\r\n%b" % (len(event), event[:cut_at]) if cut_at else b"")
        framed += chunk(event)
        cut_at -= len(event)
    return framed


async def _write(writer: asyncio.StreamWriter, data: bytes, trickle: float) -> None:
    if not trickle:
        writer.write(data)
        await writer.drain()
        return
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(trickle)


async def _stall(reader: asyncio.StreamReader, seconds: float) -> None:
    """Waits until the stall is over. Raises ConnectionResetError when the caller gives up before."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await reader.read()
            raise ConnectionResetError


async def _end(writer: asyncio.StreamWriter, play: Play, *, cut: bool) -> bool:
    await writer.drain()
    if cut and play.abrupt:
        reset(writer)
    elif cut:
        writer.close()
    return not cut
