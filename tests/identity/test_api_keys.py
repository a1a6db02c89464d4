"""API keys: their text, what is stored of it, and what is refused without work."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.identity.api_keys import ApiKeys, public_id_of
from tests.identity.people import KEYS, PEPPER, secret_of


def test_a_key_names_itself_by_its_public_id_and_holds_a_secret_of_256_bits() -> None:
    key = KEYS.make()
    assert re.fullmatch(r"mux_[a-z0-9]{12}_[A-Za-z0-9_-]{43}", key.text)
    assert key.prefix == f"mux_{key.id}"
    assert public_id_of(key.text) == key.id


def test_no_two_keys_are_alike() -> None:
    keys = [KEYS.make() for _ in range(1_000)]
    assert len({key.id for key in keys}) == len({key.text for key in keys}) == 1_000


def test_what_is_stored_is_the_hmac_of_the_whole_text_by_the_pepper() -> None:
    key = KEYS.make()
    assert key.digest == hmac.new(PEPPER, key.text.encode(), hashlib.sha256).digest()
    assert key.digest != ApiKeys(b"another pepper of thirty-two bytes").digest(key.text)


def test_a_key_matches_its_own_digest_and_no_other() -> None:
    key, other = KEYS.make(), KEYS.make()
    assert KEYS.matches(key.text, key.digest)
    assert not KEYS.matches(other.text, key.digest)
    assert not KEYS.matches(f"{key.prefix}_{secret_of(other)}", key.digest)
    assert not KEYS.matches(key.text, None)


def test_a_key_that_is_not_there_is_compared_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))
    key = KEYS.make()
    KEYS.matches(key.text, key.digest)
    KEYS.matches(key.text, None)
    assert [len(a) == len(b) == 32 for a, b in compared] == [True, True]


def test_nothing_shows_the_secret_by_accident() -> None:
    key = KEYS.make()
    shown = f"{key!r} {KEYS!r}"
    assert key.text not in shown
    assert secret_of(key) not in shown
    assert repr(key.digest) not in shown
    assert repr(PEPPER) not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mux_",
        "mux_abcdefghijkl",
        "mux_abcdefghijkl_",
        f"mux_abcdefghijkl_{'s' * 31}",
        f"mux_abcdefghijkl_{'s' * 65}",
        f"mux_abcdefghijk_{'s' * 43}",
        f"mux_ABCDEFGHIJKL_{'s' * 43}",
        f"mux_abcdefghijkl_{'s' * 42}\n",
        f"mux_abcdefghijkl_{'s' * 42}é",
        f"mux_abcdefghijkl_{'s' * 42} ",
        f"sk_abcdefghijkl_{'s' * 43}",
        f"mux_١٢٣٤٥٦٧٨٩٠١٢_{'s' * 43}",
        "mux_" + "a" * 1_000_000,
    ],
    ids=lambda text: text[:40],
)
def test_what_has_not_the_form_of_a_key_has_no_public_id(text: str) -> None:
    assert public_id_of(text) is None


@given(st.text(max_size=200) | st.from_regex(r"mux_[a-z0-9]{10,14}_[A-Za-z0-9_-]{28,70}"))
def test_any_text_is_a_key_by_its_form_or_none(text: str) -> None:
    found = public_id_of(text)
    assert found is None or text.startswith(f"mux_{found}_")
