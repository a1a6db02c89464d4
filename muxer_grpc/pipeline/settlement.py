"""The account of one completion: a promise before the first attempt, one settlement at the end, whatever ends it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from muxer_grpc.domain.budgeting import MICROSECONDS
from muxer_grpc.domain.catalogue import Catalogue, Model
from muxer_grpc.domain.completion import Attempt, Completion, Outcome, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.ledger import (
    EntryOutcome,
    KeptContent,
    KeptDecision,
    KnownRequest,
    LedgerEntry,
    Reservation,
    Settlement,
)
from muxer_grpc.domain.money import PICO_PER_NANO, most_it_can_cost, most_output_within, round_half_even
from muxer_grpc.domain.ports import Accounts, Documents, RoutedDecisions, Sealer
from muxer_grpc.domain.refusals import BudgetExceeded, MoneyLeaseEnded, MoneyLeaseExceeded, StorageUnavailable
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.domain.tenancy import ContentStorage, Principal, SafetyAction
from muxer_grpc.domain.tokens import SLACK
from muxer_grpc.pipeline.time_limit import TimeLimit

DAY_SECONDS = 86_400
# An attempt that could not write this many tokens is not worth making.
LEAST_OUTPUT_TOKENS = 64

_OUTCOMES = {
    Outcome.COMPLETE: EntryOutcome.COMPLETE,
    Outcome.LENGTH: EntryOutcome.LENGTH,
    Outcome.FILTERED: EntryOutcome.FILTERED,
    Outcome.CANCELLED: EntryOutcome.CANCELLED,
    Outcome.FAILED: EntryOutcome.FAILED,
}
# Of these outcomes an answer came that a repeated request should get again.
_ANSWERED = frozenset({Outcome.COMPLETE, Outcome.LENGTH, Outcome.FILTERED})


@dataclass(frozen=True, slots=True)
class AccountRules:
    """How long things are kept, in seconds: a promise without a sign of life, a request id, a decision.

    `default_max_output_tokens` bounds an answer whose request sets no bound.
    """

    instance_id: str
    lease_seconds: float = 60.0
    request_id_seconds: float = 600.0
    decision_seconds: float = 7 * DAY_SECONDS
    default_max_output_tokens: int = 16_384


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """What accounts are kept with."""

    accounts: Accounts
    documents: Documents
    sealer: Sealer
    rules: AccountRules
    routed: RoutedDecisions
    now: Callable[[], float] = time.time


def most_input_tokens(decision: Decision, model: Model, catalogue: Catalogue) -> int:
    """Gives a number of input tokens that a request seldom exceeds (domain/tokens.py has the measured shares)."""
    tokenizer = catalogue.tokenizers.get(model.name)
    margin = 1.0 if tokenizer is None else tokenizer.margin
    return ceil(decision.estimated_input_tokens * margin) + SLACK


def bounded_output(request: CompletionRequest, model: Model, input_tokens: int, default: int) -> int:
    """Gives the bound on an answer's tokens: the caller's, or the least of what the model and the default allow."""
    asked = request.conversation.max_output_tokens
    if asked:
        return asked
    return min(model.max_output_tokens, max(1, model.context_window - input_tokens), default)


class Account:
    """The account of one completion. Times are seconds since the epoch."""

    def __init__(
        self,
        bookkeeping: Bookkeeping,
        completion_id: str,
        request: CompletionRequest,
        decision: Decision,
        principal: Principal,
    ) -> None:
        self._books = bookkeeping
        self._completion_id = completion_id
        self._request = request
        self._decision = decision
        self._principal = principal
        self._began_us = 0
        self._reserved = 0
        self._document: bytes | None = None

    async def reserve(self, models: Sequence[Model], catalogue: Catalogue, limit: TimeLimit) -> KnownRequest | None:
        """Promises the most that the dearest of some models can cost, durably.

        Gives what is known of the request id, where it was used before: then nothing is promised. Raises what
        Accounts.reserve raises, and what the limit raises; then nothing is promised either.
        """
        accounts = self._books.accounts
        reservation = self._reservation(models, catalogue)
        try:
            return await limit.wait(lambda: accounts.reserve(reservation))
        except (BudgetExceeded, MoneyLeaseExceeded, MoneyLeaseEnded, StorageUnavailable):
            raise
        except BaseException:
            # The caller left, or ran out of time, while the promise was on its way.
            accounts.release(self._completion_id)
            raise

    def _reservation(self, models: Sequence[Model], catalogue: Catalogue) -> Reservation:
        decision, request, rules = self._decision, self._request, self._books.rules
        now_us = self._began_us = int(self._books.now() * MICROSECONDS)
        most = sorted((self.most_of(model, catalogue) for model in models), reverse=True)
        # Two attempts may run side by side where the request is hedged.
        self._reserved = sum(most[:2]) if request.policy.hedge else most[0]
        named = request.request_id
        model = decision.selected
        return Reservation(
            completion_id=self._completion_id,
            subject=self._principal.subject,
            amount_nano_usd=self._reserved,
            expected_nano_usd=min(self._reserved, decision.candidates[0].estimated_cost_nano_usd),
            created_us=now_us,
            lease_until_us=now_us + int(rules.lease_seconds * MICROSECONDS),
            instance_id=rules.instance_id,
            decision_id=decision.decision_id,
            model=model.name,
            provider=model.provider,
            price_book_version=decision.price_book_version,
            money_lease_id=request.money_lease_id,
            request_id="" if named is None else named.id,
            fingerprint=b"" if named is None else named.fingerprint,
            idempotent_until_us=now_us + int(rules.request_id_seconds * MICROSECONDS),
        )

    def affordable(self, model: Model, catalogue: Catalogue, spent: int) -> int | None:
        """Bounds the output of a further attempt by what is left of the promise; None where that pays for too little.

        So the attempts of a completion never cost more than was promised, however many of them were cut.
        """
        bound = self._output_of(model)
        left = self._reserved - spent
        if not spent or model.price is None or self.most_of(model, catalogue) <= left:
            return bound
        most_input = most_input_tokens(self._decision, model, catalogue)
        tokens = most_output_within(model.price, most_input, left, bound)
        return tokens if tokens >= LEAST_OUTPUT_TOKENS else None

    def _output_of(self, model: Model) -> int:
        default = self._books.rules.default_max_output_tokens
        return bounded_output(self._request, model, self._decision.estimated_input_tokens, default)

    def most_of(self, model: Model, catalogue: Catalogue) -> int:
        """Gives the most that one attempt at a model can cost, in nano-USD."""
        if model.price is None:
            return 0
        most_input = most_input_tokens(self._decision, model, catalogue)
        return most_it_can_cost(model.price, most_input, self._output_of(model))

    def prepare(self) -> None:
        """Writes the decision for its history, while nobody waits for it: at the end, the caller would."""
        if self._document is None and self._books.rules.decision_seconds > 0:
            self._document = self._books.documents.decision(self._decision)

    def settle(self, summary: Summary, completion: Callable[[], Completion | None], *, stream: bool) -> Awaitable[None]:
        """Books what a completion came to; `completion` gives the whole answer, and is asked only where it is kept."""
        now_us = int(self._books.now() * MICROSECONDS)
        answered = summary.outcome in _ANSWERED
        named = self._request.request_id
        keeps = self._principal.policy.content is not ContentStorage.OFF
        whole = completion() if answered and (named is not None or keeps) else None
        answer = None if whole is None else self._books.documents.answer(replace(whole, summary=summary))
        sealed = None if answer is None or named is None else self._books.sealer.seal(answer, named.key)
        return self._books.accounts.settle(
            Settlement(
                completion_id=self._completion_id,
                entries=tuple(self._entries(summary, now_us, stream=stream)),
                settled_us=now_us,
                request_id="" if named is None else named.id,
                answered=answered,
                answer=sealed,
                decision=self.kept(self._completion_id, b"" if named is None else named.fingerprint),
                content=self._content(answer, now_us) if keeps and answer is not None else None,
            )
        )

    def kept(self, completion_id: str, fingerprint: bytes) -> KeptDecision | None:
        """Gives the decision as history keeps it; None where none is kept."""
        rules = self._books.rules
        if rules.decision_seconds <= 0:
            return None
        self.prepare()
        return kept_decision(
            self._books,
            self._decision,
            self._principal,
            fingerprint,
            completion_id=completion_id,
            document=self._document,
        )

    def _entries(self, summary: Summary, now_us: int, *, stream: bool) -> list[LedgerEntry]:
        """Makes an entry per attempt. Each gets the difference of the rounded sums, so that they add up exactly."""
        entries = []
        pico = booked = 0
        for attempt in summary.attempts:
            own = attempt.cost.total_pico
            pico += own
            nano = round_half_even(pico, PICO_PER_NANO)
            entries.append(self._entry(summary, attempt, own, nano - booked, now_us=now_us, stream=stream))
            booked = nano
        return entries

    def _entry(
        self, summary: Summary, attempt: Attempt, pico: int, nano: int, *, now_us: int, stream: bool
    ) -> LedgerEntry:
        decision, principal = self._decision, self._principal
        classification = decision.classification
        first = attempt.time_to_first_token
        named = self._request.request_id
        risky = classification.intent is Intent.SAFETY_RISK
        return LedgerEntry(
            completion_id=self._completion_id,
            attempt=attempt.number,
            subject=principal.subject,
            cost_nano_usd=nano,
            cost_pico_usd=pico,
            outcome=_OUTCOMES[attempt.outcome],
            created_us=self._began_us,
            settled_us=now_us,
            principal=principal.name,
            request_id="" if named is None else named.id,
            decision_id=decision.decision_id,
            strategy=decision.strategy,
            intent=classification.intent.value,
            requested_model=decision.requested_model,
            model=attempt.model.name,
            provider=attempt.model.provider,
            reported_model=summary.reported_model if attempt.model is summary.answered_by else "",
            failure_class="" if attempt.failure_class is None else attempt.failure_class.value,
            usage=attempt.usage,
            price_book_version=decision.price_book_version,
            reserved_nano_usd=self._reserved if attempt.number == 1 else 0,
            money_lease_id=self._request.money_lease_id,
            duration_us=int(attempt.duration * MICROSECONDS),
            first_token_us=None if first is None else int(first * MICROSECONDS),
            streamed=stream,
            flagged=risky and principal.policy.safety_action is SafetyAction.FLAG,
            labels=self._request.labels,
        )

    def _content(self, answer: bytes, now_us: int) -> KeptContent:
        """Keeps digests of prompt and answer, and the two themselves where the tenant's policy says so."""
        policy, prompt = self._principal.policy, self._request.document
        kept = policy.content is ContentStorage.KEPT
        days = max(1, policy.content_days)
        return KeptContent(
            prompt_digest=self._books.sealer.digest(prompt),
            answer_digest=self._books.sealer.digest(answer),
            expires_us=now_us + days * DAY_SECONDS * MICROSECONDS,
            prompt=prompt if kept else None,
            answer=answer if kept else None,
        )


def kept_decision(
    books: Bookkeeping,
    decision: Decision,
    principal: Principal,
    fingerprint: bytes,
    *,
    completion_id: str = "",
    document: bytes | None = None,
) -> KeptDecision:
    """Gives a decision as history keeps it; `document` is what was written of it already."""
    created_us = int(decision.created_at * MICROSECONDS)
    return KeptDecision(
        decision_id=decision.decision_id,
        subject=principal.subject,
        strategy=decision.strategy,
        intent=decision.classification.intent.value,
        selected_model=decision.selected.name,
        fingerprint=fingerprint,
        document=books.documents.decision(decision) if document is None else document,
        created_us=created_us,
        expires_us=created_us + int(books.rules.decision_seconds * MICROSECONDS),
        completion_id=completion_id,
    )
