"""Seals what is kept of callers' contents: ChaCha20-Poly1305 (RFC 8439), and digests by HMAC-SHA-256 (RFC 2104)."""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NONCE_BYTES = 12


class ContentSealer:
    """Implements the port Sealer. The pepper is the installation's own secret; without one, keys stand alone."""

    def __init__(self, pepper: bytes = b"") -> None:
        self._pepper = pepper

    def seal(self, content: bytes, key: bytes) -> bytes:
        """Seals content: a fresh nonce, and the ciphertext behind it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher(key).encrypt(nonce, content, None)

    def open(self, sealed: bytes, key: bytes) -> bytes | None:
        """Opens what was sealed with the same key and pepper; None where it is another, or the content is broken."""
        try:
            return self._cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        except (InvalidTag, ValueError):
            return None

    def digest(self, content: bytes) -> bytes:
        """Gives the keyed digest of a content."""
        return hmac.new(self._pepper, content, hashlib.sha256).digest()

    def _cipher(self, key: bytes) -> ChaCha20Poly1305:
        mixed = hashlib.blake2b(key, digest_size=32, key=self._pepper[:64], person=b"muxer seal")
        return ChaCha20Poly1305(mixed.digest())
