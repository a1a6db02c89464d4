"""`muxer cache warm`: what it asks, what it costs, and what is there afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_remote_commands import typed
from tests.process.running import muxer

LINES = [
    '"Tell me about climate change"',
    '{"prompt": "What is 2+2?"}',
    "",
    '{"messages": [{"role": "ROLE_USER", "parts": [{"text": "Hello"}]}], "labels": {"team": "red"}}',
]
BAD = ["{", '{"prompt": "Hello", "more": 1}', '{"messages": []}']


async def test_a_file_of_prompts_and_specs_is_warmed_once_and_found_by_callers(tmp_path: Path) -> None:
    """One service for all commands: starting one takes longer than any of them."""
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join(LINES) + "\n")
    async with muxer(tmp_path, MUXER_CACHE__ENABLED="true") as service:
        code, out, err = await typed(service, "cache", "warm", str(file))
        assert (code, out.startswith("3 answers made, 0 were there; cost $0.000")) == (0, True), err
        code, out, _ = await typed(service, "cache", "warm", str(file), "--json")
        assert json.loads(out) == {"made": 0, "there": 3, "not_kept": 0, "failed": 0, "cost_nano_usd": 0}

        code, out, err = await typed(service, "complete", "What is 2+2?")
        assert (code, "kept from before: $0.000" in err, "$0.00, " in err) == (0, True, True)
        code, _, err = await typed(service, "complete", "What is 2+2?", "--cache", "refresh")
        assert (code, "kept from before" in err) == (0, False)

        code, out, _ = await typed(service, "cache", "invalidate", "--label", "team=red")
        assert (code, out) == (0, "1 answers forgotten\n")
        code, out, _ = await typed(service, "cache", "warm", "-", "--refresh", stdin="\n".join(LINES[:2]))
        assert out.startswith("2 answers made, 0 were there; cost $0.000")

        file.write_text("\n".join([*BAD, *LINES]) + "\n")
        code, out, err = await typed(service, "cache", "warm", str(file))
        assert (code, "1 answers made, 3 were there, 2 lines failed" in out) == (1, True), out
        assert err.splitlines()[0] == "muxer: line 1: not JSON"
        assert err.splitlines()[1].startswith("muxer: line 3: INVALID_REQUEST: ")
        code, out, err = await typed(service, "cache", "warm", str(file), "--strict", "--concurrency", "1")
        assert (code, out) == (1, "0 answers made, 0 were there, 1 lines failed; cost $0.00\n")

        code, out, _ = await typed(service, "cache", "stats", "--json")
        stats = json.loads(out)
        assert (stats["backend"], stats["answers"], stats["stored"]) == ("memory", "3", "7")
        assert int(stats["saved_nano_usd"]) > 0
