"""Plays one fault in one form, and judges what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from muxer_client import AsyncMuxerClient

from tests.fakes.answers import PLAIN
from tests.faults.ground import HEALTHY, Ground
from tests.faults.outage import endured, judged_outage
from tests.faults.seen import Seen, ask, spec_of
from tests.faults.table import Fault
from tests.faults.verdicts import Judged, Verdict, judged


@dataclass(frozen=True)
class Played:
    """A fault in one form, and how it was survived."""

    fault: Fault
    form: str
    judged: Judged
    seconds: float
    primary_tries: int
    fallback_tries: int
    reason: str


async def played(ground: Ground, client: AsyncMuxerClient, fault: Fault, form: str) -> Played:
    """Plays a fault, judges it, and asks whether the service is still well."""
    pair = ground.play(fault, form)
    if fault.outage:
        outage = await endured(ground, client, pair, form)
        verdict = judged_outage(ground, outage)
        seen = outage.calls[-1][1]
        seconds = outage.calls[-1][0]
        tries = (len(outage.primary), sum(len(seen.fallback) for _, seen in outage.calls))
    else:
        bound = fault.within(ground.pace)
        spec = spec_of(pair, form, continues=fault.continues)
        seen = await ask(client, ground.fake, pair, spec, form, bound)
        verdict = judged(
            seen, pair, ground.pace, required=fault.required, advisory=fault.advisory, answers=fault.answers
        )
        seconds, tries = seen.seconds, (len(seen.primary), len(seen.fallback))
    if not await well(ground, client):
        verdict = Judged(Verdict.FAIL, ["the service is not well afterwards", *verdict.against])
    return Played(fault, form, verdict, seconds, *tries, _told(seen))


async def well(ground: Ground, client: AsyncMuxerClient) -> bool:
    """Tells whether the service runs and answers."""
    answer = await client.complete("Hello", model=f"{HEALTHY}/{HEALTHY}", timeout=ground.pace.usual)
    return ground.alive and answer.text == PLAIN.text


def _told(seen: Seen) -> str:
    return seen.reason
