"""`x-forwarded-client-cert`: the last element is read, strictly, and only trusted peers are believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.identity.forwarded import MAX_LENGTH, TrustedProxies, checked_proxy, forwarded_names
from muxer_grpc.identity.proof import NotProven

ADA, EVE = "spiffe://example.org/ns/search/sa/ada", "spiffe://example.org/ns/search/sa/eve"


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (f"By=spiffe://example.org/muxer;Hash=0a1b;URI={ADA}", (ADA,)),
        (f'By=spiffe://x/y;Hash=00;Subject="/C=US/O=a\\, b/CN=\\"q\\"";URI={ADA};DNS=a.example;DNS=b.example',
         (ADA, "a.example", "b.example")),
        (f"Hash=1;URI={EVE},Hash=2;URI={ADA}", (ADA,)),
        (f"Hash=1;URI={EVE} , Hash=2; URI={ADA}", (ADA,)),
        (f"URI={EVE},Hash=2;Subject=\"\";URI=", ()),
        (f"uri={ADA}", (ADA,)),
        (f'URI="{ADA}"', (ADA,)),
        (f'Subject="x,URI={EVE};URI={EVE}";URI={ADA}', (ADA,)),
        ('Cert="-----BEGIN%20CERTIFICATE-----";Chain="a";Subject=""', ()),
        (f"Newer=1;URI={ADA}", (ADA,)),
    ],
)  # fmt: skip
def test_the_names_of_the_last_element_are_read(header: str, names: tuple[str, ...]) -> None:
    assert forwarded_names(header) == names


@pytest.mark.parametrize(
    "header",
    [
        "",
        "-",
        "URI",
        ";",
        ",",
        f"URI={ADA},",
        f"URI={ADA};",
        f",URI={ADA}",
        f"URI={ADA};;Hash=1",
        f'Subject="x;URI={ADA}',
        f'Subject="x"y;URI={ADA}',
        f'Subject=x"y";URI={ADA}',
        f"URI={ADA}\\",
        f"URI={ADA}\n",
        f"URI={ADA}é",
        f"U R I={ADA}",
        f"=x;URI={ADA}",
        "URI=" + "x" * MAX_LENGTH,
        '"' * MAX_LENGTH,
        'a="' + "\\" * 10_001,
    ],
    ids=lambda header: header[:50],
)
def test_what_is_malformed_is_refused_as_a_whole(header: str) -> None:
    with pytest.raises(NotProven):
        forwarded_names(header)


PIECES = st.lists(
    st.sampled_from(["URI=", "DNS=", "By=", "Subject=", '"', '\\"', "\\", ",", ";", "=", ADA, " ", "é", "\x00"])
    | st.text(max_size=5),
    max_size=30,
)


@given(PIECES)
def test_any_header_gives_names_or_is_refused(pieces: list[str]) -> None:
    header = "".join(pieces)
    try:
        names = forwarded_names(header)
    except NotProven:
        return
    assert all(name.isascii() for name in names)
    assert forwarded_names(f"URI={EVE},{header}") == names


def test_peers_are_trusted_by_address_network_and_socket() -> None:
    proxies = TrustedProxies(["10.1.0.0/16", "127.0.0.6", "::1", "fd00::/8", "unix"])
    for peer in ("ipv4:10.1.2.3:5", "ipv4:127.0.0.6:80", "ipv6:%5B::1%5D:5", "ipv6:[fd00::7]:5", "unix:", "unix:/a"):
        assert proxies.trusts(peer), peer
    assert proxies.trusts("ipv6:%5B::ffff:10.1.2.3%5D:5")


@pytest.mark.parametrize(
    "peer",
    [
        "",
        "ipv4:10.2.0.1:5",
        "ipv4:127.0.0.1:5",
        "ipv4:",
        "ipv4:10.1.2.3",
        "ipv4:unix:5",
        "ipv6:%5B::2%5D:5",
        "ipv6:%5B::ffff:10.2.0.1%5D:5",
        "ipv6:10.1.2.3.evil:5",
        "vsock:1:2",
        "unknown",
        "unix-abstract:x",
        "10.1.2.3:5",
    ],
)
def test_other_peers_are_not_trusted(peer: str) -> None:
    assert not TrustedProxies(["10.1.0.0/16", "unix"]).trusts(peer)


def test_the_unix_socket_is_not_trusted_unless_it_is_named() -> None:
    assert not TrustedProxies(["10.0.0.0/8"]).trusts("unix:")
    assert not TrustedProxies([]).trusts("unix:")


@pytest.mark.parametrize("proxy", ["", "proxy.example", "10.0.0.1/8", "10.0.0.0/33", "*", "unix:/a"])
def test_what_is_no_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ValueError, match="a trusted proxy is"):
        checked_proxy(proxy)
