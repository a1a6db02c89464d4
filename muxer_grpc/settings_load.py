"""Settings of load shedding."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LoadSettings(BaseModel):
    """Which calls are shed while there is little room, or the process falls behind. `server` says how much room is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unary_lag_seconds: float = Field(
        1, ge=0, le=60, description="Unary calls are shed while the event loop is late by more seconds; 0: never."
    )
    stream_lag_seconds: float = Field(
        0.5, ge=0, le=60, description="Streams are shed while the event loop is late by more seconds; 0: never."
    )
    crowded_share: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Share of the calls at once from which low priority is shed, and no tenant may hold more than its "
        "share; 1: neither.",
    )
    tenant_factor: float = Field(
        1.5, ge=1, le=1_000, description="How many times an equal share of the calls at once a tenant may hold then."
    )
