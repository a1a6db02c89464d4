"""The same request gets the same decision, byte for byte: in other processes, after a restart, in another order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc.aio
from muxer.v1 import (
    catalogue_service_pb2,
    catalogue_service_pb2_grpc,
    chat_pb2,
    muxer_service_pb2,
    routing_pb2,
)

from tests.process.running import Process, muxer
from tests.rpc.mixed_specs import STRATEGIES, Fleet, mixed_specs

SPECS = 20
# Keys that open nothing: they make the vendors' models eligible, and Route calls nobody.
KEYS = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MISTRAL_API_KEY", "XAI_API_KEY"), "not-a-key")


async def fleet_of(service: Process) -> Fleet:
    """Asks for the names of all models that are not simulated."""
    async with grpc.aio.insecure_channel(service.admin_target) as channel:
        stub = catalogue_service_pb2_grpc.CatalogueServiceStub(channel)
        reply = await stub.ListModels(catalogue_service_pb2.ListModelsRequest(page_size=1_000), timeout=10)
    return Fleet([m.name for m in reply.models if not m.simulated], sorted({m.provider for m in reply.models}))


async def decisions(service: Process, specs: Sequence[chat_pb2.CompletionSpec]) -> list[bytes]:
    """Gives what Route replies to each spec as it came over the wire, but for the id and the time."""
    found = []
    async with grpc.aio.insecure_channel(service.target) as channel:
        ask = channel.unary_unary("/muxer.v1.MuxerService/Route")
        for spec in specs:
            request = muxer_service_pb2.RouteRequest(spec=spec).SerializeToString()
            try:
                found.append(timeless(await ask(request, timeout=10)))
            except grpc.aio.AioRpcError as error:
                found.append(f"{error.code()} {error.details()}".encode())
    return found


def timeless(reply: bytes) -> bytes:
    """Cuts the id and the time out of a reply's decision, and leaves every other byte of it as it came."""
    decision = muxer_service_pb2.RouteResponse.FromString(reply).decision
    varying = routing_pb2.RouteDecision(decision_id=decision.decision_id, create_time=decision.create_time)
    before, written, after = reply.partition(varying.SerializeToString())
    # What stands before is the tag of the decision and its length, in which the time's length counts.
    assert written
    assert len(before) <= 5
    return after


async def test_decisions_are_the_same_bytes_in_every_process_and_after_a_restart(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    async with (
        muxer(folders[0], PYTHONHASHSEED="1", **KEYS) as one,
        muxer(folders[1], PYTHONHASHSEED="4242", **KEYS) as other,
    ):
        fleet = await fleet_of(one)
        specs = [spec for strategy in STRATEGIES for spec in mixed_specs(strategy, SPECS, fleet)]
        told = await decisions(one, specs)
        assert await decisions(other, specs) == told
        # What is kept of earlier requests changes nothing.
        assert await decisions(one, specs[::-1]) == told[::-1]
        assert await one.stopped() == 0
    async with muxer(folders[0], PYTHONHASHSEED="99", **KEYS) as restarted:
        assert await decisions(restarted, specs[::-1]) == told[::-1]
    decided = [routing for routing in told if not routing.startswith(b"StatusCode")]
    assert len(decided) > len(specs) * 0.7
    assert len(set(decided)) > len(decided) * 0.8
    assert len({routing_pb2.RouteDecision.FromString(each).selected_model for each in decided}) >= 8
