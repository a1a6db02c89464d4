"""What a credential comes to: whom it names, or that it proves nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from muxer_grpc.domain.administration import TENANT_ID, USER_ID
from muxer_grpc.domain.tenancy import Role

# Far above what issuers send, and what a token may cost us before it is known to be one.
MAX_TOKEN_LENGTH = 8_192


class NotProven(Exception):
    """A credential that proves nothing. The text says why, for the log of whoever runs the service, and holds none of
    the credential; callers are told the same in every case.
    """


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a proven token or certificate names, and by what `means` it does.

    `role` is what it says of the role, where it says anything. A user that is not there is made with the role
    `provision`, where that is set.
    """

    tenant_id: str
    user_id: str
    means: str
    role: Role | None = None
    provision: Role | None = None


def checked_tenant(value: object) -> str:
    """Gives the id of a tenant. Raises NotProven for what cannot be one."""
    return _checked(TENANT_ID, value, "tenant")


def checked_user(value: object) -> str:
    """Gives the id of a user. Raises NotProven for what cannot be one."""
    return _checked(USER_ID, value, "user")


def _checked(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        msg = f"what names the {what} is missing, or cannot be an id"
        raise NotProven(msg)
    return value
