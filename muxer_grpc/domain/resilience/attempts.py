"""The plan of attempts: after each failure, what is tried next, how long it may take, or that it is over.

A plain function of what happened, the same for unary calls and streams. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muxer_grpc.domain.catalogue import Feature, Model
from muxer_grpc.domain.decision import Candidate
from muxer_grpc.domain.errors import FailureClass
from muxer_grpc.domain.records import record
from muxer_grpc.domain.resilience.treatments import TREATMENTS, Reach

# A model that reasons may keep silent for so many times as long before its first token.
REASONING_PATIENCE = 4.0


@dataclass(frozen=True, slots=True)
class AttemptRules:
    """Bounds on attempts: how many in all and at one model, how long is waited between two at the same model, and how
    long a model may keep silent before its first token and between tokens while another could be tried (seconds).
    """

    most_attempts: int = 4
    most_at_one_model: int = 2
    first_wait: float = 0.25
    most_wait: float = 2.5
    first_token_seconds: float = 12.0
    gap_seconds: float = 15.0
    # Less time than this is not enough for any answer: no further attempt is begun with less.
    least_seconds: float = 0.2


def fallback_chain(candidates: Sequence[Candidate], most: int) -> tuple[Candidate, ...]:
    """Picks the candidates that stand behind the first, at most so many, in the order of the strategy.

    Among them is the best one of another provider, since a whole provider may be down, and the best one with a larger
    context window, since the count of tokens is an estimate; where there are such.
    """
    if len(candidates) <= most + 1:
        return tuple(candidates[1:])
    first = candidates[0].model
    chosen = list(range(1, most + 1))
    wanted: tuple[Callable[[Model], bool], ...] = (
        lambda model: model.provider != first.provider,
        lambda model: model.context_window > first.context_window,
    )
    kept = 0
    for place, fits in enumerate(wanted, start=1):
        if place > most or any(fits(candidates[i].model) for i in chosen):
            continue
        found = next((i for i in range(most + 1, len(candidates)) if fits(candidates[i].model)), None)
        if found is not None:
            kept += 1
            chosen[-kept] = found
    return tuple(candidates[i] for i in sorted(chosen))


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt that failed: at which model, how, and how long its provider asked to be left alone."""

    model: Model
    failure_class: FailureClass
    retry_after_seconds: float | None = None


@record
class Next:
    """What is tried next: a candidate, after a wait, with timers. None of a timer: the provider's own holds."""

    candidate: Candidate
    wait_seconds: float = 0.0
    first_token_seconds: float | None = None
    gap_seconds: float | None = None


@record
class Situation:
    """What a plan rests on: the candidates, best first, what failed so far, and the seconds that are left."""

    candidates: Sequence[Candidate]
    failed: Sequence[Failed]
    seconds_left: float
    rules: AttemptRules

    @property
    def open_candidates(self) -> Sequence[Candidate]:
        """Lists the candidates that are worth trying yet, in the order in which they would be."""
        failed = self.failed
        if not failed:
            return self.candidates
        tried = {f.model.name for f in failed}
        down = {f.model.provider for f in failed if TREATMENTS[f.failure_class].reach is Reach.PROVIDER}
        shaky = {f.model.provider for f in failed if TREATMENTS[f.failure_class].counts}
        too_long = (f.model.context_window for f in failed if f.failure_class is FailureClass.CONTEXT_LENGTH)
        too_small = max(too_long, default=0)
        left = [
            c
            for c in self.candidates
            if c.model.name not in tried and c.model.provider not in down and c.model.context_window > too_small
        ]
        # Stable: within each half the strategy's order stays.
        left.sort(key=lambda c: c.model.provider in shaky)
        return left

    def timed(self, candidate: Candidate, wait: float = 0.0) -> Next:
        """Plans an attempt. Where others could follow, it may not keep silent for longer than its share of the time."""
        rules = self.rules
        attempts_left = rules.most_attempts - len(self.failed) - 1
        others = sum([c.model.name != candidate.model.name for c in self.open_candidates])
        followers = min(others, attempts_left)
        if followers <= 0:
            return Next(candidate, wait)
        left = self.seconds_left - wait
        share = left / (1 + followers)
        patience = rules.first_token_seconds
        if Feature.REASONING in candidate.model.features:
            # It may think for long before its first word.
            patience *= REASONING_PATIENCE
        # A model that is slow by nature is not given up for it.
        first = min(patience, max(share, min(left, candidate.estimated_latency_seconds)))
        return Next(candidate, wait, first, min(rules.gap_seconds, max(share, rules.least_seconds)))


def next_attempt(
    situation: Situation, *, retry_allowed: bool, admits: Callable[[Model, float], bool], jitter: float
) -> Next | None:
    """Plans the next attempt; None when there is none worth making.

    `admits` tells whether a model's breaker lets a call pass after a wait; the first that it admits is called. `jitter`
    is a random number from 0 to 1.
    """
    failed, rules = situation.failed, situation.rules
    if not failed:
        # Whatever time there is: that it is too short for any model was said before, or is the deadline's to say.
        return _fallback(situation, admits)
    if len(failed) >= rules.most_attempts or situation.seconds_left < rules.least_seconds:
        return None
    treatment = TREATMENTS[failed[-1].failure_class]
    same = _retry(situation, jitter) if treatment.retries and retry_allowed else None
    # A short wait for the better model is worth it; a long one is, where there is no other.
    if same is not None and same.wait_seconds <= rules.most_wait and admits(same.candidate.model, same.wait_seconds):
        return same
    other = _fallback(situation, admits) if treatment.fall_back else None
    if other is not None:
        return other
    if same is None or same.wait_seconds <= rules.most_wait:
        return None
    return same if admits(same.candidate.model, same.wait_seconds) else None


def _retry(situation: Situation, jitter: float) -> Next | None:
    """Plans another attempt at the model that failed last: after what it asked for, or after a growing wait."""
    rules, last = situation.rules, situation.failed[-1]
    tried = sum(f.model.name == last.model.name for f in situation.failed)
    candidate = next((c for c in situation.candidates if c.model.name == last.model.name), None)
    if candidate is None or tried >= rules.most_at_one_model:
        return None
    asked = last.retry_after_seconds
    # Callers that failed together must not return together (M. Brooker, Exponential Backoff And Jitter, 2015).
    wait = rules.first_wait * 2 ** (tried - 1) * (0.5 + jitter) if asked is None else asked + 0.1 * jitter
    if wait > situation.seconds_left - rules.least_seconds:
        return None
    return situation.timed(candidate, wait)


def _fallback(situation: Situation, admits: Callable[[Model, float], bool]) -> Next | None:
    """Plans an attempt at the best model that was not tried; those of a shaky provider come last."""
    for candidate in situation.open_candidates:
        if admits(candidate.model, 0.0):
            return situation.timed(candidate)
    return None
