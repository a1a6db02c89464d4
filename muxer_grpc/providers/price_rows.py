"""Prices as people write them: in files of models, in settings, and in what operators send to a running service."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, DecimalException
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from muxer_grpc.domain.money import FREE, Price, PriceTier
from muxer_grpc.domain.price_book import MAX_PICO_USD_PER_TOKEN, MAX_TIERS

MAX_USD_PER_MILLION = Decimal(MAX_PICO_USD_PER_TOKEN) / 1_000_000


def _check_price(text: str) -> str:
    try:
        amount = Decimal(text)
        too_high = amount > MAX_USD_PER_MILLION
        Price.from_usd_per_million("0" if too_high else amount, "0")
    except DecimalException:
        msg = "a price is a decimal number in quotes, in USD per million tokens"
        raise ValueError(msg) from None
    if too_high:
        msg = f"a price is at most {MAX_USD_PER_MILLION:,} USD per million tokens, not {text}"
        raise ValueError(msg)
    return text


UsdPerMillion = Annotated[str, AfterValidator(_check_price)]


class _Rates(BaseModel):
    """Prices by kind, as decimal strings in USD per million tokens, so that no float stands in between."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cached_input_usd_per_million: UsdPerMillion | None = Field(
        None, description="Price of input read from the vendor's cache; default: as input."
    )
    cache_write_usd_per_million: UsdPerMillion | None = Field(
        None, description="Price of input written to the vendor's cache; default: as input."
    )
    cache_write_1h_usd_per_million: UsdPerMillion | None = Field(
        None, description="Price of input that the vendor's cache keeps for an hour; default: as all cache writes."
    )
    reasoning_usd_per_million: UsdPerMillion | None = Field(None, description="Price of reasoning; default: as output.")

    def _price(self, fresh_input: str, output: str) -> Price:
        return Price.from_usd_per_million(
            fresh_input,
            output,
            cached_input=self.cached_input_usd_per_million,
            cache_write=self.cache_write_usd_per_million,
            cache_write_1h=self.cache_write_1h_usd_per_million,
            reasoning=self.reasoning_usd_per_million,
        )

    @property
    def _has_finer_prices(self) -> bool:
        return any(getattr(self, name) is not None for name in _Rates.model_fields)


class PriceTierRow(_Rates):
    """What a whole request costs from a length of its input on."""

    above_input_tokens: int = Field(gt=0, description="Input tokens of all kinds above which these prices hold.")
    input_usd_per_million: UsdPerMillion = Field(description="Price of input.")
    output_usd_per_million: UsdPerMillion = Field(description="Price of output.")

    def tier(self) -> PriceTier:
        """Gives the tier."""
        return PriceTier(self.above_input_tokens, self._price(self.input_usd_per_million, self.output_usd_per_million))


class PriceFields(_Rates):
    """The price of a model as data."""

    input_usd_per_million: UsdPerMillion | None = Field(None, description="Price of input.")
    output_usd_per_million: UsdPerMillion | None = Field(None, description="Price of output.")
    price_tiers: tuple[PriceTierRow, ...] = Field(
        (),
        max_length=MAX_TIERS,
        description="Prices of whole requests with longer input, rising by `above_input_tokens`.",
    )
    free: bool = Field(False, description="Costs nothing. A model with neither a price nor this mark is refused.")

    def price_problem(self) -> str:
        """Says how the fields contradict each other; nothing where they agree."""
        given = (self.input_usd_per_million, self.output_usd_per_million)
        priced = given != (None, None)
        finer = self._has_finer_prices or bool(self.price_tiers)
        starts = [tier.above_input_tokens for tier in self.price_tiers]
        if self.free and (priced or finer):
            return "is free and has a price; keep one of the two"
        if priced and None in given:
            return "has one of the input and output prices; give both"
        if finer and not priced:
            return "has a price of a kind but no input and output price; give those too"
        if starts != sorted(set(starts)):
            return "has price tiers that do not rise; order them by above_input_tokens"
        return ""

    def price(self) -> Price | None:
        """Gives the price; None where none is known."""
        if self.free:
            return FREE
        if self.input_usd_per_million is None or self.output_usd_per_million is None:
            return None
        price = self._price(self.input_usd_per_million, self.output_usd_per_million)
        return price.with_tiers(row.tier() for row in self.price_tiers)


class PriceRow(PriceFields):
    """The price of one model, by its full name."""

    name: str = Field(min_length=1, max_length=200, description="The model, as `provider/name`.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        problem = self.price_problem() or ("" if self.price() is not None else "has no price and is not free")
        if problem:
            msg = f"model {self.name} {problem}"
            raise ValueError(msg)
        return self


class _PriceFile(BaseModel):
    """A file of prices."""

    model_config = ConfigDict(extra="forbid")

    models: tuple[PriceRow, ...] = ()


def read_prices(content: Mapping[str, Any], name: str) -> dict[str, Price]:
    """Reads the prices of a file of that name, by model. Raises ValueError, which names what is wrong and where."""
    try:
        rows = _PriceFile.model_validate(content).models
    except ValidationError as error:
        steps = [(".".join(str(step) for step in each["loc"]), each["msg"]) for each in error.errors()]
        msg = "; ".join(f"{name}: {where}: {told.removeprefix('Value error, ')}" for where, told in steps)
        raise ValueError(msg) from None
    prices: dict[str, Price] = {}
    for row in rows:
        price = row.price()
        if price is None or row.name in prices:
            msg = f"{name}: model {row.name} comes twice"
            raise ValueError(msg)
        prices[row.name] = price
    return prices
