"""What the libraries alone can do: the bare servers that ours is measured against.

`echo` answers with the request's bytes. `call` makes one plain aiohttp call upstream and answers with bytes of the size
of our reply. `booked` does so between two durable commits. `stream` forwards each event of an upstream's stream as a
message of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import aiohttp
import grpc
import grpc.aio
import uvloop

from tests.bench.commits import TwoCommits

OPTIONS = [("grpc.so_reuseport", 0)]
Context = grpc.aio.ServicerContext[Any, Any]


def upstream_body(model: str, *, stream: bool) -> bytes:
    messages = [{"role": "user", "content": "Tell me about climate change"}]
    return json.dumps({"model": model, "messages": messages, "max_tokens": 4096, "stream": stream}).encode()


class Bare:
    """The bare methods."""

    def __init__(self, upstream: str, reply_bytes: int) -> None:
        self._url = f"{upstream}/chat/completions"
        self._reply = b"x" * reply_bytes
        self._unary = upstream_body("plain", stream=False)
        self._stream = upstream_body("tokens-200", stream=True)
        self._session: aiohttp.ClientSession | None = None
        self._commits: TwoCommits | None = None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1000))
        return self._session

    async def echo(self, request: bytes, _context: Context) -> bytes:
        return request

    async def call(self, _request: bytes, _context: Context) -> bytes:
        headers = {"content-type": "application/json"}
        async with self.session().post(self._url, data=self._unary, headers=headers) as reply:
            json.loads(await reply.read())
        return self._reply

    async def booked(self, request: bytes, context: Context) -> bytes:
        if self._commits is None:
            self._commits = TwoCommits("bare.db")
        name = uuid4().hex
        await self._commits.promise(name)
        reply = await self.call(request, context)
        await self._commits.settle(name)
        return reply

    async def stream(self, _request: bytes, _context: Context) -> AsyncGenerator[bytes, None]:
        headers = {"content-type": "application/json"}
        async with self.session().post(self._url, data=self._stream, headers=headers) as reply:
            async for line in reply.content:
                if line.startswith(b"data: {"):
                    json.loads(line[6:])
                    yield line


async def serve(upstream: str, reply_bytes: int) -> None:
    bare = Bare(upstream, reply_bytes)
    server = grpc.aio.server(options=OPTIONS)
    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(bare.echo),
        "Booked": grpc.unary_unary_rpc_method_handler(bare.booked),
        "Call": grpc.unary_unary_rpc_method_handler(bare.call),
        "Stream": grpc.unary_stream_rpc_method_handler(bare.stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Bare", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    gc.collect()
    gc.freeze()
    print(json.dumps({"data": [f"127.0.0.1:{port}"]}), flush=True)
    await server.wait_for_termination()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--reply-bytes", type=int, default=1000)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.upstream, arguments.reply_bytes))


if __name__ == "__main__":
    main()
