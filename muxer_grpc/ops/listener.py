"""The HTTP listener of operators. It changes nothing, shows no content of prompts, and answers GET alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address

from aiohttp import web

# A browser neither guesses types nor shows the page inside another, and loads nothing from elsewhere.
SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}

# Gives the body and its media type.
Page = Callable[[web.Request], Awaitable[web.Response]]


class OpsListener:
    """Serves pages by path. Build it in the running loop.

    `ready` says why the service takes no calls, or nothing; `metrics` writes the metrics in a format that the reader
    accepts, and names it.
    """

    def __init__(self, address: str, ready: Callable[[], str], metrics: Callable[[str], tuple[bytes, str]]) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._ready = ready
        self._metrics = metrics
        self._application = web.Application(middlewares=[_safe])
        self._runner: web.AppRunner | None = None
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self.address = address
        self.serve("/metrics", self._tell_metrics)
        self.serve("/healthz", self._tell_alive)
        self.serve("/readyz", self._tell_ready)

    def serve(self, path: str, page: Page) -> None:
        """Adds a page. Before start() only."""
        self._application.router.add_get(path, page)

    @property
    def local(self) -> bool:
        """Tells whether it serves this machine alone."""
        return is_local_name(self._host)

    def on_stop(self, close: Callable[[], Awaitable[None]]) -> None:
        """Has something closed when it stops."""
        self._closing.append(close)

    async def start(self) -> None:
        """Binds the address and serves. Raises OSError when it cannot be bound."""
        runner = self._runner = web.AppRunner(
            self._application, access_log=None, handle_signals=False, shutdown_timeout=1.0
        )
        await runner.setup()
        await web.TCPSite(runner, self._host.strip("[]"), self._port).start()
        with suppress(IndexError):
            self.address = f"{self._host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stops serving."""
        if self._runner is not None:
            await self._runner.cleanup()
        for close in self._closing:
            await close()

    async def _tell_metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics(request.headers.get("accept", ""))
        return web.Response(body=body, headers={"content-type": content_type})

    async def _tell_alive(self, _request: web.Request) -> web.Response:
        """Answers as long as the event loop turns."""
        return web.Response(text="ok\n")

    async def _tell_ready(self, _request: web.Request) -> web.Response:
        why_not = self._ready()
        return web.Response(status=503 if why_not else 200, text=f"{why_not or 'ok'}\n")


def is_local_name(host: str) -> bool:
    """Tells whether a host, without a port, is this machine: `localhost`, or an address of its loopback."""
    name = host.strip("[]").lower()
    with suppress(ValueError):
        return ip_address(name).is_loopback
    return name == "localhost"


@web.middleware
async def _safe(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refused:
        refused.headers.update(SAFE_HEADERS)
        raise
    response.headers.update(SAFE_HEADERS)
    return response
