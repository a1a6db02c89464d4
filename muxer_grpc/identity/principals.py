"""From a proof to a principal: the account behind a key, a token or a certificate, and what it may do."""

from __future__ import annotations

from muxer_grpc.domain.directory import Account, ApiKey
from muxer_grpc.domain.ports import Directory
from muxer_grpc.domain.refusals import PermissionDenied
from muxer_grpc.domain.tenancy import SCOPES_OF_ROLE, SYSTEM_TENANT, UNLIMITED, Principal, Role, Subject
from muxer_grpc.identity.api_keys import ApiKeys, public_id_of
from muxer_grpc.identity.proof import Named, NotProven
from muxer_grpc.identity.recent import MOST_REMEMBERED, RecentLookups

MICROSECONDS = 1_000_000

# A tenant, a user, and the role with which the user is made where it is not there.
_AccountKey = tuple[str, str, Role | None]


class Principals:
    """Looks up who is behind a proof. What it looked up counts for two seconds, so that changes are soon effective."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._keys: RecentLookups[str, ApiKey] = RecentLookups(directory.key)
        self._accounts: RecentLookups[_AccountKey, Account] = RecentLookups(self._account)
        # What was made of which records, by key id: as long as the records are the same, so is the principal.
        self._of_keys: dict[str, tuple[ApiKey, Account, Principal]] = {}

    async def of_key(self, text: str, keys: ApiKeys, now: float) -> Principal:
        """Gives the principal of a key's text. Raises NotProven, PermissionDenied, StorageUnavailable."""
        key_id = public_id_of(text)
        if key_id is None:
            msg = "what was shown has not the form of a key"
            raise NotProven(msg)
        key = await self._keys.get(key_id, now)
        if not keys.matches(text, None if key is None else key.digest) or key is None:
            msg = "the key is unknown, or its secret is wrong"
            raise NotProven(msg)
        if not key.usable(int(now * MICROSECONDS)):
            msg = f"key {key.id} has expired or was revoked"
            raise NotProven(msg)
        account = await self._accounts.get((key.tenant_id, key.user_id, None), now)
        known = self._of_keys.get(key_id)
        if known is not None and known[0] is key and known[1] is account:
            return known[2]
        principal = _principal(account, key.role, f"key {key.id}", key)
        if account is not None:
            if len(self._of_keys) >= MOST_REMEMBERED:
                self._of_keys.clear()
            self._of_keys[key_id] = (key, account, principal)
        return principal

    async def of_name(self, named: Named, now: float) -> Principal:
        """Gives the principal whom a token or a certificate names.

        Raises NotProven, PermissionDenied, StorageUnavailable.
        """
        account = await self._accounts.get((named.tenant_id, named.user_id, named.provision), now)
        return _principal(account, named.role, named.means)

    async def _account(self, wanted: _AccountKey) -> Account | None:
        tenant_id, user_id, provision = wanted
        if provision is None:
            return await self._directory.account(tenant_id, user_id)
        return await self._directory.ensure_account(tenant_id, user_id, provision)


def _principal(account: Account | None, asked: Role | None, means: str, key: ApiKey | None = None) -> Principal:
    if account is None:
        msg = f"the {means.partition(' ')[0]} names a tenant or a user that is not there"
        raise NotProven(msg)
    tenant, user = account.tenant, account.user
    if account.suspended:
        msg = "the account is suspended"
        raise PermissionDenied(msg)
    return Principal(
        subject=Subject(tenant.id, user.id, "" if key is None else key.id),
        role=user.role if asked is None else _within(asked, user.role),
        name=f"{tenant.id}/{user.id} by {means}",
        policy=tenant.policy,
        tenant_limit=tenant.limit,
        key_limit=UNLIMITED if key is None else key.limit,
        everywhere=tenant.id == SYSTEM_TENANT,
    )


def _within(asked: Role, most: Role) -> Role:
    """Gives the role that a proof asks for, within what the user may: a user who is demoted takes all keys along."""
    if SCOPES_OF_ROLE[asked] <= SCOPES_OF_ROLE[most]:
        return asked
    if SCOPES_OF_ROLE[most] <= SCOPES_OF_ROLE[asked]:
        return most
    msg = f"the credential has the role {asked.value}, which its user no longer has"
    raise PermissionDenied(msg)
