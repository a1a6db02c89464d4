"""TLS and mTLS: certificates are read again when they change, and a broken renewal keeps the old ones."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from muxer.v1 import muxer_service_pb2, muxer_service_pb2_grpc

from muxer_grpc.rpc.tls import TlsFiles
from tests.rpc.service import running, spec


@dataclass
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes
    serial: int


@dataclass
class Authority:
    """An authority that signs certificates for localhost."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def signed(self, name: str) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _builder(name, key.public_key(), self.certificate.subject)
        certificate = certificate.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        signed = certificate.sign(self.key, hashes.SHA256())
        pem_key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(signed.public_bytes(serialization.Encoding.PEM), pem_key, signed.serial_number)


def _builder(name: str, key: ec.EllipticCurvePublicKey, issuer: x509.Name | None) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def authority(name: str = "test authority") -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key.public_key(), None)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def files(folder: Path, pair: Pair, client_ca: bytes | None = None, *, require: bool = False) -> TlsFiles:
    (folder / "server.pem").write_bytes(pair.certificate)
    (folder / "server.key").write_bytes(pair.key)
    if client_ca is not None:
        (folder / "ca.pem").write_bytes(client_ca)
    return TlsFiles(
        folder / "server.pem",
        folder / "server.key",
        None if client_ca is None else folder / "ca.pem",
        require_client=require,
        reload_seconds=0,
    )


async def route(port: str, root: bytes, client: Pair | None = None) -> str:
    """Calls over TLS with a fresh connection."""
    pair = (None, None) if client is None else (client.key, client.certificate)
    credentials = grpc.ssl_channel_credentials(root, *pair)
    target = f"localhost:{port}"
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
        stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
        reply = await stub.Route(muxer_service_pb2.RouteRequest(spec=spec()), timeout=5)
        return reply.decision.selected_model


async def test_a_call_over_tls_is_served(tmp_path: Path) -> None:
    ca = authority()
    async with running(options={"tls": files(tmp_path, ca.signed("server"))}) as service:
        assert await route(service.data.addresses[0].rpartition(":")[2], ca.pem) == "acme/middle"


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    old, new = authority("old"), authority("new")
    async with running(options={"tls": files(tmp_path, old.signed("server"))}) as service:
        port = service.data.addresses[0].rpartition(":")[2]
        await route(port, old.pem)
        files(tmp_path, new.signed("server"))
        assert await route(port, new.pem) == "acme/middle"
        with pytest.raises(grpc.aio.AioRpcError):
            await route(port, old.pem)


async def test_a_renewal_that_cannot_be_read_keeps_the_old_certificate(tmp_path: Path) -> None:
    ca = authority()
    async with running(options={"tls": files(tmp_path, ca.signed("server"))}) as service:
        port = service.data.addresses[0].rpartition(":")[2]
        (tmp_path / "server.key").unlink()
        assert await route(port, ca.pem) == "acme/middle"


async def test_mtls_takes_a_trusted_caller_and_no_other(tmp_path: Path) -> None:
    ca, stranger = authority(), authority("stranger")
    tls = files(tmp_path, ca.signed("server"), ca.pem, require=True)
    async with running(options={"tls": tls}) as service:
        port = service.data.addresses[0].rpartition(":")[2]
        assert await route(port, ca.pem, ca.signed("caller")) == "acme/middle"
        for client in (None, stranger.signed("caller")):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await route(port, ca.pem, client)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
