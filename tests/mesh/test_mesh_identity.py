"""Who calls, as Envoy has verified it by a certificate and tells the service behind it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from muxer.v1 import muxer_service_pb2, muxer_service_pb2_grpc

from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.directory import Tenant
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.tenants import TenantTable
from tests.mesh.proxy import envoy
from tests.process.replicas import replica, variables
from tests.rpc.service import spec
from tests.rpc.test_mtls import ADA, EVE, certificate, uri
from tests.rpc.test_tls import Pair, authority
from tests.services import shared
from tests.services.server import Session
from tests.storage.reckoning import read_books
from tests.storage.records import SECOND

NAMES = [{"name": "spiffe://example.org/ns/{tenant}/sa/{user}"}]


def written(folder: Path, name: str, pair: Pair) -> None:
    (folder / f"{name}.crt").write_bytes(pair.certificate)
    (folder / f"{name}.key").write_bytes(pair.key)


@pytest.mark.slow
async def test_a_call_is_of_whom_the_certificate_names_and_not_of_whom_the_caller_says(
    services: Session, tmp_path: Path
) -> None:
    ca = authority()
    ada = certificate(ca, uri(ADA))
    written(tmp_path, "tls", certificate(ca, x509.DNSName("localhost")))
    (tmp_path / "callers-ca.crt").write_bytes(ca.pem)
    url = shared.migrated_sqlite(services, tmp_path / "muxer.db")
    database = Database(url)
    await TenantTable(database).create(Tenant("search"), Actor("test", int(time.time() * SECOND)))
    settings = variables(
        url,
        "http://127.0.0.1:1/v1",
        "plain",
        MUXER_IDENTITY__MODES="mesh",
        MUXER_IDENTITY__MESH__TRUSTED_PROXIES="127.0.0.1",
        MUXER_IDENTITY__MESH__NAMES=json.dumps(NAMES),
        MUXER_IDENTITY__MESH__PROVISION="caller",
    )
    async with (
        replica(tmp_path / "replica", **settings) as running,
        envoy(tmp_path, [running.target, running.target], certificates=tmp_path) as proxy,
        grpc.aio.secure_channel(
            f"localhost:{proxy.target.rpartition(':')[2]}",
            grpc.ssl_channel_credentials(ca.pem, ada.key, ada.certificate),
        ) as channel,
    ):
        request = muxer_service_pb2.CompleteRequest(spec=spec("x", requested_model="sandbox/sandbox-economy"))
        forged = (("x-forwarded-client-cert", f"URI={EVE}"),)
        await muxer_service_pb2_grpc.MuxerServiceStub(channel).Complete(request, metadata=forged, timeout=30)
    [entry] = (await asyncio.to_thread(read_books, database)).entries
    assert (entry["tenant_id"], entry["user_id"]) == ("search", "ada")
    await database.aclose()
