"""A call written as HTTP/2 frames by hand, for metadata that a gRPC client refuses to send (RFC 9113, RFC 7541)."""

from __future__ import annotations

import asyncio
import struct

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_MESSAGE = bytes(5)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name: bytes, value: bytes) -> bytes:
    """Writes a header literally, without index and without Huffman's code."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


async def status_of(address: str, path: str, *metadata: tuple[bytes, bytes]) -> int:
    """Makes a unary call with an empty request, and gives its status as a number."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    known = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"muxer"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
    block = b"".join(field(*each) for each in (*known, *metadata))
    writer.write(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_HEADERS, 1, block))
    writer.write(frame(DATA, END_STREAM, 1, EMPTY_MESSAGE))
    received = b""
    try:
        # The server writes its header names as literals, and the digits of the status too.
        while b"grpc-status" not in received or len(received.partition(b"grpc-status")[2]) < 3:
            piece = await reader.read(65_536)
            assert piece, f"the connection ended without a status: {received!r}"
            received += piece
    finally:
        writer.close()
        await writer.wait_closed()
    rest = received.partition(b"grpc-status")[2]
    return int(rest[1 : 1 + rest[0]])
