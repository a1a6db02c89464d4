"""The cache of answers as the pipeline uses it: looked up before anything is decided, filled when an answer is settled.

A hit gives the reply of the completion that was paid for: its ids, its decision, its models. It tells that it is a hit,
that nothing was used and nothing is to be paid, what the answer had cost, and the times of the call that is answered.
It leaves no entry in the ledger and takes nothing from budgets, leases of money or token limits; that its caller may
call, and how often, is checked before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from muxer_grpc.domain.caching import (
    CachedAnswer,
    CacheFigures,
    CacheKey,
    CacheObserver,
    Found,
    Invalidation,
    ResponseCache,
    cache_key,
)
from muxer_grpc.domain.completion import Completion, Outcome, Replay
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.money import NO_COST, NO_USAGE
from muxer_grpc.domain.ports import Documents
from muxer_grpc.domain.routing.policy import CacheMode, CompletionRequest
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.domain.tenancy import Principal, SafetyAction
from muxer_grpc.pipeline.single_flight import Landed, SingleFlight, Turn
from muxer_grpc.pipeline.time_limit import TimeLimit

_log = logging.getLogger(__name__)

# Of the time that a caller has left, it waits so much for the same request under way: then it may yet be answered by
# itself, where whoever came first has more time, or a provider that does not answer.
WAIT_SHARE = 0.5
# Answers on their way into the cache; beyond it they are not kept.
MAX_STORING = 256
# Such answers are whole, but not what another call of the same request would like to get.
_OF_ONE_CALL = frozenset({Outcome.LENGTH, Outcome.FILTERED})


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What is kept and for how long, in seconds; 0 keeps nothing. `tenants` have a cache; none named: all have.

    A caller's own time and all others are cut to `max_ttl_seconds`. An answer of more than `max_answer_bytes` is not
    kept.
    """

    ttl_seconds: float = 3_600.0
    ttl_by_intent: Mapping[Intent, float] = field(default_factory=dict)
    max_ttl_seconds: float = 86_400.0
    max_answer_bytes: int = 1_048_576
    tenants: frozenset[str] = frozenset()

    def ttl(self, intent: Intent, asked: float | None) -> float:
        """Tells how long an answer is kept."""
        own = self.ttl_by_intent.get(intent, self.ttl_seconds)
        # What an operator does not want kept, no caller has kept.
        return 0.0 if own <= 0 else min(own if asked is None else asked, self.max_ttl_seconds)


class Pending:
    """A request that is not answered yet: its answer is kept, and given to those who wait for the same one.

    It must be closed, whatever becomes of the request; see Turn.
    """

    __slots__ = ()

    @property
    def wanted(self) -> bool:
        """Tells whether `store` wants the whole answer."""
        return False

    def decided(self, decision: Decision) -> None:
        """Learns what the request's decision is."""

    def store(self, completion: Completion | None) -> None:
        """Takes what a request came to, once it is settled; None and what is not whole are not kept. Never waits."""

    def close(self) -> None:
        """Lets somebody else who waits for the same request go on, where nothing was stored."""


NOT_CACHED = Pending()


class Answers:
    """The cache of answers. `now` gives seconds since the epoch. Close it with `aclose`."""

    def __init__(
        self, cache: ResponseCache, documents: Documents, rules: CacheRules, now: Callable[[], float] = time.time
    ) -> None:
        self._cache = cache
        self._documents = documents
        self._rules = rules
        self._now = now
        self._flights: SingleFlight[CachedAnswer] = SingleFlight()
        self._storing: set[asyncio.Task[None]] = set()
        # Counts what was forgotten: what is under way then is not for those who come after.
        self._era = 0
        self._hits = self._shared = self._misses = self._saved = 0
        # Is told of each look-up, where there is one.
        self.observer: CacheObserver | None = None

    async def lookup(self, request: CompletionRequest, limit: TimeLimit) -> Replay | Pending:
        """Gives the answer that is kept, or that the same request under way brings; else what its own is handed to.

        Raises what the limit raises.
        """
        began = time.perf_counter()
        wish, principal = request.cache, limit.principal
        tenant_id = principal.subject.tenant_id
        tenants = self._rules.tenants
        if wish.mode is CacheMode.OFF or not wish.content or (tenants and tenant_id not in tenants):
            return NOT_CACHED
        key = cache_key(request, tenant_id, principal.policy)
        if wish.mode is CacheMode.REFRESH or request.request_id is not None:
            # An id promises that the same call has the same answer, as the ledger knows it.
            seen = await limit.wait(lambda: self._cache.get(key))
            return _Asked(self, request, principal, key, seen.mark, None)
        flight, over = (self._era, key.digest), self._flights.over
        found: Found | None = None
        if not self._flights.has(flight):
            found = await limit.wait(lambda: self._cache.get(key))
            if found.answer is not None:
                return self._hit(found.answer, began)
        turn = await self._flights.join(flight, limit, WAIT_SHARE * limit.seconds_left)
        if isinstance(turn, Landed):
            return self._hit(turn.result, began, shared=True)
        if found is None or over != self._flights.over:
            # What was under way may have been kept since.
            try:
                found = await limit.wait(lambda: self._cache.get(key))
            except BaseException:
                if turn is not None:
                    turn.close()
                raise
            if found.answer is not None:
                if turn is not None:
                    turn.give(found.answer)
                    turn.close()
                return self._hit(found.answer, began)
        self._misses += 1
        return _Asked(self, request, principal, key, found.mark, turn, missed=True)

    async def invalidate(self, what: Invalidation) -> int | None:
        """Forgets answers; gives their number where it is known. Raises StorageUnavailable."""
        try:
            return await self._cache.invalidate(what)
        finally:
            self._era += 1

    def figures(self) -> CacheFigures:
        """Tells what the cache did for this process."""
        return CacheFigures(self._cache.figures(), self._hits, self._shared, self._misses, self._saved)

    async def aclose(self) -> None:
        """Waits for what is on its way into the cache, and closes it."""
        await asyncio.gather(*self._storing, return_exceptions=True)
        await self._cache.aclose()

    def missed(self, decision: Decision) -> None:
        """Tells whoever observes of a request that nothing was kept for."""
        if self.observer is not None:
            self.observer.cache_missed(decision, self._now())

    def keep(self, asked: _Asked, completion: Completion) -> None:
        """Keeps the answer to what was asked, where it may be kept; those who wait for it get it at once."""
        intent = completion.decision.classification.intent
        ttl = self._rules.ttl(intent, asked.request.cache.ttl_seconds)
        # Each completion of a flagged request must stand in the ledger with its flag.
        flagged = intent is Intent.SAFETY_RISK and asked.principal.policy.safety_action is SafetyAction.FLAG
        if ttl <= 0 or flagged:
            asked.let_all_go()
            return
        answer = self._answer(asked.request, completion)
        turn = asked.turn
        if turn is not None:
            turn.give(answer)
        if (
            asked.mark is None
            or len(answer.document) > self._rules.max_answer_bytes
            or len(self._storing) >= MAX_STORING
        ):
            return
        # Whoever comes before it is kept finds it in the turn.
        asked.turn = None
        task = asyncio.get_running_loop().create_task(self._put(asked.key, answer, asked.mark, ttl, turn))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _put(
        self, key: CacheKey, answer: CachedAnswer, mark: object, ttl: float, turn: Turn[CachedAnswer] | None
    ) -> None:
        try:
            await self._cache.put(key, answer, mark, ttl)
        except Exception:
            _log.exception("an answer could not be kept")
        finally:
            if turn is not None:
                turn.close()

    def _answer(self, request: CompletionRequest, completion: Completion) -> CachedAnswer:
        """Makes what is kept of an answer: the reply that a hit gives."""
        summary = completion.summary
        model = completion.decision.selected if summary.answered_by is None else summary.answered_by
        saved = summary.cost.total_nano
        told = replace(
            summary,
            usage=NO_USAGE,
            cost=NO_COST,
            attempts=(),
            duration=0.0,
            time_to_first_token=None,
            cache_hit=True,
            saved_nano_usd=saved,
        )
        document = self._documents.answer(replace(completion, summary=told))
        labels = tuple(sorted(request.labels.items()))
        decision = completion.decision
        intent = decision.classification.intent.value
        return CachedAnswer(document, model.name, labels, saved, self._now(), intent, decision.strategy)

    def _hit(self, answer: CachedAnswer, began: float, *, shared: bool = False) -> Replay:
        if shared:
            self._shared += 1
        else:
            self._hits += 1
        self._saved += answer.saved_nano_usd
        if self.observer is not None:
            self.observer.cache_hit(answer, self._now(), shared=shared)
        return Replay(answer.document, time.perf_counter() - began)


@dataclass(slots=True)
class _Asked(Pending):
    """A request whose answer may be kept."""

    answers: Answers
    request: CompletionRequest
    principal: Principal
    key: CacheKey
    mark: object | None
    turn: Turn[CachedAnswer] | None
    # Whether it was looked for, and nothing was kept.
    missed: bool = False

    @property
    def wanted(self) -> bool:
        """Tells that the whole answer is wanted."""
        return True

    def decided(self, decision: Decision) -> None:
        """Tells of a miss, now that it is known whose."""
        if self.missed:
            self.answers.missed(decision)

    def store(self, completion: Completion | None) -> None:
        """Takes what the request came to."""
        if completion is None:
            return
        outcome = completion.summary.outcome
        try:
            if outcome is Outcome.COMPLETE:
                self.answers.keep(self, completion)
            elif outcome in _OF_ONE_CALL:
                self.let_all_go()
        except Exception:
            # The answer itself is whole, settled and on its way to the caller.
            _log.exception("an answer could not be kept")

    def let_all_go(self) -> None:
        """Lets those who wait for this answer make their own."""
        if self.turn is not None:
            self.turn.let_all_go()

    def close(self) -> None:
        """Lets the next one have the turn, where it brought nothing."""
        if self.turn is not None:
            self.turn.close()
