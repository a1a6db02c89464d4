"""Whom the names in certificates stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.tenancy import SYSTEM_TENANT, Role
from muxer_grpc.identity.certificates import MAX_NAMES, NameRule, PeerNames, compiled
from muxer_grpc.identity.proof import Named, NotProven

SPIFFE = "spiffe://example.org/ns/{tenant}/sa/{user}"
TABLE = PeerNames(
    [
        NameRule("spiffe://example.org/ops/root", SYSTEM_TENANT, "root", Role.ADMIN),
        NameRule(SPIFFE),
        NameRule("{user}.{tenant}.svc.example.org", role=Role.CALLER),
        NameRule("batch.example.org", "research", "batch"),
    ],
    means="certificate",
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spiffe://example.org/ns/search/sa/indexer", Named("search", "indexer", "certificate")),
        ("spiffe://example.org/ns/search/sa/in_dex-er.2", Named("search", "in_dex-er.2", "certificate")),
        ("spiffe://example.org/ops/root", Named(SYSTEM_TENANT, "root", "certificate", Role.ADMIN)),
        ("indexer.search.svc.example.org", Named("search", "indexer", "certificate", Role.CALLER)),
        ("Indexer.SEARCH.svc.Example.org", Named("search", "indexer", "certificate", Role.CALLER)),
        ("batch.example.org", Named("research", "batch", "certificate")),
    ],
)
def test_a_name_stands_for_whom_the_first_fitting_row_names(name: str, expected: Named) -> None:
    assert TABLE.named([name]) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "spiffe://example.org/ns/search",
        "spiffe://example.org/ns/search/sa/",
        "spiffe://example.org/ns/search/sa/a/b",
        "spiffe://example.org/ns/search/../sa/a/b",
        "spiffe://example.org/ns//sa/a",
        "spiffe://example.org.evil/ns/search/sa/indexer",
        "spiffe://evil/spiffe://example.org/ns/search/sa/indexer",
        "spiffe://exampleXorg/ns/search/sa/indexer",
        "spiffe://example.org/ns/search/sa/indexer\n",
        "spiffe://example.org/ns/search/sa/indexer?x=1",
        "spiffe://example.org/ns/search/sa/%69ndexer",
        f"spiffe://example.org/ns/{SYSTEM_TENANT}/sa/indexer",
        f"root.{SYSTEM_TENANT}.svc.example.org",
        "a.b.c.svc.example.org",
        "*.search.svc.example.org",
        "batch.example.org.",
        "xbatch.example.org",
        "spiffe://example.org/ns/search/sa/" + "x" * 65,
        "spiffe://example.org/ns/search/sa/" + "x" * 100_000,
    ],
    ids=lambda name: name[:60],
)
def test_a_name_that_fits_no_row_as_a_whole_stands_for_nobody(name: str) -> None:
    with pytest.raises(NotProven, match=r"nobody|cannot be an id"):
        TABLE.named([name])


def test_of_several_names_one_that_is_known_is_enough_and_two_that_differ_are_refused() -> None:
    known, other = "spiffe://example.org/ns/search/sa/indexer", "spiffe://example.org/ns/search/sa/other"
    assert TABLE.named(["unknown.example", known, known]).user_id == "indexer"
    with pytest.raises(NotProven, match="several"):
        TABLE.named([known, other])
    with pytest.raises(NotProven, match="nobody"):
        TABLE.named([])
    with pytest.raises(NotProven):
        TABLE.named([known] * (MAX_NAMES + 1))


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (NameRule("spiffe://x/{tenant}", user_id=""), "its user by"),
        (NameRule("spiffe://x/{tenant}/{user}", user_id="ada"), "its user by"),
        (NameRule("spiffe://x/{user}"), "its tenant by"),
        (NameRule("spiffe://x/{tenant}/{user}", tenant_id="search"), "its tenant by"),
        (NameRule("spiffe://x/{tenant}/{tenant}/{user}"), "once each"),
        (NameRule("spiffe://x/{tenant}-{user}"), "must be a /"),
        (NameRule("{tenant}-{user}.example"), "must be a ."),
        (NameRule("spiffe://x/sa-{user}/{tenant}"), "each fill"),
        (NameRule("x{user}.{tenant}.example"), "each fill"),
        (NameRule("spiffe://x/{team}/{user}", tenant_id="search"), "no braces"),
        (NameRule(""), "its tenant by"),
    ],
)
def test_a_row_that_says_too_little_or_could_be_read_in_two_ways_is_refused(rule: NameRule, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compiled(rule)


@given(st.lists(st.text(max_size=80) | st.from_regex(r"spiffe://example\.org/ns/[^/]*/sa/.*"), max_size=5))
def test_any_names_stand_for_one_or_are_refused(names: list[str]) -> None:
    try:
        named = TABLE.named(names)
    except NotProven:
        return
    assert named.tenant_id != SYSTEM_TENANT or "spiffe://example.org/ops/root" in names
