"""Attempts one after another until one answers, or none is left worth making: the same for unary calls and streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from muxer_grpc.domain.catalogue import Feature, Model
from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.completion import AttemptSwitched, Delta, ProviderRequest, TextDelta
from muxer_grpc.domain.decision import Candidate, Decision
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.live import Resting
from muxer_grpc.domain.resilience.attempts import AttemptRules, Failed, Next, Situation, next_attempt
from muxer_grpc.domain.resilience.health import Health
from muxer_grpc.domain.resilience.retry_budget import RetryBudget
from muxer_grpc.domain.routing.estimates import longest_answer
from muxer_grpc.domain.routing.policy import CompletionRequest, StreamRecovery
from muxer_grpc.pipeline.attempt import CHARACTERS_PER_TOKEN, AttemptRun
from muxer_grpc.pipeline.hedging import Runner, Timers, race
from muxer_grpc.pipeline.time_limit import TimeLimit

_log = logging.getLogger(__name__)

# What a caller is told to wait where nobody knows better, in seconds.
USUAL_REST = 1.0
# These pass by themselves.
_PASSING = frozenset({FailureClass.OVERLOAD, FailureClass.RATE_LIMIT, FailureClass.TRANSIENT})


@dataclass(slots=True)
class Resilience:
    """What attempts are made with. `jitter` gives random numbers from 0 to 1, which spread callers over time.

    The rules change at run time; an attempt that began keeps its timers.
    """

    rules: AttemptRules = field(default_factory=AttemptRules)
    health: Health = field(default_factory=Health)
    retries: RetryBudget = field(default_factory=RetryBudget)
    hedges: RetryBudget = field(default_factory=RetryBudget)
    jitter: Callable[[], float] = lambda: 0.5


# Bounds an attempt's output in tokens, given the model and what was spent already (nano-USD); None where no attempt at
# the model can be paid any more.
Bound = Callable[[Model, int], int | None]


class AttemptChain:
    """The attempts of one completion."""

    def __init__(
        self,
        request: CompletionRequest,
        decision: Decision,
        resilience: Resilience,
        begin: Callable[[int, ProviderRequest], AttemptRun],
        bound: Bound,
        *,
        stream: bool,
        hedge_after: float | None = None,
        most: Callable[[Model], int] = lambda _model: 0,
    ) -> None:
        self._request = request
        self._decision = decision
        self._resilience = resilience
        self._begin = begin
        self._bound = bound
        self._stream = stream
        self._candidates = (decision.candidates[0], *decision.fallbacks)
        self._failed: list[Failed] = []
        self._text: list[str] = []
        self._sent = False
        self._text_only = True
        # Models that refused to continue an answer; they may yet begin it anew.
        self._no_prefill: set[str] = set()
        self._hedge_after = hedge_after
        self._most = most
        self.attempts: list[AttemptRun] = []
        # Those of which breakers are yet to be told how they ended.
        self._untold: list[AttemptRun] = []
        # The attempt whose pieces the caller gets.
        self.current: AttemptRun | None = None
        self.first_failure: ProviderFailure | None = None

    async def deltas(self, limit: TimeLimit) -> AsyncGenerator[Delta | AttemptSwitched, None]:
        """Yields the pieces of the answer, and a mark where another attempt takes over.

        Raises the first ProviderFailure when none of the attempts answers, and what the limit raises.
        """
        self._resilience.retries.called()
        self._resilience.hedges.called()
        loop = asyncio.get_running_loop()
        while True:
            admitted_at = loop.time()
            step = self._plan(limit)
            if step.wait_seconds > 0 and not await self._wait(step, limit, admitted_at):
                continue
            attempt, prefix, first_token_seconds = self._start(step)
            self._admitted(attempt, admitted_at)
            if self._sent:
                yield self._switched(attempt, prefix)
            self.current = attempt
            timers = Timers(first_token_seconds, step.gap_seconds)
            try:
                async with aclosing(self._pieces(attempt, timers, limit)) as deltas:
                    async for delta in deltas:
                        self._note(delta)
                        yield delta
            except ProviderFailure as failure:
                self._fail(self.current or attempt, failure, continued=bool(prefix))
                continue
            finally:
                limit.have_patience(None, TimeoutError())
            last = self.current or attempt
            self._told(last)
            self._resilience.health.succeeded(last.model, loop.time(), last.admitted_at)
            return

    async def _wait(self, step: Next, limit: TimeLimit, admitted_at: float) -> bool:
        """Waits before an attempt; False where it must not be made any more, since a breaker has opened meanwhile.

        Raises what the limit raises.
        """
        health, model = self._resilience.health, step.candidate.model
        try:
            await limit.wait(partial(asyncio.sleep, step.wait_seconds))
        except BaseException:
            # It was admitted, perhaps as a probe, and will not be made.
            health.left(model, admitted_at)
            raise
        if health.holds(model, admitted_at):
            return True
        health.left(model, admitted_at)
        return False

    def _admitted(self, attempt: AttemptRun, at: float) -> None:
        """Remembers an attempt that breakers let pass until they are told how it ended."""
        attempt.admitted_at = at
        self._untold.append(attempt)

    def _told(self, attempt: AttemptRun) -> None:
        self._untold = [each for each in self._untold if each is not attempt]

    def _pieces(self, attempt: AttemptRun, timers: Timers, limit: TimeLimit) -> AsyncGenerator[Delta, None]:
        """Gives the pieces of an attempt; of the first one's, or of another beside it where the request is hedged."""
        if self._hedge_after is None or self._failed or self._sent:
            return attempt.deltas(limit, timers.first_token_seconds, timers.gap_seconds)
        return self._raced(attempt, self._hedge_after, timers, limit)

    async def _raced(
        self, attempt: AttemptRun, after: float, timers: Timers, limit: TimeLimit
    ) -> AsyncGenerator[Delta, None]:
        """Yields the pieces of an attempt or, where it is silent for so many seconds, of whichever of two begins."""
        runners = [Runner(attempt, timers, limit)]
        try:
            runners = await race(runners[0], after, lambda: self._beside(attempt, timers, limit), limit)
            self.current = runners[0].attempt
            await self._drop(runners[1:])
            async with aclosing(runners[0].pieces(limit)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            await runners[0].end()

    def _beside(self, attempt: AttemptRun, timers: Timers, limit: TimeLimit) -> Runner | None:
        """Begins a second attempt beside the first, where a model, the promise and the share of hedges allow it."""
        resilience, now = self._resilience, asyncio.get_running_loop().time()
        if not resilience.hedges.allows:
            return None
        spent = self._most(attempt.model)
        for candidate in self._candidates:
            model = candidate.model
            if model.name == attempt.model.name or self._bound(model, spent) is None:
                continue
            if resilience.health.admits(model, now):
                resilience.hedges.take()
                bound = self._bound(model, spent) or 1
                request = ProviderRequest(self._request.conversation, model, bound, self._stream)
                second = self._begin(len(self.attempts) + 1, request)
                self.attempts.append(second)
                self._admitted(second, now)
                return Runner(second, timers, limit)
        return None

    async def _drop(self, losers: list[Runner]) -> None:
        for loser in losers:
            await loser.end()
            if loser.defect is not None:
                # That of the winner is told by whoever gets its pieces.
                _log.error("an attempt beside another met a defect", exc_info=loser.defect)
            failure = loser.attempt.failure
            if failure is None:
                loser.attempt.left_behind = True
                self._told(loser.attempt)
                self._resilience.health.left(loser.attempt.model, loser.attempt.admitted_at)
            else:
                self._fail(loser.attempt, failure, continued=False)

    def leave(self) -> None:
        """Tells the health of attempts that ended without saying anything of their models: their caller left."""
        for attempt in self._untold:
            self._resilience.health.left(attempt.model, attempt.admitted_at)
        self._untold = []

    def _plan(self, limit: TimeLimit) -> Next:
        """Plans the next attempt. Raises the first failure when there is none."""
        resilience = self._resilience
        now = asyncio.get_running_loop().time()
        gives_up = self._sent and self._stream and self._request.recovery is StreamRecovery.FAIL
        step = None
        if not gives_up:
            step = next_attempt(
                Situation(self._payable(), self._failed, limit.seconds_left, resilience.rules),
                retry_allowed=resilience.retries.allows,
                admits=lambda model, wait: resilience.health.admits(model, now + wait),
                jitter=resilience.jitter(),
            )
        if step is None:
            raise self._given_up(now)
        if self._failed and step.candidate.model.name == self._failed[-1].model.name:
            resilience.retries.take()
        return step

    def _payable(self) -> Sequence[Candidate]:
        """Lists the candidates that what is left of the promise can pay."""
        spent = self.spent_nano_usd
        if not spent:
            return self._candidates
        return [c for c in self._candidates if self._bound(c.model, spent) is not None]

    @property
    def spent_nano_usd(self) -> int:
        """Sums what the attempts cost so far."""
        return sum(attempt.cost().total_nano for attempt in self.attempts)

    def _start(self, step: Next) -> tuple[AttemptRun, str, float | None]:
        """Begins an attempt; gives it, the text that it continues (empty: it begins anew), and its first timer."""
        model = step.candidate.model
        # Vendors refuse a prefill that ends with blanks; what continues it begins with its own.
        prefix = "".join(self._text).rstrip() if self._continues(model) else ""
        conversation = self._request.conversation
        bound = self._bound(model, self.spent_nano_usd) or 1
        if prefix:
            conversation = _continued(conversation, prefix)
            bound = max(1, bound - len(prefix) // CHARACTERS_PER_TOKEN)
        first = step.first_token_seconds
        # A vendor's unary endpoint is silent until the whole answer is there. Where that may take longer than a silent
        # model is waited for, the answer is asked for as a stream.
        stream = self._stream or (first is not None and longest_answer(model, bound) > first)
        attempt = self._begin(len(self.attempts) + 1, ProviderRequest(conversation, model, bound, stream))
        self.attempts.append(attempt)
        return attempt, prefix, first

    def _continues(self, model: Model) -> bool:
        return (
            self._sent
            and self._text_only
            and self._request.recovery is StreamRecovery.CONTINUE
            and Feature.PREFILL in model.features
            # What is forced into a form begins at its beginning.
            and self._request.conversation.response_format is None
            and model.name not in self._no_prefill
        )

    def _switched(self, attempt: AttemptRun, prefix: str) -> AttemptSwitched:
        """Marks that an attempt takes over; of the text that the caller has, what it does not continue is void."""
        self._text = [prefix] if prefix else []
        self._text_only = True
        last = self._failed[-1]
        model = attempt.model
        return AttemptSwitched(len(self.attempts), model.name, model.provider, last.failure_class, len(prefix))

    def _note(self, delta: Delta) -> None:
        self._sent = True
        if type(delta) is TextDelta:
            self._text.append(delta.text)
        else:
            self._text_only = False

    def _fail(self, attempt: AttemptRun, failure: ProviderFailure, *, continued: bool) -> None:
        """Takes note of a failed attempt. The first failure is the one that the caller is told in the end."""
        model = attempt.model
        self._told(attempt)
        _log.warning(
            "attempt %d failed: provider=%s model=%s class=%s status=%d code=%s",
            len(self.attempts),
            model.provider,
            model.name,
            failure.failure_class.value,
            failure.http_status,
            failure.vendor_code,
        )
        # It is kept, and would keep every frame that it passed: a cycle, since the attempt keeps it too.
        failure.__traceback__ = None
        if self.first_failure is None:
            self.first_failure = failure
        if continued and not attempt.started and failure.failure_class is FailureClass.CALLER_FAULT:
            # It is the prefill that it refuses, which says nothing of the request: it may begin the answer anew.
            self._no_prefill.add(model.name)
            self._resilience.health.left(model, attempt.admitted_at)
            return
        self._failed.append(Failed(model, failure.failure_class, failure.retry_after_seconds))
        now = asyncio.get_running_loop().time()
        unreachable = failure.failure_class is FailureClass.TRANSIENT and not failure.http_status
        self._resilience.health.failed(
            model,
            failure.failure_class,
            now,
            failure.retry_after_seconds,
            unreachable=unreachable and not attempt.started,
            since=attempt.admitted_at,
        )

    def _given_up(self, now: float) -> ProviderFailure:
        """Gives the first failure, or that no breaker lets a call pass; and when one may help, where waiting does."""
        failure = self.first_failure or ProviderFailure(FailureClass.OVERLOAD, "no breaker lets a call pass")
        if failure.retry_after_seconds is None and failure.failure_class in _PASSING:
            resting = self._resilience.health.resting(now)
            failure.retry_after_seconds = min(_rest_of(c.model, resting) for c in self._candidates)
        return failure


def _rest_of(model: Model, resting: Mapping[str, Resting]) -> float:
    """Gives the seconds for which a model rests, itself or with its provider."""
    rests = [rest.seconds for name in (model.name, f"{model.provider}/") if (rest := resting.get(name)) is not None]
    return max((seconds for seconds in rests if seconds > 0), default=USUAL_REST)


def _continued(conversation: Conversation, prefix: str) -> Conversation:
    return replace(conversation, messages=(*conversation.messages, Message(Role.ASSISTANT, (TextPart(prefix),))))
