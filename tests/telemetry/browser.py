"""A headless Chromium, steered by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
)
START_SECONDS = 60.0


@dataclass
class Browser:
    """A page of a browser."""

    socket: aiohttp.ClientWebSocketResponse
    # What went wrong in the page: scripts that broke, and what its policy forbade.
    complaints: list[str] = field(default_factory=list)
    _loaded: bool = False
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol."""
        number = next(self._numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(30):
            while (told := await self._hear()).get("id") != number:
                pass
        assert "error" not in told, told
        return dict(told["result"])

    async def _hear(self) -> dict[str, Any]:
        """Takes what the browser says next."""
        told: dict[str, Any] = await self.socket.receive_json()
        if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(told["params"]))
        self._loaded = self._loaded or told.get("method") == "Page.loadEventFired"
        return told

    async def run(self, script: str) -> Any:
        """Evaluates an expression in the page; waits for it where it is a promise."""
        told = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def open(self, url: str, width: int, height: int, *, dark: bool = False) -> None:
        """Loads a page on a screen of a size; a narrow one is a phone's."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        told = await self.ask("Page.navigate", url=url)
        assert "errorText" not in told, told
        async with asyncio.timeout(30):
            while not self._loaded:
                await self._hear()

    async def until(self, condition: str) -> None:
        """Waits until an expression holds in the page, which is looked at when the page changes."""
        await self.run(
            "new Promise(done => { const look = () => (" + condition + ") && (seen.disconnect(), done(true));"
            "const seen = new MutationObserver(look);"
            "seen.observe(document, {subtree: true, childList: true, characterData: true, attributes: true});"
            "look(); })"
        )

    async def picture(self, *, whole: bool = False, scale: float = 1.0) -> bytes:
        """Takes a picture of the screen, or of the whole page, as PNG."""
        size = await self.run("[innerWidth, innerHeight, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[2] if whole else size[1], "scale": scale}
        told = await self.ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=whole)
        return base64.b64decode(told["data"])


@asynccontextmanager
async def browser() -> AsyncGenerator[Browser, None]:
    """Runs a browser."""
    assert FOUND is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            FOUND, *OPTIONS, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.PIPE
        )
        try:
            address = await _address(process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{address}/json/list") as reply:
                    page = next(each for each in await reply.json() if each["type"] == "page")
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    found = Browser(socket)
                    for domain in ("Page", "Runtime", "Log"):
                        await found.ask(f"{domain}.enable")
                    yield found
        finally:
            process.kill()
            await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Reads where the browser listens."""
    assert process.stderr is not None
    async with asyncio.timeout(START_SECONDS):
        while line := (await process.stderr.readline()).decode():
            if line.startswith("DevTools listening on ws://"):
                return line.split("/")[2]
    raise AssertionError("the browser did not start")
