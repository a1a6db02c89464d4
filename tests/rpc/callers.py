"""Callers of a service that asks who they are."""

from __future__ import annotations

import grpc.aio
import pytest
from muxer.v1 import muxer_service_pb2

from muxer_grpc.domain.ports import RateLimiter
from muxer_grpc.identity.authenticator import Authenticator, Means, Mesh
from muxer_grpc.identity.certificates import NameRule, PeerNames
from muxer_grpc.identity.forwarded import TrustedProxies
from muxer_grpc.identity.jwt import TokenRules, Tokens
from muxer_grpc.rpc.gates import Guards
from tests.identity.issuer import SECRET
from tests.identity.people import KEYS, START, People
from tests.rpc.service import Service, Told, spec, told

ROUTE = "/muxer.v1.MuxerService/Route"
ADA = "spiffe://example.org/ns/search/sa/ada"
NAMES = [NameRule("spiffe://example.org/ns/{tenant}/sa/{user}")]


def by_key_token_and_mesh(people: People, *proxies: str) -> Authenticator:
    mesh = Mesh(TrustedProxies(proxies), PeerNames(NAMES, means="mesh identity"))
    return Authenticator(Means(keys=KEYS, tokens=Tokens(TokenRules(), secret=SECRET), mesh=mesh), people)


def guarded(identity: Authenticator, limiter: RateLimiter | None = None) -> Guards:
    return Guards(identity, limiter, now=lambda: START)


async def route(service: Service, *metadata: tuple[str, str], timeout: float = 10.0) -> None:
    await service.stub.Route(muxer_service_pb2.RouteRequest(spec=spec()), metadata=metadata, timeout=timeout)


async def refusal(service: Service, *metadata: tuple[str, str], timeout: float = 10.0) -> Told:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await route(service, *metadata, timeout=timeout)
    return told(raised.value)
