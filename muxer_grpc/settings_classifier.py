"""Settings of classification."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Area(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JudgeSettings(_Area):
    """A cheap model that is asked what kind of task a prompt is, where the classifier is in doubt."""

    model: str = Field("", description="Name of a configured model; empty: nobody is asked.")
    timeout_seconds: float = Field(2, gt=0, le=60, description="Longest wait for its answer, in seconds.")
    budget_nano_usd_per_hour: int = Field(
        100_000_000, ge=0, le=10**15, description="What it may cost in an hour, in nano-USD; beyond it nobody is asked."
    )


class ClassifierSettings(_Area):
    """How prompts are classified."""

    enabled: bool | None = Field(
        None, description="Whether the learned classifier decides; otherwise rules alone. Default: as the mode has it."
    )
    low_confidence: float = Field(
        0.4, ge=0, le=1, description="Below this confidence the judge is asked, where there is one."
    )
    direct_confidence: float = Field(
        0.7, ge=0, le=1, description="From this confidence on, models' qualities are read by intent."
    )
    judge: JudgeSettings = Field(JudgeSettings(), description="A cheap model that settles doubts.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.low_confidence > self.direct_confidence:
            msg = "low_confidence is above direct_confidence; it must be at most that"
            raise ValueError(msg)
        return self
