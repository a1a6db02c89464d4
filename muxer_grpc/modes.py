"""Modes: presets of settings for the three ways in which Muxer is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Names a preset."""

    BASIC = "basic"
    ENHANCED = "enhanced"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class Preset:
    """What a mode stands for. `requires` names what must be configured before the service starts in it."""

    summary: str
    learned_classifier: bool
    requires: tuple[str, ...] = ()


PRESETS: Mapping[Mode, Preset] = {
    Mode.BASIC: Preset("rules classify; state in memory", learned_classifier=False),
    Mode.ENHANCED: Preset("the learned classifier decides; state in memory", learned_classifier=True),
    Mode.PRODUCTION: Preset(
        "the learned classifier decides; callers are authenticated, state is shared by replicas",
        learned_classifier=True,
        requires=("authentication", "PostgreSQL", "Redis"),
    ),
}
