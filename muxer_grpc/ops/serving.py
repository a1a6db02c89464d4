"""Serves the status page: the document, its JSON, and its two files."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from muxer_grpc.ops.listener import OpsListener, Page
from muxer_grpc.ops.page import status_page
from muxer_grpc.ops.status import StatusBoard

FOLDER = Path(__file__).parent
FILES = {"/status.js": "text/javascript", "/status.css": "text/css"}


def serve_status(listener: OpsListener, board: StatusBoard) -> None:
    """Adds the status page to a listener that has not started yet; with the listener, the board is closed."""

    async def tell_page(_request: web.Request) -> web.Response:
        return web.Response(text=status_page(await board.look()), content_type="text/html")

    async def tell_json(_request: web.Request) -> web.Response:
        told = json.dumps(plain(await board.look()), ensure_ascii=False, allow_nan=False)
        return web.Response(text=told, content_type="application/json")

    listener.serve("/", tell_page)
    listener.serve("/status.json", tell_json)
    for path, media_type in FILES.items():
        listener.serve(path, _file((FOLDER / path[1:]).read_text(), media_type))
    listener.on_stop(board.aclose)


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
