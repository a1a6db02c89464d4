"""Callers of a soak: all kinds of calls at random, each with a time by which it must have ended."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from muxer_client import AsyncMuxerClient, Completion, MuxerError

from tests.process.callers import COMPLETE
from tests.soak.ground import MODELS, PROVIDERS
from tests.soak.provider import WHOLE

# In seconds. A call that ends later than its deadline and the margin hangs.
DEADLINE, SHORTEST, SHORT = 10.0, 0.02, 0.8
MARGIN = 2.0
# Between the calls of a caller, on average.
PACE = 0.2

# What a call may fail with while providers fail at random; all else is a defect.
EXPECTED_REASONS = frozenset(
    {
        "CONTENT_POLICY",
        "CONTEXT_TOO_LONG",
        "DEADLINE_EXCEEDED",
        "DEADLINE_TOO_SHORT",
        "NO_ELIGIBLE_MODEL",
        "NO_PROVIDER_AVAILABLE",
        "OVERLOADED",
        "PROVIDER_PROTOCOL",
        "PROVIDER_TIMEOUT",
        "STREAM_INTERRUPTED",
    }
)

STRATEGIES = ("learned", "heuristic", "cost", "performance", "availability", "hybrid", "round_robin")


@dataclass
class Told:
    """What callers saw."""

    calls: int = 0
    complete: int = 0
    cancelled: int = 0
    repeated: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    # Calls that ended too late, answers that were not whole, request ids with two answers: in words.
    late: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slowest_overtime: float = 0.0
    over: bool = False


@dataclass(frozen=True)
class Asked:
    """One call, as chance would have it."""

    stream: bool
    timeout: float
    cancel_after: float | None
    options: dict[str, Any]


def asked(chance: random.Random) -> Asked:
    """Draws a call."""
    options: dict[str, Any] = {"max_output_tokens": 100}
    if chance.random() < 0.5:
        options["model"] = f"{chance.choice(PROVIDERS)}/{chance.choice(MODELS)}"
        options["fall_back"] = chance.random() < 0.7
    elif chance.random() < 0.5:
        options["strategy"] = chance.choice(STRATEGIES)
    if chance.random() < 0.2:
        options["hedge"] = True
    if chance.random() < 0.5:
        options["stream_recovery"] = chance.choice(("fail", "restart", "continue"))
    if chance.random() < 0.3:
        options["request_id"] = f"soak-{chance.getrandbits(64):x}"
    short = chance.random() < 0.1
    return Asked(
        stream=chance.random() < 0.5,
        timeout=chance.uniform(SHORTEST, SHORT) if short else DEADLINE,
        cancel_after=chance.uniform(0.0, 0.5) if chance.random() < 0.1 else None,
        options=options,
    )


async def answer(client: AsyncMuxerClient, call: Asked) -> Completion:
    if not call.stream:
        return await client.complete("Tell me something", timeout=call.timeout, **call.options)
    async with client.stream("Tell me something", timeout=call.timeout, **call.options) as stream:
        return await stream.completion()


async def make(client: AsyncMuxerClient, call: Asked, told: Told) -> Completion | None:
    """Makes a call, and notes how it ended; gives the answer."""
    told.calls += 1
    began = time.monotonic()
    making = asyncio.ensure_future(answer(client, call))
    most = call.timeout + MARGIN
    done, _ = await asyncio.wait([making], timeout=most if call.cancel_after is None else call.cancel_after)
    if not done:
        if call.cancel_after is None:
            told.late.append(f"{call} had not ended after {most:.1f} s")
        making.cancel()
        await asyncio.wait([making])
    told.slowest_overtime = max(told.slowest_overtime, time.monotonic() - began - call.timeout)
    if making.cancelled():
        told.cancelled += 1
        return None
    error = making.exception()
    if isinstance(error, MuxerError):
        told.reasons[error.reason] += 1
        if error.reason not in EXPECTED_REASONS:
            told.wrong.append(f"{call}: {error}")
        return None
    if error is not None:
        raise error
    found = making.result()
    told.complete += 1
    if found.summary.outcome != COMPLETE or found.text != WHOLE:
        told.wrong.append(f"{call} ended with {found.text!r} and {found.summary}")
    return found


async def keep_calling(client: AsyncMuxerClient, told: Told, chance: random.Random) -> None:
    """Calls until it is over; what has a request id is at times asked again, and must have the same answer."""
    while not told.over:
        call = asked(chance)
        first = await make(client, call, told)
        if "request_id" in call.options and chance.random() < 0.3:
            again = await make(client, call, told)
            told.repeated += 1
            if first and again and first.summary.completion_id != again.summary.completion_id:
                told.wrong.append(f"{call} was answered twice")
        await asyncio.sleep(PACE * chance.uniform(0.0, 2.0))
