"""The status page in a real browser: it keeps itself fresh, fits a phone and a desk, and shows its main figures."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from muxer_grpc.ops.listener import OpsListener
from muxer_grpc.ops.serving import serve_status
from muxer_grpc.ops.status import Status, StatusBoard
from tests.telemetry.browser import FOUND, Browser, browser
from tests.unit.standing import BUDGET, DECISION, MODEL, PROVIDER, RECENT, STATUS

pytestmark = pytest.mark.skipif(FOUND is None, reason="there is no chromium here")

SCREENS = {"phone": (390, 844, False), "small desk": (970, 700, False), "desk at night": (1_280, 900, True)}
LONG = "a-model-with-a-name-that-is-as-long-as-any-that-a-vendor-ever-gave-2026-11-21"
CROWDED = replace(
    STATUS,
    providers=[PROVIDER, replace(PROVIDER, name="acme", health="down", breaker="open", next_attempt_at=STATUS.at + 9)],
    models=[MODEL, replace(MODEL, name=f"acme/{LONG}", health="degraded"), replace(MODEL, name="m" * 150)],
    budgets=[
        replace(BUDGET, share=1.2, user_id=f"{LONG}@example.com"),
        replace(BUDGET, share=0.85, tenant_name="T" * 150),
    ],
    decisions=[DECISION, DECISION._replace(outcome="failed", error="NO_PROVIDER_AVAILABLE", explanation="x" * 400)],
)


class Changing(StatusBoard):
    """A board that shows another rate at each look."""

    def __init__(self) -> None:
        self.looks = 0
        self.shown = CROWDED

    async def look(self) -> Status:
        self.looks += 1
        return replace(self.shown, five_minutes=replace(RECENT, requests_per_minute=float(100 + self.looks)))

    async def aclose(self) -> None:
        """Asks nothing."""


@asynccontextmanager
async def shown() -> AsyncGenerator[tuple[OpsListener, Changing, Browser], None]:
    """Serves the page, and opens a browser."""
    listener, board = OpsListener("127.0.0.1:0", lambda: "", lambda: b""), Changing()
    serve_status(listener, board)
    await listener.start()
    try:
        async with browser() as found:
            yield listener, board, found
    finally:
        await listener.stop()


def colours(png: bytes) -> int:
    """Counts the distinct colours of a picture (https://www.w3.org/TR/png-3/)."""
    at, packed, width, height, samples = 8, b"", 0, 0, 0
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8
            samples = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw, row = zlib.decompress(packed), width * samples
    before, found = bytearray(row), set()
    for y in range(height):
        kind, line = raw[y * (row + 1)], bytearray(raw[y * (row + 1) + 1 : (y + 1) * (row + 1)])
        for x in range(row):
            left, above = (line[x - samples] if x >= samples else 0), before[x]
            corner = before[x - samples] if x >= samples else 0
            line[x] = (line[x] + (0, left, above, (left + above) // 2, paeth(left, above, corner))[kind]) & 255
        found.update(bytes(line[x : x + samples]) for x in range(0, row, samples))
        before = line
    return len(found)


def paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda each: abs(guess - each))


FIGURES = """(() => {
  const seen = [...document.querySelectorAll('.tiles .value, main th[scope=row], #state, .bar')];
  return {
    wide: [document.documentElement.scrollWidth, innerWidth],
    words: document.body.innerText,
    hidden: seen.filter(each => !each.getClientRects().length || !each.getBoundingClientRect().height).length,
    // Headings of tables are read out on a phone, and stand beside each figure instead.
    cut: [...document.querySelectorAll('main :not(thead, thead *)')]
      .filter(each => each.getBoundingClientRect().right > innerWidth + 0.5).map(each => each.outerHTML),
  };
})()"""

# A page that comes to the front looks at once.
COME_BACK = "void document.dispatchEvent(new Event('visibilitychange'))"


async def test_the_page_keeps_itself_fresh_fits_every_screen_and_says_when_it_is_old() -> None:
    async with shown() as (listener, board, page):
        for name, (width, height, dark) in SCREENS.items():
            await page.open(f"http://{listener.address}/", width, height, dark=dark)
            first = await page.run("document.querySelector('.tiles .value').textContent")
            if name == "phone":
                # A selection and what is focused outlive a refresh: elements are the same ones.
                await page.run("window.kept = document.querySelector('.tiles .value')")
                await page.until(f"window.kept.isConnected && window.kept.textContent !== {json.dumps(first)}")
            found = await page.run(FIGURES)
            assert found["wide"][0] <= found["wide"][1] == width, name
            assert (found["hidden"], found["cut"]) == (0, []), name
            for words in (
                "1 of 2 providers is down: acme",
                "95.0\u00a0%",
                "2.50\u00a0s",
                "fake/plain",
                LONG,
                "120.0\u00a0%",
            ):
                assert words in found["words"], (name, words)
            assert colours(await page.picture(scale=0.5)) > 40, name
        board.shown = replace(CROWDED, models=[], providers=[PROVIDER])
        await page.run(COME_BACK)
        await page.until("document.getElementById('state').textContent.includes('1 provider healthy')")
        assert "No model was called in the last hour." in await page.run("document.body.innerText")
        assert page.complaints == []
        await listener.stop()
        await page.run(COME_BACK)
        await page.until("document.getElementById('state').textContent.includes('Not reachable')")


async def test_the_page_needs_no_script_to_be_read() -> None:
    async with shown() as (listener, board, page):
        await page.ask("Emulation.setScriptExecutionDisabled", value=True)
        await page.open(f"http://{listener.address}/", 390, 844)
        found = await page.run(FIGURES)
    assert board.looks == 1
    assert "1 of 2 providers is down: acme" in found["words"]
    assert "reload it for fresh figures" in found["words"]
