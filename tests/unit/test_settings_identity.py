"""Settings of identity: what each mode needs, what must not go together, and that secrets are never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from muxer_grpc.bootstrap_identity import api_keys, guards, open_identity
from muxer_grpc.domain.tenancy import Scope
from muxer_grpc.rpc.scopes import REFLECTION
from muxer_grpc.settings import Settings
from muxer_grpc.settings_identity import IdentitySettings, JwtSettings, MeshSettings, MtlsSettings, NameRow
from muxer_grpc.settings_modes import missing_requirements
from tests.identity.people import People
from tests.unit.given_settings import load, problems_of

PEPPER = "pepper-do-not-tell-2718281828-pepper"
SECRET = "secret-do-not-tell-1414213562-secret"
KEYS = {"MUXER_IDENTITY__MODES": "keys", "MUXER_IDENTITY__PEPPER": PEPPER}
NAME = NameRow(name="spiffe://x/{tenant}/{user}")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the machine's own files out."""
    monkeypatch.chdir(tmp_path)


def test_without_settings_nobody_is_asked_who_he_is() -> None:
    identity = load().identity
    assert identity.modes == ("open",)
    assert not identity.asked


@pytest.mark.parametrize("text", ["keys,jwt", '["keys", "jwt"]', "keys, jwt,keys"])
def test_several_modes_are_given_with_commas_or_as_json(text: str) -> None:
    given = KEYS | {"MUXER_IDENTITY__MODES": text, "MUXER_IDENTITY__JWT__SECRET": SECRET}
    identity = load(given).identity
    assert identity.modes == ("keys", "jwt")
    assert identity.asked


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"MUXER_IDENTITY__MODES": "magic"}, "MUXER_IDENTITY__MODES: it must hold one or several of open, keys"),
        ({"MUXER_IDENTITY__MODES": "[]"}, "MUXER_IDENTITY__MODES: it must hold one or several of open, keys"),
        (KEYS | {"MUXER_IDENTITY__MODES": "open,keys"}, "MUXER_IDENTITY__MODES: open asks nobody for proof"),
        ({"MUXER_IDENTITY__MODES": "keys"}, "identity: keys needs identity.pepper or pepper_file"),
        ({"MUXER_IDENTITY__MODES": "jwt"}, "identity: jwt needs identity.jwt.secret, secret_file or jwks_url"),
        ({"MUXER_IDENTITY__MODES": "mtls"}, "identity: mtls needs identity.mtls.names"),
        ({"MUXER_IDENTITY__MODES": "mesh"}, "identity: mesh needs identity.mesh.names and trusted_proxies"),
        (
            {"MUXER_IDENTITY__MODES": "keys,mesh"},
            "identity: keys needs identity.pepper or pepper_file, mesh needs identity.mesh.names and trusted_proxies",
        ),
        (KEYS | {"MUXER_IDENTITY__PEPPER": "short"}, "identity.pepper has less than 32 bytes"),
        ({"MUXER_IDENTITY__JWT__SECRET": "short"}, "identity.jwt.secret has less than 32 bytes"),
        (KEYS | {"MUXER_IDENTITY__PEPPER_FILE": "x"}, "identity.pepper and pepper_file both give"),
        ({"MUXER_IDENTITY__PEPPER_FILE": "gone"}, "identity: gone, which should hold identity.pepper, cannot be read"),
        ({"MUXER_IDENTITY__JWT__JWKS_URL": "http://id.example/"}, "MUXER_IDENTITY__JWT__JWKS_URL: a JWKS URL is https"),
        ({"MUXER_IDENTITY__MESH__TRUSTED_PROXIES": "proxy"}, "MUXER_IDENTITY__MESH__TRUSTED_PROXIES: a trusted proxy"),
        ({"MUXER_IDENTITY__JWT__PROVISION": "emperor"}, "MUXER_IDENTITY__JWT__PROVISION: Input should be 'caller'"),
        ({"MUXER_IDENTITY__NOPE": "1"}, "MUXER_IDENTITY__NOPE is not a setting"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_told_in_words(given: dict[str, str], told: str) -> None:
    (problem,) = problems_of(given)
    assert problem.startswith(told)


@pytest.mark.parametrize("name", ["x://a/{tenant}", "{tenant}-{user}.example", "spiffe://x/{team}/{user}"])
def test_a_name_that_says_too_little_or_too_much_is_refused(name: str) -> None:
    (problem,) = problems_of(toml=f'[[identity.mtls.names]]\nname = "{name}"\n')
    assert problem.startswith("identity.mtls.names.0: ")


def test_names_are_rows_of_the_toml_file() -> None:
    toml = """
[identity]
modes = ["mesh"]
[identity.mesh]
trusted_proxies = ["127.0.0.6", "10.0.0.0/8", "unix"]
provision = "caller"
[[identity.mesh.names]]
name = "spiffe://cluster.local/ns/{tenant}/sa/{user}"
[[identity.mesh.names]]
name = "spiffe://cluster.local/ns/ops/sa/root"
tenant = "muxer"
user = "root"
role = "admin"
"""
    mesh = load(toml=toml).identity.mesh
    assert mesh.trusted_proxies == ("127.0.0.6", "10.0.0.0/8", "unix")
    assert [(row.tenant, row.user, row.role) for row in mesh.names] == [("", "", None), ("muxer", "root", "admin")]


def test_mtls_needs_certificates_to_be_asked_for_by_tls() -> None:
    Path("some.pem").write_text("")
    mtls = {"MUXER_IDENTITY__MODES": "mtls", "MUXER_IDENTITY__MTLS__NAMES": '[{"name": "spiffe://x/{tenant}/{user}"}]'}
    tls = {f"MUXER_TLS__{name}_FILE": "some.pem" for name in ("CERTIFICATE", "KEY")}
    (problem,) = problems_of(mtls | tls)
    assert problem == "identity.modes: mtls needs tls.require_client_certificate and tls.client_ca_file"
    asked = {"MUXER_TLS__REQUIRE_CLIENT_CERTIFICATE": "true", "MUXER_TLS__CLIENT_CA_FILE": "some.pem"}
    assert load(mtls | tls | asked).identity.modes == ("mtls",)


def test_both_listeners_that_others_can_reach_are_told_at_once_and_served_with_proof() -> None:
    given = {"MUXER_SERVER__LISTEN": "0.0.0.0:1", "MUXER_SERVER__ADMIN_LISTEN": "[::]:2"}
    (problem,) = problems_of(given)
    assert problem.startswith("server.listen, server.admin_listen: without authentication")
    assert load(given | KEYS).server.listen == "0.0.0.0:1"


def test_a_secret_in_a_file_is_read_without_the_line_end() -> None:
    Path("pepper").write_text(f"{PEPPER}\n")
    Path("secret").write_text(f"{SECRET}\n")
    given = {"MUXER_IDENTITY__PEPPER_FILE": "pepper", "MUXER_IDENTITY__JWT__SECRET_FILE": "secret"}
    identity = load(given | {"MUXER_IDENTITY__MODES": "keys,jwt"}).identity
    assert (identity.pepper_bytes, identity.jwt.secret_bytes) == (PEPPER.encode(), SECRET.encode())


def test_secrets_are_never_shown() -> None:
    settings = load(KEYS | {"MUXER_IDENTITY__JWT__SECRET": SECRET})
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert PEPPER not in shown
    assert SECRET not in shown
    problems = problems_of(KEYS | {"MUXER_IDENTITY__JWT__SECRET": SECRET, "MUXER_IDENTITY__MODES": "mesh,keys,open"})
    assert not any(PEPPER in problem or SECRET in problem for problem in problems)


def test_any_mode_but_open_is_the_authentication_that_production_needs() -> None:
    production: dict[str, Any] = {"mode": "production"}
    assert "authentication" in missing_requirements(Settings(**production))
    assert "authentication" not in missing_requirements(load_mode(production))


def load_mode(production: dict[str, Any]) -> Settings:
    return Settings(**production, identity=IdentitySettings(modes=("keys",), pepper=PEPPER))  # type: ignore[arg-type]


# What is built of them


async def test_proof_that_is_asked_for_and_cannot_be_checked_is_no_start() -> None:
    identity = IdentitySettings(modes=("keys",), pepper=PEPPER)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing here can check it"):
        guards(identity, None)
    with pytest.raises(ValueError, match="need a database"):
        async with open_identity(identity, None):
            pass


async def test_an_open_service_needs_no_directory_and_has_no_identity() -> None:
    async with open_identity(IdentitySettings(), None) as identity:
        assert identity is None
    assert guards(IdentitySettings(), None).identity is None
    assert api_keys(IdentitySettings()) is None


async def test_every_mode_is_built_by_its_settings() -> None:
    identity = IdentitySettings(
        modes=("keys", "jwt", "mtls", "mesh"),
        pepper=PEPPER,  # type: ignore[arg-type]
        public_reflection=True,
        jwt=JwtSettings(secret=SECRET, jwks_url="https://id.example/jwks"),  # type: ignore[arg-type]
        mtls=MtlsSettings(names=(NAME,)),
        mesh=MeshSettings(names=(NAME,), trusted_proxies=("unix",)),
    )
    async with open_identity(identity, People()) as authenticator:
        assert authenticator is not None
        built = guards(identity, authenticator)
        assert built.reads_certificates
        assert built.scopes[f"/{REFLECTION[0]}/ServerReflectionInfo"] is Scope.PUBLIC
        means = authenticator._means
        assert None not in (means.keys, means.tokens, means.certificates, means.mesh)
    only_keys = IdentitySettings(modes=("keys",), pepper=PEPPER)  # type: ignore[arg-type]
    async with open_identity(only_keys, People()) as authenticator:
        assert authenticator is not None
        assert not guards(only_keys, authenticator).reads_certificates
        assert authenticator._means.described == "an API key in authorization: Bearer; an API key in x-api-key"
