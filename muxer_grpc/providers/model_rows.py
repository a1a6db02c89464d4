"""Rows of models: the shape of the .toml beside each adapter, and of the models that operators configure."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from muxer_grpc.domain.catalogue import UNRATED, Feature, Model, Tier
from muxer_grpc.domain.tasks import Capability, Intent
from muxer_grpc.providers.price_rows import PriceFields

_FOLDER = Path(__file__).parent

Quality = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

UNMEASURED = "prior: tier and generation, not measured"


class ModelRow(PriceFields):
    """A model as data."""

    name: str = Field(min_length=1, max_length=200, description="The name that callers use, after `provider/`.")
    vendor_model: str = Field("", max_length=200, description="The vendor's name, where it is another than `name`.")
    tier: Tier = Field(Tier.BALANCED, description="Price and strength class: economy, balanced or premium.")
    context_window: int = Field(8_192, gt=0, description="Bound on input and output together, in tokens.")
    max_output_tokens: int = Field(4_096, gt=0, description="Bound on the output, in tokens.")
    features: frozenset[Feature] = Field(
        frozenset(), description="What it can do: vision, tools, json, json_schema, reasoning, prefill."
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
    retired: bool = Field(False, description="Its vendor has ended it; it is called only when asked for by name.")
    price_note: str = Field("", description="Why a price differs from the maintained price data.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuses rows that contradict themselves."""
        problem = self.price_problem()
        if not problem and self.max_output_tokens > self.context_window:
            problem = "writes more than its context window holds; lower max_output_tokens"
        elif not problem and Intent.VISION in self.intent_quality and Feature.VISION not in self.features:
            problem = "is rated at pictures and takes none; add the feature vision, or drop the quality"
        if problem:
            msg = f"model {self.name} {problem}"
            raise ValueError(msg)
        return self


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
