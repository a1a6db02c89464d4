"""Serves the status page: the document, its JSON, and its two files."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from muxer_grpc.ops.listener import OpsListener, Page, is_local_name
from muxer_grpc.ops.page import status_page
from muxer_grpc.ops.status import StatusBoard

PORT = re.compile(r":\d*$")
FOLDER = Path(__file__).parent
FILES = {"/status.js": "text/javascript", "/status.css": "text/css"}


def serve_status(listener: OpsListener, board: StatusBoard) -> None:
    """Adds the status page to a listener that has not started yet; with the listener, the board is closed."""

    async def tell_page(_request: web.Request) -> web.Response:
        return web.Response(text=status_page(await board.look()), content_type="text/html")

    async def tell_json(_request: web.Request) -> web.Response:
        told = json.dumps(plain(await board.look()), ensure_ascii=False, allow_nan=False)
        return web.Response(text=told, content_type="application/json")

    listener.serve("/", _not_by_foreign_names(tell_page, listener))
    listener.serve("/status.json", _not_by_foreign_names(tell_json, listener))
    for path, media_type in FILES.items():
        listener.serve(path, _file((FOLDER / path[1:]).read_text(), media_type))
    listener.on_stop(board.aclose)


def _not_by_foreign_names(page: Page, listener: OpsListener) -> Page:
    """Refuses requests for foreign names where only this machine is served.

    A site whose name was made to point here would have an operator's browser read the page for it (DNS rebinding).
    """

    async def tell(request: web.Request) -> web.Response:
        if listener.local and not is_local_name(PORT.sub("", request.host)):
            return web.Response(status=421, text="ask for localhost, or for an address of this machine\n")
        return await page(request)

    return tell


def _file(content: str, media_type: str) -> Page:
    async def tell_file(_request: web.Request) -> web.Response:
        return web.Response(text=content, content_type=media_type)

    return tell_file


def plain(value: Any) -> Any:
    """Turns records into what JSON knows."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value
