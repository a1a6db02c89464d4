"""Settings of leases of money."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAY_SECONDS = 86_400


class MoneyLeaseSettings(BaseModel):
    """For how long callers may hold money for many calls together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default_seconds: int = Field(
        3_600, ge=1, le=365 * DAY_SECONDS, description="How long a lease is held whose caller does not say, in seconds."
    )
    most_seconds: int = Field(
        DAY_SECONDS, ge=1, le=365 * DAY_SECONDS, description="How long a lease may be held at most, in seconds."
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.default_seconds > self.most_seconds:
            msg = "default_seconds is above most_seconds; it must be at most that"
            raise ValueError(msg)
        return self
