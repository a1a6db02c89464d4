"""One run, of which tests look at one side each: load through Envoy on two replicas, of which one is killed and comes
back, and the other one drains.

Four tenants call: `free` and `plain` without limits, `capped` with a hard budget, `slowed` with a rate limit. All but
`plain` have a client that makes calls repeatable.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import redis
from muxer_client import AsyncMuxerClient, MuxerError

from muxer_grpc.bootstrap import new_id
from muxer_grpc.domain.administration import Actor
from muxer_grpc.domain.budgeting import Period
from muxer_grpc.domain.directory import ApiKey, User
from muxer_grpc.domain.directory import Tenant as TenantRecord
from muxer_grpc.domain.tenancy import RateLimit, Role
from muxer_grpc.identity.api_keys import ApiKeys
from muxer_grpc.storage.budgets import BudgetTable
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.keys import KeyTable
from muxer_grpc.storage.ledger_check import LedgerCheckTable
from muxer_grpc.storage.tenants import TenantTable
from muxer_grpc.storage.users import DefaultBudgets, UserTable
from tests.fakes.answers import of_tokens
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider
from tests.mesh.callers import Tenant
from tests.mesh.proxy import Envoy, envoy
from tests.process.callers import names_at
from tests.process.replicas import Replica, replica, variables
from tests.storage.reckoning import Books, counters_of, differences, read_books
from tests.storage.records import SECOND, budget

PEPPER = "a pepper of thirty-two bytes, no less"
REQUESTS_PER_MINUTE = 40
ANSWER = of_tokens(60)
# More than fail at once where one replica of two goes: all of them are to be tried again.
FREE_CALLERS, STREAM_CALLERS, OTHER_CALLERS = 20, 12, 4
# What the budget holds, in answers.
AFFORDABLE = 40


@dataclass
class Run:
    """What a run left behind."""

    free: Tenant
    plain: Tenant
    capped: Tenant
    slowed: Tenant
    exit_code: int = -1
    # Failures that `free` saw before the drain began; what comes later is of the drain.
    failed_at_kill: int = 0
    cut_at_kill: int = 0
    books: Books = field(default_factory=lambda: Books([], [], [], [], [], []))
    contradictions: list[object] = field(default_factory=list)
    limit_nano_usd: int = 0
    most_nano_usd: int = 0
    looks: int = 0
    counted_requests: int = 0
    asked_of_provider: dict[str, int] = field(default_factory=dict)

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        return self.free, self.plain, self.capped, self.slowed


async def key_for(database: Database, tenant_id: str, limit: RateLimit) -> str:
    """Makes a tenant with a user and a key; gives the key."""
    actor = Actor("test", int(time.time() * SECOND))
    await TenantTable(database).create(TenantRecord(tenant_id, limit=limit), actor)
    await UserTable(database, DefaultBudgets(), new_id).create(User(tenant_id, "user", Role.CALLER), actor)
    made = ApiKeys(PEPPER.encode()).make()
    key = ApiKey(made.id, tenant_id, "user", Role.CALLER, made.prefix, made.digest)
    await KeyTable(database, new_id).create(key, actor)
    return made.text


def out_of_budget(error: MuxerError) -> bool:
    """Tells whether a budget is used up: nothing that is promised may come back to it."""
    return error.reason == "BUDGET_EXCEEDED" and error.metadata["reserved_nano_usd"] == "0"


async def cap(run: Run, database: Database) -> None:
    """Gives `capped` a hard budget for so many answers, now that it is known what one costs."""
    assert await run.capped.complete("delayed") is None
    [entry] = (await asyncio.to_thread(read_books, database)).entries
    run.limit_nano_usd = entry["cost_nano_usd"] * AFFORDABLE
    made = budget(run.limit_nano_usd, Period.TOTAL, tenant_id="capped", user_id="")
    await BudgetTable(database).create(made, Actor("test", int(time.time() * SECOND)))


async def watch_budget(run: Run, database: Database) -> None:
    """Looks at the budget for ever, and keeps the most that was spent and promised at once."""
    while True:
        [counter] = await asyncio.to_thread(counters_of, database)
        run.most_nano_usd = max(run.most_nano_usd, counter.spent_nano_usd + counter.reserved_nano_usd)
        run.looks += 1
        await asyncio.sleep(0.05)


def begin_calling(run: Run) -> list[asyncio.Task[None]]:
    callers = [run.free.keep_completing("delayed") for _ in range(FREE_CALLERS)]
    callers += [run.plain.keep_completing("delayed") for _ in range(OTHER_CALLERS)]
    callers += [run.free.keep_streaming("paused", ANSWER.text) for _ in range(STREAM_CALLERS)]
    callers += [run.capped.keep_completing("delayed", until=out_of_budget) for _ in range(OTHER_CALLERS)]
    callers += [
        run.slowed.keep_completing("delayed", until=lambda error: error.reason == "RATE_LIMITED")
        for _ in range(OTHER_CALLERS)
    ]
    return [asyncio.create_task(caller) for caller in callers]


@dataclass
class Fleet:
    """Two replicas behind Envoy."""

    replicas: list[Replica]
    proxy: Envoy
    redis_url: str
    settings: dict[str, str]
    folder: Path
    stack: AsyncExitStack

    @property
    def targets(self) -> set[str]:
        return {each.target for each in self.replicas}

    async def kill_and_replace(self) -> None:
        """Kills a replica, and starts another one at its address, as whoever looks after replicas does."""
        killed = self.replicas[0]
        killed.kill()
        await killed.ended.wait()
        listen = {"MUXER_SERVER__LISTEN": killed.target}
        started = replica(self.folder / "replaced", **self.settings, **listen)
        self.replicas[0] = await self.stack.enter_async_context(started)
        await self.proxy.wait_until_healthy(self.targets)


def counted_requests(url: str) -> int:
    """Tells how many requests of `slowed` Redis has counted in this minute."""
    with redis.Redis.from_url(url) as client:
        assert not client.exists("muxer:{requests/tenants/slowed}/-1"), "the run took more than a minute"
        return int(client.get("muxer:{requests/tenants/slowed}") or 0)


async def play(run: Run, fleet: Fleet) -> None:
    """Lets all call, and does to the replicas what is to be survived."""
    calling = begin_calling(run)
    # Both limits are in use, and far from used up.
    await run.slowed.wait_until_answered(REQUESTS_PER_MINUTE // 4)
    await fleet.kill_and_replace()
    await asyncio.gather(*calling[-OTHER_CALLERS:])
    run.counted_requests = counted_requests(fleet.redis_url)
    await asyncio.gather(*calling[-2 * OTHER_CALLERS :])
    await run.free.wait_until_answered(2 * FREE_CALLERS)
    run.failed_at_kill, run.cut_at_kill = len(run.free.failed), len(run.free.cut)
    run.exit_code = await fleet.replicas[1].stopped()
    await run.free.wait_until_answered(2 * FREE_CALLERS)
    run.free.over = run.plain.over = True
    await asyncio.gather(*calling)


async def settle(run: Run, database: Database, provider: FakeProvider) -> None:
    """Waits until what a dead replica left open is settled, and reads what is left."""
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(read_books, database)).reservations:
            await asyncio.sleep(0.1)
    run.books = await asyncio.to_thread(read_books, database)
    found = await LedgerCheckTable(database).check(None, int(time.time() * SECOND), grace_us=0)
    run.contradictions = [*differences(run.books), *found.differences]
    run.asked_of_provider = dict(names_at(provider))


async def made(folder: Path, database_url: str, redis_url: str) -> Run:
    """Makes the run."""
    database = Database(database_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.aclose)
        provider = await stack.enter_async_context(fake_provider())
        provider.script("delayed", Play(delay=0.15))
        provider.script("paused", Play(answer=ANSWER, pause=0.15))
        settings = variables(
            database_url,
            f"{provider.url}/v1",
            *("delayed", "paused"),
            MUXER_RATE_LIMITS__REDIS_URL=redis_url,
            MUXER_RATE_LIMITS__REDIS_TIMEOUT_SECONDS="5",
            MUXER_IDENTITY__MODES="keys",
            MUXER_IDENTITY__PEPPER=PEPPER,
            MUXER_SERVER__DRAIN_ANNOUNCE_SECONDS="3",
        )
        limits = {"free": None, "plain": None, "capped": None, "slowed": REQUESTS_PER_MINUTE}
        keys = {name: await key_for(database, name, RateLimit(limit)) for name, limit in limits.items()}
        starting = (replica(folder / name, **settings) for name in ("first", "second"))
        replicas = list(await asyncio.gather(*map(stack.enter_async_context, starting)))
        proxy = await stack.enter_async_context(envoy(folder, [each.target for each in replicas]))
        tenants = []
        for name, key in keys.items():
            client = AsyncMuxerClient(proxy.target, api_key=key, repeatable=name != "plain")
            tenants.append(Tenant(name, await stack.enter_async_context(client)))
        run = Run(*tenants)
        await cap(run, database)
        watching = asyncio.create_task(watch_budget(run, database))
        await play(run, Fleet(replicas, proxy, redis_url, settings, folder, stack))
        await settle(run, database, provider)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return run
