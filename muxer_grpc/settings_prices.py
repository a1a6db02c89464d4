"""Settings of the price book."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PriceSettings(BaseModel):
    """What models cost: how stored prices are taken up, and what is too large a change to be believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refresh_seconds: float = Field(
        5,
        ge=0.05,
        le=3_600,
        description="Stored prices that have come to hold are taken up after at most so many seconds.",
    )
    most_factor: float = Field(
        10,
        gt=1,
        le=1_000_000,
        allow_inf_nan=False,
        description="A stored price that rises or falls by more than this factor is refused unless it is forced.",
    )
