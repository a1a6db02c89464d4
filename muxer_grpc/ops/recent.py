"""The last completions of a process, as operators want to see them: what was decided, why, and what came of it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.completion import Outcome, Summary
from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.errors import Reason
from muxer_grpc.domain.money import Cost
from muxer_grpc.domain.ports import CompletionObserver

KEPT = 20


class RecentDecision(NamedTuple):
    """One ended completion; nothing of it is content.

    `at` is its end in seconds since the epoch, `seconds` how long it took. `answered_by` is empty where no model did,
    `error` names the reason of the error, where there was one.
    """

    at: float
    completion_id: str
    decision_id: str
    intent: str
    strategy: str
    selected_model: str
    answered_by: str
    explanation: str
    outcome: str
    error: str
    attempts: int
    cost_nano_usd: int
    seconds: float


class _Ended(NamedTuple):
    """What is kept of a completion until somebody wants to see it."""

    at: float
    completion_id: str
    decision: Decision
    answered_by: Model | None
    outcome: Outcome
    reason: Reason | None
    attempts: int
    cost: Cost
    seconds: float


class RecentDecisions:
    """Implements the port CompletionObserver: keeps the last completions, and tells another observer of all."""

    def __init__(self, then: CompletionObserver, kept: int = KEPT) -> None:
        self._then = then
        self._kept: deque[_Ended] = deque(maxlen=kept)

    def latest(self) -> list[RecentDecision]:
        """Lists them, the latest first."""
        return [_told(each) for each in reversed(self._kept)]

    def began(self) -> None:
        """Is told that a completion began."""
        self._then.began()

    def ended(self, summary: Summary, now: float) -> None:
        """Is told how a completion ended."""
        self._then.ended(summary, now)
        # Not the summary itself, which holds on to its error, and that to whatever was in the frames that it left.
        self._kept.append(
            _Ended(
                now,
                summary.completion_id,
                summary.decision,
                summary.answered_by,
                summary.outcome,
                summary.error_reason,
                len(summary.attempts),
                summary.cost,
                summary.duration,
            )
        )


def _told(ended: _Ended) -> RecentDecision:
    decision, answered_by, reason = ended.decision, ended.answered_by, ended.reason
    return RecentDecision(
        at=ended.at,
        completion_id=ended.completion_id,
        decision_id=decision.decision_id,
        intent=decision.classification.intent.value,
        strategy=decision.strategy,
        selected_model=decision.selected.name,
        answered_by="" if answered_by is None or reason is not None else answered_by.name,
        explanation=decision.explanation,
        outcome=ended.outcome.value,
        error="" if reason is None else reason.value,
        attempts=ended.attempts,
        cost_nano_usd=ended.cost.total_nano,
        seconds=ended.seconds,
    )
