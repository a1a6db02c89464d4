"""`muxer cache warm`: asks what a file says, so that its answers are there before callers ask for them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muxer.v1 import chat_pb2
    from muxer_client import AsyncMuxerClient


@dataclass(slots=True)
class Warmed:
    """What came of the lines: answers made, answers that were there, answers that are not kept, lines that failed."""

    made: int = 0
    there: int = 0
    not_kept: int = 0
    failed: int = 0
    cost_nano_usd: int = 0


class Warmer:
    """Asks line by line, `concurrency` at once; `advance` is told the bytes of each line that is done.

    What is wrong with a line is told on stderr; with `strict`, no line is begun after the first such one. Without
    `refresh`, what is kept already is not asked again.
    """

    def __init__(
        self, client: AsyncMuxerClient, advance: Callable[[int], None], *, concurrency: int, refresh: bool, strict: bool
    ) -> None:
        self._client = client
        self._advance = advance
        self._concurrency = concurrency
        self._refresh = refresh
        self._strict = strict
        self.warmed = Warmed()

    async def run(self, lines: Iterable[str]) -> None:
        """Asks all lines."""
        numbered = enumerate(lines, start=1)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._work(numbered))

    async def _work(self, numbered: Iterator[tuple[int, str]]) -> None:
        from muxer_client import MuxerError

        for number, line in numbered:
            if self._strict and self.warmed.failed:
                return
            try:
                await self._ask(line)
            except (MuxerError, ValueError) as error:
                self.warmed.failed += 1
                told = f"{error.reason}: {error.message}" if isinstance(error, MuxerError) else str(error)
                sys.stderr.write(f"muxer: line {number}: {told}\n")
            self._advance(len(line.encode()))

    async def _ask(self, line: str) -> None:
        from muxer.v1 import completion_pb2

        if not line.strip():
            return
        options = {"cache": "refresh"} if self._refresh else {}
        summary = (await self._client.complete(read_spec(line), **options)).summary  # type: ignore[arg-type]
        self.warmed.cost_nano_usd += summary.cost.total_nano_usd
        if summary.cache_hit:
            self.warmed.there += 1
        elif summary.outcome == completion_pb2.OUTCOME_COMPLETE:
            self.warmed.made += 1
        else:
            self.warmed.not_kept += 1


def read_spec(line: str) -> chat_pb2.CompletionSpec:
    """Reads a line: a prompt, an object with a `prompt`, a spec, or an object with a `spec`. Raises ValueError."""
    from google.protobuf import json_format
    from muxer.v1 import chat_pb2
    from muxer_client import build_spec

    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        msg = "not JSON"
        raise ValueError(msg) from None
    prompt = row.get("prompt") if isinstance(row, dict) else row
    if isinstance(prompt, str):
        return build_spec(prompt)
    spec = row.get("spec", row) if isinstance(row, dict) else None
    if not isinstance(spec, dict) or "messages" not in spec:
        msg = 'not a prompt, and not an object with a "prompt", a "spec", or the "messages" of a spec'
        raise ValueError(msg)
    try:
        return json_format.ParseDict(spec, chat_pb2.CompletionSpec())
    except json_format.ParseError as error:
        msg = f"no spec: {str(error).splitlines()[0][:200]}"
        raise ValueError(msg) from None
