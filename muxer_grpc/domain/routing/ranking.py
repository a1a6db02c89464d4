"""What a strategy is, and where strategies are found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.decision import Candidate, Classification
from muxer_grpc.domain.routing import strategies

DEFAULT_STRATEGY = "heuristic"


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates, best first, and one sentence that says what was decisive."""

    candidates: tuple[Candidate, ...]
    explanation: str


class Contender(NamedTuple):
    """A model that can answer, with the estimated cost of this completion in nano-USD."""

    model: Model
    estimated_cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class Strategy:
    """A named pure ranking: of contenders (at least one) under a classification.

    `key` gives all that `rank` reads from a classification: of equal keys and contenders, the ranking is equal.
    """

    name: str
    rank: Callable[[Sequence[Contender], Classification], Ranking]
    key: Callable[[Classification], Hashable]


@cache
def known_strategies() -> Mapping[str, Strategy]:
    """Imports the modules of the strategies folder. Raises ValueError when two strategies share a name."""
    found: dict[str, Strategy] = {}
    for module_info in pkgutil.iter_modules(strategies.__path__):
        strategy: Strategy = importlib.import_module(f"{strategies.__name__}.{module_info.name}").STRATEGY
        if strategy.name in found:
            msg = f"two strategies are named {strategy.name}"
            raise ValueError(msg)
        found[strategy.name] = strategy
    return MappingProxyType(found)
