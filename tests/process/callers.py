"""Callers of replicas, who note what they saw; and what the fake provider and the ledger say of the same calls.

Each call has a name of its own, which is its request id and stands in its prompt: so it can be found everywhere.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from muxer.v1 import chat_pb2, completion_pb2, muxer_service_pb2, muxer_service_pb2_grpc

from tests.fakes.provider import FakeProvider
from tests.rpc.service import spec
from tests.storage.reckoning import Books, Row

_NAME = re.compile(rb"call-\d+")
_numbers = count()

COMPLETE = completion_pb2.OUTCOME_COMPLETE


@dataclass
class Seen:
    """What callers saw: whom they asked, what was answered in full, and why the rest was not, by reason."""

    asked: set[str] = field(default_factory=set)
    complete: dict[str, completion_pb2.CompletionSummary] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, Mapping[str, str]] = field(default_factory=dict)
    # Whether they are to stop.
    over: bool = False


@asynccontextmanager
async def connected(target: str) -> AsyncGenerator[muxer_service_pb2_grpc.MuxerServiceStub, None]:
    """Opens a connection of its own to a replica."""
    async with grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield muxer_service_pb2_grpc.MuxerServiceStub(channel)


def named_spec(model: str, name: str = "", **changes: object) -> chat_pb2.CompletionSpec:
    name = name or f"call-{next(_numbers)}"
    facts: dict[str, object] = {"requested_model": f"fake/{model}", "max_output_tokens": 300, "request_id": name}
    return spec(f"{name}: tell me something", **(facts | changes))


async def call(
    stub: muxer_service_pb2_grpc.MuxerServiceStub,
    asked: chat_pb2.CompletionSpec,
    seen: Seen,
    *,
    stream: bool = False,
    timeout: float = 30.0,
) -> str:
    """Makes one call, and notes what came of it; gives the reason of its failure, or nothing."""
    name = asked.request_id
    seen.asked.add(name)
    try:
        if stream:
            request = muxer_service_pb2.StreamCompleteRequest(spec=asked)
            last = muxer_service_pb2.StreamCompleteResponse()
            async for event in stub.StreamComplete(request, timeout=timeout):
                last = event
            summary = last.summary
        else:
            reply = await stub.Complete(muxer_service_pb2.CompleteRequest(spec=asked), timeout=timeout)
            summary = reply.summary
    except grpc.aio.AioRpcError as error:
        reason, metadata = reason_of(error)
        seen.reasons[reason] += 1
        seen.refusals[name] = metadata
        return reason
    assert summary.outcome == COMPLETE, summary
    seen.complete[name] = summary
    return ""


def reason_of(error: grpc.aio.AioRpcError) -> tuple[str, Mapping[str, str]]:
    """Gives the typed reason of an error and its metadata; its bare code where the service did not say one."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in () if status is None else status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason, dict(info.metadata)
    return error.code().name, {}


async def keep_calling(
    stub: muxer_service_pb2_grpc.MuxerServiceStub, models: Iterable[str], seen: Seen, chance: random.Random
) -> None:
    """Calls again and again until it is over, or nobody answers; some calls are left in the middle."""
    choice = list(models)
    while not seen.over:
        asked = named_spec(chance.choice(choice))
        making = asyncio.ensure_future(call(stub, asked, seen, stream=chance.random() < 0.5))
        if chance.random() < 0.1:
            await asyncio.wait([making], timeout=chance.random() * 0.05)
            making.cancel()
        try:
            reason = await making
        except asyncio.CancelledError:
            if not making.cancelled():
                raise
            continue
        if reason == "UNAVAILABLE":
            return


def names_at(provider: FakeProvider) -> Counter[str]:
    """Counts the calls that came to the provider, by name."""
    return Counter(found[0].decode() for got in provider.received for found in _NAME.finditer(got.raw))


def check_calls(books: Books, seen: Seen, provider: FakeProvider) -> None:
    """Holds the ledger against what callers saw and what the provider was asked; nothing may be open any more."""
    assert books.reservations == []
    entries: dict[str, list[Row]] = defaultdict(list)
    for row in books.entries:
        entries[row["request_id"]].append(row)
    assert entries.keys() <= seen.asked
    for name, times in names_at(provider).items():
        assert (times, len(entries[name])) == (1, 1), f"{name}: asked {times} times, booked {entries[name]}"
    costs: dict[str, set[int]] = defaultdict(set)
    for name, rows in entries.items():
        [row] = rows
        if row["outcome"] == "complete":
            costs[row["model"]].add(row["cost_nano_usd"])
            assert row["usage_source"] == "provider"
        if name not in seen.complete:
            continue
        summary = seen.complete[name]
        told = (summary.completion_id, "complete", summary.cost.total_nano_usd, summary.usage.output_tokens)
        assert (row["completion_id"], row["outcome"], row["cost_nano_usd"], row["output_tokens"]) == told
    assert seen.complete.keys() <= entries.keys()
    assert all(len(each) == 1 for each in costs.values()), f"a call of one kind has one price: {costs}"
