"""One completion under way: its promise, its attempt, its summary and its settlement."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import replace

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.completion import (
    Completion,
    CompletionEvent,
    Folding,
    Outcome,
    ProviderRequest,
    Summary,
)
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.errors import (
    CompletionFailed,
    DeadlineExceeded,
    InternalError,
    MuxerError,
    ProviderFailure,
)
from muxer_grpc.domain.ledger import KnownRequest
from muxer_grpc.domain.money import add_cost, add_usage
from muxer_grpc.domain.observing import CallTrace, CompletionTrace
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tenancy import ContentStorage, Principal
from muxer_grpc.pipeline.attempt import AttemptRun
from muxer_grpc.pipeline.failover import AttemptChain
from muxer_grpc.pipeline.failures import error_of, is_cut
from muxer_grpc.pipeline.settlement import Account, AccountRules, bounded_output
from muxer_grpc.pipeline.surroundings import Surroundings
from muxer_grpc.pipeline.time_limit import TimeLimit

_log = logging.getLogger(__name__)

# From so many completions on, what was measured says when a model is slow.
SAMPLES_FOR_HEDGING = 20
NO_RULES_OF_ACCOUNT = AccountRules("")
# So long after an attempt began, its request has been sent.
ON_ITS_WAY_SECONDS = 0.001


class CompletionRun:
    """The account of one completion: told of its end exactly once, whatever ends it."""

    def __init__(
        self,
        request: CompletionRequest,
        decision: Decision,
        principal: Principal,
        around: Surroundings,
        *,
        stream: bool,
        whole: bool = False,
    ) -> None:
        self._request = request
        self._decision = decision
        self._around = around
        self._stream = stream
        self._completion_id = f"cmp_{around.new_id()}"
        self._began = time.perf_counter()
        self._chain: AttemptChain | None = None
        self._closed = False
        self._settled: Awaitable[None] | None = None
        books = around.books
        self._account = None if books is None else Account(books, self._completion_id, request, decision, principal)
        keeps = request.request_id is not None or principal.policy.content is not ContentStorage.OFF
        self._folding = Folding() if whole or (keeps and books is not None) else None
        self._trace: CompletionTrace | None = None
        # From here on there is a summary and a settlement, whatever happens.
        self.promised = False

    async def reserve(self, limit: TimeLimit) -> KnownRequest | None:
        """Promises to pay, before anything is called; see Account.reserve. Without a promise there is no completion."""
        if self._account is not None:
            models = [candidate.model for candidate in (self._decision.candidates[0], *self._decision.fallbacks)]
            known = await self._account.reserve(models, self._around.fleet.catalogue, limit)
            if known is not None:
                return known
        self.promised = True
        self._around.observer.began()
        return None

    def attempts(self, call: CallTrace | None = None) -> AttemptChain:
        """Begins the attempts; `call` follows the call that they are made for."""
        around, request, decision = self._around, self._request, self._decision
        if call is not None:
            conversation = request.conversation
            self._trace = call.completion_began(self._completion_id, conversation, decision, stream=self._stream)
            if self._trace is not None and self._trace.wants_content and self._folding is None:
                self._folding = Folding()
        self._chain = AttemptChain(
            request,
            decision,
            around.resilience,
            self._attempt,
            self._bound,
            stream=self._stream,
            hedge_after=self._hedge_after(),
            most=self._most,
        )
        if self._account is not None:
            # By then, the call waits for its provider.
            asyncio.get_running_loop().call_later(ON_ITS_WAY_SECONDS, self._account.prepare)
        return self._chain

    def _attempt(self, number: int, request: ProviderRequest) -> AttemptRun:
        """Begins an attempt."""
        if self._trace is not None:
            headers = self._trace.attempt_began(number, request.model)
            if headers:
                request = replace(request, headers=headers)
        provider = self._around.providers[request.model.provider]
        return AttemptRun(number, provider, request, self._decision.estimated_input_tokens)

    def _hedge_after(self) -> float | None:
        """Gives the seconds after which a second attempt is made beside a silent first one; None: it is not.

        By then the model usually has begun: measured where it was called often, else three times what is estimated.
        """
        if not self._request.policy.hedge:
            return None
        best, around = self._decision.candidates[0], self._around
        known = around.live(around.now()).figures.get(best.model.name)
        if known is not None and known.samples >= SAMPLES_FOR_HEDGING:
            usual = known.first_token_seconds if self._stream else known.p95_seconds
            if usual is not None:
                return usual * (3.0 if self._stream else 1.0)
        return 3.0 * best.estimated_latency_seconds * (0.3 if self._stream else 1.0)

    def _most(self, model: Model) -> int:
        return 0 if self._account is None else self._account.most_of(model, self._around.fleet.catalogue)

    def _bound(self, model: Model, spent_nano_usd: int) -> int | None:
        """Bounds an attempt's output by the request, the model, and what is left of the promise."""
        if self._account is not None:
            return self._account.affordable(model, self._around.fleet.catalogue, spent_nano_usd)
        tokens, default = self._decision.estimated_input_tokens, NO_RULES_OF_ACCOUNT.default_max_output_tokens
        return bounded_output(self._request, model, tokens, default)

    def note(self, event: CompletionEvent) -> None:
        """Keeps a piece of the answer, where the whole is wanted at the end."""
        if self._folding is not None:
            self._folding.add(event)

    def succeeded(self) -> Summary:
        """Ends a completion whose provider finished."""
        # The last attempt is not always the one that answered: it may have been begun beside it.
        answered = None if self._chain is None else self._chain.current
        return self._tell(self._summary(Outcome.FAILED if answered is None else answered.outcome()))

    def failed(self, failure: ProviderFailure) -> Summary:
        """Ends a completion of which no attempt answered.

        The caller is told the first failure; or, where an answer had begun, that it was cut.
        """
        made = [] if self._chain is None else self._chain.attempts
        model = made[0].model if made else self._decision.selected
        cut = next((attempt for attempt in reversed(made) if attempt.started and attempt.failure is not None), None)
        if cut is not None and cut.failure is not None and is_cut(cut.failure.failure_class):
            failure, model = cut.failure, cut.model
        summary = self._summary(Outcome.FAILED)
        return self._ended(summary, error_of(failure, model, summary, started=cut is not None))

    def stopped(self, error: MuxerError) -> Summary:
        """Ends a completion that ran out of time, or that the service had to end."""
        ran_out = isinstance(error, DeadlineExceeded)
        summary = self._summary(Outcome.CANCELLED if ran_out else Outcome.FAILED)
        return self._ended(summary, _wrapped(error, summary))

    def broke(self, incident_id: str) -> Summary:
        """Ends a completion that met a defect of the service."""
        _log.exception("incident %s: a completion broke", incident_id)
        return self.stopped(InternalError(incident_id))

    def close(self) -> None:
        """Ends a completion that its caller left."""
        if self._chain is not None:
            self._chain.leave()
        if self.promised and not self._closed:
            self._tell(self._summary(Outcome.CANCELLED))

    async def settled(self, summary: Summary, call: CallTrace | None = None) -> Summary:
        """Waits until the account is settled; gives the summary, or one of a failure where that takes too long."""
        if self._settled is None:
            return summary
        began = time.perf_counter()
        try:
            await self._settled
            if call is not None:
                call.noted("settle.duration", time.perf_counter() - began)
        except MuxerError as error:
            failed = replace(summary, outcome=Outcome.FAILED)
            wrapped = _wrapped(error, failed)
            wrapped.summary = replace(failed, error=wrapped)
            return wrapped.summary
        return summary

    def _ended(self, summary: Summary, error: CompletionFailed) -> Summary:
        """Ties error and summary together: each tells of the other."""
        error.summary = replace(summary, error=error)
        return self._tell(error.summary)

    def _summary(self, outcome: Outcome) -> Summary:
        duration = time.perf_counter() - self._began
        made = [] if self._chain is None else self._chain.attempts
        if not made:
            return Summary(self._completion_id, self._decision, outcome, duration=duration)
        last = (self._chain.current if self._chain is not None else None) or made[-1]
        records = [attempt.record(outcome if attempt is last else _outcome_beside(attempt)) for attempt in made]
        usage, cost = records[0].usage, records[0].cost
        for record in records[1:]:
            usage, cost = add_usage(usage, record.usage), add_cost(cost, record.cost)
        first_token_at, finished = last.first_token_at, last.finished
        return Summary(
            completion_id=self._completion_id,
            decision=self._decision,
            outcome=outcome,
            usage=usage,
            cost=cost,
            attempts=tuple(records),
            duration=duration,
            time_to_first_token=None if first_token_at is None else first_token_at - self._began,
            finish_reason=None if finished is None else finished.reason,
            vendor_finish_reason="" if finished is None else finished.vendor_reason,
            reported_model=last.reported_model,
            answered_by=last.model,
        )

    def _tell(self, summary: Summary) -> Summary:
        """Settles, and tells the observer: once. The settlement is on its way when this returns."""
        self._closed = True
        if self._account is not None:
            self._settled = self._account.settle(summary, self._whole, stream=self._stream)
        self._around.observer.ended(summary, self._around.now())
        if self._trace is not None:
            self._trace.ended(summary, self._whole() if self._trace.wants_content else None)
        return summary

    def whole(self, summary: Summary) -> Completion | None:
        """Gives the whole answer under its final summary, where it was wanted."""
        completion = self._whole()
        return None if completion is None else replace(completion, summary=summary)

    def _whole(self) -> Completion | None:
        """Gives the whole answer; its summary is a placeholder until the settlement puts the real one in."""
        folding = self._folding
        if folding is None:
            return None
        folding.decision = self._decision
        folding.summary = Summary(self._completion_id, self._decision, Outcome.COMPLETE)
        return folding.result()


def _outcome_beside(attempt: AttemptRun) -> Outcome:
    """Gives the outcome of an attempt that is not the one that ended the completion."""
    return Outcome.CANCELLED if attempt.left_behind else Outcome.FAILED


def _wrapped(error: MuxerError, summary: Summary) -> CompletionFailed:
    return CompletionFailed(
        error.reason,
        error.message,
        summary,
        metadata=error.metadata,
        retry_after_seconds=error.retry_after_seconds,
    )
