"""Puts together what finds out who calls, by the settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from muxer_grpc.domain.ports import Directory, RateLimiter
from muxer_grpc.domain.tenancy import Role
from muxer_grpc.identity.api_keys import ApiKeys
from muxer_grpc.identity.authenticator import Authenticator, Means, Mesh
from muxer_grpc.identity.certificates import NameRule, PeerNames
from muxer_grpc.identity.forwarded import TrustedProxies
from muxer_grpc.rpc.gates import Guards
from muxer_grpc.rpc.scopes import scopes
from muxer_grpc.settings_identity import JWT, KEYS, MESH, MTLS, IdentitySettings, JwtSettings, NameRow

if TYPE_CHECKING:
    from muxer_grpc.identity.jwt import Tokens


def api_keys(identity: IdentitySettings) -> ApiKeys | None:
    """Gives what makes and checks API keys; None without a pepper. Raises ValueError when its file cannot be used."""
    pepper = identity.pepper_bytes
    return None if pepper is None else ApiKeys(pepper)


@asynccontextmanager
async def open_identity(
    identity: IdentitySettings, directory: Directory | None
) -> AsyncGenerator[Authenticator | None, None]:
    """Builds what finds out who calls, and closes its connections on leaving; None where nobody is asked for proof.

    Raises ValueError where proof is asked for and there is no directory to look callers up in.
    """
    if not identity.asked:
        yield None
        return
    if directory is None:
        msg = f"identity.modes: {', '.join(identity.modes)} need a database of those who may call"
        raise ValueError(msg)
    authenticator = Authenticator(_means(identity), directory)
    try:
        yield authenticator
    finally:
        await authenticator.aclose()


def guards(
    identity: IdentitySettings, authenticator: Authenticator | None, limiter: RateLimiter | None = None
) -> Guards:
    """Gives what stands before all methods. Raises ValueError where proof is asked for and nothing would check it."""
    if identity.asked and authenticator is None:
        msg = "identity.modes: callers must prove who they are, and nothing here can check it"
        raise ValueError(msg)
    return Guards(
        identity=authenticator,
        limiter=limiter,
        reads_certificates=authenticator is not None and authenticator.reads_certificates,
        scopes=scopes(public_reflection=identity.public_reflection),
    )


def _means(identity: IdentitySettings) -> Means:
    modes, mtls, mesh = identity.modes, identity.mtls, identity.mesh
    forwarded = PeerNames(_rules(mesh.names), means="mesh identity", provision=_role(mesh.provision))
    return Means(
        keys=api_keys(identity) if KEYS in modes else None,
        tokens=_tokens(identity.jwt) if JWT in modes else None,
        certificates=PeerNames(_rules(mtls.names), means="certificate", provision=_role(mtls.provision))
        if MTLS in modes
        else None,
        mesh=Mesh(TrustedProxies(mesh.trusted_proxies), forwarded) if MESH in modes else None,
    )


def _tokens(chosen: JwtSettings) -> Tokens:
    from muxer_grpc.identity.jwks import KeySet
    from muxer_grpc.identity.jwt import TokenRules, Tokens

    rules = TokenRules(
        issuer=chosen.issuer,
        audience=chosen.audience,
        leeway_seconds=chosen.leeway_seconds,
        tenant_claim=chosen.tenant_claim,
        user_claim=chosen.user_claim,
        role_claim=chosen.role_claim,
        default_tenant=chosen.default_tenant,
        system_tenant=chosen.system_tenant,
        provision=_role(chosen.provision),
    )
    keys = KeySet(chosen.jwks_url, refresh_seconds=chosen.jwks_refresh_seconds) if chosen.jwks_url else None
    return Tokens(rules, secret=chosen.secret_bytes, keys=keys)


def _rules(rows: Iterable[NameRow]) -> list[NameRule]:
    return [NameRule(row.name, row.tenant, row.user, _role(row.role)) for row in rows]


def _role(name: str | None) -> Role | None:
    return None if name is None else Role(name)
