"""Identity by client certificates, made for the test and verified by gRPC."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from muxer.v1 import muxer_service_pb2, muxer_service_pb2_grpc

from muxer_grpc.identity.authenticator import Authenticator, Means, Mesh
from muxer_grpc.identity.certificates import NameRule, PeerNames
from muxer_grpc.identity.forwarded import TrustedProxies
from muxer_grpc.rpc.gates import Guards
from tests.identity.people import KEYS, START, People
from tests.rpc.service import Service, running, spec, told
from tests.rpc.test_tls import Authority, Pair, _builder, authority, files

ADA, EVE = (f"spiffe://example.org/ns/search/sa/{user}" for user in ("ada", "eve"))
NAMES = [NameRule("spiffe://example.org/ns/{tenant}/sa/{user}"), NameRule("{user}.{tenant}.svc.example.org")]


def certificate(ca: Authority, *names: x509.GeneralName, common_name: str = "caller") -> Pair:
    """Makes a client's certificate with these alternative names."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(common_name, key.public_key(), ca.certificate.subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(ca.key, hashes.SHA256())
    pem_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(signed.public_bytes(serialization.Encoding.PEM), pem_key, signed.serial_number)


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def people() -> People:
    found = People()
    found.add_user("ada")
    found.add_user("eve")
    return found


def guarded(known: People, *proxies: str) -> Guards:
    """Takes keys and certificates, and, where there are proxies, their word."""
    mesh = Mesh(TrustedProxies(proxies), PeerNames(NAMES, means="mesh identity")) if proxies else None
    means = Means(keys=KEYS, certificates=PeerNames(NAMES, means="certificate"), mesh=mesh)
    return Guards(Authenticator(means, known), reads_certificates=True, now=lambda: START)


async def refused_as(service: Service, ca: Authority, client: Pair, *metadata: tuple[str, str]) -> str:
    """Calls with a certificate and metadata; gives the reason of the refusal, or nothing."""
    credentials = grpc.ssl_channel_credentials(ca.pem, client.key, client.certificate)
    target = f"localhost:{service.data.addresses[0].rpartition(':')[2]}"
    async with grpc.aio.secure_channel(target, credentials, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
        try:
            await stub.Route(muxer_service_pb2.RouteRequest(spec=spec()), metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return told(error).reason
    return ""


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([uri(ADA)], ""),
        ([x509.DNSName("ada.search.svc.example.org")], ""),
        ([x509.DNSName("elsewhere.example"), x509.IPAddress(ipaddress.ip_address("10.0.0.1")), uri(ADA)], ""),
        ([uri(ADA), x509.DNSName("ada.search.svc.example.org")], ""),
        ([uri("spiffe://example.org/ns/search/sa/nobody")], "UNAUTHENTICATED"),
        ([uri("spiffe://elsewhere.org/ns/search/sa/ada")], "UNAUTHENTICATED"),
        ([uri(ADA), uri(EVE)], "UNAUTHENTICATED"),
        ([x509.RFC822Name("ada@search.svc.example.org")], "UNAUTHENTICATED"),
        # A host name in the place of a URI, and a URI in the place of a host name, are neither.
        ([x509.DNSName(ADA)], "UNAUTHENTICATED"),
        ([uri("ada.search.svc.example.org")], "UNAUTHENTICATED"),
        ([x509.DNSName("*.search.svc.example.org")], "UNAUTHENTICATED"),
        ([], "UNAUTHENTICATED"),
    ],
    ids=str,
)
async def test_the_names_in_a_verified_certificate_say_who_calls(
    tmp_path: Path, names: list[x509.GeneralName], reason: str
) -> None:
    ca = authority()
    tls = files(tmp_path, ca.signed("server"), ca.pem, require=True)
    async with running(options={"tls": tls}, guards=guarded(people())) as service:
        assert await refused_as(service, ca, certificate(ca, *names)) == reason


async def test_the_common_name_says_nothing(tmp_path: Path) -> None:
    ca = authority()
    tls = files(tmp_path, ca.signed("server"), ca.pem, require=True)
    async with running(options={"tls": tls}, guards=guarded(people())) as service:
        for name in ("ada.search.svc.example.org", ADA[:64]):
            assert await refused_as(service, ca, certificate(ca, common_name=name)) == "UNAUTHENTICATED"


async def test_a_key_counts_before_the_certificate_that_came_with_it(tmp_path: Path) -> None:
    ca, known = authority(), people()
    key = known.add_key("eve")
    tls = files(tmp_path, ca.signed("server"), ca.pem, require=True)
    async with running(options={"tls": tls}, guards=guarded(known)) as service:
        client = certificate(ca, uri(ADA))
        assert await refused_as(service, ca, client, ("x-api-key", key.text)) == ""
        assert f"key {key.id}" in known.asked
        assert await refused_as(service, ca, client, ("x-api-key", "wrong")) == "UNAUTHENTICATED"


async def test_a_word_about_another_is_not_believed_of_a_peer_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    ca = authority()
    tls = files(tmp_path, ca.signed("server"), ca.pem, require=True)
    word = ("x-forwarded-client-cert", f"URI={ADA}")
    async with running(options={"tls": tls}, guards=guarded(people(), "10.0.0.0/8")) as service:
        client = certificate(ca, uri(EVE))
        assert await refused_as(service, ca, client) == ""
        assert await refused_as(service, ca, client, word) == "UNAUTHENTICATED"


async def test_a_trusted_proxy_speaks_for_its_caller_and_its_own_certificate_opens_nothing(tmp_path: Path) -> None:
    ca, known = authority(), people()
    tls = files(tmp_path, ca.signed("server"), ca.pem, require=True)
    async with running(options={"tls": tls}, guards=guarded(known, "127.0.0.1", "::1")) as service:
        proxy = certificate(ca, uri(EVE))
        assert await refused_as(service, ca, proxy, ("x-forwarded-client-cert", f"Hash=1;URI={ADA}")) == ""
        assert known.asked == ["account search/ada"]
        assert await refused_as(service, ca, proxy) == "UNAUTHENTICATED"


async def test_over_a_line_without_tls_there_is_no_certificate(tmp_path: Path) -> None:
    ca, known = authority(), people()
    address = f"unix:{tmp_path}/muxer.sock"
    tls = files(tmp_path, ca.signed("server"), ca.pem, require=True)
    async with running(options={"tls": tls, "addresses": (address,)}, guards=guarded(known)) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()))
    assert told(raised.value).reason == "UNAUTHENTICATED"


async def test_the_unix_socket_can_be_a_trusted_proxys(tmp_path: Path) -> None:
    known = people()
    address = f"unix:{tmp_path}/muxer.sock"
    word = (("x-forwarded-client-cert", f"URI={ADA}"),)
    async with running(options={"addresses": (address,)}, guards=guarded(known, "unix")) as service:
        await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()), metadata=word)
    assert known.asked == ["account search/ada"]
