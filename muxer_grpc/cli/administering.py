"""How commands call the admin services of a running service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from muxer_grpc.cli.calls import ADMIN, AdminTarget, AsJson, Seconds

__all__ = ["ADMIN", "AdminTarget", "ApiKey", "AsJson", "Seconds", "admin_calls", "pages"]

ApiKey = Annotated[str, typer.Option(envvar="MUXER_API_KEY", help="Key of an admin, where the service asks for one.")]

Call = Callable[[str, Any], Any]


@contextmanager
def admin_calls(stub: Callable[[Any], Any], target: str, api_key: str, timeout: float | None) -> Iterator[Call]:
    """Gives a function that calls a method by its name. It raises the client's typed errors.

    Raises ValueError where a key would cross the network in the clear.
    """
    import grpc
    from muxer_client.channel import call_metadata, channel_options, check_api_key, current_traceparent
    from muxer_client.errors import typed_errors

    check_api_key(api_key, target, secure=False)
    with grpc.insecure_channel(target, options=channel_options()) as channel:
        methods = stub(channel)

        def call(method: str, request: Any) -> Any:
            with typed_errors():
                metadata = call_metadata(api_key, current_traceparent)
                return getattr(methods, method)(request, timeout=timeout, metadata=metadata)

        yield call


def pages(call: Call, method: str, request: Any, items: str) -> Iterator[Any]:
    """Yields the items of a listing, page after page."""
    while True:
        reply = call(method, request)
        yield from getattr(reply, items)
        if not reply.next_page_token:
            return
        request.page_token = reply.next_page_token
