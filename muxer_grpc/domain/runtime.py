"""Settings that change while the service runs: what is configured, and over it what operators have set.

They are named by dotted paths, as the fields of the contract's RuntimeSettings. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

from muxer_grpc.domain.resilience.attempts import AttemptRules
from muxer_grpc.domain.resilience.breaker import BreakerRules
from muxer_grpc.domain.routing.policy import Weights
from muxer_grpc.domain.routing.ranking import DEFAULT_STRATEGY, known_strategies

DEFAULT_STRATEGY_PATH = "default_strategy"
WEIGHTS_PATH = "weights"
ENABLED_PATH = "breaker.enabled"
RETRY_SHARE_PATH = "retry_share"
HEDGE_SHARE_PATH = "hedge_share"

# By path: the name that the field has in the domain.
BREAKER_PATHS: Mapping[str, str] = MappingProxyType(
    {
        "breaker.consecutive_failures": "consecutive_failures",
        "breaker.failure_share": "failure_share",
        "breaker.least_calls": "least_calls",
        "breaker.window": "window_seconds",
        "breaker.open_time": "open_seconds",
        "breaker.most_open_time": "most_open_seconds",
    }
)
ATTEMPT_PATHS: Mapping[str, str] = MappingProxyType(
    {
        "attempts.max_attempts": "most_attempts",
        "attempts.max_attempts_per_model": "most_at_one_model",
        "attempts.first_wait": "first_wait",
        "attempts.most_wait": "most_wait",
        "attempts.first_token_time": "first_token_seconds",
        "attempts.gap_time": "gap_seconds",
    }
)


class Range(NamedTuple):
    """What a number may be: from `least`, itself left out where it is `open`, to `most`."""

    least: float
    most: float
    open: bool = False
    whole: bool = False

    def holds(self, value: float) -> bool:
        """Tells whether a number is in the range."""
        return isfinite(value) and (self.least < value if self.open else self.least <= value) and value <= self.most

    @property
    def told(self) -> str:
        """Says it to whoever gave another number."""
        return f"give {'more than ' if self.open else ''}{self.least:g} to {self.most:,g}"


# The same as those of the settings in the configuration.
RANGES: Mapping[str, Range] = MappingProxyType(
    {
        "breaker.consecutive_failures": Range(1, 1_000, whole=True),
        "breaker.failure_share": Range(0, 1, open=True),
        "breaker.least_calls": Range(1, 10_000, whole=True),
        "breaker.window": Range(0, 3_600, open=True),
        "breaker.open_time": Range(0, 3_600, open=True),
        "breaker.most_open_time": Range(0, 3_600, open=True),
        "attempts.max_attempts": Range(1, 10, whole=True),
        "attempts.max_attempts_per_model": Range(1, 10, whole=True),
        "attempts.first_wait": Range(0, 60),
        "attempts.most_wait": Range(0, 600),
        "attempts.first_token_time": Range(0, 3_600, open=True),
        "attempts.gap_time": Range(0, 3_600, open=True),
        RETRY_SHARE_PATH: Range(0, 1),
        HEDGE_SHARE_PATH: Range(0, 1),
    }
)
PATHS = (DEFAULT_STRATEGY_PATH, WEIGHTS_PATH, ENABLED_PATH, *RANGES)


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How models are chosen and failures survived, where neither a request nor its tenant says otherwise.

    `retry_share` bounds retries at the same model to a share of calls, `hedge_share` hedged attempts. Switched off
    (`breakers_enabled`), breakers open by hand only.
    """

    default_strategy: str = DEFAULT_STRATEGY
    weights: Weights | None = None
    breakers: BreakerRules = field(default_factory=BreakerRules)
    breakers_enabled: bool = True
    attempts: AttemptRules = field(default_factory=AttemptRules)
    retry_share: float = 0.2
    hedge_share: float = 0.05

    def values(self) -> dict[str, Any]:
        """Gives the settings by path, as plain values."""
        return {
            DEFAULT_STRATEGY_PATH: self.default_strategy,
            WEIGHTS_PATH: None if self.weights is None else asdict(self.weights),
            ENABLED_PATH: self.breakers_enabled,
            **{path: getattr(self.breakers, name) for path, name in BREAKER_PATHS.items()},
            **{path: getattr(self.attempts, name) for path, name in ATTEMPT_PATHS.items()},
            RETRY_SHARE_PATH: self.retry_share,
            HEDGE_SHARE_PATH: self.hedge_share,
        }

    def overridden(self, values: Mapping[str, Any]) -> RuntimeSettings:
        """Gives the settings with others in place of theirs, by path. Raises ValueError on what cannot be one."""
        for path, value in values.items():
            _check(path, value)
        told: dict[str, Any] = {}
        if DEFAULT_STRATEGY_PATH in values:
            told["default_strategy"] = values[DEFAULT_STRATEGY_PATH]
        if WEIGHTS_PATH in values:
            told["weights"] = Weights(**values[WEIGHTS_PATH])
        if ENABLED_PATH in values:
            told["breakers_enabled"] = values[ENABLED_PATH]
        told.update({path: values[path] for path in (RETRY_SHARE_PATH, HEDGE_SHARE_PATH) if path in values})
        breakers = {name: values[path] for path, name in BREAKER_PATHS.items() if path in values}
        attempts = {name: values[path] for path, name in ATTEMPT_PATHS.items() if path in values}
        return replace(
            self, **told, breakers=replace(self.breakers, **breakers), attempts=replace(self.attempts, **attempts)
        )


def _check(path: str, value: object) -> None:
    """Raises ValueError unless a plain value can be a setting's."""
    known = RANGES.get(path)
    if known is not None:
        number = not isinstance(value, bool) and isinstance(value, int if known.whole else int | float)
        holds = number and known.holds(value)  # type: ignore[arg-type]
    elif path == DEFAULT_STRATEGY_PATH:
        holds = isinstance(value, str) and value in known_strategies()
    elif path == WEIGHTS_PATH:
        holds = isinstance(value, Mapping) and _are_weights(value)
    else:
        holds = path == ENABLED_PATH and isinstance(value, bool)
    if not holds:
        msg = f"{path} cannot be {value!r:.80}"
        raise ValueError(msg)


def _are_weights(told: Mapping[Any, Any]) -> bool:
    numbers = list(told.values())
    if not set(told) <= set(Weights.__slots__) or not all(type(number) in (int, float) for number in numbers):
        return False
    return all(isfinite(number) and number >= 0 for number in numbers) and sum(numbers) > 0
