"""Settings of who may call: by API key, token, certificate, or the word of a mesh; `open` asks for no proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from muxer_grpc.domain.tenancy import SYSTEM_TENANT
from muxer_grpc.identity.certificates import NameRule, compiled
from muxer_grpc.identity.forwarded import checked_proxy
from muxer_grpc.identity.issuer_urls import checked_jwks_url
from muxer_grpc.settings_addresses import reachable_by_others

OPEN, KEYS, JWT, MTLS, MESH = MODES = ("open", "keys", "jwt", "mtls", "mesh")
# What keeps a secret from being guessed: the size of the digest that it goes into (RFC 7518, section 3.2).
LEAST_SECRET_BYTES = 32

RoleName = Literal["caller", "viewer", "admin"]
Words = tuple[str, ...]


def _check_modes(modes: Words) -> Words:
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes:
        msg = f"it must hold one or several of {', '.join(MODES)}"
        raise ValueError(msg)
    if OPEN in modes and len(modes) > 1:
        msg = "open asks nobody for proof, and so stands alone"
        raise ValueError(msg)
    return tuple(dict.fromkeys(modes))


def _check_proxies(proxies: Words) -> Words:
    return tuple(checked_proxy(proxy) for proxy in proxies)


def _check_url(url: str) -> str:
    return checked_jwks_url(url) if url else url


def _secret_bytes(name: str, secret: SecretStr | None, file: Path | None) -> bytes | None:
    """Gives a secret from its setting or its file. Raises ValueError, which says nothing of what it is."""
    if secret is not None and file is not None:
        msg = f"{name} and {name.rpartition('.')[2]}_file both give the secret; keep one"
        raise ValueError(msg)
    try:
        text = file.read_bytes().strip() if file is not None else secret.get_secret_value().encode() if secret else None
    except OSError as error:
        msg = f"{file}, which should hold {name}, cannot be read: {error.strerror}"
        raise ValueError(msg) from None
    if text is not None and len(text) < LEAST_SECRET_BYTES:
        msg = f"{name} has less than {LEAST_SECRET_BYTES} bytes: make one with `openssl rand -base64 48`"
        raise ValueError(msg)
    return text


class _Area(BaseModel):
    """A group of settings; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NameRow(_Area):
    """A name in certificates, and whom it stands for."""

    name: str = Field(description="URI or host name; `{tenant}` and `{user}` stand for a segment each.")
    tenant: str = Field("", description="Tenant, where the name does not give it.")
    user: str = Field("", description="User, where the name does not give it.")
    role: RoleName | None = Field(None, description="Role; unset: the user's own. It never goes beyond that.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        compiled(NameRule(self.name, self.tenant, self.user))
        return self


class JwtSettings(_Area):
    """Tokens: HS256 by a secret, RS256 and ES256 by the keys of an issuer."""

    secret: SecretStr | None = Field(None, description="Secret of HS256 tokens, of at least 32 bytes.")
    secret_file: Path | None = Field(None, description="File that holds the secret.")
    jwks_url: Annotated[str, AfterValidator(_check_url)] = Field(
        "", description="Address of the issuer's keys, for RS256 and ES256: https, or http to this machine."
    )
    jwks_refresh_seconds: float = Field(
        300, ge=5, le=86_400, description="The issuer's keys are read again after this many seconds."
    )
    issuer: str = Field("", description="What `iss` must be; empty: anything.")
    audience: Words = Field((), description="What `aud` must hold one of; empty: anything.")
    leeway_seconds: float = Field(30, ge=0, le=300, description="How far the issuer's clock may be off, in seconds.")
    tenant_claim: str = Field("tenant", min_length=1, description="Claim that names the tenant.")
    user_claim: str = Field("sub", min_length=1, description="Claim that names the user.")
    role_claim: str = Field(
        "role", description="Claim that names the role, or a list of roles; it never goes beyond the user's own."
    )
    default_tenant: str = Field("", description="Tenant of tokens that name none; empty: such tokens are refused.")
    system_tenant: bool = Field(
        False, description=f"Lets tokens name the tenant `{SYSTEM_TENANT}`, whose principals act on all tenants."
    )
    provision: RoleName | None = Field(
        None, description="Role with which users are made at their first call; unset: they must be there."
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        _secret_bytes("identity.jwt.secret", self.secret, self.secret_file)
        return self

    @property
    def secret_bytes(self) -> bytes | None:
        """Gives the secret, where there is one. Raises ValueError when its file cannot be used."""
        return _secret_bytes("identity.jwt.secret", self.secret, self.secret_file)


class MtlsSettings(_Area):
    """Client certificates; `tls.client_ca_file` says whose are trusted."""

    names: tuple[NameRow, ...] = Field((), description="Names in certificates, and whom they stand for.")
    provision: RoleName | None = Field(
        None, description="Role with which users are made at their first call; unset: they must be there."
    )


class MeshSettings(_Area):
    """The certificates that proxies of a mesh have verified (`x-forwarded-client-cert`)."""

    trusted_proxies: Annotated[Words, AfterValidator(_check_proxies)] = Field(
        (), description="Peers whose word counts: addresses, networks (10.0.0.0/8), or `unix` for the unix socket."
    )
    names: tuple[NameRow, ...] = Field((), description="Names in certificates, and whom they stand for.")
    provision: RoleName | None = Field(
        None, description="Role with which users are made at their first call; unset: they must be there."
    )


class IdentitySettings(_Area):
    """How callers prove who they are."""

    modes: Annotated[Words, AfterValidator(_check_modes)] = Field(
        (OPEN,), description="What counts as proof: any of keys, jwt, mtls, mesh; or open, on this machine alone."
    )
    pepper: SecretStr | None = Field(
        None, description="Secret that digests of API keys are made with, of at least 32 bytes; the same everywhere."
    )
    pepper_file: Path | None = Field(None, description="File that holds the pepper.")
    public_reflection: bool = Field(False, description="Lets callers without proof ask for the contract.")
    jwt: JwtSettings = Field(JwtSettings(), description="Tokens.")
    mtls: MtlsSettings = Field(MtlsSettings(), description="Client certificates.")
    mesh: MeshSettings = Field(MeshSettings(), description="What a mesh has verified.")

    @property
    def asked(self) -> bool:
        """Tells whether callers must prove who they are."""
        return OPEN not in self.modes

    @property
    def pepper_bytes(self) -> bytes | None:
        """Gives the pepper, where there is one. Raises ValueError when its file cannot be used."""
        return _secret_bytes("identity.pepper", self.pepper, self.pepper_file)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        needs = {
            KEYS: (self.pepper_bytes is not None, "identity.pepper or pepper_file"),
            JWT: (bool(self.jwt.secret_bytes or self.jwt.jwks_url), "identity.jwt.secret, secret_file or jwks_url"),
            MTLS: (bool(self.mtls.names), "identity.mtls.names"),
            MESH: (bool(self.mesh.names and self.mesh.trusted_proxies), "identity.mesh.names and trusted_proxies"),
        }
        missing = [f"{mode} needs {what}" for mode, (met, what) in needs.items() if mode in self.modes and not met]
        if missing:
            raise ValueError(", ".join(missing))
        return self


def check_exposure(identity: IdentitySettings, *, listen: str, admin_listen: str, certificates: bool) -> None:
    """Raises ValueError where others could call without proof, or where the proof that counts cannot be given.

    `certificates` tells whether TLS asks callers for theirs.
    """
    if MTLS in identity.modes and not certificates:
        # gRPC for Python asks for a certificate and insists on one, or does not ask at all.
        msg = "identity.modes: mtls needs tls.require_client_certificate and tls.client_ca_file"
        raise ValueError(msg)
    named = {"server.listen": listen, "server.admin_listen": admin_listen}
    exposed = [name for name, addresses in named.items() if reachable_by_others(addresses)]
    if exposed and not identity.asked:
        msg = (
            f"{', '.join(exposed)}: without authentication, only loopback addresses and unix sockets are served "
            "(127.0.0.1:50051): set identity.modes to keys, jwt, mtls or mesh"
        )
        raise ValueError(msg)
