"""Reads the configuration again while the service runs: what needs no restart is taken over, what does is told."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from muxer_grpc.settings import Settings
from muxer_grpc.settings_loading import SettingsError

_log = logging.getLogger(__name__)

# What changes without a restart: areas, or single settings.
TAKEN_OVER = (
    "routing.default_strategy",
    "classifier.low_confidence",
    "classifier.direct_confidence",
    "resilience",
    "load",
    "rate_limits.tenant_requests_per_minute",
    "rate_limits.tenant_tokens_per_minute",
    "rate_limits.key_requests_per_minute",
    "rate_limits.key_tokens_per_minute",
    "log.level",
)

Load = Callable[[], Settings]


class Reloading:
    """Holds the settings in force. `load` reads the configuration anew and raises SettingsError where it is wrong."""

    def __init__(self, settings: Settings, load: Load) -> None:
        self.in_force = settings
        self._load = load

    def reload(self) -> Settings | None:
        """Gives the settings that hold from now on; None, and a line in the log, where the configuration is wrong."""
        try:
            fresh = self._load()
        except SettingsError as error:
            _log.error("the configuration is refused, the previous one stays: %s", "; ".join(error.problems))
            return None
        except OSError as error:
            _log.error("the configuration cannot be read, the previous one stays: %s", error.strerror)
            return None
        except Exception:
            # Whatever a file makes of the parsers: nothing that is read again ends what serves.
            _log.exception("reading the configuration met a defect, the previous one stays")
            return None
        before, after = self.in_force, merged(self.in_force, fresh)
        taken, waiting = changed(before, after), changed(after, fresh)
        _log.info(
            "the configuration was read again; in force: %s; after a restart: %s",
            ", ".join(taken) or "nothing new",
            ", ".join(waiting) or "nothing new",
        )
        self.in_force = after
        return after


def merged(in_force: Settings, fresh: Settings) -> Settings:
    """Gives the settings in force, with what needs no restart from fresh ones."""
    found: BaseModel = in_force
    for path in TAKEN_OVER:
        found = _with(found, fresh, path.split("."))
    return found  # type: ignore[return-value]


def _with(area: BaseModel, other: BaseModel, path: list[str]) -> BaseModel:
    """Gives an area with one setting, or all of an area within, as another has it."""
    name, *rest = path
    value = getattr(other, name)
    if rest:
        value = _with(getattr(area, name), value, rest)
    return area.model_copy(update={name: value})


def changed(before: Settings, after: Settings) -> list[str]:
    """Lists the settings that differ by their dotted names, and vendors' variables; what they hold is not told."""
    old, new = before.vendor_environment, after.vendor_environment
    variables = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return [*_differing(before, after, ""), *variables]


def _differing(before: Any, after: Any, prefix: str) -> Iterator[str]:
    if isinstance(before, BaseModel) and type(before) is type(after):
        for name in type(before).model_fields:
            yield from _differing(getattr(before, name), getattr(after, name), f"{prefix}.{name}" if prefix else name)
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from _differing(before.get(name), after.get(name), f"{prefix}.{name}")
    elif before != after:
        yield prefix


class Terminal:
    """Tells a hang-up of the terminal, which ends a service that was started in one, from a wish to reload.

    Both are SIGHUP. Whoever ignores it (nohup), or has no terminal (a container, systemd), is never hung up on.
    """

    def __init__(self) -> None:
        self._had_one = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()

    @property
    def gone(self) -> bool:
        """Tells whether the terminal was closed."""
        return self._had_one and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
