"""Decisions of the past, as far as they can be made again: over a catalogue of today, with something changed or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.decision import Basis, Classification, ExclusionReason
from muxer_grpc.domain.errors import MuxerError
from muxer_grpc.domain.live import LiveSnapshot, Resting
from muxer_grpc.domain.routing.needs import needs_again
from muxer_grpc.domain.routing.policy import RoutingPolicy
from muxer_grpc.domain.routing.router import Choice, Router

# What a rest is called that is only supposed; how long it would last does not count.
_SUPPOSED = Resting("supposed", 1.0)


class PastExclusion(NamedTuple):
    """A model that could not answer; `reason` is None where it is one that is not known any more."""

    model: str
    provider: str
    reason: ExclusionReason | None
    detail: str


@dataclass(frozen=True, slots=True)
class PastDecision:
    """What is kept of a decision. Cost is in nano-USD, quality 0 to 1; both were expected of the chosen model.

    `models` are those that could answer, best first. `basis` is None where it is not kept: then the decision cannot be
    made again.
    """

    decision_id: str
    requested_model: str
    strategy: str
    selected_model: str
    models: tuple[str, ...]
    exclusions: tuple[PastExclusion, ...]
    classification: Classification
    basis: Basis | None
    estimated_cost_nano_usd: int
    expected_quality: float
    price_book_version: str
    fleet_version: str


class Remaking:
    """Makes one decision again, as often as somebody supposes something else. Raises ValueError without a basis."""

    def __init__(self, past: PastDecision, catalogue: Catalogue) -> None:
        if past.basis is None:
            msg = f"what {past.decision_id} was made from is not kept"
            raise ValueError(msg)
        self._past = past
        self._basis = past.basis
        self._router = Router(catalogue, past.strategy)
        self.needs = needs_again(past.basis, past.requested_model, catalogue)

    @property
    def policy(self) -> RoutingPolicy:
        """Gives the rules that held, with the weights that held where they had none."""
        return self.needs.request.policy

    def choose(
        self,
        *,
        policy: RoutingPolicy | None = None,
        strategy: str = "",
        classification: Classification | None = None,
        admitted: Iterable[str] = (),
        unavailable: str = "",
        automatic: bool = False,
    ) -> Choice | None:
        """Chooses with something changed; None where no model can answer then."""
        request = replace(self.needs.request, policy=self.policy if policy is None else policy)
        if automatic:
            request = replace(request, requested_model="")
        live = self._basis.live
        if unavailable:
            live = LiveSnapshot(live.figures, live.version, {**live.resting, unavailable: _SUPPOSED})
        try:
            return self._router.choose(
                replace(self.needs, request=request, admitted=frozenset(admitted)),
                classification or self._past.classification,
                live=live,
                strategy=strategy,
                turn=self._basis.turn,
            )
        except MuxerError:
            return None
