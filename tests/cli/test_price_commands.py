"""`muxer prices`, as a person types it, against two processes that share a database."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from muxer_grpc.cli.app import run
from tests.cli.test_remote_commands import typed
from tests.process.running import Process, muxer

PRICES = """
[[models]]
name = "sandbox/sandbox-economy"
input_usd_per_million = "0.2"
output_usd_per_million = "0.8"

[[models.price_tiers]]
above_input_tokens = 5000
input_usd_per_million = "0.4"
output_usd_per_million = "1.2"
"""

JUMP = '[[models]]\nname = "sandbox/sandbox-economy"\ninput_usd_per_million = "900"\noutput_usd_per_million = "900"\n'
FREE = '[[models]]\nname = "sandbox/sandbox-economy"\nfree = true\n'

BAD_FILES = {
    "no toml": ("models = [", "prices.toml: "),
    "an unknown table": ("[prices]", "prices.toml: prices: Extra inputs"),
    "a float": (PRICES.replace('"0.2"', "0.2"), "input_usd_per_million: Input should be a valid string"),
    "no price": ('[[models]]\nname = "a/b"\n', "model a/b has no price and is not free"),
    "half a price": ('[[models]]\nname = "a/b"\ninput_usd_per_million = "1"\n', "give both"),
    "a model twice": (PRICES + PRICES, "model sandbox/sandbox-economy comes twice"),
}


async def shown(service: Process) -> dict[str, Any]:
    """Gives the book in force, as JSON."""
    code, out, err = await typed(service, "prices", "show", "--provider", "sandbox", "--json")
    assert code == 0, err
    book: dict[str, Any] = json.loads(out)
    return book


def economy(book: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in book["prices"] if each["model"] == "sandbox/sandbox-economy")
    return found


async def test_prices_are_set_in_one_process_and_hold_in_all(tmp_path: Path) -> None:
    """One pair of processes for the whole session: starting one takes longer than any command."""
    file = tmp_path / "prices.toml"
    shared = {"MUXER_STORAGE__URL": f"sqlite:///{tmp_path}/shared.db", "MUXER_PRICES__REFRESH_SECONDS": "0.1"}
    async with AsyncExitStack() as stack:
        services = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            services.append(await stack.enter_async_context(muxer(folder, **shared)))
        one, two = services
        before = await shown(one)
        assert (await shown(two))["version"] == before["version"]

        file.write_text(PRICES)
        code, out, _ = await typed(one, "prices", "diff", str(file))
        assert (code, "1 models cost something else" in out, "above 5,000 input tokens" in out) == (0, True, True)
        assert (await shown(one))["version"] == before["version"]

        code, out, err = await typed(one, "prices", "set", str(file), "--note", "as agreed")
        assert (code, out.startswith("stored-")) == (0, True), err
        changed = await shown(one)
        assert economy(changed)["source"] == "PRICE_SOURCE_STORED"
        assert economy(changed)["price"]["tiers"][0]["price"]["input_pico_usd_per_token"] == "400000"
        async with asyncio.timeout(60):
            while (await shown(two))["version"] != changed["version"]:
                await asyncio.sleep(0.05)

        code, out, _ = await typed(two, "prices", "list")
        assert (code, "as agreed" in out, "local" in out) == (0, True, True)
        code, out, _ = await typed(two, "prices", "list", "--merged", "--json")
        assert {before["version"], changed["version"]} <= {book["version"] for book in json.loads(out)}
        code, out, _ = await typed(two, "prices", "show", "--version", before["version"])
        assert (code, out.startswith(before["version"])) == (0, True)

        file.write_text(JUMP)
        code, _, err = await typed(one, "prices", "set", str(file))
        assert (code, err.startswith("muxer: PRECONDITION_FAILED: ")) == (1, True)
        file.write_text(FREE)
        code, _, err = await typed(one, "prices", "set", str(file), "--force")
        assert code == 0, err
        code, out, _ = await typed(one, "prices", "show", "--provider", "sandbox")
        assert any(line.split() == ["sandbox/sandbox-economy", "free", "stored"] for line in out.splitlines())

        file.write_text(PRICES)
        code, _, err = await typed(one, "prices", "set", str(file), "--effective", "soon")
        assert (code, err) == (2, "muxer: --effective 'soon' is not a time like 2026-12-01T00:00Z\n")
        code, _, err = await typed(one, "prices", "set", str(file), "--effective", "2020-01-01T00:00Z")
        assert (code, "effective_time" in err) == (1, True)


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_price_file_is_refused_and_says_where(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, told = BAD_FILES[name]
    file = tmp_path / "prices.toml"
    file.write_text(content)
    # Nothing is called for a file that cannot be read.
    assert run(["prices", "diff", str(file), "--admin-target", "127.0.0.1:1"]) == 2
    assert told in capsys.readouterr().err
