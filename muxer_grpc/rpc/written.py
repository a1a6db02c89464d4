"""Messages put together from parts that are written already.

A message in wire format is the parts of it one after the other, in any order (https://protobuf.dev/programming-guides/
encoding/). Of a decision, most is the same from one request to the next: what the router keeps of choices, and what the
classifier keeps of prompts. Those parts are written once; building their messages anew would cost more than all the
rest of a reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Written(NamedTuple):
    """A whole message in wire format, in place of the message."""

    content: bytes

    def SerializeToString(self) -> bytes:  # noqa: N802 (as messages have it)
        """Gives the bytes."""
        return self.content


def varint(number: int) -> bytes:
    """Writes a number of 0 or more: seven bits to a byte, the lowest first, marked where more follow."""
    if number < 0x80:
        return _ONE_BYTE[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if number < 0x200000:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


_ONE_BYTE = tuple(bytes((number,)) for number in range(0x80))


def field(number: int, content: bytes) -> bytes:
    """Writes a field that holds a message or a text: its number (up to 15) and wire type, its length, its content."""
    return _ONE_BYTE[number << 3 | 2] + varint(len(content)) + content


class Remembered(Generic[T]):
    """What was written of things that are kept elsewhere: by their identity, which is theirs while they are kept here.

    Bounded: the oldest is forgotten first.
    """

    def __init__(self, write: Callable[[T], bytes], most: int) -> None:
        self._write = write
        self._most = most
        self._written: dict[int, tuple[T, bytes]] = {}

    def of(self, thing: T) -> bytes:
        """Gives what is written of a thing."""
        known = self._written.get(id(thing))
        if known is not None and known[0] is thing:
            return known[1]
        content = self._write(thing)
        if len(self._written) >= self._most:
            del self._written[next(iter(self._written))]
        self._written[id(thing)] = (thing, content)
        return content
