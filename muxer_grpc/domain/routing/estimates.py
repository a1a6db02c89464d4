"""What is expected of a model's answer before it is asked: its length, cost, time and quality."""

from __future__ import annotations

from math import exp
from typing import NamedTuple

from muxer_grpc.domain.catalogue import Model, Tier
from muxer_grpc.domain.decision import Classification
from muxer_grpc.domain.live import LiveFigures
from muxer_grpc.domain.money import PICO_PER_NANO, round_half_even
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


def contender_of(model: Model, needs: Needs, task: Task, live: LiveFigures | None) -> Contender:
    """Estimates a model's answer to a request."""
    input_tokens = needs.input_tokens(model)
    output_tokens = expected_output_tokens(input_tokens, needs.output_tokens, task.intent)
    return Contender(
        model,
        cost_nano_usd(model, input_tokens, output_tokens),
        expected_quality(ability(model, task), task.difficulty),
        expected_latency(model, output_tokens, live),
        1.0 if live is None else live.success_rate,
        0 if live is None else live.consecutive_failures,
        input_tokens,
        output_tokens,
    )


def expected_output_tokens(input_tokens: int, bound: int, intent: Intent) -> int:
    """Expects an answer's length in tokens, at most the bound that the request sets (0: none)."""
    usual = OUTPUT_TOKENS[intent] or min(max(input_tokens, LEAST_OUTPUT_TOKENS), MOST_TRANSLATED_TOKENS)
    return min(bound, usual) if bound else usual


def cost_nano_usd(model: Model, input_tokens: int, output_tokens: int) -> int:
    """Estimates a cost; 0 where no price is known (such a model is never chosen)."""
    price = model.price
    if price is None:
        return 0
    return round_half_even(input_tokens * price.input + output_tokens * price.output, PICO_PER_NANO)


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


def expected_latency(model: Model, output_tokens: int, live: LiveFigures | None) -> float:
    """Expects the time to the end of the answer, in seconds: the measured median, or a prior by tier."""
    if live is not None and live.latency_seconds is not None and live.samples >= SAMPLES_TO_TRUST:
        return live.latency_seconds
    first, per_token = PRIOR_SECONDS[model.tier]
    return first + per_token * output_tokens
