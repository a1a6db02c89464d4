"""API keys: `mux_<public id>_<secret>`. How one is made, what is stored of it, and how one that is shown is checked.

Of the text, a digest is stored that nobody can compute without the pepper, which is not in the database. The secret
has 256 random bits, so that a fast digest is right: nobody can guess it, and a slow one would cost every call time.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
from dataclasses import dataclass, field

PREFIX = "mux_"
ID_CHARACTERS = string.ascii_lowercase + string.digits
ID_LENGTH = 12
SECRET_BYTES = 32

# Shorter secrets would be guessable, longer texts are not ours: both are refused before anything is computed, and no
# text takes longer to refuse than one of 82 characters.
_TEXT = re.compile(r"mux_([a-z0-9]{12})_[A-Za-z0-9_-]{32,64}")

# What the text of an unknown key is compared with, so that it takes as long as a known one.
_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class FreshKey:
    """A key that was just made. `text` is shown once, to whoever it is for; `prefix` may be shown for ever."""

    id: str
    prefix: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)


class ApiKeys:
    """Makes keys (domain.administration.KeyMaker) and checks them, with the service's pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def make(self) -> FreshKey:
        """Makes a key from the system's randomness."""
        public_id = "".join(secrets.choice(ID_CHARACTERS) for _ in range(ID_LENGTH))
        prefix = f"{PREFIX}{public_id}"
        text = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
        return FreshKey(public_id, prefix, text, self.digest(text))

    def digest(self, text: str) -> bytes:
        """Computes what is stored of a key: HMAC-SHA256 of its whole text, by the pepper."""
        return hmac.digest(self._pepper, text.encode(), "sha256")

    def matches(self, text: str, digest: bytes | None) -> bool:
        """Tells whether a text is that of a key, in a time that says nothing of either; None: there is no such key."""
        same = hmac.compare_digest(self.digest(text), _NO_DIGEST if digest is None else digest)
        return same and digest is not None


def public_id_of(text: str) -> str | None:
    """Gives the public id within the text of a key; None for what has not the form of a key."""
    found = _TEXT.fullmatch(text)
    return None if found is None else found[1]
