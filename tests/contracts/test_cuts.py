"""A reply cut at every byte: never a success on a cut, never another error than a classified one."""

from __future__ import annotations

import asyncio

import pytest

from muxer_grpc.domain.completion import Finished, ProviderEvent, TextDelta, UsageReported
from muxer_grpc.domain.errors import ProviderFailure
from muxer_grpc.domain.ports import Provider
from tests.contracts.cases import Case, request_of
from tests.fakes.answers import Answer, Counts
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider

# A short answer whose characters take one to four bytes.
SAID = Answer(tokens=("A", "ö", "🌍"), counts=Counts(10, 0, 0, 3, 0))
AT_ONCE = 40


async def outcome(provider: Provider, case: Case, model: str, *, stream: bool) -> tuple[list[ProviderEvent], bool]:
    """Gives what came, and whether it ended as a success."""
    came: list[ProviderEvent] = []
    try:
        async for event in provider.stream(request_of(case.name, stream=stream, model=model)):
            came.append(event)
    except ProviderFailure:
        return came, False
    return came, True


async def outcomes_of_all_cuts(
    provider: Provider, fake: FakeProvider, case: Case, length: int, *, stream: bool, orderly: bool
) -> list[tuple[list[ProviderEvent], bool]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(cut: int) -> tuple[list[ProviderEvent], bool]:
        model = f"m{cut:05d}"  # one width, so that every transcript has one length
        fake.script(model, Play(SAID, cut_at=cut, orderly=orderly))
        async with gate:
            return await outcome(provider, case, model, stream=stream)

    return await asyncio.gather(*(one(cut) for cut in range(length)))


def check(came: list[ProviderEvent], succeeded: bool) -> None:
    """Holds what must hold of every cut."""
    text = "".join(event.text for event in came if isinstance(event, TextDelta))
    assert SAID.text.startswith(text)
    finishes = [event for event in came if isinstance(event, Finished)]
    assert len(finishes) == int(succeeded)
    if succeeded:
        assert text == SAID.text
        assert isinstance(came[-2], UsageReported)


@pytest.fixture(params=[False, True], ids=["the line breaks", "the body ends in good order"])
def orderly(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_a_stream_cut_at_any_byte(case: Case, fake: FakeProvider, provider: Provider, orderly: bool) -> None:
    transcript = b"".join([*case.dialect.events(SAID, "m00000"), case.dialect.end])
    # One more than the bytes: the last cut takes nothing but the end of the framing.
    results = await outcomes_of_all_cuts(provider, fake, case, len(transcript) + 1, stream=True, orderly=orderly)
    for came, succeeded in results:
        check(came, succeeded)
    successes = [succeeded for _, succeeded in results]
    # A success needs the finish reason in full; a little later, once its event is over, all cuts are harmless.
    first = successes.index(True)
    assert first >= transcript.index(case.finish_mark) + len(case.finish_mark)
    assert all(successes[first:])


async def test_a_whole_reply_cut_at_any_byte_is_never_a_success(
    case: Case, fake: FakeProvider, provider: Provider, orderly: bool
) -> None:
    length = len(case.dialect.whole(SAID, "m00000"))
    for came, succeeded in await outcomes_of_all_cuts(provider, fake, case, length, stream=False, orderly=orderly):
        check(came, succeeded)
        assert not succeeded


async def test_a_reset_amid_a_stream_is_a_failure_and_what_came_before_it_stands(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    fake.script("m1", Play(SAID, cut_after=2, abrupt=True, pause=0.001))
    came, succeeded = await outcome(provider, case, "m1", stream=True)
    check(came, succeeded)
    assert not succeeded
    assert came != []


async def test_cuts_leave_no_connection_behind(case: Case, fake: FakeProvider, provider: Provider) -> None:
    for cut in (0, 50, 150):
        fake.script(f"cut{cut}", Play(SAID, cut_at=cut))
        await outcome(provider, case, f"cut{cut}", stream=True)
    await fake.wait_until_idle()
    _, succeeded = await outcome(provider, case, "m1", stream=True)
    assert succeeded
