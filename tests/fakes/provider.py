"""A provider to test against: a real HTTP/1.1 server on loopback that speaks OpenAI's, Anthropic's and Ollama's ways.

It can do what no well-behaved server does: reset connections, cut bodies at any byte, stall, trickle, lie. In a test,
`script(model, play, ...)` says what calls of a model get, one after the other, the last one for ever. On its own
(`python -m tests.fakes.provider --port 8080`), models' names choose: see plays.play_of_model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from tests.fakes.dialects import BY_PATH, Dialect
from tests.fakes.plays import Play, play_of_model

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        value = json.loads(self.raw)
        assert isinstance(value, dict)
        return value


@dataclass
class FakeProvider:
    """The server; `record` False keeps no requests, for load."""

    record: bool = True
    models: tuple[str, ...] = ("m1", "m2")
    received: list[Received] = field(default_factory=list)
    completions: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    open_connections: int = 0
    _scripts: dict[str, list[Play]] = field(default_factory=dict)
    _cached: dict[tuple[str, str, bool], bytes] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, port: int = 0) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=4096)
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, model: str, *plays: Play) -> None:
        """Says what calls of a model get, in order; the last one stays."""
        self._scripts[model] = list(plays)

    @property
    def last(self) -> Received:
        return self.received[-1]

    async def wait_until_idle(self, seconds: float = 5.0) -> None:
        """Waits until no connection is open."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self.open_connections == 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open_connections += 1
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)
            self.open_connections -= 1
            with contextlib.suppress(asyncio.CancelledError):
                async with self._changed:
                    self._changed.notify_all()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves a request. Tells whether the connection goes on."""
        head = await reader.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(head)
        raw = await reader.readexactly(int(found[1])) if found else b""
        line, _, rest = head.decode("latin-1").partition("\r\n")
        method, path, _ = line.split(" ")
        if self.record:
            pairs = (header.partition(":") for header in rest.strip().split("\r\n") if header)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self.received.append(Received(method, path, headers, raw))
        if method == "GET":
            await self._send(writer, Play(content_type="application/json", body=self._listing(path)), None, b"")
            return True
        dialect = next(dialect for suffix, dialect in BY_PATH.items() if path.endswith(suffix))
        request = json.loads(raw)
        model = str(request["model"])
        play = self._next_play(model)
        stream = bool(request.get("stream"))
        self.completions[model] += 1
        if not stream and play == Play():
            writer.write(self._plain(dialect, model))
            return True
        return await self._act(reader, writer, play, dialect, model, stream)

    def _next_play(self, model: str) -> Play:
        plays = self._scripts.get(model)
        if plays is None:
            return play_of_model(model)
        return plays.pop(0) if len(plays) > 1 else plays[0]

    def _listing(self, path: str) -> bytes:
        if path == "/_fake/counts":
            return json.dumps({"completions": self.completions, "tokens": self.tokens}).encode()
        if path.endswith("/api/tags"):
            return json.dumps({"models": [{"name": name} for name in self.models]}).encode()
        return json.dumps({"object": "list", "data": [{"id": name} for name in self.models]}).encode()

    def _plain(self, dialect: Dialect, model: str) -> bytes:
        """Gives the plain reply, made once per model."""
        key = (dialect.stream_type, model, False)
        reply = self._cached.get(key)
        if reply is None:
            body = dialect.whole(Play().answer, model)
            reply = self._cached[key] = _head(200, "application/json", length=len(body)) + body
        return reply

    async def _act(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        play: Play,
        dialect: Dialect,
        model: str,
        stream: bool,
    ) -> bool:
        if play.reset:
            writer.transport.abort()
            return False
        if play.silent:
            await reader.read()  # until the caller gives up
            return False
        if play.error or play.body is not None:
            await self._send(writer, play, dialect, b"")
            return play.cut_at is None
        self.tokens[model] += play.answer.counts.output
        if not stream:
            await self._send(writer, play, dialect, dialect.whole(play.answer, model))
            return play.cut_at is None
        return await self._send_stream(reader, writer, play, dialect, model)

    async def _send(self, writer: asyncio.StreamWriter, play: Play, dialect: Dialect | None, body: bytes) -> None:
        status, content_type = play.status or 200, play.content_type or "application/json"
        if play.error:
            assert dialect is not None
            status, body = dialect.error(play.error)
            status = play.status or status
        elif play.body is not None:
            body = play.body
        if play.delay:
            await asyncio.sleep(play.delay)
        headers = (*play.headers, *((("x-padding", "x" * play.header_bytes),) if play.header_bytes else ()))
        if play.endless:
            writer.write(_head(status, content_type, headers=headers))
            while True:
                writer.write(_chunk(b" " * 65536))
                await writer.drain()
        writer.write(_head(status, content_type, headers=headers, length=len(body)))
        if play.trickle:
            for byte in body:
                await asyncio.sleep(play.trickle)
                writer.write(bytes([byte]))
        writer.write(body[: play.cut_at])
        await writer.drain()
        if play.cut_at is not None:
            writer.close()

    async def _send_stream(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        play: Play,
        dialect: Dialect,
        model: str,
    ) -> bool:
        events = _distorted(dialect, play, model)
        if play.delay:
            await asyncio.sleep(play.delay)
        writer.write(_head(200, play.content_type or dialect.stream_type, headers=play.headers))
        if play.cut_at is not None:
            writer.write(_chunk(b"".join(events)[: play.cut_at]) if play.cut_at else b"")
            await writer.drain()
            writer.close()
            return False
        if play.pause or play.stall_after is not None:
            await self._send_slowly(reader, writer, play, events)
        else:
            writer.write(b"".join(map(_chunk, events[: play.cut_after])))
        if play.cut_after is not None:
            await writer.drain()
            writer.close()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _send_slowly(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, play: Play, events: list[bytes]
    ) -> None:
        for number, event in enumerate(events):
            if number == play.stall_after:
                # Until the stall is over, or the caller gives up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(play.stall):
                        await reader.read()
                        raise ConnectionResetError
            writer.write(_chunk(event))
            await writer.drain()
            await asyncio.sleep(play.pause)


def _head(
    status: int, content_type: str, *, length: int | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> bytes:
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"HTTP/1.1 {status} Fake", f"content-type: {content_type}", framing]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _distorted(dialect: Dialect, play: Play, model: str) -> list[bytes]:
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
    return events


@asynccontextmanager
async def fake_provider(**options: Any) -> AsyncGenerator[FakeProvider, None]:
    """Runs a fake provider on a free port."""
    fake = await FakeProvider(**options).start()
    try:
        yield fake
    finally:
        await fake.stop()


def main() -> None:
    """Runs a fake provider until it is killed; says its port on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()

    async def run() -> None:
        fake = await FakeProvider(record=False).start(arguments.port)
        print(fake.port, flush=True)
        await asyncio.Event().wait()

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(KeyboardInterrupt):
        runner.run(run())


if __name__ == "__main__":
    main()
