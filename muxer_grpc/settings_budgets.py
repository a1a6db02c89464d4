"""Settings of the budgets that new users have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from muxer_grpc.domain.administration import is_time_zone

MOST_NANO_USD = 9 * 10**15


def _check_time_zone(name: str) -> str:
    if not is_time_zone(name):
        msg = "it must be a time zone of the IANA database, as Europe/Berlin"
        raise ValueError(msg)
    return name


class BudgetSettings(BaseModel):
    """The hard budgets that a new user has; others are made by admins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    for_new_users: bool = Field(True, description="Whether new users have budgets from the beginning.")
    daily_nano_usd: int = Field(
        10_000_000_000, ge=0, le=MOST_NANO_USD, description="What a new user may spend in a day, in nano-USD."
    )
    monthly_nano_usd: int = Field(
        100_000_000_000, ge=0, le=MOST_NANO_USD, description="What a new user may spend in a month, in nano-USD."
    )
    time_zone: Annotated[str, AfterValidator(_check_time_zone)] = Field(
        "UTC", description="Time zone in which these days and months begin, as in the IANA database."
    )
