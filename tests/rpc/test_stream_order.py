"""Every provider, every fault, over the wire: one decision, deltas, one summary; unary agrees with stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc.aio
import pytest
from muxer.v1 import completion_pb2, errors_pb2, muxer_service_pb2, muxer_service_pb2_grpc

from muxer_grpc.bootstrap import assemble, new_id
from muxer_grpc.domain.catalogue import Catalogue, ProviderEntry
from muxer_grpc.domain.money import Price
from muxer_grpc.rpc.calls import CallLimits, Calls
from muxer_grpc.rpc.listener import Listener, ListenerOptions
from muxer_grpc.rpc.servicers import muxer as muxer_service
from tests.contracts.cases import CASES, Case, model_of, opened
from tests.fakes import answers
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider
from tests.rpc.service import ONE_ATTEMPT, spec, told

Stub = muxer_service_pb2_grpc.MuxerServiceStub
Outcome = completion_pb2.Outcome

# A name for each, what the provider does, and the outcomes that tell the truth about it.
PLAYS: dict[str, tuple[Play, set[int]]] = {
    "plain": (Play(), {Outcome.OUTCOME_COMPLETE}),
    "length": (Play(answers.CUT_BY_LENGTH), {Outcome.OUTCOME_LENGTH}),
    "tools": (Play(answers.WITH_TWO_CALLS), {Outcome.OUTCOME_COMPLETE}),
    "reasoning": (Play(answers.WITH_REASONING), {Outcome.OUTCOME_COMPLETE}),
    "refusal": (Play(answers.REFUSED), {Outcome.OUTCOME_COMPLETE, Outcome.OUTCOME_FILTERED}),
    "CRLF": (Play(crlf=True), {Outcome.OUTCOME_COMPLETE}),
    "no end mark": (Play(no_end=True), {Outcome.OUTCOME_COMPLETE}),
    **{
        kind: (Play(error=kind), {Outcome.OUTCOME_FAILED})
        for kind in ("bad_request", "credential", "not_found", "rate_limit", "quota", "server_error", "overloaded")
    },
    "context length": (Play(error="context_length"), {Outcome.OUTCOME_FAILED}),
    "content filter": (Play(error="content_filter"), {Outcome.OUTCOME_FAILED}),
    "reset": (Play(reset=True), {Outcome.OUTCOME_FAILED}),
    "cut": (Play(answers.of_tokens(60), cut_after=40), {Outcome.OUTCOME_FAILED}),
    "cut at the first event": (Play(cut_after=1), {Outcome.OUTCOME_FAILED}),
    "half an event": (Play(answers.of_tokens(60), cut_at=1000), {Outcome.OUTCOME_FAILED}),
    "broken JSON": (Play(garbage_at=2), {Outcome.OUTCOME_FAILED}),
    "an error inside": (Play(error_at=2), {Outcome.OUTCOME_FAILED}),
    "a page": (Play(body=b"<html>", content_type="text/html"), {Outcome.OUTCOME_FAILED}),
    "a redirect": (Play(status=307, body=b""), {Outcome.OUTCOME_FAILED}),
}
STREAM_ONLY = {
    "cut",
    "cut at the first event",
    "half an event",
    "broken JSON",
    "an error inside",
    "no end mark",
    "CRLF",
}


@dataclass
class Running:
    """The service over one adapter on a fake."""

    stub: Stub
    fake: FakeProvider


@asynccontextmanager
async def running(case: Case) -> AsyncGenerator[Running, None]:
    async with fake_provider(record=False) as fake, opened(case.name, fake.url) as provider:
        model = model_of(case.name, price=Price.from_usd_per_million("1", "2"))
        entry = ProviderEntry(case.name, configured=True)
        catalogue = Catalogue.of([model], [entry], version="f", price_book_version="p")
        app = assemble(catalogue, {case.name: provider}, ONE_ATTEMPT)
        calls = Calls(CallLimits(), new_id)
        listener = Listener(ListenerOptions(("127.0.0.1:0",)), {muxer_service.SERVICE: app.muxer}, calls)
        await listener.start()
        try:
            async with grpc.aio.insecure_channel(listener.addresses[0]) as channel:
                yield Running(muxer_service_pb2_grpc.MuxerServiceStub(channel), fake)
        finally:
            await listener.server.stop(None)


async def streamed(stub: Stub) -> tuple[list[muxer_service_pb2.StreamCompleteResponse], str]:
    """Gives the events of a stream, and the reason of its error."""
    events = []
    try:
        async for event in stub.StreamComplete(muxer_service_pb2.StreamCompleteRequest(spec=spec()), timeout=20):
            events.append(event)
    except grpc.aio.AioRpcError as error:
        return events, told(error).reason
    return events, ""


@pytest.mark.parametrize("name", CASES)
async def test_every_play_ends_in_order_and_tells_the_truth(name: str) -> None:
    async with running(CASES[name]) as service:
        for play_name, (play, truths) in PLAYS.items():
            service.fake.script("m1", play)
            events, reason = await streamed(service.stub)
            kinds = [event.WhichOneof("event") for event in events]
            assert kinds[0] == "decision", play_name
            assert kinds[-1] == "summary", play_name
            assert (kinds.count("decision"), kinds.count("summary")) == (1, 1), play_name
            summary = events[-1].summary
            assert summary.outcome in truths, play_name
            assert bool(reason) is (summary.outcome == Outcome.OUTCOME_FAILED), play_name
            if reason:
                assert errors_pb2.ErrorReason.Name(summary.error_reason) == f"ERROR_REASON_{reason}", play_name


@pytest.mark.parametrize("name", CASES)
async def test_unary_and_stream_agree_for_every_provider(name: str) -> None:
    async with running(CASES[name]) as service:
        for play_name, (play, truths) in PLAYS.items():
            if play_name in STREAM_ONLY:
                continue
            service.fake.script("m1", play)
            events, reason = await streamed(service.stub)
            try:
                whole = await service.stub.Complete(muxer_service_pb2.CompleteRequest(spec=spec()), timeout=20)
            except grpc.aio.AioRpcError as error:
                assert told(error).reason == reason, play_name
                continue
            assert not reason, play_name
            summary = events[-1].summary
            text = "".join(event.text_delta.text for event in events)
            assert text == "".join(part.text for part in whole.message.parts), play_name
            assert (summary.usage, summary.cost) == (whole.summary.usage, whole.summary.cost), play_name
            assert summary.outcome == whole.summary.outcome, play_name
            assert whole.summary.outcome in truths
            assert candidates_of(events[0].decision) == candidates_of(whole.decision)


def candidates_of(decision: object) -> list[tuple[str, float]]:
    return [(c.model, c.score) for c in decision.candidates]  # type: ignore[attr-defined]
