"""Whom the names in a certificate, URIs (SPIFFE ids above all) and host names, stand for: a table of the operator's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from muxer_grpc.domain.tenancy import SYSTEM_TENANT, Role
from muxer_grpc.identity.proof import Named, NotProven, checked_tenant, checked_user

TENANT = "{tenant}"
USER = "{user}"

# A certificate with more names than this is nobody's that we know; a SPIFFE id has at most 2,048 bytes.
MAX_NAMES = 64
MAX_NAME_LENGTH = 2_048

_PLACEHOLDER = re.compile(r"\{(?:tenant|user)\}")
# One segment of a SPIFFE id's path, and one label of a host name.
_SEGMENT = "[A-Za-z0-9._-]{1,64}"
_LABEL = "[A-Za-z0-9_-]{1,64}"


@dataclass(frozen=True, slots=True)
class NameRule:
    """One row of the table: a name, and whom it stands for.

    `{tenant}` and `{user}` in the name stand for one segment of a URI's path each, or for one label of a host name;
    what they do not give, `tenant_id` and `user_id` do. Without a `role`, the user's own counts.
    """

    name: str
    tenant_id: str = ""
    user_id: str = ""
    role: Role | None = None


def compiled(rule: NameRule) -> re.Pattern[str]:
    """Makes the pattern of a rule. Raises ValueError for a rule that is incomplete, or could be read in two ways."""
    is_uri = "://" in rule.name
    places = _PLACEHOLDER.findall(rule.name)
    problem = ""
    if (TENANT in places) == bool(rule.tenant_id):
        problem = "a name gives its tenant by {tenant} or by `tenant`, and not by both"
    elif (USER in places) == bool(rule.user_id):
        problem = "a name gives its user by {user} or by `user`, and not by both"
    elif len(places) != len(set(places)):
        problem = "a name holds {tenant} and {user} once each at most"
    literals = _PLACEHOLDER.split(rule.name)
    sign = "/" if is_uri else "."
    if not problem and any("{" in text or "}" in text for text in literals):
        problem = "a name holds no braces but those of {tenant} and {user}"
    if not problem and any(sign not in text for text in literals[1:-1]):
        # Otherwise a-b-c could be user c of a-b as well as user b-c of a.
        problem = f"between {{tenant}} and {{user}} there must be a {sign}"
    if not problem and places and not _stand_alone(rule.name, sign):
        problem = f"{{tenant}} and {{user}} each fill what stands between two {sign}"
    if problem:
        raise ValueError(problem)
    pattern = re.escape(rule.name if is_uri else rule.name.lower())
    for place in places:
        group = place.strip("{}")
        pattern = pattern.replace(re.escape(place), f"(?P<{group}>{_SEGMENT if is_uri else _LABEL})")
    return re.compile(pattern)


def _stand_alone(name: str, sign: str) -> bool:
    """Tells whether each placeholder is a whole segment, so that nobody's name can be the end of another's."""
    return all(part in (TENANT, USER) for part in name.split(sign) if _PLACEHOLDER.search(part))


class PeerNames:
    """Finds whom a certificate's names stand for.

    A user that is not there is made with the role `provision`, where that is set.
    """

    def __init__(self, rules: Iterable[NameRule], *, means: str, provision: Role | None = None) -> None:
        self._rules = tuple((compiled(rule), rule) for rule in rules)
        self._means = means
        self._provision = provision

    def named(self, names: Sequence[str]) -> Named:
        """Gives the one whom the names stand for. Raises NotProven where they stand for nobody, or for several."""
        found = {self._named_by(name) for name in names[: MAX_NAMES + 1] if len(name) <= MAX_NAME_LENGTH}
        found.discard(None)
        if len(names) > MAX_NAMES or len(found) != 1:
            msg = f"the names in the certificate stand for {'several' if len(found) > 1 else 'nobody'}"
            raise NotProven(msg)
        (only,) = found
        if only is None:
            raise AssertionError
        return only

    def _named_by(self, name: str) -> Named | None:
        text = name if "://" in name else name.lower()
        for pattern, rule in self._rules:
            match = pattern.fullmatch(text)
            if match is None:
                continue
            parts = match.groupdict()
            tenant_id = checked_tenant(parts.get("tenant", rule.tenant_id))
            if "tenant" in parts and tenant_id == SYSTEM_TENANT:
                # Whoever acts on all tenants is named in the table, and never by what a certificate says.
                continue
            user_id = checked_user(parts.get("user", rule.user_id))
            return Named(tenant_id, user_id, self._means, rule.role, self._provision)
        return None
