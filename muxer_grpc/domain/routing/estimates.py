"""What is expected of a model's answer before it is asked: its length, cost, time and quality."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import exp
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Catalogue, Model, Tier
from muxer_grpc.domain.decision import Classification
from muxer_grpc.domain.live import LiveFigures, LiveSnapshot
from muxer_grpc.domain.money import FREE, PICO_PER_NANO, round_half_even
from muxer_grpc.domain.routing.needs import Needs
from muxer_grpc.domain.tasks import Capability, Intent

# Output tokens by intent, as medians of ordinary answers; a translation is as long as what is translated.
OUTPUT_TOKENS = {
    Intent.CHAT_LITE: 160,
    Intent.DEEP_REASON: 640,
    Intent.CODE_GEN: 480,
    Intent.JSON_EXTRACT: 200,
    Intent.TRANSLATION: 0,
    Intent.VISION: 200,
    Intent.SAFETY_RISK: 120,
}
LEAST_OUTPUT_TOKENS = 16
MOST_TRANSLATED_TOKENS = 4_096

# Until a model was called: seconds to the first token, and seconds per token after it.
PRIOR_SECONDS = {Tier.ECONOMY: (0.4, 0.006), Tier.BALANCED: (0.7, 0.012), Tier.PREMIUM: (1.2, 0.02)}
# From this many completions on, the measured latency stands in place of the prior.
SAMPLES_TO_TRUST = 5

# How steeply the chance of a good answer falls when a task's difficulty passes a model's ability.
STEEPNESS = 10.0
NEED_STEPS = 50
# Harder than this no task is taken to be: strong models answer most of the hardest prompts well, and a choice that
# expects everyone to fail would always take the cheapest.
MOST_DIFFICULTY = 0.72
# A prompt's main capability moves a model's ability this far from its quality in the intent.
CAPABILITY_SHARE = 0.3
# Kinds of tasks whose expected qualities are kept: seven intents of seven capabilities in fifty steps, at most.
MOST_TASKS_KEPT = 5_000


class Task(NamedTuple):
    """What estimates read from a classification; `difficulty` is 0 to 1 in steps of 1/50, so that choices can be kept.

    `settled` tells whether the intent is sure enough to read models' qualities by it.
    """

    intent: Intent
    capability: Capability | None
    difficulty: float
    settled: bool = True


class Contender(NamedTuple):
    """A model that can answer, with what is expected of its answer."""

    model: Model
    estimated_cost_nano_usd: int
    expected_quality: float = 0.5
    latency_seconds: float = 1.0
    success_rate: float = 1.0
    consecutive_failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


def task_of(classification: Classification) -> Task:
    """Reads the task from a classification."""
    difficulty = min(classification.difficulty, MOST_DIFFICULTY)
    capabilities = classification.capabilities
    main = capabilities[0][0] if capabilities else None
    return Task(classification.intent, main, round(difficulty * NEED_STEPS) / NEED_STEPS, classification.settled)


class _Row(NamedTuple):
    """What estimates read of a model; prices are in pico-USD per token, 0 where none is known.

    Inputs of more than `tiered_above` tokens are charged by another tier of the price.
    """

    model: Model
    tokenizer: str
    input_price: int
    output_price: int
    tiered_above: int
    first_token_seconds: float
    seconds_per_token: float


class Estimator:
    """Estimates what the available models of one catalogue would answer, for all of them at once.

    What depends on the kind of task alone, the expected qualities, is kept by task.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._rows: list[_Row] = []
        for model in catalogue.available:
            price = FREE if model.price is None else model.price
            prices = (price.input, price.output, price.tiers[0].above_input_tokens if price.tiers else sys.maxsize)
            self._rows.append(_Row(model, catalogue.tokenizers[model.name].name, *prices, *PRIOR_SECONDS[model.tier]))
        self._qualities: dict[Task, list[float]] = {}

    def contenders(self, needs: Needs, task: Task, figures: Mapping[str, LiveFigures]) -> list[Contender]:
        """Estimates each available model's answer to a request, in the catalogue's order."""
        counts = needs.counts
        bound = needs.output_tokens
        outputs = {name: expected_output_tokens(count, bound, task.intent) for name, count in counts.items()}
        contenders = []
        for row, quality in zip(self._rows, self._qualities_at(task), strict=True):
            model, tokenizer, input_price, output_price, tiered_above, first, per_token = row
            input_tokens, output_tokens = counts[tokenizer], outputs[tokenizer]
            if input_tokens > tiered_above and model.price is not None:
                tier = model.price.at(input_tokens)
                input_price, output_price = tier.input, tier.output
            cost = round_half_even(input_tokens * input_price + output_tokens * output_price, PICO_PER_NANO)
            latency, success_rate, failures = first + per_token * output_tokens, 1.0, 0
            live = figures.get(model.name)
            if live is not None:
                success_rate, failures = live.success_rate, live.consecutive_failures
                if live.latency_seconds is not None and live.samples >= SAMPLES_TO_TRUST:
                    latency = live.latency_seconds
            values = (model, cost, quality, latency, success_rate, failures, input_tokens, output_tokens)
            contenders.append(tuple.__new__(Contender, values))
        return contenders

    def _qualities_at(self, task: Task) -> list[float]:
        """Gives the expected quality of each model at a task."""
        known = self._qualities.get(task)
        if known is None:
            if len(self._qualities) >= MOST_TASKS_KEPT:
                self._qualities.clear()
            known = [expected_quality(ability(row.model, task), task.difficulty) for row in self._rows]
            self._qualities[task] = known
        return known


def expected_output_tokens(input_tokens: int, bound: int, intent: Intent) -> int:
    """Expects an answer's length in tokens, at most the bound that the request sets (0: none)."""
    usual = OUTPUT_TOKENS[intent] or min(max(input_tokens, LEAST_OUTPUT_TOKENS), MOST_TRANSLATED_TOKENS)
    return min(bound, usual) if bound else usual


# From so many completions on, what was measured of a model says whether it can answer in time.
SAMPLES_FOR_A_DEADLINE = 20
# With more time than this, in seconds, no model is taken for too slow.
SLOWEST_ANSWER = 60.0


def too_slow(catalogue: Catalogue, live: LiveSnapshot, seconds_left: float) -> frozenset[str]:
    """Names the models that are not expected to answer in time.

    A model that was called often is judged by its measured 95th percentile; any other by the least that one of its
    tier takes for a first token, so that nobody is shut out by a guess.
    """
    slow = []
    for model in catalogue.available:
        known = live.figures.get(model.name)
        if known is not None and known.samples >= SAMPLES_FOR_A_DEADLINE and known.p95_seconds is not None:
            needed = known.p95_seconds
        else:
            needed = PRIOR_SECONDS[model.tier][0] / 4
        if needed > seconds_left:
            slow.append(model.name)
    return frozenset(slow)


def longest_answer(model: Model, output_tokens: int) -> float:
    """Gives the time that a whole answer of so many tokens takes at the tier's usual speed, in seconds."""
    first, per_token = PRIOR_SECONDS[model.tier]
    return first + per_token * output_tokens


def ability(model: Model, task: Task) -> float:
    """Gives a model's quality at a task, 0 to 1: that of the intent, moved by that of the main capability."""
    quality = model.quality
    if task.settled and model.intent_quality:
        quality = model.intent_quality.get(task.intent, quality)
    if not model.capability_quality or task.capability is None:
        return quality
    at_capability = model.capability_quality.get(task.capability)
    return quality if at_capability is None else quality + CAPABILITY_SHARE * (at_capability - quality)


def expected_quality(able: float, difficulty: float) -> float:
    """Gives the chance of a good answer, 0 to 1: the one-parameter logistic model of item response theory.

    Ability and difficulty share a scale, so that at a difficulty equal to its ability a model answers half of the
    prompts well (G. Rasch, Probabilistic Models for Some Intelligence and Attainment Tests, 1960).
    """
    return 1.0 / (1.0 + exp(-STEEPNESS * (able - difficulty)))
