"""The fake provider does to the line what its plays say, and counts what it served."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.fakes.answers import PLAIN, of_tokens
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider


@pytest.fixture
async def fake() -> AsyncGenerator[FakeProvider, None]:
    async with fake_provider() as running:
        yield running


async def exchange(fake: FakeProvider, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Sends one request on a connection of its own and gives the status and all bytes of the body as they came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    try:
        writer.write(f"{head} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        writer.write_eof()
        async with asyncio.timeout(5):
            head_bytes, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
        return int(head_bytes.split()[1]), rest
    finally:
        writer.close()


async def ask(fake: FakeProvider, model: str, role: str = "user", **fields: Any) -> tuple[int, bytes]:
    body = {"model": model, "messages": [{"role": role, "content": "hi"}], **fields}
    return await exchange(fake, "POST /v1/chat/completions", json.dumps(body).encode())


async def test_plays_follow_each_other_and_the_last_one_stays(fake: FakeProvider) -> None:
    fake.script("m", Play(error="server_error"), Play(error="overloaded"), Play())
    assert [(await ask(fake, "m"))[0] for _ in range(4)] == [500, 503, 200, 200]


async def test_a_reset_is_a_reset_and_not_an_end(fake: FakeProvider) -> None:
    with pytest.raises(ConnectionResetError):
        await ask(fake, "reset")


async def test_an_abrupt_cut_is_a_reset(fake: FakeProvider) -> None:
    fake.script("m", Play(cut_after=2, abrupt=True))
    with pytest.raises(ConnectionResetError):
        await ask(fake, "m", stream=True)


async def test_a_cut_leaves_its_chunk_unfinished(fake: FakeProvider) -> None:
    fake.script("m", Play(cut_at=10))
    _, sent = await ask(fake, "m", stream=True)
    size, _, rest = sent.partition(b"\r\n")
    assert len(rest) == 10 < int(size, 16)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_orderly_cut_keeps_its_framing_whole(fake: FakeProvider, stream: bool) -> None:
    fake.script("m", Play(cut_at=10, orderly=True))
    _, sent = await ask(fake, "m", stream=stream)
    assert (sent[:3] == b"a\r\n" and sent.endswith(b"\r\n0\r\n\r\n")) if stream else len(sent) == 10


@pytest.mark.parametrize("stream", [False, True])
async def test_a_trickle_sends_everything_once_and_slowly(fake: FakeProvider, stream: bool) -> None:
    fake.script("m", Play(), Play(trickle=0.0002))
    at_once = await ask(fake, "m", stream=stream)
    began = time.perf_counter()
    slowly = await ask(fake, "m", stream=stream)
    assert time.perf_counter() - began >= 0.0002 * len(PLAIN.text)
    assert slowly == at_once


async def test_one_that_is_down_comes_back(fake: FakeProvider) -> None:
    fake.script("m", Play(error="overloaded", lasts=0.3), Play())
    assert [(await ask(fake, "m"))[0] for _ in range(3)] == [503] * 3
    async with asyncio.timeout(5):
        while (await ask(fake, "m"))[0] != 200:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("model", "statuses"),
    [
        ("error-rate_limit", [429, 429]),
        ("error-quota", [429, 429]),
        ("once-server_error", [500, 200]),
        ("wait-2", [429, 200]),
        ("down-60", [503, 503]),
        ("tokens-20", [200, 200]),
        ("any-other", [200, 200]),
    ],
)
async def test_names_choose_plays(fake: FakeProvider, model: str, statuses: list[int]) -> None:
    assert [(await ask(fake, model))[0] for _ in statuses] == statuses


async def test_a_refused_prefill_is_no_other_refusal(fake: FakeProvider) -> None:
    assert (await ask(fake, "no-prefill"))[0] == 200
    assert (await ask(fake, "no-prefill", role="assistant"))[0] == 400


@pytest.mark.parametrize("stream", [False, True])
async def test_a_begun_answer_is_continued_or_sent_again(fake: FakeProvider, stream: bool) -> None:
    fake.script("m", Play(), Play(echoes=True))
    said = []
    for _ in range(2):
        body = {"model": "m", "stream": stream, "messages": [{"role": "assistant", "content": "Hell"}]}
        said.append((await exchange(fake, "POST /v1/chat/completions", json.dumps(body).encode()))[1])
    continued, echoed = said
    assert b"Hel" not in continued
    assert "wörld".encode() in continued
    assert b"Hel" in echoed


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_within_a_character_leaves_half_of_it(fake: FakeProvider, stream: bool) -> None:
    fake.script("m", Play(cut_in_character=True))
    _, sent = await ask(fake, "m", stream=stream)
    assert sent.endswith("wö".encode()[:-1])


async def test_a_whole_reply_is_cut_where_as_much_of_its_stream_would_be(fake: FakeProvider) -> None:
    fake.script("m", Play(of_tokens(60)), Play(of_tokens(60), cut_after=31))
    _, whole = await ask(fake, "m")
    _, cut = await ask(fake, "m")
    assert whole.startswith(cut)
    assert 0.4 < len(cut) / len(whole) < 0.6


async def test_a_held_line_stays_open_until_its_caller_leaves(fake: FakeProvider) -> None:
    fake.script("m", Play(holds=True))
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    await reader.readuntil(b"[DONE]\n\n\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.read(1)
    assert fake.open_connections == 1
    writer.close()
    await fake.wait_until_idle()


async def test_when_calls_came_is_kept(fake: FakeProvider) -> None:
    before = time.monotonic()
    for _ in range(2):
        await ask(fake, "m")
    assert before <= fake.times["m"][0] <= fake.times["m"][1] <= time.monotonic()


async def test_an_unknown_path_is_not_found(fake: FakeProvider) -> None:
    assert (await exchange(fake, "POST /nowhere", b"{}"))[0] == 404


async def test_answers_are_counted_and_faults_are_calls_only(fake: FakeProvider) -> None:
    fake.script("m", Play(), Play(of_tokens(7)), Play(error="overloaded"), Play(cut_after=1), Play(cut_at=1))
    for stream in (False, True, False, True, True):
        await ask(fake, "m", stream=stream)
    status, body = await exchange(fake, "GET /_fake/counts")
    tokens = PLAIN.counts.output + PLAIN.counts.reasoning + 7
    assert (status, json.loads(body)) == (200, {"calls": {"m": 5}, "completions": {"m": 2}, "tokens": {"m": tokens}})
