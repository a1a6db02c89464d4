"""Options by which a person steers the choice of a model, and what becomes of them in a request."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from muxer_grpc.cli.rendering import NANO_DIGITS

# What the contract's 64 bits hold.
MAX_NANO_USD = 2**63

Model = Annotated[str | None, typer.Option(help="A model by name; default: the service chooses.")]
FallBack = Annotated[bool, typer.Option("--fall-back", help="Keeps the other models behind the one of --model.")]
Strategy = Annotated[str | None, typer.Option(help="Ranking strategy; default: the service's own.")]
QualityTarget = Annotated[
    float | None, typer.Option(help="The cheapest model that is expected to reach this quality, 0 to 1.")
]
Weights = Annotated[
    list[str] | None,
    typer.Option(help="Weights of quality, cost, performance, availability: quality=0.6,cost=0.4."),
]
ModelWeights = Annotated[
    list[str] | None, typer.Option(help="Shares of traffic for the strategy `weighted`: MODEL=3,MODEL=1.")
]
MaxLatency = Annotated[float | None, typer.Option(help="Longest answer to expect, in seconds.")]
MaxCost = Annotated[str | None, typer.Option(help="Dearest answer to expect, in USD.")]
Provider = Annotated[list[str] | None, typer.Option(help="Only models of this provider; may be repeated.")]
Region = Annotated[list[str] | None, typer.Option(help="Only models that run in this region; may be repeated.")]
DecisionId = Annotated[
    str | None, typer.Option(help="Takes up this decision of `muxer route`, for the same prompt and options.")
]


def steering(
    *,
    model: str | None,
    fall_back: bool,
    strategy: str | None,
    quality_target: float | None,
    weights: list[str] | None,
    model_weights: list[str] | None,
    max_latency: float | None,
    max_cost: str | None,
    provider: list[str] | None,
    region: list[str] | None,
) -> dict[str, Any]:
    """Gives the client's options; None for what was not given. Raises ValueError on text that is no such value."""
    return {
        "model": model,
        "fall_back": fall_back or None,
        "strategy": strategy,
        "quality_target": quality_target,
        "weights": numbers("--weights", weights),
        "model_weights": numbers("--model-weights", model_weights),
        "max_latency": max_latency,
        "max_cost_nano_usd": None if max_cost is None else nano_usd("--max-cost", max_cost),
        "allowed_providers": provider or None,
        "allowed_regions": region or None,
    }


def numbers(option: str, texts: list[str] | None) -> dict[str, float] | None:
    """Reads `name=number` pairs, separated by commas or given one by one."""
    if not texts:
        return None
    numbers: dict[str, float] = {}
    for pair in ",".join(texts).split(","):
        name, _, number = (part.strip() for part in pair.rpartition("="))
        try:
            value = float(number)
        except ValueError:
            name = ""
        if not name:
            msg = f"{option} {pair!r} is not name=number"
            raise ValueError(msg)
        if name in numbers:
            msg = f"{option} names {name} twice"
            raise ValueError(msg)
        numbers[name] = value
    return numbers


def nano_usd(option: str, text: str) -> int:
    """Reads an amount in USD, exactly. Raises ValueError on what is none, or is finer than a nano-USD."""
    try:
        nano = Decimal(text).scaleb(NANO_DIGITS)
        holds = abs(nano) < MAX_NANO_USD and nano == nano.to_integral_value()
    except ArithmeticError:
        holds = False
    if not holds:
        msg = f"{option} {text!r} is not an amount in USD of at most {NANO_DIGITS} decimals"
        raise ValueError(msg)
    return int(nano)
