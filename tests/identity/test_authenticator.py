"""Who calls: the life of a key, accounts, several means at once, and refusals that tell nothing."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muxer_grpc.domain.directory import Tenant
from muxer_grpc.domain.refusals import PermissionDenied, StorageUnavailable, Unauthenticated
from muxer_grpc.domain.tenancy import SYSTEM_TENANT, Credentials, RateLimit, Role, Subject, TenantPolicy
from muxer_grpc.identity.authenticator import Authenticator, Means, Mesh
from muxer_grpc.identity.certificates import NameRule, PeerNames
from muxer_grpc.identity.forwarded import TrustedProxies
from muxer_grpc.identity.jwt import TokenRules, Tokens
from tests.identity.issuer import CLAIMS, SECRET, signed
from tests.identity.people import KEYS, SECOND_US, START, TENANT, People, bearer, by_keys, secret_of

START_US = int(START) * SECOND_US
NAMES = [NameRule("spiffe://example.org/ns/{tenant}/sa/{user}")]
ADA = "spiffe://example.org/ns/search/sa/ada"
EVE = "spiffe://example.org/ns/search/sa/eve"
PROXY, STRANGER = "ipv4:10.0.0.1:4711", "ipv4:10.9.9.9:4711"


def by_everything(people: People) -> Authenticator:
    """Makes an authenticator that takes every proof there is."""
    return Authenticator(
        Means(
            keys=KEYS,
            tokens=Tokens(TokenRules(), secret=SECRET),
            certificates=PeerNames(NAMES, means="certificate"),
            mesh=Mesh(TrustedProxies(["10.0.0.1"]), PeerNames(NAMES, means="mesh identity")),
        ),
        people,
    )


async def refused(authenticator: Authenticator, credentials: Credentials, now: float = START) -> str:
    """Asserts that a call proves nothing, and gives what its caller is told."""
    with pytest.raises(Unauthenticated) as raised:
        await authenticator.authenticate(credentials, now)
    assert raised.value.__suppress_context__
    assert not raised.value.metadata
    return raised.value.message


# The life of a key


async def test_a_key_is_taken_in_both_places_and_names_its_user_and_tenant() -> None:
    people = People()
    limit, tenant_limit, policy = RateLimit(10), RateLimit(100), TenantPolicy(denied_models=frozenset({"acme/large"}))
    key = people.add_key(limit=limit)
    people.tenants[TENANT] = Tenant(TENANT, policy=policy, limit=tenant_limit)
    for credentials in (
        bearer(key.text),
        Credentials(authorization=f"bEARER   {key.text}"),
        Credentials(api_key=key.text),
    ):
        principal = await by_keys(people).authenticate(credentials, START)
        assert principal.subject == Subject(TENANT, "ada", key.id)
        assert (principal.role, principal.everywhere) == (Role.CALLER, False)
        assert (principal.policy, principal.tenant_limit, principal.key_limit) == (policy, tenant_limit, limit)
        assert principal.name == f"search/ada by key {key.id}"


async def test_a_key_opens_nothing_from_the_moment_on_at_which_it_expires() -> None:
    people = People()
    key = people.add_key(expires_us=START_US + SECOND_US)
    authenticator = by_keys(people)
    await authenticator.authenticate(bearer(key.text), START + 0.999)
    await refused(authenticator, bearer(key.text), START + 1)


async def test_a_revoked_key_opens_nothing_within_two_seconds_though_it_was_just_used() -> None:
    people = People()
    key = people.add_key()
    authenticator = by_keys(people)
    await authenticator.authenticate(bearer(key.text), START)
    people.change_key(key.id, revoked_us=START_US)
    await authenticator.authenticate(bearer(key.text), START + 1.99)
    await refused(authenticator, bearer(key.text), START + 2)


async def test_after_a_rotation_both_keys_open_the_same_until_the_overlap_is_over() -> None:
    people = People()
    old = people.add_key()
    new = people.add_key(rotated_from=old.id)
    people.change_key(old.id, revoked_us=START_US + 60 * SECOND_US)
    authenticator = by_keys(people)
    for key in (old, new):
        assert (await authenticator.authenticate(bearer(key.text), START + 59)).subject.user_id == "ada"
    await refused(authenticator, bearer(old.text), START + 60)
    await authenticator.authenticate(bearer(new.text), START + 60)


async def test_a_key_that_was_just_made_is_known_within_half_a_second_of_being_refused() -> None:
    people = People()
    fresh = people.add_key()
    record = people.keys.pop(fresh.id)
    authenticator = by_keys(people)
    await refused(authenticator, bearer(fresh.text))
    people.keys[fresh.id] = record
    await authenticator.authenticate(bearer(fresh.text), START + 0.5)


async def test_a_key_in_use_is_looked_up_once_in_two_seconds() -> None:
    people = People()
    key = people.add_key()
    authenticator = by_keys(people)
    for step in range(200):
        await authenticator.authenticate(bearer(key.text), START + step / 50)
    assert people.asked == [f"key {key.id}", "account search/ada"] * 2


# What callers are told


async def test_whatever_is_wrong_with_a_credential_callers_are_told_the_same() -> None:
    people = People()
    key, other = people.add_key(), people.add_key("bob")
    expired, revoked = people.add_key(expires_us=START_US), people.add_key(revoked_us=START_US)
    orphan = people.add_key("gone")
    del people.users[TENANT, "gone"]
    everything = by_everything(people)
    wrong = [
        Credentials(),
        bearer(KEYS.make().text),
        bearer(f"{key.prefix}_{secret_of(other)}"),
        bearer(key.text[:-1]),
        bearer(expired.text),
        bearer(revoked.text),
        bearer(orphan.text),
        bearer(signed(CLAIMS | {"exp": START - 100})),
        bearer(signed(CLAIMS | {"sub": "nobody"})),
        bearer(signed(CLAIMS | {"tenant": "nowhere"})),
        bearer(signed(CLAIMS, b"x" * 32)),
        bearer("garbage"),
        bearer("a" * 1_000_000),
        bearer(f"{key.text} {key.text}"),
        Credentials(authorization=key.text),
        Credentials(authorization="Bearer"),
        Credentials(authorization="Bearer  "),
        Credentials(authorization=f"Basic {key.text}"),
        Credentials(authorization=f"Bearer\t{key.text}"),
        Credentials(api_key=f"Bearer {key.text}"),
        Credentials(api_key=signed(CLAIMS)),
        Credentials(authorization=f"Bearer {key.text}", api_key=key.text),
        Credentials(certificate_names=("unknown.example",), peer=STRANGER),
        Credentials(forwarded=f"URI={ADA}", peer=STRANGER),
        Credentials(forwarded="garbage", peer=PROXY),
        Credentials(peer=PROXY),
    ]
    expected = (
        "the call does not prove who makes it; what counts is: an API key or a JWT in authorization: Bearer; "
        "an API key in x-api-key; a client certificate; the identity that the mesh has verified"
    )
    for credentials in wrong:
        assert await refused(everything, credentials) == expected


async def test_an_unknown_key_and_a_wrong_secret_cost_the_same_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    people = People()
    key = people.add_key()
    compared: list[object] = []
    matches = KEYS.matches
    monkeypatch.setattr(type(KEYS), "matches", lambda _self, *given: compared.append(given) or matches(*given))
    authenticator = by_keys(people)
    await refused(authenticator, bearer(KEYS.make().text))
    await refused(authenticator, bearer(f"{key.prefix}_{'s' * 43}"))
    assert [question.split()[0] for question in people.asked] == ["key", "key"]
    assert len(compared) == 2


async def test_malformed_keys_are_refused_without_a_look_up() -> None:
    people = People()
    for text in ("mux_", "mux_" + "a" * 1_000_000, f"mux_abcdefghijkl_{'é' * 43}", "mux_abcdefghijkl_short"):
        await refused(by_keys(people), bearer(text))
        await refused(by_keys(people), Credentials(api_key=text))
    assert people.asked == []


async def test_without_the_directory_nobody_is_refused_for_good() -> None:
    people = People(down=True)
    key = KEYS.make()
    with pytest.raises(StorageUnavailable):
        await by_keys(people).authenticate(bearer(key.text), START)


# Accounts and roles


@pytest.mark.parametrize("what", ["user", "tenant"])
async def test_a_suspended_account_is_denied_within_two_seconds_and_told_so(what: str) -> None:
    people = People()
    key = people.add_key()
    everything = by_everything(people)
    proofs = [
        bearer(key.text),
        bearer(signed(CLAIMS)),
        Credentials(certificate_names=(ADA,), peer=STRANGER),
        Credentials(forwarded=f"URI={ADA}", peer=PROXY),
    ]
    for credentials in proofs:
        await everything.authenticate(credentials, START)
    if what == "user":
        people.suspend_user("ada")
    else:
        people.suspend_tenant()
    for credentials in proofs:
        with pytest.raises(PermissionDenied, match="suspended"):
            await everything.authenticate(credentials, START + 2)
    await refused(everything, bearer(f"{key.prefix}_{'s' * 43}"), START + 2)


@pytest.mark.parametrize(
    ("asked", "of_user", "effective"),
    [
        (Role.CALLER, Role.CALLER, Role.CALLER),
        (Role.VIEWER, Role.VIEWER, Role.VIEWER),
        (Role.ADMIN, Role.ADMIN, Role.ADMIN),
        (Role.CALLER, Role.ADMIN, Role.CALLER),
        (Role.VIEWER, Role.ADMIN, Role.VIEWER),
        (Role.ADMIN, Role.CALLER, Role.CALLER),
        (Role.ADMIN, Role.VIEWER, Role.VIEWER),
        (Role.CALLER, Role.VIEWER, None),
        (Role.VIEWER, Role.CALLER, None),
    ],
)
async def test_a_credential_never_gives_more_than_its_user_has(
    asked: Role, of_user: Role, effective: Role | None
) -> None:
    people = People()
    people.add_user("ada", of_user)
    key = people.add_key("ada", asked)
    for credentials in (bearer(key.text), bearer(signed(CLAIMS | {"role": asked.value}))):
        if effective is None:
            with pytest.raises(PermissionDenied, match="no longer has"):
                await by_everything(people).authenticate(credentials, START)
        else:
            assert (await by_everything(people).authenticate(credentials, START)).role is effective


async def test_only_the_tenant_above_all_acts_everywhere() -> None:
    people = People()
    above, other = people.add_key("root", Role.ADMIN, SYSTEM_TENANT), people.add_key("ada", Role.ADMIN)
    assert (await by_keys(people).authenticate(bearer(above.text), START)).everywhere
    assert not (await by_keys(people).authenticate(bearer(other.text), START)).everywhere


async def test_users_of_tokens_and_certificates_are_made_where_the_operator_wants_it() -> None:
    people = People(tenants={TENANT: Tenant(TENANT)})
    authenticator = Authenticator(
        Means(
            tokens=Tokens(TokenRules(provision=Role.CALLER), secret=SECRET),
            certificates=PeerNames(NAMES, means="certificate", provision=Role.CALLER),
        ),
        people,
    )
    for _ in range(3):
        principal = await authenticator.authenticate(bearer(signed(CLAIMS)), START)
        assert (principal.role, principal.name) == (Role.CALLER, "search/ada by token")
        await authenticator.authenticate(Credentials(certificate_names=(EVE,)), START)
    assert people.made == ["search/ada as caller", "search/eve as caller"]
    await refused(authenticator, bearer(signed(CLAIMS | {"tenant": "nowhere"})))
    assert people.made == ["search/ada as caller", "search/eve as caller"]


# Several means at once


async def test_what_stands_in_the_metadata_counts_before_the_connection() -> None:
    people = People()
    key = people.add_key("ada")
    people.add_user("eve")
    everything = by_everything(people)
    for peer, forwarded in ((STRANGER, ""), (PROXY, f"URI={EVE}")):
        credentials = Credentials(f"Bearer {key.text}", certificate_names=(EVE,), forwarded=forwarded, peer=peer)
        assert (await everything.authenticate(credentials, START)).subject.user_id == "ada"
        wrong = replace(credentials, authorization=f"Bearer {key.prefix}_{'s' * 43}")
        await refused(everything, wrong)


async def test_a_trusted_proxy_speaks_for_others_and_never_for_itself() -> None:
    people = People()
    people.add_user("ada")
    people.add_user("eve")
    everything = by_everything(people)
    through = Credentials(certificate_names=(EVE,), forwarded=f"URI={EVE},Hash=1;URI={ADA}", peer=PROXY)
    assert (await everything.authenticate(through, START)).name == "search/ada by mesh identity"
    for forwarded in ("", "Hash=1", f"URI={ADA};URI={EVE}"):
        await refused(everything, replace(through, forwarded=forwarded))


async def test_the_word_of_a_peer_that_is_not_trusted_refuses_the_call_whatever_its_certificate() -> None:
    people = People()
    people.add_user("ada")
    people.add_user("eve")
    credentials = Credentials(certificate_names=(EVE,), forwarded=f"URI={ADA}", peer=STRANGER)
    await refused(by_everything(people), credentials)
    own = replace(credentials, forwarded="")
    assert (await by_everything(people).authenticate(own, START)).subject.user_id == "eve"


async def test_where_no_mesh_is_configured_its_header_is_nobodys_word() -> None:
    people = People()
    people.add_user("ada")
    authenticator = Authenticator(Means(keys=KEYS), people)
    await refused(authenticator, Credentials(forwarded=f"URI={ADA}", peer="ipv4:127.0.0.1:1"))


async def test_a_credential_of_a_kind_that_does_not_count_is_refused_and_not_overlooked() -> None:
    people = People()
    key = people.add_key()
    certificates = Authenticator(Means(certificates=PeerNames(NAMES, means="certificate")), people)
    proven = Credentials(certificate_names=(ADA,))
    await certificates.authenticate(proven, START)
    for credentials in (
        replace(proven, authorization=f"Bearer {key.text}"),
        replace(proven, authorization=f"Bearer {signed(CLAIMS)}"),
        replace(proven, api_key=key.text),
    ):
        await refused(certificates, credentials)
    tokens = Authenticator(Means(tokens=Tokens(TokenRules(), secret=SECRET)), people)
    await refused(tokens, bearer(key.text))
    await refused(by_keys(people), bearer(signed(CLAIMS)))


# Fuzz and secrecy

SOME_KEY = KEYS.make().text
FRAGMENTS = st.sampled_from(
    ["Bearer ", "bearer", "Basic ", "mux_", "_", ".", "eyJhbGciOiJub25lIn0", SOME_KEY, signed(CLAIMS), " ", ",", "\t",
     "-", "URI=", ADA, ";", '"', "\\", "%", "\x00", "é", "💥"]
)  # fmt: skip
VALUES = st.lists(FRAGMENTS | st.text(max_size=20), max_size=8).map("".join)
CREDENTIALS = st.builds(
    Credentials,
    authorization=VALUES,
    api_key=st.just("") | VALUES,
    certificate_names=st.lists(VALUES, max_size=3).map(tuple),
    forwarded=VALUES,
    peer=st.sampled_from([PROXY, STRANGER, "unix:", ""]) | st.text(max_size=20),
)


@settings(max_examples=500, deadline=None)
@given(CREDENTIALS)
async def test_any_credentials_are_refused_in_one_of_two_ways_and_with_little_work(credentials: Credentials) -> None:
    people = People()
    with pytest.raises((Unauthenticated, PermissionDenied)):
        await by_everything(people).authenticate(credentials, START)
    assert len(people.asked) <= 2


async def test_no_secret_stands_in_a_log_line_an_error_or_a_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    people = People()
    key, token = people.add_key(), signed(CLAIMS)
    secrets = [key.text, secret_of(key), token, token.rpartition(".")[2], SECRET.decode()]
    everything = by_everything(people)
    shown = [repr(everything), repr(await everything.authenticate(bearer(key.text), START))]
    for text in (key.text + "x", token + "x", f"{token}.{token}"):
        for credentials in (bearer(text), Credentials(api_key=text), Credentials(forwarded=text, peer=PROXY)):
            shown += [await refused(everything, credentials), repr(credentials)]
    shown += [repr(key), repr(people.keys[key.id])]
    assert caplog.records
    for secret in secrets:
        assert secret not in caplog.text
        assert not any(secret in text for text in shown)
