"""An outage of the primary while calls go on: they are served by the fallback, and soon after by the primary again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from muxer_client import AsyncMuxerClient

from tests.faults.ground import Ground
from tests.faults.seen import FULL_TEXT, Pair, Seen, ask, spec_of
from tests.faults.verdicts import ALWAYS, Judged, Verdict


@dataclass
class Outage:
    """What was seen of the calls. Times are seconds since the first of them."""

    pair: Pair
    calls: list[tuple[float, Seen]] = field(default_factory=list)
    # When calls reached the primary.
    primary: list[float] = field(default_factory=list)


async def endured(ground: Ground, client: AsyncMuxerClient, pair: Pair, form: str) -> Outage:
    """Makes the calls, one after the other at a steady pace."""
    pace, outage = ground.pace, Outage(pair)
    began = time.monotonic()
    for number in range(pace.calls):
        await asyncio.sleep(max(0.0, began + number * pace.interval - time.monotonic()))
        at = time.monotonic() - began
        seen = await ask(client, ground.fake, pair, spec_of(pair, form), form, pace.usual)
        outage.calls.append((at, seen))
    outage.primary = [at - began for at in ground.fake.times[pair.primary]]
    return outage


def judged_outage(ground: Ground, outage: Outage) -> Judged:
    """Gives the verdict on an outage."""
    pace, pair = ground.pace, outage.pair
    down = outage.primary[0] + pace.outage if outage.primary else 0.0
    against = []
    if any(not seen.complete or seen.text != FULL_TEXT for _, seen in outage.calls):
        against.append("every call is answered in full")
    for check in ALWAYS:
        if not all(check.holds(seen, pair, pace) for _, seen in outage.calls):
            against.append(check.name)
    during = [at for at in outage.primary if at < down]
    # Two attempts of the first call, one of the second, at which the breaker opens, and one for each probe then.
    if len(during) > 3 + _probes(pace.outage, pace.open, pace.most_open):
        against.append(f"{len(during)} tries during the outage")
    by_primary = [at for at, seen in outage.calls if seen.selected_model == pair.names[0]]
    if not by_primary or by_primary[0] - down > pace.back:
        against.append("back at the primary in time")
    elif any(seen.selected_model != pair.names[0] for at, seen in outage.calls if at > by_primary[0]):
        against.append("it stays with the primary")
    return Judged(Verdict.FAIL if against else Verdict.PASS, against)


def _probes(outage: float, first: float, most: float) -> int:
    """Counts the probes that fit into an outage, each twice as long after the one before as that after its own."""
    count, at, wait = 0, 0.0, first
    while at + wait < outage:
        at += wait
        count += 1
        wait = min(most, 2 * wait)
    return count
