"""Rows of models: the shape of the .toml beside each adapter, and of the models that operators configure."""

from __future__ import annotations

import tomllib
from decimal import Decimal, DecimalException
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from muxer_grpc.domain.catalogue import UNRATED, Feature, Model, Tier
from muxer_grpc.domain.money import FREE, Price
from muxer_grpc.domain.tasks import Capability, Intent

_FOLDER = Path(__file__).parent

# A dollar per token: no vendor comes near it, and no sum of such prices leaves 64 bits.
MAX_USD_PER_MILLION = Decimal(1_000_000)


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
Quality = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

UNMEASURED = "prior: tier and generation, not measured"


class ModelRow(BaseModel):
    """A model as data. Prices are decimal strings in USD per million tokens, so that no float stands in between."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200, description="The name that callers use, after `provider/`.")
    vendor_model: str = Field("", max_length=200, description="The vendor's name, where it is another than `name`.")
    tier: Tier = Field(Tier.BALANCED, description="Price and strength class: economy, balanced or premium.")
    context_window: int = Field(8_192, gt=0, description="Bound on input and output together, in tokens.")
    max_output_tokens: int = Field(4_096, gt=0, description="Bound on the output, in tokens.")
    features: frozenset[Feature] = Field(
        frozenset(), description="What it can do: vision, tools, json, json_schema, reasoning."
    )
    regions: tuple[str, ...] = Field((), description="Regions that it runs in.")
    quality: float | None = Field(
        None, ge=0, le=1, description="Quality of its answers to ordinary prompts, 0 to 1; default: that of its tier."
    )
    intent_quality: dict[Intent, Quality] = Field(
        default_factory=dict, description="Quality by intent, 0 to 1, where it differs: chat_lite, code_gen and so on."
    )
    capability_quality: dict[Capability, Quality] = Field(
        default_factory=dict, description="Quality by capability, 0 to 1, where it differs: logical, code and so on."
    )
    quality_source: str = Field(UNMEASURED, min_length=1, max_length=200, description="Where the qualities come from.")
    input_usd_per_million: UsdPerMillion | None = Field(None, description="Price of input.")
    output_usd_per_million: UsdPerMillion | None = Field(None, description="Price of output.")
    cached_input_usd_per_million: UsdPerMillion | None = Field(
        None, description="Price of input read from the vendor's cache; default: as input."
    )
    cache_write_usd_per_million: UsdPerMillion | None = Field(
        None, description="Price of input written to the vendor's cache; default: as input."
    )
    reasoning_usd_per_million: UsdPerMillion | None = Field(None, description="Price of reasoning; default: as output.")
    free: bool = Field(False, description="Costs nothing. A model with neither a price nor this mark is refused.")
    retired: bool = Field(False, description="Its vendor has ended it; it is called only when asked for by name.")
    price_note: str = Field("", description="Why a price differs from the maintained price data.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuses rows that contradict themselves."""
        priced = self.input_usd_per_million is not None or self.output_usd_per_million is not None
        finer = self.cached_input_usd_per_million or self.cache_write_usd_per_million or self.reasoning_usd_per_million
        problem = ""
        if self.free and (priced or finer):
            problem = "is free and has a price; keep one of the two"
        elif priced and (self.input_usd_per_million is None or self.output_usd_per_million is None):
            problem = "has one of the input and output prices; give both"
        elif finer and not priced:
            problem = "has a price of a kind but no input and output price; give those too"
        elif self.max_output_tokens > self.context_window:
            problem = "writes more than its context window holds; lower max_output_tokens"
        elif Intent.VISION in self.intent_quality and Feature.VISION not in self.features:
            problem = "is rated at pictures and takes none; add the feature vision, or drop the quality"
        if problem:
            msg = f"model {self.name} {problem}"
            raise ValueError(msg)
        return self

    def price(self) -> Price | None:
        """Gives the price; None where none is known."""
        if self.free:
            return FREE
        if self.input_usd_per_million is None or self.output_usd_per_million is None:
            return None
        return Price.from_usd_per_million(
            Decimal(self.input_usd_per_million),
            Decimal(self.output_usd_per_million),
            cached_input=self.cached_input_usd_per_million,
            cache_write=self.cache_write_usd_per_million,
            reasoning=self.reasoning_usd_per_million,
        )


class _ModelFile(BaseModel):
    """A .toml beside an adapter."""

    model_config = ConfigDict(extra="forbid")

    models: tuple[ModelRow, ...] = ()


@cache
def load_rows(adapter_name: str) -> tuple[ModelRow, ...]:
    """Reads the rows beside an adapter; none where it has no file. Raises ValueError on a bad or double row."""
    path = _FOLDER / f"{adapter_name}.toml"
    if not path.exists():
        return ()
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        rows = _ModelFile.model_validate(content).models
    except ValidationError as error:
        msg = "; ".join(f"{path.name}: {_readable(each, content)}" for each in error.errors())
        raise ValueError(msg) from None
    names = [row.name for row in rows]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        msg = f"{path.name} describes {', '.join(doubles)} twice"
        raise ValueError(msg)
    return rows


def _readable(error: Any, content: dict[str, Any]) -> str:
    """Writes one problem of a file, and names the row that has it."""
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error" and len(error["loc"]) == 2:  # of a whole row, which names itself
        return message
    steps = [str(step) for step in error["loc"] if step != "[key]"]
    if len(steps) > 2:
        name = content["models"][error["loc"][1]].get("name") or f"number {int(steps[1]) + 1}"
        steps = [f"model {name}", *steps[2:]]
    return f"{steps[0]}: {'.'.join(steps[1:])}: {message}" if len(steps) > 1 else f"{steps[0]}: {message}"


def to_model(row: ModelRow, provider: str, *, simulated: bool = False) -> Model:
    """Makes the catalogue's entry of a row, named `provider/name`."""
    return Model(
        name=f"{provider}/{row.name}",
        provider=provider,
        vendor_model=row.vendor_model or row.name,
        tier=row.tier,
        context_window=row.context_window,
        max_output_tokens=row.max_output_tokens,
        features=row.features,
        regions=row.regions,
        price=row.price(),
        quality=UNRATED if row.quality is None else row.quality,
        simulated=simulated,
        retired=row.retired,
        intent_quality=row.intent_quality,
        capability_quality=row.capability_quality,
        quality_source=row.quality_source,
    )
