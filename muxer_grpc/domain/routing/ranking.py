"""What a strategy is, and where strategies are found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from muxer_grpc.domain.decision import Candidate, Classification, Factor
from muxer_grpc.domain.routing import strategies
from muxer_grpc.domain.routing.estimates import Contender
from muxer_grpc.domain.routing.policy import Weights

DEFAULT_STRATEGY = "learned"


class Ranking(NamedTuple):
    """Candidates, best first, and one sentence that says what was decisive."""

    candidates: tuple[Candidate, ...]
    explanation: str


class Aim(NamedTuple):
    """What is to be reached: the caller's weights and quality target, each model's share, and whose turn it is.

    `turn` counts the choices made so far among the same contenders; strategies that take no turns see 0.
    """

    classification: Classification
    weights: Weights | None = None
    quality_target: float | None = None
    model_weights: Mapping[str, float] = MappingProxyType({})
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Strategy:
    """A named pure ranking: of contenders (at least one) towards an aim.

    `key` gives what `rank` reads from a classification beyond the task: of equal keys, tasks, policies and contenders,
    the ranking is equal. One that takes turns sees how many choices were made among the same contenders.
    `weighs` tells whether it reads the weights of factors, `aims` whether it reads a quality target.
    """

    name: str
    rank: Callable[[Sequence[Contender], Aim], Ranking]
    key: Callable[[Classification], Hashable] = lambda _classification: None
    takes_turns: bool = False
    weighs: bool = False
    aims: bool = False


def candidate_of(contender: Contender, score: float, factors: tuple[Factor, ...]) -> Candidate:
    """Makes the candidate of a contender that was scored."""
    model, cost, quality, latency, _, _, input_tokens, output_tokens = contender
    # Twenty are made per decision: what a named tuple's own constructor adds would be felt.
    return tuple.__new__(Candidate, (model, score, factors, cost, quality, latency, input_tokens, output_tokens))


def best_first(candidate: Candidate) -> tuple[float, int, str]:
    """Orders candidates: the best score first, of equals the cheapest, of equals the first by name."""
    return (-candidate.score, candidate.estimated_cost_nano_usd, candidate.model.name)


def ranked(scored: Iterable[tuple[Contender, tuple[Factor, ...]]]) -> tuple[Candidate, ...]:
    """Scores contenders by the weighted sum of their factors, and orders them as best_first() says."""
    order = []
    for contender, factors in scored:
        score = 0.0
        for _, value, weight in factors:
            score += value * weight
        # No two models have one name, so that no two candidates are ever compared.
        order.append((-score, contender[1], contender[0].name, candidate_of(contender, score, factors)))
    order.sort()
    return tuple([entry[3] for entry in order])


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
