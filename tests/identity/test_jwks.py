"""An issuer's keys: which count, how they are renewed, and what happens while the issuer is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import RSAAlgorithm

from muxer_grpc.identity.issuer_urls import checked_jwks_url
from muxer_grpc.identity.jwks import LEAST_INTERVAL_SECONDS, MAX_DOCUMENT_BYTES, KeySet, read_keys
from tests.identity.issuer import ec_key, jwk, publishing, rsa_key
from tests.identity.people import START

ONE, TWO = jwk(rsa_key("one"), "r1"), jwk(rsa_key("two"), "r2")


@asynccontextmanager
async def key_set(url: str, refresh_seconds: float = 300.0) -> AsyncGenerator[KeySet, None]:
    keys = KeySet(url, refresh_seconds=refresh_seconds)
    try:
        yield keys
    finally:
        await keys.aclose()


async def settled(keys: KeySet) -> None:
    """Waits for a renewal under way."""
    task = keys._task
    if task is not None:
        await asyncio.gather(task, return_exceptions=True)


async def test_keys_are_read_when_the_first_token_asks_and_kept_from_then_on() -> None:
    async with publishing(ONE, jwk(ec_key("e"), "e1")) as issuer, key_set(issuer.url) as keys:
        assert issuer.asked == 0
        assert await keys.key("RS256", "r1", START) is not None
        assert await keys.key("ES256", "e1", START) is not None
        assert await keys.key("RS256", "r1", START + 299) is not None
        assert issuer.asked == 1


@pytest.mark.parametrize(("algorithm", "kid"), [("ES256", "r1"), ("RS256", "e1"), ("RS256", "x"), ("HS256", "r1")])
async def test_a_key_is_found_for_its_own_algorithm_and_id_alone(algorithm: str, kid: str) -> None:
    async with publishing(ONE, jwk(ec_key("e"), "e1")) as issuer, key_set(issuer.url) as keys:
        assert await keys.key(algorithm, kid, START) is None


async def test_without_an_id_the_only_key_of_the_algorithm_counts_and_of_several_none() -> None:
    async with publishing(jwk(rsa_key("one"), None)) as issuer, key_set(issuer.url) as keys:
        assert await keys.key("RS256", None, START) is not None
        issuer.rows = [ONE, TWO]
        assert await keys.key("RS256", "r2", START + 10) is not None
        assert await keys.key("RS256", None, START + 10) is None


async def test_an_unknown_id_makes_the_keys_be_read_anew_at_most_once_in_some_seconds() -> None:
    async with publishing(ONE) as issuer, key_set(issuer.url) as keys:
        await keys.key("RS256", "r1", START)
        issuer.rows = [ONE, TWO]
        for _ in range(50):
            assert await keys.key("RS256", "r2", START + LEAST_INTERVAL_SECONDS - 0.1) is None
        assert issuer.asked == 1
        found = await asyncio.gather(*(keys.key("RS256", "r2", START + LEAST_INTERVAL_SECONDS) for _ in range(50)))
        assert all(key is not None for key in found)
        assert issuer.asked == 2
        for number in range(50):
            assert await keys.key("RS256", f"made-up-{number}", START + LEAST_INTERVAL_SECONDS + 1) is None
        assert issuer.asked == 2


async def test_old_keys_are_renewed_in_the_background_and_one_that_was_taken_out_counts_no_more() -> None:
    async with publishing(ONE) as issuer, key_set(issuer.url) as keys:
        await keys.key("RS256", "r1", START)
        issuer.rows = [TWO]
        assert await keys.key("RS256", "r1", START + 300) is not None
        await settled(keys)
        assert issuer.asked == 2
        assert await keys.key("RS256", "r1", START + 301) is None
        assert await keys.key("RS256", "r2", START + 301) is not None


@pytest.mark.parametrize("how", ["status", "redirect", "no json", "no keys", "huge", "deep"])
async def test_the_old_keys_stay_while_the_issuer_answers_nothing_of_use(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(ONE) as issuer, key_set(issuer.url, 5) as keys:
        await keys.key("RS256", "r1", START)
        issuer.status = {"status": 500, "redirect": 302}.get(how, 200)
        bodies = {"no json": b"<html>", "no keys": b'{"keys": []}', "deep": b"[" * 100_000}
        bodies["huge"] = json.dumps({"keys": [TWO]}).encode() + b" " * MAX_DOCUMENT_BYTES
        issuer.body = bodies.get(how)
        for later in (10, 10_000):
            assert await keys.key("RS256", "r1", START + later) is not None
            await settled(keys)
        assert issuer.asked == 3
        issuer.status, issuer.body, issuer.rows = 200, None, [TWO]
        assert await keys.key("RS256", "r2", START + 20_000) is not None
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the keys of 127.0.0.1 cannot be read, the old ones stay"
    ] * 2


async def test_the_old_keys_stay_while_the_issuer_is_down(caplog: pytest.LogCaptureFixture) -> None:
    async with publishing(ONE) as issuer:
        keys = KeySet(issuer.url, refresh_seconds=5)
        assert keys.empty
        await keys.key("RS256", "r1", START)
    assert await keys.key("RS256", "r1", START + 10) is not None
    await settled(keys)
    assert await keys.key("RS256", "r2", START + 20) is None
    assert await keys.key("RS256", "r1", START + 20) is not None
    assert not keys.empty
    assert len(caplog.records) == 2
    await keys.aclose()


async def test_one_who_goes_away_does_not_stop_the_reading() -> None:
    async with publishing(ONE) as issuer, key_set(issuer.url) as keys:
        first = asyncio.create_task(keys.key("RS256", "r1", START))
        await asyncio.sleep(0)
        second = asyncio.create_task(keys.key("RS256", "r1", START))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await second is not None
        assert issuer.asked == 1


def test_of_a_key_set_only_public_keys_that_check_signatures_count() -> None:
    private = json.loads(RSAAlgorithm.to_jwk(rsa_key("one"))) | {"kid": "private", "key_ops": ["verify"]}
    p384 = ec.generate_private_key(ec.SECP384R1())
    rows = [
        ONE,
        jwk(rsa_key("one"), "for-encryption", use="enc"),
        jwk(rsa_key("one"), "for-wrapping", key_ops=["wrapKey"]),
        jwk(rsa_key("one"), "other-algorithm", alg="RS512"),
        jwk(rsa_key("one"), "odd-kid") | {"kid": 7},
        jwk(rsa_key("short", 1024), "short"),
        jwk(p384, "p384"),
        private,
        {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        {"kty": ["RSA"], "kid": "strange"},
        "nothing",
        jwk(ec_key("e"), "e1", use="sig", alg="ES256", key_ops=["verify"]),
    ]
    assert set(read_keys(json.dumps({"keys": rows}).encode())) == {("RS256", "r1"), ("ES256", "e1")}


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b'{"keys": 1}', b'{"keys": {}}', b'{"keys": [1]}', b"\xff"])
def test_what_is_no_key_set_is_a_value_error(document: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        read_keys(document)


@pytest.mark.parametrize(
    "url", ["https://id.example/jwks", "https://id.example:8443/keys?p=one", "http://127.0.0.1:1/x", "http://[::1]/x"]
)
def test_keys_come_over_https_or_from_this_machine(url: str) -> None:
    assert checked_jwks_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/jwks",
        "ftp://id.example/",
        "file:///etc/passwd",
        "https://",
        "https://user:word@id.example/",
        "https://id.example/#x",
        "https://id.example/a b",
        "https://id.example:0/",
        "https://id.example:x/",
        "https://[/",
        "https://" + "a" * 70 + ".example/",
    ],
)
def test_other_addresses_of_keys_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="JWKS URL is https"):
        checked_jwks_url(url)
