"""A process of many callers with one key: callers.py URL KEY LIMIT_OF_KEY LIMIT_OF_TENANT CALLERS REQUESTS_OF_EACH.

It says when it is ready, begins when it is told to, and tells what became of all requests.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from muxer_grpc.identity.rate_limits import RateLimits
from muxer_grpc.identity.shared_windows import SharedWindows
from tests.identity.limited import caller, outcome, requests


async def ask(url: str, key: str, limit_of_key: int, limit: int, callers: int, each: int) -> Counter[str]:
    """Lets all callers ask at once, each request after request."""
    who = caller(key, key_limit=requests(limit_of_key), tenant_limit=requests(limit))
    limits = RateLimits(SharedWindows(url, 30), refuse_when_away=True)
    said: Counter[str] = Counter()

    async def one() -> None:
        for _ in range(each):
            said[await outcome(limits.admit_request(who))] += 1

    await asyncio.gather(*(one() for _ in range(callers)))
    await limits.aclose()
    return said


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    url, key, *numbers = sys.argv[1:]
    print(json.dumps(asyncio.run(ask(url, key, *map(int, numbers)))))
