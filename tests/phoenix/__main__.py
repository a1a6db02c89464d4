"""`make phoenix`: a trace in a real Arize Phoenix, which runs in an environment of its own.

Starts Phoenix and the service, makes one call, and asks Phoenix for the model, the tokens and the cost of what it got.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from muxer_client import AsyncMuxerClient

from tests.process.running import muxer, upstream_process

START_SECONDS = 180
SEEN_SECONDS = 60
# Phoenix knows what this model of OpenAI's costs; the answer comes from a fake server.
MODEL = "gpt-4o-mini"
COST_QUERY = """
query ($id: ID!) {
  node(id: $id) { ... on Project { spans(first: 20) { edges { node { name spanKind tokenCountTotal
    costSummary { total { cost tokens } } attributes } } } } }
}
"""


def free_ports(count: int) -> list[int]:
    """Finds ports that are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def phoenix(program: Path, folder: Path) -> Iterator[str]:
    """Runs Phoenix on loopback; gives its address."""
    port, grpc_port = free_ports(2)
    given = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (folder / "phoenix.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve"], env={**os.environ, **given}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def asked(url: str, body: dict[str, Any] | None = None) -> Any:
    """Asks for JSON; None while nobody answers."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return json.load(reply)
    except (urllib.error.URLError, OSError, TimeoutError):
        return None


async def until_there(url: str, seconds: float) -> Any:
    """Asks until there is an answer."""
    async with asyncio.timeout(seconds):
        while (found := await asyncio.to_thread(asked, url)) is None:
            await asyncio.sleep(0.5)
        return found


async def chat_span(address: str) -> dict[str, Any]:
    """Waits for the span of the completion; gives it as Phoenix shows it."""
    projects = await until_there(f"{address}/v1/projects", START_SECONDS)
    question = {"query": COST_QUERY, "variables": {"id": projects["data"][0]["id"]}}
    async with asyncio.timeout(SEEN_SECONDS):
        while True:
            told = await asyncio.to_thread(asked, f"{address}/graphql", question) or {}
            edges = ((told.get("data") or {}).get("node") or {}).get("spans", {}).get("edges", [])
            found: list[dict[str, Any]] = [e["node"] for e in edges if e["node"]["name"] == f"chat {MODEL}"]
            if found and found[0]["costSummary"]["total"]["cost"] is not None:
                return found[0]
            await asyncio.sleep(1)


async def run(program: Path, folder: Path) -> None:
    """Makes one call, and compares what Phoenix shows with what the caller was told."""
    with phoenix(program, folder) as address:
        await until_there(f"{address}/v1/projects", START_SECONDS)
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRICS_EXPORTER": "none",
            "MUXER_STORAGE__URL": f"sqlite:///{folder}/muxer.db",
            "OPENAI_API_KEY": "sk-of-nobody",
        }
        async with upstream_process() as upstream:
            settings["MUXER_PROVIDERS__OPENAI__BASE_URL"] = upstream
            async with muxer(folder, **settings) as service, AsyncMuxerClient(service.target) as client:
                answer = await client.complete("Hello", model=f"openai/{MODEL}")
                span = await chat_span(address)
    attributes = json.loads(span["attributes"])
    usage = answer.summary.usage
    tokens = usage.input_tokens + usage.cached_input_tokens + usage.output_tokens + usage.reasoning_tokens
    cost = answer.summary.cost.total_nano_usd / 1e9
    shown = span["costSummary"]["total"]["cost"]
    print(f"Phoenix shows {span['name']}: kind {span['spanKind']}, {span['tokenCountTotal']} tokens, ${shown:.9f}")
    print(f"the caller was told: {tokens} tokens, ${cost:.9f}")
    assert span["spanKind"] == "llm", span
    assert attributes["llm"]["model_name"].startswith(MODEL), attributes
    assert span["tokenCountTotal"] == tokens, span
    assert 0.5 * cost <= shown <= 2 * cost, (shown, cost)


def main() -> None:
    """Runs the comparison with Phoenix from an environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phoenix", type=Path, default=Path(".phoenix/bin/phoenix"))
    chosen = parser.parse_args().phoenix
    if not chosen.exists():
        sys.exit(f"muxer: {chosen} is missing: make phoenix installs it")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(chosen.absolute(), Path(folder)))


if __name__ == "__main__":
    main()
