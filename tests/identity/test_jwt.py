"""Tokens: what a good one names, and every way in which a bad one is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.domain.tenancy import SYSTEM_TENANT, Role
from muxer_grpc.identity.jwks import KeySet
from muxer_grpc.identity.jwt import CHECKED_SECONDS, TokenRules, Tokens
from muxer_grpc.identity.proof import MAX_TOKEN_LENGTH, Named, NotProven
from tests.identity.issuer import CLAIMS, SECRET, ec_key, jwk, publishing, rsa_key, segment, signed
from tests.identity.people import START, TENANT

RULES = TokenRules()
ADA = Named(TENANT, "ada", "token")


def by_secret(**changes: Any) -> Tokens:
    return Tokens(replace(RULES, **changes), secret=SECRET)


async def refused(tokens: Tokens, token: str, now: float = START) -> None:
    """Asserts that a token is refused, and that what is said of it holds nothing of it."""
    with pytest.raises(NotProven) as raised:
        await tokens.named(token, now)
    assert not any(part in str(raised.value) for part in token.split(".") if len(part) > 8)
    assert raised.value.__cause__ is None


async def test_a_token_of_our_secret_names_its_tenant_and_user() -> None:
    assert await by_secret().named(signed(CLAIMS), START) == ADA


async def test_tokens_of_an_issuer_count_by_rs256_and_es256() -> None:
    async with publishing(jwk(rsa_key("one"), "r1"), jwk(ec_key("e"), "e1")) as issuer:
        tokens = Tokens(RULES, keys=KeySet(issuer.url, refresh_seconds=300))
        assert await tokens.named(signed(CLAIMS, rsa_key("one"), "RS256", kid="r1"), START) == ADA
        assert await tokens.named(signed(CLAIMS, ec_key("e"), "ES256", kid="e1"), START) == ADA
        assert await tokens.named(signed(CLAIMS, rsa_key("one"), "RS256"), START) == ADA
        await refused(tokens, signed(CLAIMS, rsa_key("stranger"), "RS256", kid="r1"))
        await refused(tokens, signed(CLAIMS, rsa_key("one"), "RS256", kid="e1"))
        await refused(tokens, signed(CLAIMS))
        await tokens.aclose()


async def test_an_issuer_changes_its_keys_and_both_old_and_new_tokens_count_until_the_old_key_is_taken_out() -> None:
    old, new = jwk(rsa_key("one"), "r1"), jwk(rsa_key("two"), "r2")
    by_old = [signed(CLAIMS | {"n": n}, rsa_key("one"), "RS256", kid="r1") for n in range(2)]
    by_new = signed(CLAIMS, rsa_key("two"), "RS256", kid="r2")
    async with publishing(old) as issuer:
        tokens = Tokens(RULES, keys=KeySet(issuer.url, refresh_seconds=100))
        await tokens.named(by_old[0], START)
        issuer.rows = [old, new]
        assert await tokens.named(by_new, START + 10) == ADA
        assert await tokens.named(by_old[1], START + 10) == ADA
        issuer.rows = [new]
        await tokens.named(by_new, START + 110)  # notices that the keys are old, and asks anew behind the scenes
        await refused(tokens, signed(CLAIMS, rsa_key("one"), "RS256", kid="gone"), START + 116)
        for token in by_old:
            await refused(tokens, token, START + 125)
        await tokens.aclose()


async def test_while_the_issuer_is_down_known_keys_count_and_without_any_nobody_can_be_told() -> None:
    token = signed(CLAIMS, rsa_key("one"), "RS256", kid="r1")
    async with publishing(jwk(rsa_key("one"), "r1")) as issuer:
        tokens = Tokens(RULES, keys=KeySet(issuer.url, refresh_seconds=5))
        await tokens.named(token, START)
    assert await tokens.named(token, START + 500) == ADA
    await refused(tokens, signed(CLAIMS, rsa_key("two"), "RS256", kid="r2"), START + 500)
    fresh = Tokens(RULES, keys=KeySet(issuer.url, refresh_seconds=5))
    with pytest.raises(StorageUnavailable, match="keys that prove tokens"):
        await fresh.named(token, START)
    await tokens.aclose()
    await fresh.aclose()


# Attacks on the signature


async def test_alg_none_is_refused_in_every_spelling() -> None:
    for word in ("none", "None", "NONE", "nOnE", "", None):
        for tail in ("", segment(b"signature")):
            await refused(by_secret(), f"{segment({'alg': word, 'typ': 'JWT'})}.{segment(CLAIMS)}.{tail}")


async def test_a_public_key_is_no_secret() -> None:
    public = rsa_key("one").public_key()
    encodings = (serialization.Encoding.PEM, serialization.Encoding.DER)
    formats = (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1)
    async with publishing(jwk(rsa_key("one"), "r1")) as issuer:
        keys = KeySet(issuer.url, refresh_seconds=300)
        for tokens in (Tokens(RULES, keys=keys), Tokens(RULES, keys=keys, secret=SECRET)):
            for raw in (public.public_bytes(encoding, form) for encoding in encodings for form in formats):
                text = f"{segment({'alg': 'HS256', 'kid': 'r1'})}.{segment(CLAIMS)}"
                await refused(tokens, f"{text}.{segment(hmac.new(raw, text.encode(), hashlib.sha256).digest())}")
        await keys.aclose()


async def test_a_token_that_brings_its_own_key_is_refused() -> None:
    stranger = rsa_key("stranger")
    async with publishing(jwk(rsa_key("one"), "r1")) as issuer:
        tokens = Tokens(RULES, keys=KeySet(issuer.url, refresh_seconds=300))
        elsewhere = issuer.url.replace("/jwks", "/elsewhere")
        for header in ({"jwk": jwk(stranger, "r1")}, {"jku": elsewhere}, {"x5u": elsewhere}, {"jku": elsewhere}):
            await refused(tokens, signed(CLAIMS, stranger, "RS256", kid="r1", **header))
        await tokens.aclose()


@pytest.mark.parametrize(
    "kid",
    ["../../etc/passwd", "/dev/null", "http://127.0.0.1/x", "' OR 1=1 --", "\x00", "r1\n", "k" * 300, 7, ["r1"], {}],
)
async def test_a_strange_key_id_finds_no_key_and_makes_nothing_happen(kid: object) -> None:
    async with publishing(jwk(rsa_key("one"), "r1")) as issuer:
        tokens = Tokens(RULES, keys=KeySet(issuer.url, refresh_seconds=300))
        header, payload = segment({"alg": "RS256", "kid": kid}), segment(CLAIMS)
        await refused(tokens, f"{header}.{payload}.{segment(b's' * 256)}")
        assert issuer.asked <= 1
        await tokens.aclose()


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS512", "ES384", "PS256", "EdDSA", "hs256", ["HS256"], 1, {}])
async def test_an_algorithm_that_is_not_configured_is_refused(algorithm: object) -> None:
    text = f"{segment({'alg': algorithm})}.{segment(CLAIMS)}"
    await refused(by_secret(), f"{text}.{segment(hmac.new(SECRET, text.encode(), hashlib.sha512).digest())}")
    await refused(by_secret(), f"{text}.{segment(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())}")


async def test_a_token_that_was_changed_is_refused() -> None:
    header, payload, signature = signed(CLAIMS).split(".")
    await refused(by_secret(), f"{header}.{segment(CLAIMS | {'sub': 'eve'})}.{signature}")
    await refused(by_secret(), f"{segment({'alg': 'HS256', 'kid': 'x'})}.{payload}.{signature}")
    await refused(by_secret(), f"{header}.{payload}.{segment(bytes(32))}")
    await refused(by_secret(), f"{header}.{payload}.")
    await refused(Tokens(RULES, secret=b"x" * 32), signed(CLAIMS))


async def test_an_extension_that_is_critical_and_unknown_is_refused() -> None:
    await refused(by_secret(), signed(CLAIMS, crit=["muxer"], muxer=True))
    text = f"{segment({'alg': 'HS256', 'b64': False, 'crit': ['b64']})}."
    await refused(by_secret(), f"{text}.{segment(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())}")


# Claims


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": START - 30},
        {"exp": None},
        {"exp": "1900000000"},
        {"exp": True},
        {"exp": 1e308},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": 10**400},
        {"exp": [START + 600]},
        {"nbf": START + 31},
        {"nbf": "now"},
        {"nbf": None},
        {"iat": START + 31},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["ada"]},
        {"sub": "ada\n"},
        {"sub": "a" * 129},
        {"sub": "\ud800"},
        {"tenant": ""},
        {"tenant": "Search"},
        {"tenant": "search/../other"},
        {"tenant": ["search"]},
        {"tenant": "t" * 64},
        {"tenant": SYSTEM_TENANT},
        {"role": "emperor"},
        {"role": []},
        {"role": [["admin"]]},
        {"role": {"admin": True}},
    ],
    ids=repr,
)
async def test_a_claim_that_is_wrong_refuses_the_token(changes: dict[str, Any]) -> None:
    claims = json.dumps(CLAIMS | changes).encode()
    text = f"{segment({'alg': 'HS256'})}.{segment(claims)}"
    await refused(by_secret(), f"{text}.{segment(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())}")


@pytest.mark.parametrize("missing", ["exp", "sub", "tenant"])
async def test_a_claim_that_is_missing_refuses_the_token(missing: str) -> None:
    await refused(by_secret(), signed({name: value for name, value in CLAIMS.items() if name != missing}))


async def test_the_issuers_clock_may_be_off_by_the_leeway_and_no_more() -> None:
    tokens = by_secret(leeway_seconds=30)
    for changes in ({"exp": START - 29}, {"nbf": START + 30}, {"iat": START + 30}, {"exp": START + 0.5}):
        assert await tokens.named(signed(CLAIMS | changes), START) == ADA
    without = {name: value for name, value in CLAIMS.items() if name not in ("nbf", "iat")}
    assert await tokens.named(signed(without), START) == ADA


async def test_a_token_that_was_checked_counts_no_longer_than_it_lives() -> None:
    tokens = by_secret(leeway_seconds=0)
    token = signed(CLAIMS | {"exp": START + 5})
    assert await tokens.named(token, START) == ADA
    assert await tokens.named(token, START + 4.9) == ADA
    await refused(tokens, token, START + 5)


async def test_a_token_that_was_checked_is_not_checked_again_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, token = by_secret(), signed(CLAIMS)
    await tokens.named(token, START)
    monkeypatch.setattr(tokens, "_secret", b"x" * 32)
    assert await tokens.named(token, START + CHECKED_SECONDS - 0.1) == ADA
    await refused(tokens, token, START + CHECKED_SECONDS)


async def test_issuer_and_audience_count_where_they_are_set() -> None:
    tokens = by_secret(issuer="https://id.example", audience=("muxer", "llm"))
    good = CLAIMS | {"iss": "https://id.example", "aud": ["other", "llm"]}
    assert await tokens.named(signed(good), START) == ADA
    assert await tokens.named(signed(good | {"aud": "muxer"}), START) == ADA
    for wrong in ({"iss": "https://id.example.evil"}, {"iss": ""}, {"aud": "other"}, {"aud": []}, {"aud": 7}):
        await refused(tokens, signed(good | wrong))
    for missing in ("iss", "aud"):
        await refused(tokens, signed({name: value for name, value in good.items() if name != missing}))
    assert await by_secret().named(signed(good), START) == ADA


async def test_claims_are_read_by_the_names_that_the_operator_gives() -> None:
    tokens = by_secret(tenant_claim="https://example.com/team", user_claim="email", role_claim="roles")
    claims = CLAIMS | {"https://example.com/team": "research", "email": "ada@example.com", "roles": ["x", "viewer"]}
    expected = Named("research", "ada@example.com", "token", Role.VIEWER)
    assert await tokens.named(signed(claims), START) == expected


async def test_of_several_roles_the_strongest_counts_and_without_a_claim_none_is_named() -> None:
    named = await by_secret().named(signed(CLAIMS | {"role": ["caller", "admin", "viewer"]}), START)
    assert named.role is Role.ADMIN
    named = await by_secret(role_claim="").named(signed(CLAIMS | {"role": "admin"}), START)
    assert named.role is None


async def test_a_tenant_for_tokens_that_name_none_and_the_tenant_above_all_are_the_operators_choice() -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "tenant"}
    assert await by_secret(default_tenant=TENANT).named(signed(claims), START) == ADA
    await refused(by_secret(default_tenant=SYSTEM_TENANT), signed(claims))
    above = await by_secret(system_tenant=True).named(signed(CLAIMS | {"tenant": SYSTEM_TENANT}), START)
    assert above.tenant_id == SYSTEM_TENANT


async def test_a_user_is_made_with_the_tokens_role_or_else_the_operators_and_only_where_he_wants_it() -> None:
    assert (await by_secret(provision=Role.CALLER).named(signed(CLAIMS), START)).provision is Role.CALLER
    named = await by_secret(provision=Role.CALLER).named(signed(CLAIMS | {"role": "viewer"}), START)
    assert named.provision is Role.VIEWER
    assert (await by_secret().named(signed(CLAIMS | {"role": "viewer"}), START)).provision is None


# Size and form


async def test_a_token_over_the_bound_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwt.get_unverified_header", lambda _token: pytest.fail("it was read"))
    long = signed(CLAIMS | {"x": "x" * 1_000_000})
    assert len(long) > 1_000_000
    await refused(by_secret(), long)
    await refused(by_secret(), "a." * 500_000)
    await refused(by_secret(), "a" * (MAX_TOKEN_LENGTH + 1))


async def test_json_that_nests_deep_is_refused() -> None:
    for deep in (b"[" * 4_000, b'{"a":' * 1_000, b"[" * 2_000 + b"]" * 2_000):
        await refused(by_secret(), f"{segment(deep)}.{segment(CLAIMS)}.{segment(b's' * 32)}")
        text = f"{segment({'alg': 'HS256'})}.{segment(deep)}"
        await refused(by_secret(), f"{text}.{segment(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())}")


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "a.b.c.d", "a.b.c.d.e", "!.!.!", "é.é.é", "a.b.c\n", " a.b.c", "YQ==.YQ==.YQ=="]
)
async def test_what_is_no_token_is_refused(token: str) -> None:
    await refused(by_secret(), token)


async def test_the_number_of_remembered_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muxer_grpc.identity.jwt.MOST_REMEMBERED", 10)
    tokens = by_secret()
    for number in range(30):
        await tokens.named(signed(CLAIMS | {"n": number}), START)
    assert len(tokens._checked) == 10


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["HS256", "RS256", "none"]) | VALUES,
        "kid": VALUES,
        "crit": VALUES,
        "b64": VALUES,
    },
)
NAMES = st.sampled_from(["sub", "tenant", "role", "exp", "nbf", "iat", "aud", "iss", "jti"])


@settings(max_examples=300, deadline=None)
@given(HEADERS, st.dictionaries(NAMES, VALUES) | VALUES, st.booleans())
async def test_any_token_names_somebody_or_is_refused(header: dict[str, Any], claims: Any, whole: bool) -> None:
    """Signs what hypothesis makes up with the right secret, so that every check behind the signature is reached."""
    content = CLAIMS | claims if whole and isinstance(claims, dict) else claims
    text = f"{segment(header)}.{segment(content)}"
    token = f"{text}.{segment(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())}"
    try:
        named = await by_secret(issuer="", audience=()).named(token, START)
    except NotProven:
        return
    assert header["alg"] == "HS256"
    assert named.tenant_id
    assert named.user_id
