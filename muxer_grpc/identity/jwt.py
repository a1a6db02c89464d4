"""JSON Web Tokens (RFC 7519): signatures of our own secret (HS256) or of an issuer's keys (RS256, ES256).

The algorithm of a token only chooses among those that are configured, each of which has keys of its own kind: a public
key is never a secret, and `none` is no algorithm. What a token says of where its key is (jku, jwk, x5u) is not read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt.types import Options

from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.domain.tenancy import SCOPES_OF_ROLE, SYSTEM_TENANT, Role
from muxer_grpc.identity.jwks import KeySet, PublicKey
from muxer_grpc.identity.proof import MAX_TOKEN_LENGTH, Named, NotProven, checked_tenant, checked_user
from muxer_grpc.identity.recent import MOST_REMEMBERED

MAX_KID_LENGTH = 256
# A token that was checked is not checked again for so many seconds: an RSA signature costs as much as a decision.
CHECKED_SECONDS = 10.0

MOST_SECONDS = 1e12

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
SYMMETRIC = "HS256"
ASYMMETRIC = ("RS256", "ES256")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say, and where it says whom it names.

    `leeway_seconds` is how far the issuer's clock may be from ours. An empty `issuer` or `audience` is not checked.
    Without a tenant in the token, `default_tenant` counts, where it is set. Only with `system_tenant` may a token name
    the tenant whose principals act on all others. A user that is not there is made with the role `provision`, where
    that is set.
    """

    issuer: str = ""
    audience: tuple[str, ...] = ()
    leeway_seconds: float = 30.0
    tenant_claim: str = "tenant"
    user_claim: str = "sub"
    role_claim: str = "role"
    default_tenant: str = ""
    system_tenant: bool = False
    provision: Role | None = None


@dataclass(frozen=True, slots=True)
class _Checked:
    """A token that was checked: whom it names, and when that begins and ends (seconds since the epoch)."""

    named: Named = field(repr=False)
    since: float
    until: float


class Tokens:
    """Checks tokens: HS256 by a secret, RS256 and ES256 by an issuer's keys, whichever of the two is there."""

    def __init__(self, rules: TokenRules, *, secret: bytes | None = None, keys: KeySet | None = None) -> None:
        self._rules = rules
        self._secret = secret
        self._keys = keys
        self._checked: dict[bytes, _Checked] = {}
        self._options: Options = {
            "require": ["exp"],
            # Times are checked by the clock that is handed in.
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
            "verify_aud": bool(rules.audience),
            "verify_iss": bool(rules.issuer),
        }

    async def named(self, token: str, now: float) -> Named:
        """Gives whom a token names; `now` is in seconds since the epoch.

        Raises NotProven, and StorageUnavailable while the issuer's keys have never been read.
        """
        if len(token) > MAX_TOKEN_LENGTH or not _TOKEN.fullmatch(token):
            msg = "the token is no signed JWT, or too long"
            raise NotProven(msg)
        digest = hashlib.sha256(token.encode()).digest()
        known = self._checked.get(digest)
        if known is not None and known.since <= now < known.until:
            return known.named
        claims = await self._claims(token, now)
        until = min(now + CHECKED_SECONDS, self._end_of(claims, now))
        named = self._named_by(claims)
        self._checked.pop(digest, None)
        while len(self._checked) >= MOST_REMEMBERED:
            del self._checked[next(iter(self._checked))]
        self._checked[digest] = _Checked(named, now, until)
        return named

    async def aclose(self) -> None:
        """Closes the connection to the issuer."""
        if self._keys is not None:
            await self._keys.aclose()

    async def _claims(self, token: str, now: float) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            key = await self._key(algorithm, header, now)
            return jwt.decode(
                token,
                key,
                algorithms=[str(algorithm)],
                audience=self._rules.audience or None,
                issuer=self._rules.issuer or None,
                options=self._options,
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            # Its text may quote the token.
            msg = f"the token was refused: {type(error).__name__}"
            raise NotProven(msg) from None

    async def _key(self, algorithm: object, header: Mapping[str, Any], now: float) -> bytes | PublicKey:
        """Finds the key for an algorithm, among keys of its own kind alone."""
        if algorithm == SYMMETRIC and self._secret is not None:
            return self._secret
        key = None
        if isinstance(algorithm, str) and algorithm in ASYMMETRIC and self._keys is not None:
            kid = header.get("kid")
            if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_LENGTH):
                msg = "the token's key id is no short text"
                raise NotProven(msg)
            key = await self._keys.key(algorithm, kid, now)
            if key is None and self._keys.empty:
                msg = "the keys that prove tokens cannot be read now"
                raise StorageUnavailable(msg)
        if key is None:
            msg = "the token's algorithm or key is none of those that count"
            raise NotProven(msg)
        return key

    def _end_of(self, claims: Mapping[str, Any], now: float) -> float:
        """Gives when a token ends. Raises NotProven where it has, or has not begun."""
        leeway = self._rules.leeway_seconds
        end = _time_of(claims, "exp") + leeway
        begin = max(_time_of(claims, name) for name in ("nbf", "iat")) - leeway
        if not begin <= now < end:
            msg = "the token has expired, or has not begun"
            raise NotProven(msg)
        return end

    def _named_by(self, claims: Mapping[str, Any]) -> Named:
        rules = self._rules
        tenant_id = checked_tenant(claims.get(rules.tenant_claim, rules.default_tenant))
        if tenant_id == SYSTEM_TENANT and not rules.system_tenant:
            msg = "the token names the tenant that acts on all others, which is not allowed"
            raise NotProven(msg)
        user_id = checked_user(claims.get(rules.user_claim))
        role = _role_of(claims.get(rules.role_claim)) if rules.role_claim else None
        provision = rules.provision if rules.provision is None or role is None else role
        return Named(tenant_id, user_id, "token", role, provision)


def _time_of(claims: Mapping[str, Any], name: str) -> float:
    """Reads a time claim; one that is not there is long past. Raises NotProven for what is no time."""
    value = claims.get(name, 0)
    # Written so that NaN, which JSON as Python reads it may hold, is refused too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MOST_SECONDS:
        msg = f"the token's {name} is no time"
        raise NotProven(msg)
    return float(value)


def _role_of(value: object) -> Role | None:
    """Reads a role, or the strongest that is known of a list of roles; None where the token says nothing of it."""
    if value is None:
        return None
    given = value if isinstance(value, list) else [value]
    known = [role for role in Role if role.value in given]
    if not known:
        msg = "the token's role is none that is known"
        raise NotProven(msg)
    return max(known, key=lambda role: len(SCOPES_OF_ROLE[role]))
