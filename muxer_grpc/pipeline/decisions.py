"""Decisions that Route returned, kept for a time so that Complete can take them up by their ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from muxer_grpc.domain.decision import Decision
from muxer_grpc.domain.errors import DecisionExpired, InvalidRequest, Violation

DEFAULT_SECONDS = 300.0
# What ids look like, so that nobody is asked for what no process ever made.
_ID = re.compile(r"dec_[0-9a-z]{1,60}")
MAX_DECISIONS = 2_000


@dataclass(frozen=True, slots=True)
class _Kept:
    decision: Decision
    fingerprint: bytes
    tenant_id: str


class Decisions:
    """Keeps decisions for `seconds`; in bounded memory, the oldest is forgotten first. 0 seconds keep none."""

    def __init__(self, seconds: float = DEFAULT_SECONDS) -> None:
        self._seconds = seconds
        self._kept: dict[str, _Kept] = {}

    def misses(self, decision_id: str) -> bool:
        """Tells whether a decision is not here and may be known elsewhere."""
        return self._seconds > 0 and decision_id not in self._kept and _ID.fullmatch(decision_id) is not None

    def keep(self, decision: Decision, fingerprint: bytes, tenant_id: str) -> None:
        """Keeps a decision about the spec of this fingerprint, for a tenant."""
        if self._seconds <= 0:
            return
        if len(self._kept) >= MAX_DECISIONS:
            del self._kept[next(iter(self._kept))]
        self._kept[decision.decision_id] = _Kept(decision, fingerprint, tenant_id)

    def take(self, decision_id: str, fingerprint: bytes, tenant_id: str, now: float) -> Decision:
        """Gives a decision back, as often as it is asked for.

        Raises DecisionExpired when it is not known, too old or another tenant's, InvalidRequest when it was about
        another spec.
        """
        kept = self._kept.get(decision_id)
        if kept is None or now - kept.decision.created_at > self._seconds:
            self._kept.pop(decision_id, None)
            raise DecisionExpired(decision_id[:64])
        if kept.tenant_id != tenant_id:
            raise DecisionExpired(decision_id[:64])
        if kept.fingerprint != fingerprint:
            message = "the decision is about another spec; send the spec that Route was asked with"
            raise InvalidRequest([Violation("decision_id", "contradiction", message)])
        return kept.decision
