"""Money in integers: prices in pico-USD per token, costs in pico-USD by kind, totals in nano-USD."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from muxer_grpc.domain.enumeration import Named

PICO_PER_NANO = 1_000


class UsageSource(Named):
    """Says where token counts come from."""

    NONE = "none"
    PROVIDER = "provider"
    COUNTED = "counted"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts by kind. The kinds do not overlap: their sum is the number of tokens processed."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    source: UsageSource = UsageSource.NONE

    @property
    def all_input_tokens(self) -> int:
        """Sums the input, cached or not."""
        return self.input_tokens + self.cached_input_tokens + self.cache_write_tokens

    @property
    def all_output_tokens(self) -> int:
        """Sums the output, reasoning included."""
        return self.output_tokens + self.reasoning_tokens


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model in pico-USD per token, which is micro-USD per million tokens."""

    input: int
    output: int
    cached_input: int
    cache_write: int
    reasoning: int

    @classmethod
    def from_usd_per_million(
        cls,
        fresh_input: str | Decimal,
        output: str | Decimal,
        *,
        cached_input: str | Decimal | None = None,
        cache_write: str | Decimal | None = None,
        reasoning: str | Decimal | None = None,
    ) -> Price:
        """Converts prices as vendors print them; an unset kind costs as much as the kind it is a part of.

        Raises ValueError for a price that is negative, not a number, or finer than one pico-USD per token.
        """
        return cls(
            input=_pico_usd_per_token(fresh_input),
            output=_pico_usd_per_token(output),
            cached_input=_pico_usd_per_token(fresh_input if cached_input is None else cached_input),
            cache_write=_pico_usd_per_token(fresh_input if cache_write is None else cache_write),
            reasoning=_pico_usd_per_token(output if reasoning is None else reasoning),
        )


FREE = Price(0, 0, 0, 0, 0)


def _pico_usd_per_token(usd_per_million: str | Decimal) -> int:
    amount = Decimal(usd_per_million)
    if not amount.is_finite() or amount < 0:
        msg = f"a price must be a number of at least 0, not {usd_per_million}"
        raise ValueError(msg)
    pico = amount * 1_000_000
    if pico != pico.to_integral_value():
        msg = f"a price must be a whole number of pico-USD per token, not {usd_per_million} USD per million tokens"
        raise ValueError(msg)
    return int(pico)


@dataclass(frozen=True, slots=True)
class Cost:
    """Exact cost by kind in pico-USD."""

    input_pico: int = 0
    cached_input_pico: int = 0
    cache_write_pico: int = 0
    output_pico: int = 0
    reasoning_pico: int = 0

    @property
    def total_nano(self) -> int:
        """Gives the total in nano-USD, rounded once, half to even."""
        pico = self.input_pico + self.cached_input_pico + self.cache_write_pico + self.output_pico + self.reasoning_pico
        return round_half_even(pico, PICO_PER_NANO)


NO_COST = Cost()


def cost_of(usage: Usage, price: Price) -> Cost:
    """Multiplies counts by prices, exactly."""
    return Cost(
        input_pico=usage.input_tokens * price.input,
        cached_input_pico=usage.cached_input_tokens * price.cached_input,
        cache_write_pico=usage.cache_write_tokens * price.cache_write,
        output_pico=usage.output_tokens * price.output,
        reasoning_pico=usage.reasoning_tokens * price.reasoning,
    )


def round_half_even(amount: int, divisor: int) -> int:
    """Divides with rounding half to even, in integers (`divisor` > 0)."""
    quotient, remainder = divmod(amount, divisor)
    doubled = 2 * remainder
    if doubled > divisor or (doubled == divisor and quotient % 2):
        quotient += 1
    return quotient
