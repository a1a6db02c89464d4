"""Finds out who calls, by every means that the operator allows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from muxer_grpc.domain.ports import Directory
from muxer_grpc.domain.refusals import Unauthenticated
from muxer_grpc.domain.tenancy import Credentials, Principal
from muxer_grpc.identity.api_keys import PREFIX, ApiKeys
from muxer_grpc.identity.certificates import PeerNames
from muxer_grpc.identity.forwarded import TrustedProxies, forwarded_names
from muxer_grpc.identity.principals import Principals
from muxer_grpc.identity.proof import MAX_TOKEN_LENGTH, NotProven

if TYPE_CHECKING:
    from muxer_grpc.identity.jwt import Tokens

_log = logging.getLogger(__name__)

BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Mesh:
    """The word of a mesh: whose counts, and whom the names stand for."""

    proxies: TrustedProxies
    names: PeerNames


@dataclass(frozen=True, slots=True)
class Means:
    """By what callers may prove who they are; None: not by this."""

    keys: ApiKeys | None = None
    tokens: Tokens | None = None
    certificates: PeerNames | None = None
    mesh: Mesh | None = None

    @property
    def described(self) -> str:
        """Says to callers what counts."""
        bearers = [word for word, means in (("an API key", self.keys), ("a JWT", self.tokens)) if means is not None]
        words = [f"{' or '.join(bearers)} in authorization: Bearer"] if bearers else []
        if self.keys is not None:
            words.append("an API key in x-api-key")
        if self.certificates is not None:
            words.append("a client certificate")
        if self.mesh is not None:
            words.append("the identity that the mesh has verified")
        return "; ".join(words)


class Authenticator:
    """Proves who calls (domain.ports.Identity). One proof is asked for, and it decides alone.

    What stands in the metadata comes first: a key or a token, and not both. Else the word of a trusted proxy counts,
    and then that proxy's own certificate says nothing; else the peer's certificate. Whatever is wrong, callers are told
    the same. Suspended accounts are told that they are, once they have proven who they are.
    """

    def __init__(self, means: Means, directory: Directory) -> None:
        self._means = means
        self._principals = Principals(directory)
        self._message = f"the call does not prove who makes it; what counts is: {means.described}"

    @property
    def reads_certificates(self) -> bool:
        """Tells whether the names in certificates are needed; to read them costs each call some microseconds."""
        return self._means.certificates is not None

    async def authenticate(self, credentials: Credentials, now: float) -> Principal:
        """Proves who calls; `now` is in seconds since the epoch.

        Raises Unauthenticated, PermissionDenied, and StorageUnavailable when nobody can be looked up.
        """
        try:
            if credentials.authorization or credentials.api_key:
                return await self._shown(credentials, now)
            return await self._of_connection(credentials, now)
        except NotProven as refusal:
            _log.debug("a caller was refused: %s", refusal)
            raise Unauthenticated(self._message) from None

    async def aclose(self) -> None:
        """Closes connections."""
        if self._means.tokens is not None:
            await self._means.tokens.aclose()

    async def _shown(self, credentials: Credentials, now: float) -> Principal:
        """Proves who calls by what stands in the metadata."""
        if credentials.authorization and credentials.api_key:
            msg = "both authorization and x-api-key were given"
            raise NotProven(msg)
        text, bare = credentials.api_key, True
        if not text:
            text, bare = _bearer(credentials.authorization), False
        if self._means.keys is not None and (bare or text.startswith(PREFIX)):
            return await self._principals.of_key(text, self._means.keys, now)
        if self._means.tokens is not None and not bare:
            return await self._principals.of_name(await self._means.tokens.named(text, now), now)
        msg = "a credential of a kind that does not count"
        raise NotProven(msg)

    async def _of_connection(self, credentials: Credentials, now: float) -> Principal:
        """Proves who calls by the connection: through a proxy that is trusted, or by the peer's own certificate."""
        means = self._means
        names: PeerNames | None = None
        given: tuple[str, ...] = ()
        if means.mesh is not None and means.mesh.proxies.trusts(credentials.peer):
            names, given = means.mesh.names, forwarded_names(credentials.forwarded)
        elif means.mesh is not None and credentials.forwarded:
            msg = "a forwarded certificate came from a peer that is no trusted proxy"
            raise NotProven(msg)
        elif means.certificates is not None:
            names, given = means.certificates, credentials.certificate_names
        if names is None or not given:
            msg = "no credential"
            raise NotProven(msg)
        return await self._principals.of_name(names.named(given), now)


def _bearer(authorization: str) -> str:
    """Reads a bearer credential (RFC 6750). Raises NotProven for any other."""
    if len(authorization) > len(BEARER) + 1 + MAX_TOKEN_LENGTH:
        msg = "the authorization is too long"
        raise NotProven(msg)
    scheme, _, text = authorization.partition(" ")
    text = text.strip(" ")
    if scheme.lower() != BEARER or not text or " " in text:
        msg = "the authorization is no bearer credential"
        raise NotProven(msg)
    return text
