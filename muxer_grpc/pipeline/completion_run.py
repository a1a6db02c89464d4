"""One completion under way: its promise, its attempt, its summary and its settlement."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from dataclasses import replace

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
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tenancy import ContentStorage, Principal
from muxer_grpc.pipeline.attempt import AttemptRun
from muxer_grpc.pipeline.failures import error_of
from muxer_grpc.pipeline.settlement import Account, AccountRules, bounded_output
from muxer_grpc.pipeline.surroundings import Surroundings
from muxer_grpc.pipeline.time_limit import TimeLimit

_log = logging.getLogger(__name__)

NO_RULES_OF_ACCOUNT = AccountRules("")


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
    ) -> None:
        self._request = request
        self._decision = decision
        self._around = around
        self._stream = stream
        self._completion_id = f"cmp_{around.new_id()}"
        self._began = time.perf_counter()
        self._attempt: AttemptRun | None = None
        self._closed = False
        self._settled: Awaitable[None] | None = None
        books = around.books
        self._account = None if books is None else Account(books, self._completion_id, request, decision, principal)
        keeps = request.request_id is not None or principal.policy.content is not ContentStorage.OFF
        self._folding = Folding() if keeps and books is not None else None
        # From here on there is a summary and a settlement, whatever happens.
        self.promised = False

    async def reserve(self, limit: TimeLimit) -> KnownRequest | None:
        """Promises to pay, before anything is called; see Account.reserve. Without a promise there is no completion."""
        if self._account is not None:
            models = (self._decision.selected,)
            known = await self._account.reserve(models, self._around.fleet.catalogue, limit)
            if known is not None:
                return known
        self.promised = True
        self._around.observer.began()
        return None

    def attempt(self) -> AttemptRun:
        """Begins the attempt at the chosen model."""
        model = self._decision.selected
        books = self._around.books
        rules = NO_RULES_OF_ACCOUNT if books is None else books.rules
        input_tokens = self._decision.estimated_input_tokens
        provider_request = ProviderRequest(
            conversation=self._request.conversation,
            model=model,
            max_output_tokens=bounded_output(self._request, model, input_tokens, rules.default_max_output_tokens),
            stream=self._stream,
        )
        provider = self._around.providers[model.provider]
        self._attempt = AttemptRun(1, provider, provider_request, input_tokens)
        return self._attempt

    def note(self, event: CompletionEvent) -> None:
        """Keeps a piece of the answer, where the whole is wanted at the end."""
        if self._folding is not None:
            self._folding.add(event)

    def succeeded(self) -> Summary:
        """Ends a completion whose provider finished."""
        return self._tell(self._summary(Outcome.FAILED if self._attempt is None else self._attempt.outcome()))

    def failed(self, failure: ProviderFailure) -> Summary:
        """Ends a completion whose provider failed."""
        attempt = self._attempt
        model = self._decision.selected
        _log.warning(
            "attempt failed: provider=%s model=%s class=%s status=%d code=%s",
            model.provider,
            model.name,
            failure.failure_class.value,
            failure.http_status,
            failure.vendor_code,
        )
        summary = self._summary(Outcome.FAILED)
        return self._ended(summary, error_of(failure, model, summary, started=attempt is not None and attempt.started))

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
        if self.promised and not self._closed:
            self._tell(self._summary(Outcome.CANCELLED))

    async def settled(self, summary: Summary) -> Summary:
        """Waits until the account is settled; gives the summary, or one of a failure where that takes too long."""
        if self._settled is None:
            return summary
        try:
            await self._settled
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
        ended_at = time.perf_counter()
        attempt = self._attempt
        if attempt is None:
            return Summary(self._completion_id, self._decision, outcome, duration=ended_at - self._began)
        record = attempt.record(outcome)
        first_token_at = attempt.first_token_at
        finished = attempt.finished
        return Summary(
            completion_id=self._completion_id,
            decision=self._decision,
            outcome=outcome,
            usage=record.usage,
            cost=record.cost,
            attempts=(record,),
            duration=ended_at - self._began,
            time_to_first_token=None if first_token_at is None else first_token_at - self._began,
            finish_reason=None if finished is None else finished.reason,
            vendor_finish_reason="" if finished is None else finished.vendor_reason,
            reported_model=attempt.reported_model,
            answered_by=attempt.model,
        )

    def _tell(self, summary: Summary) -> Summary:
        """Settles, and tells the observer: once. The settlement is on its way when this returns."""
        self._closed = True
        if self._account is not None:
            self._settled = self._account.settle(summary, self._whole, stream=self._stream)
        self._around.observer.ended(summary, self._around.now())
        return summary

    def _whole(self) -> Completion | None:
        """Gives the whole answer; its summary is a placeholder until the settlement puts the real one in."""
        folding = self._folding
        if folding is None:
            return None
        folding.decision = self._decision
        folding.summary = Summary(self._completion_id, self._decision, Outcome.COMPLETE)
        return folding.result()


def _wrapped(error: MuxerError, summary: Summary) -> CompletionFailed:
    return CompletionFailed(
        error.reason,
        error.message,
        summary,
        metadata=error.metadata,
        retry_after_seconds=error.retry_after_seconds,
    )
