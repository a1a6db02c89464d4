"""A fake provider that answers or fails at random: python -m tests.soak.provider --port 8080 --seed 1.

It says its port on stdout, and runs until it is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
from dataclasses import dataclass, field, replace

from tests.fakes.answers import of_tokens
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider

SIXTY = of_tokens(60)
# With characters of several bytes, so that it can be cut within one, and what continues it as well.
WELL = Play(answer=replace(SIXTY, tokens=("Grüße:", *SIXTY.tokens[1:-1], " für alle.")))
# What every whole answer says.
WHOLE = WELL.answer.text

GOOD = (WELL, WELL, replace(WELL, delay=0.05), replace(WELL, pause=0.01), replace(WELL, comments=True, crlf=True))
# In seconds; the timers of the service are set to one and two, see ground.py.
FAULTS = (
    replace(WELL, error="server_error"),
    replace(WELL, error="overloaded"),
    replace(WELL, error="rate_limit"),
    replace(WELL, error="rate_limit", headers=(("retry-after", "1"),)),
    replace(WELL, error="context_length"),
    replace(WELL, error="content_filter"),
    replace(WELL, reset=True),
    replace(WELL, silent=True),
    replace(WELL, first_token_after=4.0),
    replace(WELL, cut_after=41),
    replace(WELL, cut_after=21, orderly=True),
    replace(WELL, cut_after=30, abrupt=True),
    replace(WELL, cut_at=500),
    replace(WELL, cut_in_character=True),
    replace(WELL, stall_after=21, stall=30.0),
    replace(WELL, garbage_at=30),
    replace(WELL, error_at=20),
    replace(WELL, no_end=True),
    replace(WELL, holds=True),
    replace(WELL, trickle=0.01),
    replace(WELL, header_bytes=1_000_000),
    replace(WELL, refuses_prefill=True),
    replace(WELL, content_type="text/html"),
)


@dataclass
class MixedProvider(FakeProvider):
    """Plays a fault in a share of all calls."""

    chance: random.Random = field(default_factory=random.Random)
    share: float = 0.25

    def _next_play(self, model: str) -> Play:
        return self.chance.choice(FAULTS if self.chance.random() < self.share else GOOD)


def main() -> None:
    """Runs until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    async def run() -> None:
        fake = MixedProvider(record=False, chance=random.Random(arguments.seed))
        await fake.start(arguments.port)
        print(fake.port, flush=True)
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


if __name__ == "__main__":
    main()
