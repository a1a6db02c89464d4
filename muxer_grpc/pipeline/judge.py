"""Asks a cheap model what kind of task a prompt is, where the classifier is in doubt. Off unless it is configured."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from muxer_grpc.domain.catalogue import Catalogue, Model
from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.completion import ProviderRequest, TextDelta, UsageReported
from muxer_grpc.domain.decision import Classification, Signal
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.live import LiveSnapshot
from muxer_grpc.domain.money import NO_USAGE, PICO_PER_NANO, Price, Usage, cost_of, round_half_even
from muxer_grpc.domain.observing import CallTrace, SideCall
from muxer_grpc.domain.ports import Provider
from muxer_grpc.domain.routing.candidates import policy_exclusion_of
from muxer_grpc.domain.routing.policy import RoutingPolicy
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.pipeline.allowance import HOUR, HourlyAllowance, Taken
from muxer_grpc.pipeline.judge_question import JudgeVerdict, judged_text, most_of, question_of, read_verdict
from muxer_grpc.pipeline.side_account import SideAccount, SideBooks
from muxer_grpc.pipeline.time_limit import TimeLimit

_log = logging.getLogger(__name__)

MAX_VERDICTS = 4_096
# How sure a verdict is taken to be: small models agree with people on about this share of prompts.
JUDGE_CONFIDENCE = 0.75
# The rest of the caller's time is for the answer itself; in less than so many seconds no judge answers.
PATIENCE_SHARE = 0.25
LEAST_PATIENCE_SECONDS = 0.05
# After a failure nobody is asked for so many seconds: each doubtful request would wait for the next one.
REST_SECONDS = 10.0
# Failures after which the vendor may have written, and billed, an answer.
_MAY_BE_BILLED = frozenset({FailureClass.TIMEOUT, FailureClass.PROTOCOL})


@dataclass(frozen=True, slots=True)
class JudgeRules:
    """What a judge may take: seconds per question, and nano-USD per hour."""

    timeout_seconds: float = 2.0
    budget_nano_usd_per_hour: int = 100_000_000


@dataclass(slots=True)
class _Question:
    """A question under way, and the number of calls that wait for its answer."""

    task: asyncio.Task[JudgeVerdict | None]
    waiting: int = 0


@dataclass(slots=True)
class _Heard:
    """What came of an answer so far."""

    texts: list[str] = field(default_factory=list)
    usage: Usage | None = None


class Judge:
    """Settles doubtful classifications with one configured model; its verdicts are feedback for the thresholds.

    Raises ValueError for a model without a price, whose cost nothing could bound. `now` gives seconds since the epoch.
    With `books`, each question has an entry of its own in the ledger, of whoever's request raised it first.
    """

    def __init__(
        self,
        model: Model,
        provider: Provider,
        rules: JudgeRules,
        thresholds: Thresholds,
        now: Callable[[], float] = time.time,
        *,
        books: SideBooks | None = None,
        price_book_version: str = "",
    ) -> None:
        if model.price is None:
            msg = f"{model.name} has no price, so that no budget could be kept"
            raise ValueError(msg)
        self._model = model
        self._price: Price = model.price
        self._provider = provider
        self._rules = rules
        self._thresholds = thresholds
        self._now = now
        self._books = books
        self._price_book_version = price_book_version
        self._allowance = HourlyAllowance(rules.budget_nano_usd_per_hour, now)
        self._verdicts: dict[bytes, JudgeVerdict] = {}
        self._questions: dict[bytes, _Question] = {}
        self._rests_until = 0.0

    @property
    def spent_nano_usd(self) -> int:
        """Gives what was spent in the hour of the last question, that of questions under way included."""
        return self._allowance.spent_nano_usd

    @property
    def model(self) -> str:
        """Gives the full name of the model that is asked."""
        return self._model.name

    def reprice(self, price: Price | None, price_book_version: str = "") -> None:
        """Takes up another price of the model; where none is known any more, the old one bounds what it may cost."""
        if price is not None:
            self._price, self._price_book_version = price, price_book_version

    def doubts(self, classification: Classification) -> bool:
        """Tells whether a classification is worth a question.

        A suspected risk never is: the text itself could talk a judge out of it.
        """
        if classification.intent is Intent.SAFETY_RISK:
            return False
        return classification.confidence < self._thresholds.low(classification.intent)

    def may_be_asked(self, catalogue: Catalogue, policy: RoutingPolicy, live: LiveSnapshot) -> bool:
        """Tells whether a request under a policy may be shown to the model, and the model may be called at present."""
        # As operators have it by now.
        model = catalogue.models.get(self._model.name)
        if model is None or model.disabled or live.why_resting(model.name, model.provider) is not None:
            return False
        return policy_exclusion_of(model, policy) is None

    async def settle(
        self, conversation: Conversation, classification: Classification, limit: TimeLimit, *, may_ask: bool = True
    ) -> Classification:
        """Gives the classification as the judge sees it, or as it was when the judge is late, broke or over budget.

        A verdict that is known already settles it even where nobody may be asked. Raises what the limit raises.
        """
        text = judged_text(conversation)
        if not text.strip():
            return classification
        key = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        verdict = self._verdicts.get(key)
        if verdict is None:
            patience = PATIENCE_SHARE * (limit.deadline - asyncio.get_running_loop().time())
            if patience < LEAST_PATIENCE_SECONDS or not may_ask:
                return classification
            verdict = await limit.wait(lambda: self._hear(key, text, classification, patience, limit))
        if verdict is None:
            return classification
        return classification._replace(
            intent=verdict.intent,
            confidence=JUDGE_CONFIDENCE,
            settled=True,
            complexity=verdict.complexity,
            difficulty=verdict.complexity,
            signals=(Signal("judge", 1.0), *classification.signals),
            classifier_version=f"{classification.classifier_version}+{self._model.name}",
        )

    async def _hear(
        self, key: bytes, text: str, classification: Classification, patience: float, limit: TimeLimit
    ) -> JudgeVerdict | None:
        """Waits for the answer to a question, which calls with the same text share; the last one to leave ends it."""
        question = self._questions.get(key)
        if question is None:
            question = self._begin(key, text, classification, limit)
            if question is None:
                return None
        task = question.task
        question.waiting += 1
        try:
            await asyncio.wait((task,), timeout=patience)
        finally:
            question.waiting -= 1
            if not question.waiting:
                del self._questions[key]
                if not task.done():
                    task.cancel()
                    await asyncio.wait((task,))
        return task.result() if task.done() and not task.cancelled() else None

    def _begin(self, key: bytes, text: str, classification: Classification, limit: TimeLimit) -> _Question | None:
        """Begins to ask; None while the judge rests, or when it could cost more than is left for this hour."""
        if self._now() < self._rests_until:
            return None
        request = question_of(text, self._model)
        taken = self._allowance.take(most_of(request, self._price))
        if taken is None:
            return None
        task = asyncio.create_task(self._ask(key, request, taken, classification, limit))
        question = self._questions[key] = _Question(task)
        return question

    async def _ask(
        self, key: bytes, request: ProviderRequest, taken: Taken, classification: Classification, limit: TimeLimit
    ) -> JudgeVerdict | None:
        """Asks the model, books what it cost, and keeps the verdict; None when nothing useful came in time."""
        account = None
        if self._books is not None:
            account = SideAccount(self._books, limit.principal, self._model, self._price_book_version)
            promised = False
            try:
                promised = await account.promise(taken.nano_usd)
            finally:
                if not promised:
                    self._allowance.settle(taken, 0)
            if not promised:
                return None
        verdict = await self._answer(request, taken, account, limit.trace)
        if verdict is not None:
            self._keep(key, verdict)
            right = verdict.intent is classification.intent
            self._thresholds.record(classification.intent, classification.confidence, right=right)
        return verdict

    async def _answer(
        self, request: ProviderRequest, taken: Taken, account: SideAccount | None, trace: CallTrace | None
    ) -> JudgeVerdict | None:
        """Gives the model's verdict, or None where nothing useful came in time; tells what it cost in either case."""
        heard = _Heard()
        verdict, left = None, False
        began, failed = time.perf_counter(), FailureClass.TRANSIENT.value
        may_be_billed = True
        try:
            async with asyncio.timeout(self._rules.timeout_seconds):
                await self._listen(request, heard)
            failed = ""
            verdict = read_verdict("".join(heard.texts))
        except TimeoutError:
            failed = FailureClass.TIMEOUT.value
            _log.warning("judge: no answer from %s in %.1f s", self._model.name, self._rules.timeout_seconds)
            self._rest(REST_SECONDS)
        except ProviderFailure as failure:
            failed = failure.failure_class.value
            _log.warning("judge: %s failed, class=%s", self._model.name, failure.failure_class.value)
            may_be_billed = failure.failure_class in _MAY_BE_BILLED or bool(heard.texts)
            self._rest(min(HOUR, max(REST_SECONDS, failure.retry_after_seconds or 0.0)))
        except Exception:
            # A doubt must not break a request that can be answered without its being settled.
            _log.exception("judge: asking %s met a defect", self._model.name)
            self._rest(REST_SECONDS)
        except asyncio.CancelledError:
            left = True
            raise
        finally:
            pico = self._pico_of(heard, taken.nano_usd if may_be_billed else 0)
            nano = round_half_even(pico, PICO_PER_NANO)
            self._allowance.settle(taken, nano)
            took = time.perf_counter() - began
            if account is not None:
                account.book(heard.usage, pico, took, failed, left=left)
            if trace is not None:
                trace.asked(SideCall(self._model, took, heard.usage or NO_USAGE, nano, failed))
        return verdict

    async def _listen(self, request: ProviderRequest, heard: _Heard) -> None:
        async with aclosing(self._provider.stream(request)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    heard.texts.append(event.text)
                elif isinstance(event, UsageReported):
                    heard.usage = event.usage

    def _pico_of(self, heard: _Heard, unreported_nano_usd: int) -> int:
        """Gives what an answer cost, in pico-USD; where the vendor did not say, what is taken for it."""
        return (
            PICO_PER_NANO * unreported_nano_usd if heard.usage is None else cost_of(heard.usage, self._price).total_pico
        )

    def _rest(self, seconds: float) -> None:
        self._rests_until = self._now() + seconds

    def _keep(self, key: bytes, verdict: JudgeVerdict) -> None:
        if len(self._verdicts) >= MAX_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[key] = verdict
