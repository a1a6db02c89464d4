"""A stream is over when the vendor said why it stopped and counted, whatever becomes of the line after that."""

from __future__ import annotations

import asyncio

import pytest

from muxer_grpc.domain.completion import FinishReason
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import UsageSource
from muxer_grpc.domain.ports import Provider
from muxer_grpc.providers import http
from muxer_grpc.providers.registry import Timeouts
from tests.contracts.cases import CASES, Case, heard, opened, request_of
from tests.fakes.answers import PLAIN, Answer
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider

# Longer than any of these tests may take.
PATIENT = Timeouts(connect=5.0, pool=5.0, first_byte=100.0, gap=100.0)


@pytest.mark.parametrize("no_end", [False, True], ids=["after the end mark", "without an end mark"])
async def test_a_line_that_stays_open_after_the_answer_holds_nobody_up(
    case: Case, fake: FakeProvider, no_end: bool
) -> None:
    fake.script("m1", Play(no_end=no_end, holds=True))
    async with opened(case.name, fake.url, PATIENT) as provider, asyncio.timeout(30):
        answer = await heard(provider, request_of(case.name, stream=True))
    assert answer.text == PLAIN.text
    assert (answer.finish.reason, answer.usage.source) == (FinishReason.STOP, UsageSource.PROVIDER)
    await fake.wait_until_idle()


# The others count as they stop.
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.is_openai])
async def test_counts_that_never_come_are_estimated_soon(
    name: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    monkeypatch.setattr(http, "ENDING_SECONDS", 0.1)
    without_counts = len(case.dialect.events(PLAIN, "m1")) - 1
    fake.script("m1", Play(cut_after=without_counts, holds=True))
    async with opened(case.name, fake.url, PATIENT) as provider, asyncio.timeout(30):
        answer = await heard(provider, request_of(case.name, stream=True))
    assert answer.text == PLAIN.text
    assert (answer.finish.reason, answer.usage.source) == (FinishReason.STOP, UsageSource.ESTIMATED)


async def test_without_a_reason_why_it_stopped_silence_is_no_end(case: Case, fake: FakeProvider) -> None:
    fake.script("m1", Play(cut_after=4, holds=True))
    quick = Timeouts(connect=1, pool=1, first_byte=1, gap=0.2)
    async with opened(case.name, fake.url, quick) as provider:
        with pytest.raises(ProviderFailure) as raised:
            await heard(provider, request_of(case.name, stream=True))
    assert raised.value.failure_class is FailureClass.TIMEOUT


async def test_a_whole_stream_leaves_its_connection_for_the_next(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    connections = set()
    for _ in range(3):
        await heard(provider, request_of(case.name, stream=True))
        connections.add(fake.open_connections)
    assert connections == {1}


# What a vendor says of why it stopped, and what of it is told.
WORDS = {
    "stopped_for_2.its_own": "stopped_for_2.its_own",
    "vendor.stop:v2-b": "vendor.stop:v2-b",
    "x" * 64: "x" * 64,
    "x" * 65: "",
    "the key sk-1 of you@example.org ran out": "",
    "stop\n": "",
    "stöp": "",
    "\x1b[2Jstop": "",
    " ": "",
}


@pytest.mark.parametrize("said", WORDS, ids=ascii)
async def test_why_the_vendor_stopped_is_told_in_its_own_word_and_in_nothing_longer_than_a_word(
    case: Case, fake: FakeProvider, provider: Provider, stream: bool, said: str
) -> None:
    fake.script("m1", Play(answer=Answer(finish_word=said)))
    answer = await heard(provider, request_of(case.name, stream=stream))
    assert (answer.text, answer.finish.reason) == (PLAIN.text, FinishReason.STOP)
    assert answer.finish.vendor_reason == WORDS[said]
