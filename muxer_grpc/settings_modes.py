"""What the mode means for the settings: what its preset sets, and what it requires before the service starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from muxer_grpc.modes import PRESETS
from muxer_grpc.settings import Settings

Requirements = Mapping[str, Callable[[Settings], bool]]


# By the names that presets use: whether the settings configure it.
REQUIREMENTS: Requirements = MappingProxyType(
    {
        "authentication": lambda settings: settings.identity.asked,
        "PostgreSQL": lambda settings: settings.storage.url.get_secret_value().startswith("postgresql"),
        "Redis": lambda settings: settings.rate_limits.redis_url is not None,
    }
)


def missing_requirements(settings: Settings, requirements: Requirements = REQUIREMENTS) -> tuple[str, ...]:
    """Names what the mode requires and the settings do not configure."""
    return tuple(name for name in PRESETS[settings.mode].requires if not requirements[name](settings))


def mode_problems(settings: Settings, requirements: Requirements = REQUIREMENTS) -> list[str]:
    """Says in one line why the service must not start in its mode; nothing where it may."""
    missing = missing_requirements(settings, requirements)
    return [f"mode {settings.mode.value} needs what is not configured: {', '.join(missing)}"] if missing else []


@dataclass(frozen=True, slots=True)
class PresetSetting:
    """A setting that the mode has a value for: its dotted name, the value that counts, and the mode's own."""

    name: str
    value: bool
    of_mode: bool
    explicit: bool


def preset_settings(settings: Settings) -> tuple[PresetSetting, ...]:
    """Lists the settings that the mode's preset sets; an explicit value wins over the mode's."""
    preset = PRESETS[settings.mode]
    explicit = settings.classifier.enabled is not None
    learned = PresetSetting(
        "classifier.enabled", settings.classifier_enabled, preset.learned_classifier, explicit=explicit
    )
    return (learned,)
