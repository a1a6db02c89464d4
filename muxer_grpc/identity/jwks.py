"""The public keys of whoever issues tokens, from the operator's JWKS URL (RFC 7517): fetched, kept, and renewed."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from muxer_grpc.identity.issuer_urls import checked_jwks_url

_log = logging.getLogger(__name__)

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 100
TIMEOUT_SECONDS = 5.0
# However many tokens name keys that nobody knows, the issuer is asked no more often than this, in seconds.
LEAST_INTERVAL_SECONDS = 5.0

# Shorter RSA keys are broken, longer ones would let each check of a signature cost milliseconds.
RSA_BITS = range(2_048, 8_193)

PublicKey = RSAPublicKey | EllipticCurvePublicKey
# By algorithm and key id; the id is empty where the key has none.
Keys = Mapping[tuple[str, str], PublicKey]


def read_keys(document: bytes) -> Keys:
    """Reads a key set: the keys that check RS256 or ES256 signatures; what else it holds is left out.

    Raises ValueError when it is no key set, or holds no such key.
    """
    try:
        rows = json.loads(document)["keys"][:MAX_KEYS]
    except (ValueError, TypeError, KeyError, RecursionError):
        msg = "it is no JSON Web Key Set"
        raise ValueError(msg) from None
    keys: dict[tuple[str, str], PublicKey] = {}
    for row in rows if isinstance(rows, list) else []:
        algorithm, key = _read_key(row) if isinstance(row, dict) else ("", None)
        kid = row.get("kid", "") if key is not None else ""
        if key is not None and isinstance(kid, str):
            keys.setdefault((algorithm, kid), key)
    if not keys:
        msg = "it holds no key for RS256 or ES256 signatures"
        raise ValueError(msg)
    return keys


def _read_key(row: dict[str, Any]) -> tuple[str, PublicKey | None]:
    """Reads one key and the algorithm that it is for; no key where it is for something else, or is a private one."""
    kind, operations = row.get("kty"), row.get("key_ops")
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(kind) if isinstance(kind, str) else None
    for_something_else = row.get("use", "sig") != "sig" or row.get("alg", algorithm) != algorithm
    if isinstance(operations, list) and "verify" not in operations:
        for_something_else = True
    if algorithm is None or for_something_else:
        return "", None
    try:
        key = RSAAlgorithm.from_jwk(row) if algorithm == "RS256" else ECAlgorithm.from_jwk(row)
    except (PyJWTError, ValueError, TypeError, KeyError, OverflowError):
        return "", None
    if isinstance(key, RSAPublicKey) and key.key_size in RSA_BITS:
        return algorithm, key
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return algorithm, key
    return "", None


class KeySet:
    """Keeps the issuer's keys: renews them in the background, and at once for a key id that is not known.

    While the issuer cannot be reached, the keys that were read last stay. Times are in seconds.
    """

    def __init__(self, url: str, *, refresh_seconds: float) -> None:
        self._url = checked_jwks_url(url)
        self._refresh_seconds = refresh_seconds
        self._keys: Keys = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    @property
    def empty(self) -> bool:
        """Tells whether no keys have ever been read."""
        return not self._keys

    async def key(self, algorithm: str, kid: str | None, now: float) -> PublicKey | None:
        """Finds a key. Without a key id, there must be one key only for the algorithm."""
        found = self._find(algorithm, kid)
        if (found is None or not _within(self._read_at, now, self._refresh_seconds)) and not _within(
            self._tried_at, now, LEAST_INTERVAL_SECONDS
        ):
            self._renew(now)
        if found is None and self._task is not None:
            await asyncio.shield(self._task)
            found = self._find(algorithm, kid)
        return found

    async def aclose(self) -> None:
        """Closes the connection, and gives up a renewal under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _find(self, algorithm: str, kid: str | None) -> PublicKey | None:
        if kid is not None:
            return self._keys.get((algorithm, kid))
        fitting = [key for (for_algorithm, _), key in self._keys.items() if for_algorithm == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def _renew(self, now: float) -> None:
        if self._task is None:
            self._tried_at = now
            self._task = asyncio.create_task(self._read(now))
            self._task.add_done_callback(self._renewed)

    def _renewed(self, _task: asyncio.Task[None]) -> None:
        self._task = None

    async def _read(self, now: float) -> None:
        """Reads the keys; where that fails, the old ones stay, and the log says so."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                self._keys = read_keys(await self._fetch())
        except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
            why = str(error) if isinstance(error, ValueError) else type(error).__name__
            _log.warning("the keys of %s cannot be read, the old ones stay: %s", urlsplit(self._url).hostname, why)
        else:
            self._read_at = now

    async def _fetch(self) -> bytes:
        if self._client is None:
            # Only the operator's URL is asked: no redirect, no proxy of the environment. Plain http has no certificate.
            verify: ssl.SSLContext | bool = ssl.create_default_context() if self._url.startswith("https:") else False
            limits = httpx.Limits(max_keepalive_connections=0)
            self._client = httpx.AsyncClient(
                verify=verify, trust_env=False, follow_redirects=False, limits=limits, timeout=TIMEOUT_SECONDS
            )
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "muxer"}
        async with self._client.stream("GET", self._url, headers=headers) as reply:
            if reply.status_code != httpx.codes.OK:
                msg = f"status {reply.status_code}"
                raise ValueError(msg)
            body = bytearray()
            async for piece in reply.aiter_raw():
                body += piece
                if len(body) > MAX_DOCUMENT_BYTES:
                    msg = f"a document of more than {MAX_DOCUMENT_BYTES} bytes"
                    raise ValueError(msg)
        return bytes(body)


def _within(since: float | None, now: float, seconds: float) -> bool:
    """Tells whether a time is less than so many seconds ago; a clock that was set back lets nothing last."""
    return since is not None and 0 <= now - since < seconds
