"""Loads settings, and says in words what is wrong with them: every problem at once, no secret in any."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError
from pydantic_settings.exceptions import SettingsError as SourceError

from muxer_grpc.settings import _SOURCES, DELIMITER, PREFIX, Settings

CONFIG_VARIABLE = "MUXER_CONFIG"
DEFAULT_CONFIG = Path("muxer.toml")

# Variables of the command line and the client, not of the service.
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "MUXER_TARGET", "MUXER_ADMIN_TARGET"})


class SettingsError(Exception):
    """Settings that cannot be used; `problems` holds one readable line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load_settings(
    config_file: Path | None = None,
    env_file: Path | None = Path(".env"),
    environ: Mapping[str, str] = os.environ,
    **overrides: Any,
) -> Settings:
    """Loads the settings. `overrides` win over every source. Raises SettingsError with every problem found."""
    environment = {**_dotenv(env_file), **environ}
    toml_file = _toml_file(config_file, environment)
    problems = [*_unknown_variables(environment)]
    token = _SOURCES.set((environment, toml_file))
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError([*problems, *(_readable(each) for each in error.errors())]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([*problems, f"{toml_file} is no TOML: {error}"]) from None
    except SourceError as error:
        raise SettingsError([*problems, f"{error}: it must be JSON"]) from None
    finally:
        _SOURCES.reset(token)
    if problems:
        raise SettingsError(problems)
    settings.take_vendor_environment(environment)
    return settings


def _dotenv(env_file: Path | None) -> dict[str, str]:
    if env_file is None or not env_file.is_file():
        return {}
    return {name: value for name, value in dotenv_values(env_file).items() if value is not None}


def _toml_file(config_file: Path | None, environment: Mapping[str, str]) -> Path | None:
    named = config_file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    if named is None:
        return DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None
    if not named.is_file():
        raise SettingsError([f"there is no configuration file {named}"])
    return named


def known_names() -> list[str]:
    """Lists the settings by their dotted names; a provider's stand under `providers.NAME`."""
    return [name for name, _ in leaves(Settings)]


def leaves(area: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Walks the fields of an area and of the areas within, with their dotted names."""
    for name, field in area.model_fields.items():
        path = f"{prefix}{name}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{path}.")
        elif path == "providers":
            yield from leaves(get_args(kind)[1], f"{path}.NAME.")
        else:
            yield path, field


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Finds variables with our prefix whose area is not known; those within an area are found by its own check."""
    known = {variable_of(name): name for name in known_names()}
    areas = {name.upper() for name in Settings.model_fields}
    for name in environment:
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in OTHER_VARIABLES:
            continue
        area, _, rest = upper.removeprefix(PREFIX).partition(DELIMITER)
        if area not in areas or not rest:
            yield f"{name} is not a setting{_hint(upper, list(known))}"


def variable_of(name: str) -> str:
    """Gives the environment variable of a dotted name."""
    return PREFIX + name.upper().replace(".", DELIMITER)


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def _readable(error: Any) -> str:
    """Writes one problem, by the setting's dotted name; what was given is not repeated, since it may be a secret."""
    location = ".".join(str(step) for step in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        steps = list(error["loc"])
        if steps[0] == "providers" and len(steps) > 2:
            steps[1] = "NAME"
        return f"{location} is not a setting{_hint('.'.join(map(str, steps)), known_names())}"
    return f"{location}: {message}" if location else message


def settings_table() -> str:
    """Writes all settings as a Markdown table."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in leaves(Settings):
        lines.append(f"| `{variable_of(name)}` | {_shown(field.default)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _shown(default: Any) -> str:
    if default in (None, "", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
