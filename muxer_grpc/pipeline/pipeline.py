"""plan() decides; run() decides, calls and accounts; fold(run()) is the unary answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from muxer_grpc.domain.completion import Completion, CompletionEvent, Folding, Replay, Summary
from muxer_grpc.domain.decision import Classification, Decision
from muxer_grpc.domain.errors import DecisionStale, MuxerError, ProviderFailure
from muxer_grpc.domain.live import LiveSnapshot
from muxer_grpc.domain.refusals import SafetyBlocked
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.domain.tenancy import NO_POLICY, SafetyAction, TenantPolicy, narrowed
from muxer_grpc.pipeline.completion_run import CompletionRun
from muxer_grpc.pipeline.repeats import Repeats
from muxer_grpc.pipeline.response_cache import NOT_CACHED
from muxer_grpc.pipeline.settlement import kept_decision
from muxer_grpc.pipeline.surroundings import Surroundings
from muxer_grpc.pipeline.time_limit import TimeLimit

# Route does not wait until its decision is written, and whoever takes it up elsewhere may be quicker: so it is looked
# for again, after so many seconds each.
LOOKS = (0.0, 0.02, 0.1, 0.4)


@dataclass(frozen=True, slots=True)
class EarlierDecision:
    """A decision of Route that a caller names, and the fingerprint of the spec that it now sends."""

    decision_id: str
    fingerprint: bytes


class Pipeline:
    """The one path behind Route, Complete and StreamComplete."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._repeats = Repeats()

    async def route(self, request: CompletionRequest, limit: TimeLimit, fingerprint: bytes) -> Decision:
        """Decides without answering, and keeps the decision for a Complete of the same spec. Raises as plan()."""
        began = time.perf_counter()
        decision = await self.plan(request, limit, dry_run=True)
        around = self._around
        if limit.trace is not None:
            limit.trace.decided(decision, time.perf_counter() - began)
        around.decisions.keep(decision, fingerprint, limit.principal.subject.tenant_id)
        books = around.books
        if books is not None and books.rules.decision_seconds > 0:
            books.accounts.keep(kept_decision(books, decision, limit.principal, fingerprint))
        return decision

    async def plan(self, request: CompletionRequest, limit: TimeLimit, *, dry_run: bool) -> Decision:
        """Decides which model should answer.

        Raises NoEligibleModel, ContextTooLong, SafetyBlocked, and what the limit raises.
        """
        around = self._around
        classification = await self._classified(request, limit)
        tenant_policy = limit.principal.policy
        if tenant_policy is not NO_POLICY:
            request = _within(request, classification, tenant_policy)
        now = around.now()
        return around.fleet.router.decide(
            request,
            classification,
            decision_id=f"dec_{around.new_id()}",
            now=now,
            live=self._live(now),
            dry_run=dry_run,
            seconds_left=limit.seconds_left,
        )

    async def _classified(self, request: CompletionRequest, limit: TimeLimit) -> Classification:
        """Classifies a request; where that leaves a doubt, a judge settles it, if one may be asked."""
        around = self._around
        classification, judge = around.classify(request.conversation), around.judge
        if judge is None or not judge.doubts(classification):
            return classification
        policy = narrowed(request.policy, limit.principal.policy)
        may_ask = judge.may_be_asked(around.fleet.catalogue, policy, self._live(around.now()))
        return await judge.settle(request.conversation, classification, limit, may_ask=may_ask)

    def _live(self, now: float) -> LiveSnapshot:
        """Gives what is known of models at present, and which of them rest."""
        around = self._around
        return around.resilience.health.over(around.live(now), asyncio.get_running_loop().time())

    async def take_up(self, request: CompletionRequest, earlier: EarlierDecision, limit: TimeLimit) -> Decision:
        """Takes up a decision of Route, of whichever process that shares the database.

        Raises DecisionExpired, DecisionStale, InvalidRequest, SafetyBlocked, StorageUnavailable, and what the limit
        raises.
        """
        around, principal = self._around, limit.principal
        tenant_id = principal.subject.tenant_id
        if around.decisions.misses(earlier.decision_id):
            await self._fetch(earlier.decision_id, tenant_id, limit)
        decision = around.decisions.take(earlier.decision_id, earlier.fingerprint, tenant_id, around.now())
        if principal.policy is not NO_POLICY:
            request = _within(request, decision.classification, principal.policy)
        exclusion = around.fleet.router.allows(decision.selected, request)
        if exclusion is not None:
            raise DecisionStale(decision.decision_id, exclusion)
        around.fleet.router.took(decision)
        return decision

    async def _fetch(self, decision_id: str, tenant_id: str, limit: TimeLimit) -> None:
        """Keeps a decision here that another process made, where its history has it."""
        around = self._around
        books = around.books
        if books is None or books.rules.decision_seconds <= 0:
            return
        for pause in LOOKS:
            if pause:
                await limit.wait(partial(asyncio.sleep, pause))
            found = await limit.wait(partial(books.routed.routed, tenant_id, decision_id))
            if found is not None:
                decision = books.documents.read_decision(found.document, around.fleet.catalogue)
                if decision is not None:
                    around.decisions.keep(decision, found.fingerprint, tenant_id)
                return

    async def run(
        self,
        request: CompletionRequest,
        limit: TimeLimit,
        *,
        stream: bool = True,
        earlier: EarlierDecision | None = None,
    ) -> AsyncGenerator[CompletionEvent | Replay, None]:
        """Yields one decision, the pieces of the answer, and one summary, however the completion ends.

        A request that was answered before under the same id yields that answer alone, as a Replay. Raises what plan()
        or take_up() raises, and what reserving raises, before the first event. A failure after that is in the
        summary's `error`; nothing follows the summary. The summary comes when the account is settled.
        """
        pending = NOT_CACHED
        if self._around.answers is not None and earlier is None:
            found = await self._around.answers.lookup(request, limit)
            if isinstance(found, Replay):
                _note(limit, "cache.result", "hit")
                yield found
                return
            pending = found
        try:
            decision = await self._decide(request, limit, earlier)
            pending.decided(decision)
            completion = CompletionRun(
                request, decision, limit.principal, self._around, stream=stream, whole=pending.wanted
            )
            try:
                replay = await self._reserve(completion, request, limit)
                if replay is not None:
                    _note(limit, "cache.result", "repeat")
                    yield replay
                    return
                yield decision
                async with aclosing(completion.attempts(limit.trace).deltas(limit)) as deltas:
                    async for delta in deltas:
                        completion.note(delta)
                        yield delta
                summary = completion.succeeded()
            except Exception as error:
                summary = self._ended_by(error, completion)
            finally:
                # Cancellation and a generator closed by its consumer pass through here and yield nothing more.
                completion.close()
                if request.request_id is not None:
                    self._repeats.end(limit.principal.subject.tenant_id, request.request_id.id, completion)
            try:
                summary = await completion.settled(summary, limit.trace)
            except asyncio.CancelledError:
                # It is paid for and being booked, whoever left: others who wait for the same need not pay anew.
                pending.store(completion.whole(summary))
                raise
            pending.store(completion.whole(summary))
            yield summary
        finally:
            pending.close()

    async def _decide(self, request: CompletionRequest, limit: TimeLimit, earlier: EarlierDecision | None) -> Decision:
        """Decides, or takes up a decision of Route, and counts the tokens that it may take."""
        began = time.perf_counter()
        if earlier is None:
            decision = await self.plan(request, limit, dry_run=False)
        else:
            decision = await self.take_up(request, earlier, limit)
        if limit.trace is not None:
            limit.trace.decided(decision, time.perf_counter() - began)
        limiter = self._around.limiter
        if limiter is not None and limiter.limits(limit.principal):
            best = decision.candidates[0]
            tokens = best.estimated_input_tokens + best.estimated_output_tokens
            await limit.wait(partial(limiter.admit_tokens, limit.principal, tokens))
        return decision

    def _ended_by(self, error: Exception, completion: CompletionRun) -> Summary:
        """Ends a completion by an error; before there was a promise, there is no completion, and it is raised."""
        if isinstance(error, ProviderFailure):
            return completion.failed(error)
        if not completion.promised:
            raise error
        if isinstance(error, MuxerError):
            return completion.stopped(error)
        return completion.broke(self._around.new_id())

    async def _reserve(self, completion: CompletionRun, request: CompletionRequest, limit: TimeLimit) -> Replay | None:
        """Promises to pay; gives the answer instead, where the request was answered before under the same id."""
        books, named = self._around.books, request.request_id
        tenant_id = limit.principal.subject.tenant_id
        began = time.perf_counter()
        while True:
            known = await completion.reserve(limit)
            if known is None or named is None or books is None:
                break
            replay = await self._repeats.answer(known, named, tenant_id, books, limit)
            if replay is not None:
                return replay
        if books is not None:
            _note(limit, "reserve.duration", time.perf_counter() - began)
        if named is not None:
            self._repeats.begin(tenant_id, named.id, completion)
        return None

    async def complete(
        self, request: CompletionRequest, limit: TimeLimit, earlier: EarlierDecision | None = None
    ) -> Completion | Replay:
        """Folds run() into one answer. Raises what run() raises, and the summary's error when there is one."""
        folding = Folding()
        async with aclosing(self.run(request, limit, stream=False, earlier=earlier)) as events:
            async for event in events:
                if isinstance(event, Replay):
                    return event
                folding.add(event)
        completion = folding.result()
        if completion.summary.error is not None:
            raise completion.summary.error
        return completion


def _note(limit: TimeLimit, name: str, value: str | float) -> None:
    if limit.trace is not None:
        limit.trace.noted(name, value)


def _within(request: CompletionRequest, classification: Classification, policy: TenantPolicy) -> CompletionRequest:
    """Narrows a request to what its tenant allows. Raises SafetyBlocked."""
    if classification.intent is Intent.SAFETY_RISK and policy.safety_action is SafetyAction.BLOCK:
        raise SafetyBlocked(classification.confidence)
    return replace(request, policy=narrowed(request.policy, policy))
