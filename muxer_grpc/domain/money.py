"""Money in integers: prices in pico-USD per token, costs in pico-USD by kind, totals in nano-USD."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from muxer_grpc.domain.enumeration import Named
from muxer_grpc.domain.records import record

PICO_PER_NANO = 1_000


class UsageSource(Named):
    """Says where token counts come from."""

    NONE = "none"
    PROVIDER = "provider"
    COUNTED = "counted"
    ESTIMATED = "estimated"


@record
class Usage:
    """Token counts by kind. The kinds do not overlap: their sum is the number of tokens processed.

    `cache_write_1h_tokens` are those that a vendor keeps for an hour, at a price of their own; `cache_write_tokens` are
    all others that it wrote to its cache.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    source: UsageSource = UsageSource.NONE
    cache_write_1h_tokens: int = 0

    @property
    def all_input_tokens(self) -> int:
        """Sums the input, cached or not."""
        return self.input_tokens + self.cached_input_tokens + self.cache_write_tokens + self.cache_write_1h_tokens

    @property
    def all_output_tokens(self) -> int:
        """Sums the output, reasoning included."""
        return self.output_tokens + self.reasoning_tokens


NO_USAGE = Usage()


# What stands for a price of one-hour cache writes that is not known: then they cost as much as all cache writes.
UNSTATED = -1


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model in pico-USD per token, which is micro-USD per million tokens.

    `tiers` rise by the length of the input. Vendors charge the whole request by the tier that its input reaches, output
    and cached input too, and not only what is above: so do these. Raises ValueError on a price below 0, and on tiers
    that do not rise or have tiers themselves.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    reasoning: int
    cache_write_1h: int = UNSTATED
    tiers: tuple[PriceTier, ...] = ()

    def __post_init__(self) -> None:
        """Completes and checks the price."""
        if self.cache_write_1h == UNSTATED:
            object.__setattr__(self, "cache_write_1h", self.cache_write)
        if min(self.by_kind.values()) < 0:
            msg = "a price is at least 0"
            raise ValueError(msg)
        above = 0
        for tier in self.tiers:
            if tier.above_input_tokens <= above or tier.price.tiers:
                msg = "price tiers rise: each begins above more input tokens than the one before, the first above 0"
                raise ValueError(msg)
            above = tier.above_input_tokens

    @classmethod
    def from_usd_per_million(
        cls,
        fresh_input: str | Decimal,
        output: str | Decimal,
        *,
        cached_input: str | Decimal | None = None,
        cache_write: str | Decimal | None = None,
        cache_write_1h: str | Decimal | None = None,
        reasoning: str | Decimal | None = None,
    ) -> Price:
        """Converts prices as vendors print them; an unset kind costs as much as the kind it is a part of.

        Raises ValueError for a price that is negative, not a number, or finer than one pico-USD per token.
        """
        written = fresh_input if cache_write is None else cache_write
        return cls(
            input=_pico_usd_per_token(fresh_input),
            output=_pico_usd_per_token(output),
            cached_input=_pico_usd_per_token(fresh_input if cached_input is None else cached_input),
            cache_write=_pico_usd_per_token(written),
            reasoning=_pico_usd_per_token(output if reasoning is None else reasoning),
            cache_write_1h=_pico_usd_per_token(written if cache_write_1h is None else cache_write_1h),
        )

    def with_tiers(self, tiers: Iterable[PriceTier]) -> Price:
        """Gives the price with tiers. Raises ValueError on tiers that do not rise."""
        return replace(self, tiers=tuple(tiers))

    def at(self, input_tokens: int) -> Price:
        """Gives what is charged for a request with so many input tokens of all kinds."""
        price = self
        for tier in self.tiers:
            if input_tokens <= tier.above_input_tokens:
                break
            price = tier.price
        return price

    @property
    def by_kind(self) -> dict[str, int]:
        """Maps the kinds of tokens to their prices, those of tiers aside."""
        return {
            "input": self.input,
            "output": self.output,
            "cached_input": self.cached_input,
            "cache_write": self.cache_write,
            "cache_write_1h": self.cache_write_1h,
            "reasoning": self.reasoning,
        }


@dataclass(frozen=True, slots=True)
class PriceTier:
    """What a whole request costs where its input has more tokens than `above_input_tokens`, of all kinds together."""

    above_input_tokens: int
    price: Price


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


@record
class Cost:
    """Exact cost by kind in pico-USD; that of cache writes holds both kinds of them."""

    input_pico: int = 0
    cached_input_pico: int = 0
    cache_write_pico: int = 0
    output_pico: int = 0
    reasoning_pico: int = 0

    @property
    def total_pico(self) -> int:
        """Gives the exact total in pico-USD."""
        return self.input_pico + self.cached_input_pico + self.cache_write_pico + self.output_pico + self.reasoning_pico

    @property
    def total_nano(self) -> int:
        """Gives the total in nano-USD, rounded once, half to even."""
        return round_half_even(self.total_pico, PICO_PER_NANO)


NO_COST = Cost()


def cost_of(usage: Usage, price: Price) -> Cost:
    """Multiplies counts by prices, exactly; with tiers, by the prices that the length of the input reaches."""
    if price.tiers:
        price = price.at(usage.all_input_tokens)
    written = usage.cache_write_tokens * price.cache_write
    if usage.cache_write_1h_tokens:
        written += usage.cache_write_1h_tokens * price.cache_write_1h
    return Cost(
        input_pico=usage.input_tokens * price.input,
        cached_input_pico=usage.cached_input_tokens * price.cached_input,
        cache_write_pico=written,
        output_pico=usage.output_tokens * price.output,
        reasoning_pico=usage.reasoning_tokens * price.reasoning,
    )


def most_it_can_cost(price: Price, input_tokens: int, output_tokens: int) -> int:
    """Gives the most that a request can cost, in nano-USD, whatever kinds its tokens turn out to be.

    The counts bound all input and all output; the dearest kind of either counts, in the dearest tier that the input can
    reach. No usage within these bounds costs more, and there is one that costs as much.
    """
    if price.tiers:
        most = max(inputs + output_tokens * output for inputs, output in _dearest(price, input_tokens))
    else:
        inputs, output = _dearest_of(price, input_tokens)
        most = inputs + output_tokens * output
    return round_half_even(most, PICO_PER_NANO)


def most_output_within(price: Price, input_tokens: int, nano_usd: int, bound: int) -> int:
    """Gives how many output tokens, up to a bound, a request can have so that it costs at most so much.

    With that many, `most_it_can_cost` is at most `nano_usd`. It is -1 where the input alone can cost more.
    """
    most = bound
    for inputs, output in _dearest(price, input_tokens):
        left = nano_usd * PICO_PER_NANO - inputs
        if left < 0:
            return -1
        if output:
            most = min(most, left // output)
    return most


def _dearest(price: Price, input_tokens: int) -> Iterator[tuple[int, int]]:
    """Gives the most that all input can cost, and the most of an output token, in each tier that it can reach."""
    reached = price
    for tier in price.tiers:
        if input_tokens <= tier.above_input_tokens:
            break
        yield _dearest_of(reached, tier.above_input_tokens)
        reached = tier.price
    yield _dearest_of(reached, input_tokens)


def _dearest_of(price: Price, input_tokens: int) -> tuple[int, int]:
    dearest = max(price.input, price.cached_input, price.cache_write, price.cache_write_1h)
    return input_tokens * dearest, max(price.output, price.reasoning)


def add_usage(one: Usage, other: Usage) -> Usage:
    """Sums counts; the source is that of the later one that has any."""
    return Usage(
        one.input_tokens + other.input_tokens,
        one.cached_input_tokens + other.cached_input_tokens,
        one.cache_write_tokens + other.cache_write_tokens,
        one.output_tokens + other.output_tokens,
        one.reasoning_tokens + other.reasoning_tokens,
        other.source if other.source is not UsageSource.NONE else one.source,
        one.cache_write_1h_tokens + other.cache_write_1h_tokens,
    )


def add_cost(one: Cost, other: Cost) -> Cost:
    """Sums exact costs, kind by kind."""
    return Cost(
        one.input_pico + other.input_pico,
        one.cached_input_pico + other.cached_input_pico,
        one.cache_write_pico + other.cache_write_pico,
        one.output_pico + other.output_pico,
        one.reasoning_pico + other.reasoning_pico,
    )


def round_half_even(amount: int, divisor: int) -> int:
    """Divides with rounding half to even, in integers (`divisor` > 0)."""
    quotient, remainder = divmod(amount, divisor)
    doubled = 2 * remainder
    if doubled > divisor or (doubled == divisor and quotient % 2):
        quotient += 1
    return quotient
