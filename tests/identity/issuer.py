"""An issuer of tokens: its keys, the tokens that it signs, and a real HTTP server that publishes the keys."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.identity.people import START, TENANT

SECRET = b"a secret of thirty-two bytes, no less"
CLAIMS = {"sub": "ada", "tenant": TENANT, "exp": START + 600, "nbf": START - 10, "iat": START - 10}


@cache
def rsa_key(name: str, bits: int = 2048) -> RSAPrivateKey:
    """Makes a key once per name, since making one takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(name: str) -> EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def signed(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    """Signs claims."""
    return jwt.encode(claims, key, algorithm, headers=header)


def segment(content: object) -> str:
    """Writes one part of a token, by hand."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(key: RSAPrivateKey | EllipticCurvePrivateKey, kid: str | None, **changes: Any) -> dict[str, Any]:
    """Describes a public key as a key set holds it."""
    algorithm = RSAAlgorithm if isinstance(key, RSAPrivateKey) else ECAlgorithm
    row: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))  # type: ignore[arg-type]
    row.pop("key_ops", None)
    return row | ({} if kid is None else {"kid": kid}) | changes


@dataclass
class Issuer:
    """Publishes keys at a URL, as long as it is up."""

    url: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    status: int = 200
    body: bytes | None = None

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        body = json.dumps({"keys": self.rows}).encode() if self.body is None else self.body
        headers = {"location": "/elsewhere"} if self.status == 302 else {}
        return web.Response(body=body, status=self.status, headers=headers)

    async def elsewhere(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [jwk(rsa_key("stranger"), "r1")]})


@asynccontextmanager
async def publishing(*rows: dict[str, Any]) -> AsyncGenerator[Issuer, None]:
    """Publishes keys on a free port of the loopback address."""
    issuer = Issuer(rows=list(rows))
    app = web.Application()
    app.router.add_get("/jwks", issuer.answer)
    app.router.add_get("/elsewhere", issuer.elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    issuer.url = f"http://{host}:{port}/jwks"
    try:
        yield issuer
    finally:
        await runner.cleanup()
