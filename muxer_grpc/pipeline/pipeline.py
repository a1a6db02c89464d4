"""plan() decides; run() decides, calls and accounts; fold(run()) is the unary answer."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.completion import (
    Completion,
    CompletionEvent,
    Folding,
    Outcome,
    ProviderRequest,
    Summary,
)
from muxer_grpc.domain.decision import Classification, Decision
from muxer_grpc.domain.errors import (
    CompletionFailed,
    DeadlineExceeded,
    DecisionStale,
    InternalError,
    MuxerError,
    ProviderFailure,
)
from muxer_grpc.domain.live import NOTHING_KNOWN, LiveSnapshot
from muxer_grpc.domain.ports import CompletionObserver, Provider
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.pipeline.attempt import AttemptRun
from muxer_grpc.pipeline.decisions import Decisions
from muxer_grpc.pipeline.failures import error_of
from muxer_grpc.pipeline.judge import Judge
from muxer_grpc.pipeline.time_limit import TimeLimit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the pipeline is given from outside. `now` gives seconds since the epoch, `new_id` a fresh unique id."""

    fleet: Fleet
    providers: Mapping[str, Provider]
    observer: CompletionObserver
    new_id: Callable[[], str]
    classify: Callable[[Conversation], Classification]
    live: Callable[[float], LiveSnapshot] = lambda _now: NOTHING_KNOWN
    judge: Judge | None = None
    decisions: Decisions = field(default_factory=Decisions)
    now: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class EarlierDecision:
    """A decision of Route that a caller names, and the fingerprint of the spec that it now sends."""

    decision_id: str
    fingerprint: bytes


class Pipeline:
    """The one path behind Route, Complete and StreamComplete."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings

    async def route(self, request: CompletionRequest, limit: TimeLimit, fingerprint: bytes) -> Decision:
        """Decides without answering, and keeps the decision for a Complete of the same spec. Raises as plan()."""
        decision = await self.plan(request, limit, dry_run=True)
        self._around.decisions.keep(decision, fingerprint)
        return decision

    async def plan(self, request: CompletionRequest, limit: TimeLimit, *, dry_run: bool) -> Decision:
        """Decides which model should answer. Raises NoEligibleModel, ContextTooLong, and what the limit raises."""
        around = self._around
        classification = around.classify(request.conversation)
        judge = around.judge
        if judge is not None and judge.doubts(classification):
            classification = await judge.settle(request.conversation, classification, limit)
        now = around.now()
        return around.fleet.router.decide(
            request,
            classification,
            decision_id=f"dec_{around.new_id()}",
            now=now,
            live=around.live(now),
            dry_run=dry_run,
        )

    def take_up(self, request: CompletionRequest, earlier: EarlierDecision) -> Decision:
        """Takes up a decision of Route. Raises DecisionExpired, DecisionStale, InvalidRequest."""
        around = self._around
        decision = around.decisions.take(earlier.decision_id, earlier.fingerprint, around.now())
        exclusion = around.fleet.router.allows(decision.selected, request)
        if exclusion is not None:
            raise DecisionStale(decision.decision_id, exclusion)
        around.fleet.router.took(decision)
        return decision

    async def run(
        self,
        request: CompletionRequest,
        limit: TimeLimit,
        *,
        stream: bool = True,
        earlier: EarlierDecision | None = None,
    ) -> AsyncGenerator[CompletionEvent, None]:
        """Yields one decision, the pieces of the answer, and one summary, however the completion ends.

        Raises what plan() or take_up() raises, before the first event. A failure after that is in the summary's
        `error`; nothing follows the summary.
        """
        if earlier is None:
            decision = await self.plan(request, limit, dry_run=False)
        else:
            decision = self.take_up(request, earlier)
        completion = _CompletionRun(decision, self._around)
        try:
            yield decision
            attempt = completion.attempt(request, stream=stream)
            async with aclosing(attempt.deltas(limit)) as deltas:
                async for delta in deltas:
                    yield delta
            summary = completion.succeeded()
        except ProviderFailure as failure:
            summary = completion.failed(failure)
        except MuxerError as error:
            summary = completion.stopped(error)
        except Exception:
            summary = completion.broke(self._around.new_id())
        finally:
            # Cancellation and a generator closed by its consumer pass through here and yield nothing more.
            completion.close()
        yield summary

    async def complete(
        self, request: CompletionRequest, limit: TimeLimit, earlier: EarlierDecision | None = None
    ) -> Completion:
        """Folds run() into one answer. Raises what run() raises, and the summary's error when there is one."""
        folding = Folding()
        async with aclosing(self.run(request, limit, stream=False, earlier=earlier)) as events:
            async for event in events:
                folding.add(event)
        completion = folding.result()
        if completion.summary.error is not None:
            raise completion.summary.error
        return completion


class _CompletionRun:
    """The account of one completion: told of its end exactly once, whatever ends it."""

    def __init__(self, decision: Decision, around: Surroundings) -> None:
        self._decision = decision
        self._around = around
        self._completion_id = f"cmp_{around.new_id()}"
        self._began = time.perf_counter()
        self._attempt: AttemptRun | None = None
        self._closed = False
        around.observer.began()

    def attempt(self, request: CompletionRequest, *, stream: bool) -> AttemptRun:
        """Begins the attempt at the chosen model."""
        model = self._decision.selected
        conversation = request.conversation
        room = max(1, model.context_window - self._decision.estimated_input_tokens)
        provider_request = ProviderRequest(
            conversation=conversation,
            model=model,
            max_output_tokens=conversation.max_output_tokens or min(model.max_output_tokens, room),
            stream=stream,
        )
        provider = self._around.providers[model.provider]
        self._attempt = AttemptRun(1, provider, provider_request, self._decision.estimated_input_tokens)
        return self._attempt

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
        wrapped = CompletionFailed(
            error.reason,
            error.message,
            summary,
            metadata=error.metadata,
            retry_after_seconds=error.retry_after_seconds,
        )
        return self._ended(summary, wrapped)

    def _ended(self, summary: Summary, error: CompletionFailed) -> Summary:
        """Ties error and summary together: each tells of the other."""
        error.summary = replace(summary, error=error)
        return self._tell(error.summary)

    def broke(self, incident_id: str) -> Summary:
        """Ends a completion that met a defect of the service."""
        _log.exception("incident %s: a completion broke", incident_id)
        return self.stopped(InternalError(incident_id))

    def close(self) -> None:
        """Ends a completion that its caller left."""
        if not self._closed:
            self._tell(self._summary(Outcome.CANCELLED))

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
        """Tells the observer, once."""
        self._closed = True
        self._around.observer.ended(summary, self._around.now())
        return summary
