"""A provider to test against: a real HTTP/1.1 server on loopback that speaks OpenAI's, Anthropic's and Ollama's ways.

It can do what no well-behaved server does: reset connections, cut bodies at any byte, stall, trickle, lie. In a test,
`script(model, play, ...)` says what calls of a model get, one after the other, the last one for ever. On its own
(`python -m tests.fakes.provider --port 8080`), models' names choose: see plays.plays_of_model. `GET /_fake/counts`
tells, per model, the calls that came, and the completions and output tokens (reasoning included) of those answers that
have no fault which ends them early.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import ssl
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tests.fakes.dialects import ANTHROPIC, BY_PATH, OLLAMA, OPENAI, Dialect
from tests.fakes.plays import Play, plays_of_model
from tests.fakes.replies import head, reset, send_stream, send_whole

PLAIN_PLAY = Play()

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
    """The server; `record` False keeps no requests, for load. `probes` is what a request for the models gets."""

    record: bool = True
    models: tuple[str, ...] = ("m1", "m2")
    probes: Play = PLAIN_PLAY
    received: list[Received] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    completions: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    # When calls of a model came, in seconds of a steady clock.
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    open_connections: int = 0
    _scripts: dict[str, list[Play]] = field(default_factory=dict)
    _began: dict[str, float] = field(default_factory=dict)
    _cached: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=4096, ssl=tls)
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
        self._began.pop(model, None)

    @property
    def last(self) -> Received:
        return self.received[-1]

    async def wait_until_idle(self, seconds: float = 5.0) -> None:
        """Waits until no connection is open."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: self.open_connections == 0)

    async def wait_until_called(self, times: int = 1, seconds: float = 5.0) -> None:
        """Waits until so many requests have come; a fake that records none never learns of them."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= times)

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
                await self._tell_change()

    async def _tell_change(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves a request. Tells whether the connection goes on."""
        head_bytes = await reader.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(head_bytes)
        raw = await reader.readexactly(int(found[1])) if found else b""
        line, _, rest = head_bytes.decode("latin-1").partition("\r\n")
        method, path, _ = line.split(" ")
        if self.record:
            pairs = (header.partition(":") for header in rest.strip().split("\r\n") if header)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self.received.append(Received(method, path, headers, raw))
            await self._tell_change()
        if method == "GET":
            return await self._serve_listing(reader, writer, path, b"x-api-key" in head_bytes.lower())
        dialect = next((dialect for suffix, dialect in BY_PATH.items() if path.endswith(suffix)), None)
        if dialect is None:
            return await send_whole(reader, writer, Play(status=404, body=b'{"error":"no such path"}'), OLLAMA)
        request = json.loads(raw)
        model = str(request["model"])
        self.calls[model] += 1
        if self.record:
            self.times[model].append(time.monotonic())
        play = self._next_play(model)
        stream = bool(request.get("stream"))
        last = request["messages"][-1]
        if last["role"] == "assistant":
            play = _continuing(play, last["content"])
        if not stream and play == PLAIN_PLAY:
            writer.write(self._plain(dialect, model))
            self._count(play, model)
            return True
        if play.reset or play.silent:
            return await self._say_nothing(reader, writer, play)
        # Counted before it is sent: who has read the answer finds it in the counts.
        self._count(play, model)
        if not stream or play.error or play.body is not None:
            return await send_whole(reader, writer, play, dialect, model)
        return await send_stream(reader, writer, play, dialect, model)

    async def _serve_listing(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, has_anthropics_key: bool
    ) -> bool:
        """Serves a list of models, or the counts."""
        if path == "/_fake/counts":
            counts = {"calls": self.calls, "completions": self.completions, "tokens": self.tokens}
            return await send_whole(reader, writer, Play(body=json.dumps(counts).encode()), OPENAI)
        if self.probes.reset or self.probes.silent:
            return await self._say_nothing(reader, writer, self.probes)
        listing: dict[str, Any]
        if path.endswith("/api/tags"):
            dialect, listing = OLLAMA, {"models": [{"name": name} for name in self.models]}
        else:
            dialect = ANTHROPIC if has_anthropics_key else OPENAI
            listing = {"object": "list", "data": [{"id": name} for name in self.models]}
        return await send_whole(reader, writer, self.probes, dialect, body=json.dumps(listing).encode())

    async def _say_nothing(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, play: Play) -> bool:
        if play.reset:
            reset(writer)
        else:
            await reader.read()  # until the caller gives up
        return False

    def _count(self, play: Play, model: str) -> None:
        """Counts an answer that has no fault which ends it early."""
        ended_early = play.cut_in_character or any(
            position is not None for position in (play.cut_at, play.cut_after, play.error_at, play.stall_after)
        )
        if not play.error and play.body is None and not ended_early:
            self.completions[model] += 1
            self.tokens[model] += play.answer.counts.output + play.answer.counts.reasoning

    def _next_play(self, model: str) -> Play:
        plays = self._scripts.get(model)
        if plays is None:
            plays = self._scripts[model] = list(plays_of_model(model))
        play = plays[0]
        if play.lasts:
            now = asyncio.get_running_loop().time()
            if now < self._began.setdefault(model, now) + play.lasts:
                return play
            plays.pop(0)
            return plays[0]
        return plays.pop(0) if len(plays) > 1 else play

    def _plain(self, dialect: Dialect, model: str) -> bytes:
        """Gives the plain reply, made once per model."""
        key = (dialect.stream_type, model)
        reply = self._cached.get(key)
        if reply is None:
            body = dialect.whole(PLAIN_PLAY.answer, model)
            reply = self._cached[key] = head(200, "application/json", length=len(body)) + body
        return reply


def _continuing(play: Play, begun: str | list[dict[str, Any]]) -> Play:
    """Gives the play of a call that ends with a begun answer, its text plain or in blocks."""
    if play.refuses_prefill:
        return Play(error="prefill_refused")
    if play.echoes:
        return play
    text = begun if isinstance(begun, str) else "".join(str(block.get("text", "")) for block in begun)
    return replace(play, answer=play.answer.after(text))


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
