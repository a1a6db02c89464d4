"""The cache of answers as the pipeline uses it: what is given, what is kept, for whom and for how long."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import Literal

import pytest
from muxer.v1 import completion_pb2

from muxer_grpc.cache.memory import MemoryCache
from muxer_grpc.domain.caching import CachedAnswer, CacheKey, Found, Invalidation, StoreFigures
from muxer_grpc.domain.completion import Completion, Outcome, Replay
from muxer_grpc.domain.errors import DeadlineExceeded
from muxer_grpc.domain.routing.policy import CacheMode, CacheWish, RequestId
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.domain.tenancy import SafetyAction, TenantPolicy
from muxer_grpc.pipeline.response_cache import NOT_CACHED, Answers, CacheRules, Pending
from muxer_grpc.rpc.documents import WireDocuments, replayed
from tests.unit.cached import ACME, COST, OTHER, Service, completion, limit_of, reply_of, request, until_waiting


async def test_the_second_of_two_equal_requests_gets_the_answer_of_the_first() -> None:
    service = Service()
    assert await service.ask() == "made answer 1"
    assert await service.ask() == "hit answer 1"
    assert await service.ask(request("two")) == "made answer 2"
    figures = service.answers.figures()
    assert (figures.hits, figures.misses, figures.store.stored) == (1, 2, 2)
    assert figures.saved_nano_usd == COST.total_nano == 12


async def test_a_hit_says_so_costs_nothing_and_names_the_completion_that_was_paid_for() -> None:
    service = Service()
    await service.ask()
    found = await service.answers.lookup(request(), limit_of())
    assert isinstance(found, Replay)
    assert found.seconds is not None
    reply = reply_of(replace(found, seconds=1.25))
    summary = reply.summary
    assert (summary.cache_hit, summary.saved_nano_usd, summary.cost.total_nano_usd) == (True, 12, 0)
    assert summary.usage == type(summary.usage)()
    assert len(summary.attempts) == 0
    assert (summary.completion_id, summary.selected_model) == ("cmp_1", "acme/small")
    assert summary.outcome == completion_pb2.OUTCOME_COMPLETE
    assert summary.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert reply.decision.decision_id == summary.decision_id != ""
    assert summary.duration.ToTimedelta().total_seconds() == 1.25
    assert summary.time_to_first_token == summary.duration


async def test_a_hit_is_told_as_a_stream_too() -> None:
    service = Service()
    await service.ask()
    found = await service.answers.lookup(request(), limit_of())
    assert isinstance(found, Replay)
    events = list(replayed(found))
    assert [event.WhichOneof("event") for event in events] == ["decision", "text_delta", "summary"]
    assert events[1].text_delta.text == "answer 1"
    assert events[2].summary.cache_hit


async def test_nothing_crosses_tenants() -> None:
    service = Service()
    assert await service.ask(principal=ACME) == "made answer 1"
    assert await service.ask(principal=OTHER) == "made answer 2"
    assert await service.ask(principal=ACME) == "hit answer 1"
    assert await service.ask(principal=OTHER) == "hit answer 2"


async def test_an_answer_ends_with_the_policy_under_which_it_was_made() -> None:
    service = Service()
    await service.ask()
    narrowed = replace(ACME, policy=TenantPolicy(denied_models=frozenset({"acme/small"})))
    assert await service.ask(principal=narrowed) == "made answer 2"
    assert await service.ask() == "hit answer 1"


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.COMPLETE])
async def test_only_a_whole_answer_is_kept(outcome: Outcome) -> None:
    service = Service()
    await service.ask(outcome=outcome)
    assert await service.ask() == "made answer 2"
    assert await service.ask() == "hit answer 2"


async def test_a_caller_may_opt_out_and_may_ask_for_a_fresh_answer() -> None:
    service = Service()
    await service.ask()
    assert await service.ask(request(wish=CacheWish(CacheMode.OFF))) == "made answer 2"
    assert await service.ask() == "hit answer 1", "what opts out is not kept"
    assert await service.ask(request(wish=CacheWish(CacheMode.REFRESH))) == "made answer 3"
    assert await service.ask() == "hit answer 3"


async def test_a_request_with_an_id_is_never_answered_from_the_cache_and_its_answer_is_kept() -> None:
    service = Service()
    await service.ask()
    named = replace(request(), request_id=RequestId("r", b"", b""))
    assert await service.ask(named) == "made answer 2"
    assert await service.ask() == "hit answer 2"


async def test_a_tenant_without_a_cache_has_none() -> None:
    service = Service(CacheRules(tenants=frozenset({"other"})))
    assert await service.answers.lookup(request(), limit_of(ACME)) is NOT_CACHED
    assert [await service.ask(principal=OTHER) for _ in range(2)] == ["made answer 1", "hit answer 1"]


async def test_without_what_it_is_known_by_a_request_is_not_cached() -> None:
    service = Service()
    assert await service.answers.lookup(replace(request(), cache=CacheWish()), limit_of()) is NOT_CACHED
    assert not NOT_CACHED.wanted
    NOT_CACHED.store(completion())
    NOT_CACHED.close()


TTLS = {
    "by default": (None, None, 100),
    "by intent": (Intent.CODE_GEN, None, 50),
    "as the caller says": (None, 30.0, 30),
    "as the caller says, up to the most": (None, 5_000.0, 200),
}


@pytest.mark.parametrize("case", TTLS)
async def test_an_answer_is_kept_for_its_time(case: str) -> None:
    intent, asked_ttl, expected = TTLS[case]
    service = Service(CacheRules(100, {Intent.CODE_GEN: 50, Intent.VISION: 0}, max_ttl_seconds=200))
    wish = CacheWish(ttl_seconds=asked_ttl)
    await service.ask(request(wish=wish), intent=intent)
    service.clock.at += expected - 0.5
    assert await service.ask() == "hit answer 1"
    service.clock.at += 0.5
    assert await service.ask() == "made answer 2"


async def test_what_an_operator_wants_not_kept_no_caller_has_kept() -> None:
    service = Service(CacheRules(100, {Intent.VISION: 0}))
    await service.ask(request(wish=CacheWish(ttl_seconds=50)), intent=Intent.VISION)
    assert await service.ask() == "made answer 2"


async def test_each_completion_of_a_flagged_request_is_made_so_that_each_is_flagged() -> None:
    service = Service()
    flagging = replace(ACME, policy=TenantPolicy(safety_action=SafetyAction.FLAG))
    for number in (1, 2):
        assert await service.ask(principal=flagging, intent=Intent.SAFETY_RISK) == f"made answer {number}"
    assert await service.ask(principal=flagging) == "made answer 3"
    assert await service.ask(principal=flagging) == "hit answer 3"


async def test_an_answer_that_is_too_large_is_not_kept() -> None:
    service = Service(CacheRules(max_answer_bytes=100))
    await service.ask()
    assert await service.ask() == "made answer 2"


async def test_equal_requests_under_way_get_one_answer() -> None:
    service = Service()
    service.go_on.clear()
    asking = [asyncio.create_task(service.ask()) for _ in range(50)]
    await until_waiting()
    service.go_on.set()
    assert Counter(await asyncio.gather(*asking)) == {"made answer 1": 1, "hit answer 1": 49}
    figures = service.answers.figures()
    assert (figures.hits, figures.shared, figures.misses, figures.saved_nano_usd) == (0, 49, 1, 49 * 12)


class Gate(asyncio.Event):
    """Lets through as many as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._permits = asyncio.Semaphore(0)

    async def wait(self) -> Literal[True]:
        return await self._permits.acquire()

    def let(self, number: int) -> None:
        for _ in range(number):
            self._permits.release()


@pytest.mark.parametrize("outcome", [Outcome.LENGTH, Outcome.FILTERED])
async def test_an_answer_that_is_not_kept_sends_those_who_wait_on_their_way_together(outcome: Outcome) -> None:
    service = Service()
    service.go_on = gate = Gate()
    asking = [asyncio.create_task(service.ask(outcome=outcome)) for _ in range(10)]
    await until_waiting()
    assert service.made == 1
    gate.let(1)
    await until_waiting()
    assert service.made == 10, "all of them are at work"
    gate.let(9)
    said = await asyncio.gather(*asking)
    assert len({*said}) == 10
    assert all(word.startswith("made") for word in said)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
async def test_when_an_answer_fails_one_after_another_goes_on(outcome: Outcome) -> None:
    service = Service()
    service.go_on = gate = Gate()
    asking = [asyncio.create_task(service.ask(outcome=outcome)) for _ in range(3)]
    for number in (1, 2, 3):
        await until_waiting()
        assert service.made == number
        gate.let(1)
    assert await asyncio.gather(*asking) == ["made answer 1", "made answer 2", "made answer 3"]


async def test_a_request_that_asks_for_a_fresh_answer_waits_for_nobody() -> None:
    service = Service()
    service.go_on.clear()
    first = asyncio.create_task(service.ask())
    await until_waiting()
    fresh = asyncio.create_task(service.ask(request(wish=CacheWish(CacheMode.REFRESH))))
    await until_waiting()
    assert service.made == 2
    service.go_on.set()
    assert await asyncio.gather(first, fresh) == ["made answer 1", "made answer 2"]


async def test_whoever_waits_goes_on_by_itself_while_it_still_has_half_of_its_time() -> None:
    service = Service()
    first = await service.answers.lookup(request(), limit_of())
    assert isinstance(first, Pending)
    found = await service.answers.lookup(request(), limit_of(seconds=2))
    assert isinstance(found, Pending)
    assert found.wanted
    found.store(completion("own"))
    found.close()
    first.close()
    await service.stored()
    assert await service.ask() == "hit own"


async def test_what_is_forgotten_is_given_to_nobody_who_comes_after() -> None:
    service = Service()
    service.go_on.clear()
    first, second = (asyncio.create_task(service.ask()) for _ in range(2))
    await until_waiting()
    assert await service.answers.invalidate(Invalidation()) == 0
    later = asyncio.create_task(service.ask())
    await until_waiting()
    assert service.made == 2, "it does not wait for what began before"
    service.go_on.set()
    assert await asyncio.gather(first, second, later) == ["made answer 1", "hit answer 1", "made answer 2"]
    assert await service.ask() == "hit answer 2", "the first was asked for before, and is not kept"


class Forgetful(MemoryCache):
    """A store that takes its time to forget."""

    def __init__(self) -> None:
        super().__init__(10**9)
        self.go_on = asyncio.Event()

    async def invalidate(self, what: Invalidation) -> int:
        await self.go_on.wait()
        return await super().invalidate(what)


async def test_what_began_while_things_were_being_forgotten_is_given_to_nobody_who_comes_after() -> None:
    service, store = Service(), Forgetful()
    service.answers = Answers(store, WireDocuments(), CacheRules())
    service.go_on.clear()
    forgetting = asyncio.create_task(service.answers.invalidate(Invalidation()))
    await until_waiting()
    first = asyncio.create_task(service.ask())
    await until_waiting()
    store.go_on.set()
    await forgetting
    later = asyncio.create_task(service.ask())
    await until_waiting()
    assert service.made == 2
    service.go_on.set()
    assert await asyncio.gather(first, later) == ["made answer 1", "made answer 2"]


class Failing(MemoryCache):
    """A store that cannot keep anything, for a reason that nobody thought of."""

    async def put(self, key: CacheKey, answer: CachedAnswer, mark: object, ttl_seconds: float) -> None:
        msg = "a defect"
        raise RuntimeError(msg)


async def test_a_defect_of_the_store_costs_nobody_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    service.answers = Answers(Failing(10**9), WireDocuments(), CacheRules())
    service.go_on.clear()
    asking = [asyncio.create_task(service.ask()) for _ in range(3)]
    await until_waiting()
    service.go_on.set()
    assert Counter(await asyncio.gather(*asking)) == {"made answer 1": 1, "hit answer 1": 2}
    await service.answers.aclose()
    assert [record.getMessage() for record in caplog.records] == ["an answer could not be kept"]
    assert await service.ask() == "made answer 2"


async def test_a_defect_in_writing_an_answer_costs_nobody_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Unwritable(WireDocuments):
        def answer(self, _completion: Completion) -> bytes:
            msg = "a defect"
            raise RuntimeError(msg)

    service = Service()
    service.answers = Answers(MemoryCache(10**9), Unwritable(), CacheRules())
    caplog.set_level(logging.ERROR)
    assert [await service.ask() for _ in range(2)] == ["made answer 1", "made answer 2"]


class Away:
    """A store that cannot be reached."""

    async def get(self, _key: CacheKey) -> Found:
        return Found(None, None)

    async def put(self, _key: CacheKey, _answer: CachedAnswer, _mark: object, _ttl_seconds: float) -> None:
        raise AssertionError

    async def invalidate(self, _what: Invalidation) -> int | None:
        return None

    def figures(self) -> StoreFigures:
        return StoreFigures("away", away=True)

    async def aclose(self) -> None:
        """Holds nothing open."""


async def test_while_the_store_is_away_equal_requests_under_way_still_share_an_answer() -> None:
    service = Service()
    service.answers = Answers(Away(), WireDocuments(), CacheRules())
    service.go_on.clear()
    asking = [asyncio.create_task(service.ask()) for _ in range(5)]
    await until_waiting()
    service.go_on.set()
    assert Counter(await asyncio.gather(*asking)) == {"made answer 1": 1, "hit answer 1": 4}
    assert await service.ask() == "made answer 2"


class Slow(MemoryCache):
    """A store whose first look-up never ends."""

    looked = 0

    async def get(self, key: CacheKey) -> Found:
        self.looked += 1
        if self.looked == 1:
            await asyncio.Event().wait()
        return await super().get(key)


async def test_a_caller_whose_time_ends_during_the_look_up_leaves_the_turn_to_another() -> None:
    service = Service()
    service.answers = Answers(Slow(10**9), WireDocuments(), CacheRules())
    hurried = asyncio.create_task(service.answers.lookup(request(), limit_of(seconds=0.02)))
    await until_waiting()
    other = asyncio.create_task(service.ask())
    with pytest.raises(DeadlineExceeded):
        await hurried
    assert await other == "made answer 1"


async def test_labels_are_kept_with_an_answer_and_no_part_of_what_it_is_known_by() -> None:
    service = Service()
    await service.ask(request(labels={"team": "red"}))
    assert await service.ask(request(labels={"team": "blue"})) == "hit answer 1"
    assert await service.answers.invalidate(Invalidation(label=("team", "blue"))) == 0
    assert await service.answers.invalidate(Invalidation(label=("team", "red"))) == 1
    assert await service.ask() == "made answer 2"
