"""Settings of survival: attempts, timers, breakers and probes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BreakerSettings(BaseModel):
    """When a model or a provider that keeps failing is left alone, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether models that keep failing are left alone for a time.")
    consecutive_failures: int = Field(3, ge=1, le=1_000, description="Failures in a row after which a breaker opens.")
    failure_share: float = Field(
        0.5, gt=0, le=1, description="Share of failed calls from which a breaker opens, 0 to 1."
    )
    least_calls: int = Field(10, ge=1, le=10_000, description="Calls in the window before that share counts.")
    window_seconds: float = Field(30, gt=0, le=3_600, description="Window of that share, in seconds.")
    open_seconds: float = Field(
        5,
        gt=0,
        le=3_600,
        description="Time that a breaker is open before a probe, in seconds; doubled per failed one.",
    )
    most_open_seconds: float = Field(20, gt=0, le=3_600, description="Bound on that time, in seconds.")


class ResilienceSettings(BaseModel):
    """How failures of providers are survived."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_attempts: int = Field(4, ge=1, le=10, description="Attempts that one completion may make, at any model.")
    max_attempts_per_model: int = Field(2, ge=1, le=10, description="Attempts that it may make at one model.")
    first_wait_seconds: float = Field(
        0.25, ge=0, le=60, description="Wait before a second attempt at one model, in seconds, doubled and jittered."
    )
    most_wait_seconds: float = Field(
        2.5, ge=0, le=600, description="Longest wait for a model when another one could answer, in seconds."
    )
    first_token_seconds: float = Field(
        12,
        gt=0,
        le=3_600,
        description="Longest silence before a first token while another could answer, in seconds.",
    )
    gap_seconds: float = Field(
        15, gt=0, le=3_600, description="Longest silence between tokens while another could answer, in seconds."
    )
    retry_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Retries at the same model as a share of calls, 0 to 1.",
    )
    hedge_share: float = Field(
        0.05, ge=0, le=1, description="Hedged second attempts as a share of calls, 0 to 1; where asked for."
    )
    probe_seconds: float = Field(
        60, ge=0, le=86_400, description="Interval of background probes of all providers, in seconds; 0 probes none."
    )
    breaker: BreakerSettings = Field(BreakerSettings(), description="Breakers per model and provider.")
