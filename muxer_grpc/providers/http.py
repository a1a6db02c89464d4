"""HTTP to a vendor: aiohttp's client, with the timers and bounds that a provider needs.

Called as it is, since what stands between costs more than the call: inside the service, under 64 callers on one core,
httpx's types on the aiohttp transport took 130 µs of a call's 900. Stock httpx reaches a third of the calls per second,
and its pool dies for good when calls are cancelled (encode/httpcore#1093). Proxies of the environment are not used,
redirects are not followed, and compressed replies are refused, since nothing asked for them.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress

import aiohttp
from multidict import CIMultiDict

from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.providers.base_urls import checked_base_url
from muxer_grpc.providers.registry import Connection

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_ERROR_BODY_BYTES = 64 * 1024
# The last bytes of a stream's framing come with its end mark, or right behind it.
DRAIN_SECONDS = 0.05
# How long the counts and the end mark of a finished answer are waited for.
ENDING_SECONDS = 2.0


class HttpReply:
    """A reply whose body has not been read yet."""

    def __init__(self, response: aiohttp.ClientResponse, gap_seconds: float) -> None:
        self._body = response.content
        self._gap_seconds = gap_seconds
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def media_type(self) -> str:
        """Gives the media type without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yields the body as it comes. Raises ProviderFailure when it stalls, breaks, or never ends."""
        received = 0
        while True:
            with _translated_errors:
                async with asyncio.timeout(self._gap_seconds):
                    chunk = await self._body.readany()
            if not chunk:
                return
            received += len(chunk)
            if received > MAX_BODY_BYTES:
                raise ProviderFailure(FailureClass.PROTOCOL, f"a body of more than {MAX_BODY_BYTES} bytes")
            yield chunk

    def expect_end(self) -> None:
        """Shortens the wait for what comes yet: the answer is whole, and some servers leave the line open."""
        self._gap_seconds = min(self._gap_seconds, ENDING_SECONDS)

    async def read(self, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
        """Reads the whole body. Raises ProviderFailure when it stalls, breaks, or is longer than the limit."""
        pieces: list[bytes] = []
        received = 0
        with _translated_errors:
            # The client's own bound on silence counts here: a timer for each piece would cost more than the piece.
            while chunk := await self._body.readany():
                received += len(chunk)
                if received > limit_bytes:
                    # The failure keeps this frame, and with it all that came.
                    pieces.clear()
                    raise ProviderFailure(FailureClass.PROTOCOL, f"a body of more than {limit_bytes} bytes")
                pieces.append(chunk)
        return b"".join(pieces)

    async def drain(self) -> None:
        """Reads what is left after the end mark, so that the connection can be used again; never waits long for it."""
        with suppress(ProviderFailure, TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS), aclosing(self.chunks()) as chunks:
                async for _ in chunks:
                    pass

    async def read_error(self) -> bytes:
        """Reads the body of an error as far as it helps; an endless or broken one is cut."""
        pieces = []
        received = 0
        try:
            async for chunk in self.chunks():
                pieces.append(chunk)
                received += len(chunk)
                if received > MAX_ERROR_BODY_BYTES:
                    break
        except ProviderFailure:
            # The status already says that the call failed; the body would only have said more.
            pass
        return b"".join(pieces)[:MAX_ERROR_BODY_BYTES]


class HttpTransport:
    """Connections to one vendor. Build it anywhere; it connects in the loop of its first call."""

    def __init__(self, connection: Connection, headers: Mapping[str, str]) -> None:
        self._base = checked_base_url(connection.base_url)
        self._headers = CIMultiDict({"accept-encoding": "identity", "user-agent": "muxer", **headers})
        self._post_headers = CIMultiDict({**self._headers, "content-type": "application/json"})
        timeouts = connection.timeouts
        self._gap_seconds = timeouts.gap
        # As aiohttp has it, `connect` is the wait for a place among the connections and `sock_connect` the rest of it.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=timeouts.pool, sock_connect=timeouts.connect, sock_read=timeouts.first_byte
        )
        self._context = _tls_context() if self._base.startswith("https") else _no_tls_context()
        self._max_connections = connection.max_connections
        self._opened: aiohttp.ClientSession | None = None

    def _session(self) -> aiohttp.ClientSession:
        """Gives the connections, opened in the loop of the first call."""
        session = self._opened
        if session is None:
            connector = aiohttp.TCPConnector(limit=self._max_connections, ssl=self._context)
            session = self._opened = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=self._timeout,
            )
        return session

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[HttpReply]:
        """Sends a JSON body, with further headers. Leaving the block ends the exchange, read or not."""
        sent = CIMultiDict({**self._post_headers, **headers}) if headers else self._post_headers
        return _Exchange(self._request("POST", path, sent, body), self._gap_seconds)

    def get(self, path: str) -> AbstractAsyncContextManager[HttpReply]:
        """Asks for a resource. Leaving the block ends the exchange, read or not."""
        return _Exchange(self._request("GET", path, self._headers, None), self._gap_seconds)

    def _request(
        self, method: str, path: str, headers: CIMultiDict[str], body: bytes | None
    ) -> Awaitable[aiohttp.ClientResponse]:
        return self._session().request(method, self._base + path, headers=headers, data=body, allow_redirects=False)

    async def aclose(self) -> None:
        """Closes all connections."""
        if self._opened is not None:
            await self._opened.close()


class _Exchange:
    """One request and its reply: an async context manager written out, since it stands on every call's path."""

    __slots__ = ("_gap_seconds", "_request", "_response")

    def __init__(self, request: Awaitable[aiohttp.ClientResponse], gap_seconds: float) -> None:
        self._request = request
        self._gap_seconds = gap_seconds
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> HttpReply:
        with _translated_errors:
            response = self._response = await self._request
        status = response.status
        problem = ""
        if 300 <= status < 400:
            problem = "a redirect"
        elif response.headers.get("content-encoding", "identity") != "identity":
            problem = "a compressed reply"
        if problem:
            await self.__aexit__()
            raise ProviderFailure(FailureClass.PROTOCOL, problem, http_status=status)
        return HttpReply(response, self._gap_seconds)

    async def __aexit__(self, *_error: object) -> None:
        # Releasing an unfinished HTTP/1 reply drops its connection: the vendor learns that nobody is reading.
        response = self._response
        if response is not None:
            response.release()
            # What could not be sent of the request any more is no fault of the reply that came.
            with suppress(aiohttp.ClientError, OSError):
                await response.wait_for_close()


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Makes the one context of all vendors: reading the certificate authorities takes 20 ms and 1 MB each time."""
    # It heeds SSL_CERT_FILE and SSL_CERT_DIR; and takes long to import, where no provider is called over TLS.
    import httpx

    return httpx.create_ssl_context()


@functools.cache
def _no_tls_context() -> ssl.SSLContext:
    """Makes a context that trusts nobody, for plain http."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


# Most telling first.
_CLASSES: tuple[tuple[type[BaseException], FailureClass], ...] = (
    (aiohttp.ConnectionTimeoutError, FailureClass.TIMEOUT),
    (aiohttp.SocketTimeoutError, FailureClass.TIMEOUT),
    (aiohttp.ServerTimeoutError, FailureClass.TIMEOUT),
    (aiohttp.ClientPayloadError, FailureClass.TRANSIENT),
    (aiohttp.ClientResponseError, FailureClass.PROTOCOL),
    (aiohttp.http.HttpProcessingError, FailureClass.PROTOCOL),
    (aiohttp.InvalidURL, FailureClass.PROTOCOL),
    (aiohttp.ClientConnectionError, FailureClass.TRANSIENT),
    (aiohttp.ClientError, FailureClass.TRANSIENT),
    (TimeoutError, FailureClass.TIMEOUT),
    (OSError, FailureClass.TRANSIENT),
)


class _TranslatedErrors:
    """Turns every error of the libraries below into a ProviderFailure, the cause kept. Cancellation passes."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, _FOREIGN):
            return
        failure_class = next((named for known, named in _CLASSES if isinstance(error, known)), FailureClass.TRANSIENT)
        raise ProviderFailure(failure_class, f"{type(error).__name__} on the line to the provider") from error


_FOREIGN = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError)

# One for all: it holds nothing.
_translated_errors = _TranslatedErrors()
