"""Loads settings, and says in words what is wrong with them: every problem at once, no secret in any."""

from __future__ import annotations

import difflib
import io
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from dotenv.parser import parse_stream
from pydantic import BaseModel, SecretStr, ValidationError

from muxer_grpc.providers.base_urls import check_key, checked_base_url
from muxer_grpc.providers.registry import adapters
from muxer_grpc.settings import _SOURCES, DELIMITER, PREFIX, Settings
from muxer_grpc.settings_modes import mode_problems

CONFIG_VARIABLE = "MUXER_CONFIG"
DEFAULT_CONFIG = Path("muxer.toml")

# Variables of the command line and the client, not of the service.
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "MUXER_TARGET", "MUXER_ADMIN_TARGET", "MUXER_API_KEY"})

# Kubernetes gives these to every container of a namespace with a Service named muxer.
_SERVICE_LINK = re.compile(r"MUXER(_[A-Z0-9]+)*_(SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP)(_[A-Z]+)?)?)")


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
    problems: list[str] = []
    environment = {**_dotenv(env_file, problems), **environ}
    environment = {n: v for n, v in environment.items() if not _SERVICE_LINK.fullmatch(n)}
    toml_file = _toml_file(config_file, environment, problems)
    problems += _unknown_variables(environment)
    problems += _vendor_problems(environment)
    token = _SOURCES.set((environment, toml_file))
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError([*problems, *(_readable(each, environment) for each in error.errors())]) from None
    finally:
        _SOURCES.reset(token)
    problems += mode_problems(settings)
    if problems:
        raise SettingsError(problems)
    settings.take_vendor_environment(environment)
    return settings


def _dotenv(env_file: Path | None, problems: list[str]) -> dict[str, str]:
    """Reads a .env file; lines that are no `NAME=value` are problems."""
    if env_file is None or not env_file.is_file():
        return {}
    try:
        text = env_file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        problems.append(f"{env_file} is not UTF-8")
        return {}
    found = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
        elif binding.error or binding.key is not None:
            problems.append(f"line {binding.original.line} of {env_file} is not NAME=value")
    return found


def _toml_file(config_file: Path | None, environment: Mapping[str, str], problems: list[str]) -> Path | None:
    """Finds the TOML file, and checks that it can be read."""
    named = config_file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    path = named or DEFAULT_CONFIG
    if not path.is_file():
        if named is not None:
            problems.append(f"there is no configuration file {named}")
        return None
    try:
        areas = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        problems.append(f"{path} is not UTF-8")
        return None
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path} is no TOML: {error}")
        return None
    # The settings library ignores the case of these names, and of no others.
    problems += [
        f"{area} in {path} is not a setting; did you mean {area.lower()}?" for area in areas if area != area.lower()
    ]
    return path


def _vendor_problems(environment: Mapping[str, str]) -> Iterator[str]:
    """Checks the vendors' usual variables by their names; what they hold is not told."""
    for adapter in adapters().values():
        for variable, check in ((adapter.base_url_variable, checked_base_url), (adapter.key_variable, check_key)):
            if environment.get(variable):
                try:
                    check(environment[variable])
                except ValueError as error:
                    yield f"{variable}: {error}"


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
    known = [variable_of(name) for name in known_names()]
    areas = {name.upper() for name in Settings.model_fields}
    for name in environment:
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in OTHER_VARIABLES or upper in known:
            continue
        area, _, rest = upper.removeprefix(PREFIX).partition(DELIMITER)
        if area not in areas or not rest:
            yield f"{name} is not a setting{_hint(upper, known)}"


def variable_of(name: str) -> str:
    """Gives the environment variable of a dotted name."""
    return PREFIX + name.upper().replace(".", DELIMITER)


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def _readable(error: Any, environment: Mapping[str, str]) -> str:
    """Writes one problem, by the setting's variable where one gave it, else by its dotted name.

    What was given is not repeated, since it may be a secret.
    """
    steps = [str(step) for step in error["loc"]]
    location = ".".join(steps)
    variable = variable_of(location)
    given = next((name for name in environment if name.upper() == variable), "")
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        provider = steps[1] if steps[0] == "providers" and len(steps) > 2 else ""
        known = [name.replace("NAME", provider, 1) if provider else name for name in known_names()]
        names = [variable_of(name) for name in known] if given else known
        return f"{given or location} is not a setting{_hint(variable if given else location, names)}"
    if error["type"] == "tuple_type":
        message = "must be a list: in a variable, JSON"
    # A problem of several fields names the setting in its own words.
    return message if not location or message.startswith(f"{location}.") else f"{given or location}: {message}"


def settings_table() -> str:
    """Writes all settings as a Markdown table."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in leaves(Settings):
        lines.append(f"| `{variable_of(name)}` | {_shown(field.default)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _shown(default: Any) -> str:
    if default in (None, "", (), {}):
        return ""
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    if isinstance(default, Enum):
        default = default.value
    if isinstance(default, SecretStr):  # what stands in the source is no secret
        default = default.get_secret_value()
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
