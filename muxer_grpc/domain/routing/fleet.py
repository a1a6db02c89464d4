"""The catalogue in force, and the router over it: replaced as one when a profile changes."""

from __future__ import annotations

from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import DEFAULT_STRATEGY
from muxer_grpc.domain.routing.router import Router
from muxer_grpc.domain.routing.turns import Turns


class Fleet:
    """Holds what requests are decided over at present; a request that began keeps the catalogue it began with."""

    def __init__(self, catalogue: Catalogue, default_strategy: str = DEFAULT_STRATEGY) -> None:
        self._default_strategy = default_strategy
        self._default_weights: Weights | None = None
        self._turns = Turns()
        self.router = Router(catalogue, default_strategy, self._turns)

    @property
    def catalogue(self) -> Catalogue:
        """Gives the catalogue in force."""
        return self.router.catalogue

    def replace(self, catalogue: Catalogue) -> None:
        """Puts another catalogue in force; whose turn it is stays as it was."""
        self.router = Router(catalogue, self._default_strategy, self._turns, self._default_weights)

    def steer(self, default_strategy: str, default_weights: Weights | None) -> None:
        """Has requests that say nothing of it ranked in another way from now on."""
        if (default_strategy, default_weights) != (self._default_strategy, self._default_weights):
            self._default_strategy, self._default_weights = default_strategy, default_weights
            self.replace(self.catalogue)
